//! Althing against other stores, on this machine, alternating.
//!
//! `cargo run --release -p althing-bench -- etcd` starts three nodes of the one, loads them, checks
//! that every acknowledged write is there, stops them, does the same with three nodes of the other,
//! and so on in turn, so that a change in the machine's mood meets both. Only one cluster exists at
//! a time. Where a check fails there is no figure.
//!
//! `cargo run --release -p althing-bench --features ring -- ring` does the same with Althing's ring
//! and the other crates that find the owner of a key.

mod cluster;
mod compare;
mod figures;
mod load;
mod metrics;
mod process;
mod report;
#[cfg(feature = "ring")]
mod ring;
mod system;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Parser)]
#[command(name = "althing-bench", about = "Althing against other stores, on this machine")]
struct Arguments {
    #[command(subcommand)]
    against: Against,
}

#[derive(Debug, Subcommand)]
enum Against {
    /// Against etcd: puts from 1, 64 and 256 clients
    #[command(after_help = "\
Build both first: cargo build --release -p althing-cli -p althing-bench
Example: cargo run --release -p althing-bench -- etcd --rounds 5 -o json > figures.json")]
    Etcd(Plan),
    /// Althing's ring against other crates: lookup, copies, building, adding, balance
    #[cfg(feature = "ring")]
    #[command(after_help = "\
Example: cargo run --release -p althing-bench --features ring -- ring --plots docs/ring")]
    Ring(ring::Plan),
}

/// What to run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Plan {
    /// Clients at a time, a point for each number
    #[arg(long, value_delimiter = ',', default_value = "1,64,256",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: Vec<u32>,
    /// How often to run each system
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds to measure at each point, after a fifth of that to warm up
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Bytes of each value
    #[arg(
        long,
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    value_bytes: u32,
    /// Connections over which the clients are dealt out, if there are that many clients
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// Run only one of the two, with no ratio
    #[arg(long, value_enum)]
    only: Option<system::Name>,
    /// The althing binary; by default the one beside this program
    #[arg(long, value_name = "FILE")]
    althing: Option<PathBuf>,
    /// The etcd binary; by default the one in PATH
    #[arg(long, value_name = "FILE")]
    etcd: Option<PathBuf>,
    /// Where the servers keep their data while they run; by default beside this program
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The shape of the report
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// The shape of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Medians and ratios, for people
    Table,
    /// Every round, for programs
    Json,
}

impl Plan {
    fn measured(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    fn warm_up(&self) -> Duration {
        self.measured() / 5
    }
}

fn main() -> ExitCode {
    let result = match Arguments::parse().against {
        Against::Etcd(plan) => run(&plan),
        #[cfg(feature = "ring")]
        Against::Ring(plan) => ring::run(&plan),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn warn_if_debug() {
    if cfg!(debug_assertions) {
        eprintln!("warning: this is a debug build, so its figures mean nothing; use --release");
    }
}

fn run(plan: &Plan) -> Result<()> {
    warn_if_debug();
    // One thread: on a small machine the load generator must leave the cores to the servers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let mut terminate =
        runtime.block_on(async { signal(SignalKind::terminate()) }).context("no signals")?;
    let rounds = runtime.block_on(local.run_until(async {
        // Whichever way this ends, dropping the run drops its cluster, which ends its processes.
        tokio::select! {
            rounds = compare::run(plan) => rounds,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted; no figures")),
            _ = terminate.recv() => Err(anyhow::anyhow!("told to stop; no figures")),
        }
    }))?;
    match plan.output {
        Output::Table => print!("{}", report::table(plan, &rounds)),
        Output::Json => println!("{}", report::json(plan, &rounds)),
    }
    Ok(())
}
