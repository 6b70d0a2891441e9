//! The figures, for people and for programs.

use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};

use crate::Plan;
use crate::compare::Measured;
use crate::figures::Figures;
use crate::system::{Name, System};

/// Medians over the rounds, and how the two compare.
pub(crate) fn table(plan: &Plan, measured: &Measured) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        "CLIENTS",
        "SYSTEM",
        "PUTS/S",
        "(RANGE)",
        "P50 MS",
        "P99 MS",
        "CPU S/1000",
        "LOG SYNCS/1000",
        "LOAD CPU S/1000",
    ]);
    for clients in &plan.clients {
        for system in &measured.systems {
            let runs = runs(measured, system.name, *clients);
            table.add_row(row(*clients, system, &runs));
        }
        if let [ours, theirs] = &measured.systems[..] {
            let ours = Figures::median(&runs(measured, ours.name, *clients));
            let theirs = Figures::median(&runs(measured, theirs.name, *clients));
            table.add_row(ratio(&ours, &theirs));
        }
    }
    for column in [0, 2, 3, 4, 5, 6, 7, 8] {
        let column = table.column_mut(column).expect("the table has nine columns");
        column.set_cell_alignment(CellAlignment::Right);
    }
    let trim = |line: String| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned() + "\n";
    let body: String = table.lines().map(trim).collect();
    format!("{body}\n{}", method(plan, measured))
}

/// Every run and every median.
pub(crate) fn json(plan: &Plan, measured: &Measured) -> Value {
    let medians = plan.clients.iter().flat_map(|clients| {
        measured.systems.iter().map(|system| {
            let figures = Figures::median(&runs(measured, system.name, *clients));
            entry(system.name, *clients, &figures)
        })
    });
    let runs = measured.runs.iter().map(|run| {
        let mut entry = entry(run.system, run.clients, &run.figures);
        entry["round"] = json!(run.round);
        entry
    });
    let versions = measured
        .systems
        .iter()
        .map(|system| (system.name.text().to_owned(), json!(system.version)));
    json!({
        "medians": medians.collect::<Vec<_>>(),
        "runs": runs.collect::<Vec<_>>(),
        "versions": versions.collect::<serde_json::Map<_, _>>(),
        "seconds": plan.seconds,
        "rounds": plan.rounds,
        "value_bytes": plan.value_bytes,
        "connections": plan.connections,
        "cores": cores(),
        "file_system": measured.file_system,
        "load_before": measured.load_before,
    })
}

fn runs(measured: &Measured, system: Name, clients: u32) -> Vec<Figures> {
    let runs = measured.runs.iter().filter(|run| run.system == system && run.clients == clients);
    runs.map(|run| run.figures).collect()
}

fn entry(system: Name, clients: u32, figures: &Figures) -> Value {
    json!({
        "system": system.text(),
        "clients": clients,
        "puts_per_second": figures.puts_per_second,
        "p50_ms": figures.p50_ms,
        "p99_ms": figures.p99_ms,
        "cpu_seconds_per_1000": figures.cpu_per_1000,
        "log_syncs_per_1000": figures.log_syncs_per_1000,
        "load_cpu_seconds_per_1000": figures.load_cpu_per_1000,
    })
}

fn row(clients: u32, system: &System, runs: &[Figures]) -> [String; 9] {
    let median = Figures::median(runs);
    let rates = || runs.iter().map(|run| run.puts_per_second);
    let (least, most) = (rates().fold(f64::MAX, f64::min), rates().fold(0.0, f64::max));
    [
        clients.to_string(),
        system.name.text().to_owned(),
        format!("{:.0}", median.puts_per_second),
        format!("({least:.0}-{most:.0})"),
        format!("{:.2}", median.p50_ms),
        format!("{:.2}", median.p99_ms),
        format!("{:.4}", median.cpu_per_1000),
        median.log_syncs_per_1000.map_or_else(|| "-".to_owned(), |syncs| format!("{syncs:.0}")),
        format!("{:.4}", median.load_cpu_per_1000),
    ]
}

fn ratio(ours: &Figures, theirs: &Figures) -> [String; 9] {
    let of = |ours: f64, theirs: f64| format!("x{:.2}", ours / theirs);
    let syncs = ours.log_syncs_per_1000.zip(theirs.log_syncs_per_1000);
    [
        String::new(),
        "ratio".to_owned(),
        of(ours.puts_per_second, theirs.puts_per_second),
        String::new(),
        of(ours.p50_ms, theirs.p50_ms),
        of(ours.p99_ms, theirs.p99_ms),
        of(ours.cpu_per_1000, theirs.cpu_per_1000),
        syncs.map_or_else(|| "-".to_owned(), |(ours, theirs)| of(ours, theirs)),
        of(ours.load_cpu_per_1000, theirs.load_cpu_per_1000),
    ]
}

/// How the figures came about, without which they say nothing.
fn method(plan: &Plan, measured: &Measured) -> String {
    let systems: Vec<String> = measured
        .systems
        .iter()
        .map(|system| format!("{} {}", system.name.text(), system.version))
        .collect();
    format!(
        "{}: medians of {} rounds of {} s in turn, one cluster at a time.\n\
         Three nodes, fsync on, on {}; puts of {} bytes in a closed loop over at most {} \
         connections,\ndealt out over the nodes, the leader first. {} cores for servers and load \
         together, load average\nbefore: {}. Every acknowledged write was found again.\n",
        systems.join(" and "),
        plan.rounds,
        plan.seconds,
        measured.file_system,
        plan.value_bytes,
        plan.connections,
        cores(),
        measured.load_before,
    )
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, std::num::NonZero::get)
}
