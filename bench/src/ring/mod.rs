//! Althing's ring beside other crates that find the owner of a key.
//!
//! All are given the same keys, 160 points a node where they have points, and their turn in every
//! round, pinned to one core. What counts are ratios to the *bound*, measured in the same rounds:
//! hashing the key and one load, at a place the hash gives, from a table that fits the second
//! cache.

mod balance;
mod contestant;
mod curve;
mod peers;
mod pin;
mod plot;
mod report;
mod speed;
mod update;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

/// What to run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Plan {
    /// How many nodes, a column for each number
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000,10000",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    nodes: Vec<u32>,
    /// How often each contestant has its turn
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Only the contestants whose name has this in it, and the bound
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// The core to run on
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=1023))]
    core: u32,
    /// Measure how fast they are, and not how evenly they share
    #[arg(long)]
    speed_only: bool,
    /// A folder to write the plots to
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,
    /// The shape of the report
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Medians and ratios, for people
    Table,
    /// The same, a line for each figure
    Csv,
    /// The same, for programs
    Json,
}

/// One figure: what was measured of whom, among how many nodes.
#[derive(Clone, Debug)]
struct Figure {
    measure: &'static str,
    unit: &'static str,
    contestant: &'static str,
    nodes: u32,
    value: f64,
}

pub(crate) fn run(plan: &Plan) -> Result<()> {
    crate::warn_if_debug();
    if !pin::to_core(plan.core) {
        eprintln!("warning: not pinned to core {}, so the figures are less steady", plan.core);
    }
    let mut figures = Vec::new();
    for &nodes in &plan.nodes {
        eprintln!("{nodes} nodes");
        figures.extend(speed::measure(plan, nodes));
        figures.extend(update::measure(plan, nodes));
        if !plan.speed_only {
            figures.extend(balance::measure(plan, nodes));
        }
    }
    let curve = if plan.speed_only { Vec::new() } else { curve::measure() };
    match plan.output {
        Output::Table => print!("{}", report::table(plan, &figures, &curve)),
        Output::Csv => print!("{}", report::csv(&figures)),
        Output::Json => println!("{}", report::json(&figures, &curve)),
    }
    if let Some(folder) = &plan.plots {
        plot::write(folder, &figures, &curve)
            .with_context(|| format!("cannot write to {}", folder.display()))?;
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}
