//! The plan as tables and a picture, as lines, or as JSON.

use serde_json::{Value, json};

use super::change::{Change, Planned};
use super::picture::picture;
use super::study::{Amount, Study};
use crate::failure::Failure;
use crate::output::{Format, print, print_line, printable_cut, table, table_text};

/// Rows of a table. Nobody reads a thousand; the other formats have them all.
const ROWS_MAX: usize = 24;

/// Shows a plan.
pub(super) fn show(change: &Change, study: &Study, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => print_line(as_json(change, study)),
        Format::Raw => print(as_lines(change, study).as_bytes()),
        Format::Table => print(as_text(change, study).as_bytes()),
    }
}

fn as_json(change: &Change, study: &Study) -> Value {
    let name = |node: usize| &change.planned()[node].name;
    let nodes: Vec<Value> = (0..)
        .zip(change.planned())
        .map(|(node, Planned { name, before, after })| {
            json!({
                "name": name,
                "weight_before": before,
                "weight_after": after,
                "share_before": study.before[node].share,
                "share_after": study.after[node].share,
                "keys_before": study.before[node].keys,
                "keys_after": study.after[node].keys,
            })
        })
        .collect();
    let moves: Vec<Value> = study
        .moves
        .iter()
        .map(|moved| {
            json!({
                "from": name(moved.from),
                "to": name(moved.to),
                "share": moved.amount.share,
                "keys": moved.amount.keys,
            })
        })
        .collect();
    let moved = study.moved();
    json!({
        "keys": study.keys,
        "nodes": nodes,
        "moves": moves,
        "ranges": study.ranges,
        "moved_share": moved.share,
        "moved_keys": moved.keys,
        "fair_moved_share": study.fair,
        "modulo_moved_share": study.modulo.share,
        "modulo_moved_keys": study.modulo.keys,
        "peak_to_mean_before": study.peak_before,
        "peak_to_mean_after": study.peak_after,
    })
}

fn as_lines(change: &Change, study: &Study) -> String {
    let mut text = String::new();
    let weight = |weight: Option<u32>| weight.map_or_else(|| "-".to_owned(), |w| w.to_string());
    for (node, planned) in (0..).zip(change.planned()) {
        let (before, after) = (study.before[node], study.after[node]);
        text.push_str(&format!(
            "node {} {} {} {:.9} {:.9} {} {}\n",
            planned.name,
            weight(planned.before),
            weight(planned.after),
            before.share,
            after.share,
            before.keys,
            after.keys,
        ));
    }
    let line = |amount: Amount| format!("{:.9} {}\n", amount.share, amount.keys);
    for moved in &study.moves {
        let (from, to) = (&change.planned()[moved.from].name, &change.planned()[moved.to].name);
        text.push_str(&format!("move {from} {to} {}", line(moved.amount)));
    }
    text.push_str(&format!("moved {}", line(study.moved())));
    text.push_str(&format!("modulo {}", line(study.modulo)));
    text
}

fn as_text(change: &Change, study: &Study) -> String {
    let shown = shown(study);
    let mut text = nodes_table(change, study, &shown);
    let hidden = change.planned().len() - shown.len();
    text.push_str(&and_more(hidden, "nodes"));
    text.push_str(&format!(
        "\npeak to mean: {:.3} before, {:.3} after\n\n",
        study.peak_before, study.peak_after
    ));
    if study.moves.is_empty() {
        text.push_str("nothing moves\n");
        return text;
    }
    text.push_str(&moves_table(change, study));
    text.push_str(&and_more(study.moves.len().saturating_sub(ROWS_MAX), "moves"));
    let moved = study.moved();
    text.push_str(&format!(
        "\n{} of all hashes move, in {} ranges; fair shares alone would move {}\n",
        percent(moved.share),
        study.ranges,
        percent(study.fair),
    ));
    if study.keys > 0 {
        text.push_str(&format!(
            "of {} keys {} move; {} would by modulo hashing\n",
            grouped(study.keys),
            grouped(moved.keys),
            grouped(study.modulo.keys),
        ));
    }
    text + "\n" + &picture(change, study, &shown)
}

/// The nodes that a table shows: all or, of many, those whose share changes most, in their order.
fn shown(study: &Study) -> Vec<usize> {
    let mut nodes: Vec<usize> = (0..study.before.len()).collect();
    if nodes.len() > ROWS_MAX {
        let change = |node: &usize| (study.after[*node].share - study.before[*node].share).abs();
        nodes.sort_by(|one, other| change(other).total_cmp(&change(one)));
        nodes.truncate(ROWS_MAX);
        nodes.sort_unstable();
    }
    nodes
}

fn nodes_table(change: &Change, study: &Study, shown: &[usize]) -> String {
    let mut rows = table(&["node", "weight", "before", "after", "keys before", "keys after"]);
    for &node in shown {
        let Planned { name, before, after } = &change.planned()[node];
        let weight = match (before, after) {
            (Some(before), Some(after)) if before == after => before.to_string(),
            (Some(before), Some(after)) => format!("{before} to {after}"),
            (Some(before), None) => format!("{before}, goes"),
            (None, Some(after)) => format!("{after}, comes"),
            (None, None) => unreachable!("a node of the plan is on one side of it"),
        };
        rows.add_row([
            printable_cut(name.as_bytes(), 40),
            weight,
            percent(study.before[node].share),
            percent(study.after[node].share),
            grouped(study.before[node].keys),
            grouped(study.after[node].keys),
        ]);
    }
    table_text(&rows)
}

fn moves_table(change: &Change, study: &Study) -> String {
    let mut rows = table(&["from", "to", "moves", "keys"]);
    let name = |node: usize| printable_cut(change.planned()[node].name.as_bytes(), 40);
    for moved in study.moves.iter().take(ROWS_MAX) {
        rows.add_row([
            name(moved.from),
            name(moved.to),
            percent(moved.amount.share),
            grouped(moved.amount.keys),
        ]);
    }
    table_text(&rows)
}

fn and_more(hidden: usize, what: &str) -> String {
    if hidden == 0 {
        return String::new();
    }
    format!("and {} more {what}; `-o json` has them all\n", grouped(hidden as u64))
}

/// A share with two digits behind the point, or with five where two would show little of it.
pub(super) fn percent(share: f64) -> String {
    let digits = if share > 0.0 && share < 0.001 { 5 } else { 2 };
    format!("{:.digits$} %", share * 100.0)
}

/// A number with a comma before every three digits, as in `1,000,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_share_does_not_look_like_none() {
        for (share, text) in
            [(0.0, "0.00 %"), (1.0, "100.00 %"), (0.001, "0.10 %"), (0.000_012_34, "0.00123 %")]
        {
            assert_eq!(percent(share), text);
        }
    }

    #[test]
    fn digits_stand_in_groups_of_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
