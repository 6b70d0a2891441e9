//! The figures as a table, as lines, and as JSON.

use std::fmt::Write as _;

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::curve::{NODES, Step};
use super::{Figure, Plan};

/// A table for each measure, a row for each contestant, a column for each number of nodes.
pub(super) fn table(plan: &Plan, figures: &[Figure], curve: &[Step]) -> String {
    let mut text = String::new();
    let mut measures: Vec<(&str, &str)> = Vec::new();
    for figure in figures {
        if !measures.contains(&(figure.measure, figure.unit)) {
            measures.push((figure.measure, figure.unit));
        }
    }
    for (measure, unit) in measures {
        let mut table = empty();
        let nodes = plan.nodes.iter().map(|nodes| format!("{nodes} nodes"));
        table.set_header([format!("{measure}, {unit}")].into_iter().chain(nodes));
        let of = |figure: &&Figure| figure.measure == measure;
        let mut names: Vec<&str> = figures.iter().filter(of).map(|one| one.contestant).collect();
        names.dedup();
        let mut seen = Vec::new();
        for name in names {
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            let cell = |&nodes: &u32| {
                let mut row = figures.iter().filter(of).filter(|one| one.contestant == name);
                row.find(|one| one.nodes == nodes)
                    .map_or_else(|| "-".to_owned(), |one| digits(one.value))
            };
            table.add_row([name.to_owned()].into_iter().chain(plan.nodes.iter().map(cell)));
        }
        let _ = writeln!(text, "{table}\n");
    }
    if !curve.is_empty() {
        let _ = writeln!(text, "{}", curve_table(curve));
    }
    text
}

fn curve_table(curve: &[Step]) -> Table {
    let mut table = empty();
    let first = format!("points a node, {NODES} nodes");
    table.set_header([&first, "peak/mean", "deviation", "lookup, ns", "KiB a node"]);
    for step in curve {
        let values = [step.peak, step.deviation, step.lookup_ns, step.kib_per_node];
        table.add_row([step.points.to_string()].into_iter().chain(values.map(digits)));
    }
    table
}

fn empty() -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table
}

/// About three digits that count.
fn digits(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 0.1 => format!("{value:.2}"),
        value => format!("{value:.4}"),
    }
}

/// `measure,unit,contestant,nodes,value`, a line for each figure.
pub(super) fn csv(figures: &[Figure]) -> String {
    let mut text = String::from("measure,unit,contestant,nodes,value\n");
    for Figure { measure, unit, contestant, nodes, value } in figures {
        let _ = writeln!(text, "\"{measure}\",{unit},{contestant},{nodes},{value:.4}");
    }
    text
}

/// All figures and the curve.
pub(super) fn json(figures: &[Figure], curve: &[Step]) -> Value {
    let figures: Vec<Value> = figures
        .iter()
        .map(|one| {
            json!({"measure": one.measure, "unit": one.unit, "contestant": one.contestant,
                   "nodes": one.nodes, "value": one.value})
        })
        .collect();
    let curve: Vec<Value> = curve
        .iter()
        .map(|step| {
            json!({"points": step.points, "peak": step.peak, "deviation": step.deviation,
                   "lookup_ns": step.lookup_ns, "kib_per_node": step.kib_per_node})
        })
        .collect();
    json!({"figures": figures, "curve": {"nodes": NODES, "steps": curve}})
}
