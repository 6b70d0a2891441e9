//! `althing sim`: lives many simulated lives of a cluster and tells what they met.

mod report;

use std::num::NonZero;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use althing_sim::{Consensus, Diary, Fault, FaultSet, Options, minimise};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::report::{Report, cpu_time, show};
use crate::Outcome as Ending;
use crate::duration;
use crate::failure::{Failure, Kind};
use crate::output::Format;

/// Arguments of `althing sim`.
#[derive(Args, Clone, Debug)]
#[command(after_help = after_help())]
pub(crate) struct SimArguments {
    /// One seed, or the first and the last with `..` between
    #[arg(long, value_name = "SEEDS", default_value = "1..1000")]
    seeds: Seeds,
    /// The consensus protocol
    #[arg(long, default_value = "raft", value_parser = ["raft", "paxos"])]
    protocol: String,
    /// How many nodes: 3 or 5 [default: each seed chooses]
    #[arg(long, value_parser = ["3", "5"])]
    nodes: Option<String>,
    /// What can go wrong: all, none, or names with commas between
    #[arg(long, value_name = "FAULTS", default_value = "all")]
    faults: FaultSet,
    /// How long things go wrong in each life, on its own clock: 2s, 10m
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration::parse)]
    storm: Duration,
    /// An even load of so many requests a simulated second, on nodes as patient as a server is by
    /// default [default: each seed chooses hectic clients and impatient nodes]
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_operations)]
    operations: Option<NonZero<u32>>,
    /// Fail if there is a fault or a branch of recovery that no life met; always so from 10000
    /// lives on in which everything can go wrong
    #[arg(long)]
    coverage: bool,
    /// How many lives at a time [default: one for each core]
    #[arg(long, value_name = "COUNT")]
    jobs: Option<NonZero<usize>>,
}

#[derive(Clone, Debug)]
struct Seeds(RangeInclusive<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.parse::<u64>().map_err(|_| format!("`{text}` is no seed; write 42 or 1..1000"))
        };
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let seeds = number(first)?..=number(last.trim_start_matches('='))?;
        if seeds.is_empty() || seeds.end() - seeds.start() >= u64::MAX / 2 {
            return Err("the last seed comes before the first".to_owned());
        }
        Ok(Self(seeds))
    }
}

/// As many lives must have met everything there is to meet.
const COVERED_BY: u64 = 10_000;
/// As many lives are spent on finding out which faults it takes.
const MINIMISING_LIVES: u32 = 1_000;

fn after_help() -> String {
    let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
    let mut lines = vec![String::new()];
    for name in names {
        let line = lines.last_mut().expect("there is a first line");
        if line.len() + name.len() > 80 {
            lines.push(format!("  {name}"));
        } else {
            line.push_str("  ");
            line.push_str(name);
        }
    }
    format!(
        "\
A seed is a whole cluster's life: the real consensus, log and keyspace on a network and on disks
that fail in every way they can, and then a time without faults in which it must work again. The
same seed gives the same life on every machine. It ends with 1 if any life went wrong, and then
tells what happened in it and which faults it takes.

What can go wrong, for --faults:
{}

Examples:
  althing sim --seeds 1..1000              a thousand lives
  althing sim --seeds 42 --nodes 5         one life, of five nodes
  althing sim --seeds 1..1000 -o json      what they met, by class of fault
  althing sim --faults loss,partition      lives in which only the network is bad
  althing sim --seeds 1..20 --nodes 3 --operations 10 --storm 10m --jobs 1
                                           long lives under an even load, on one core",
        lines.join("\n")
    )
}

fn parse_operations(text: &str) -> Result<NonZero<u32>, String> {
    let operations =
        text.parse().ok().filter(|operations: &NonZero<u32>| operations.get() <= 1_000);
    operations.ok_or_else(|| format!("`{text}` is no number from 1 to 1000"))
}

/// As many wrong lives are told in full.
const TOLD_MAX: usize = 3;

/// Lives the lives.
pub(crate) fn run(arguments: &SimArguments, format: Format) -> Result<Ending, Failure> {
    let Seeds(seeds) = &arguments.seeds;
    let options = Options {
        consensus: if arguments.protocol == "paxos" { Consensus::Paxos } else { Consensus::Raft },
        nodes: arguments
            .nodes
            .as_ref()
            .map(|nodes| nodes.parse().expect("clap lets 3 and 5 through")),
        faults: arguments.faults,
        storm: arguments.storm,
        operations: arguments.operations,
        diary: Diary::OfViolations,
        ..Options::default()
    };
    let jobs =
        arguments.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let bar = progress(seeds.end() - seeds.start() + 1);
    let report = live_all(seeds.clone(), &options, jobs, &bar);
    bar.finish_and_clear();

    let cpu = cpu_time();
    show(&report, &options, cpu, format)?;
    if !report.summary.failed.is_empty() {
        return Err(went_wrong(&report, &options));
    }
    let is_demanded = report.summary.seeds >= COVERED_BY && options.faults == FaultSet::ALL;
    let missing: Vec<String> = report.summary.missing(&options).map(|it| it.to_string()).collect();
    if missing.is_empty() || !(arguments.coverage || is_demanded) {
        return Ok(Ending::Done);
    }
    let lives = report.summary.seeds;
    Err(Failure::new(Kind::Other, format!("{lives} lives did not meet everything there is"))
        .cause(format!("never met: {}", missing.join(", ")))
        .hint("about 10000 lives meet everything"))
}

/// Tells the first lives that went wrong, and of the very first which faults it takes.
fn went_wrong(report: &Report, options: &Options) -> Failure {
    for outcome in &report.told {
        eprintln_quietly(&outcome.to_string());
    }
    let (seed, violation) = &report.summary.failed[0];
    if let Some(least) = minimise(*seed, options, MINIMISING_LIVES) {
        let count = least.befallen.len();
        eprintln_quietly(&format!(
            "\nseed {seed} with as few faults as it takes, {count}:\n{least}"
        ));
    }
    let wrong = report.summary.failed.len();
    Failure::new(Kind::Other, format!("{wrong} of {} lives went wrong", report.summary.seeds))
        .cause(format!("seed {seed}: {violation}"))
        .hint(format!("live it again with `{}`", again(*seed, options)))
}

/// The command that lives this life again.
fn again(seed: u64, options: &Options) -> String {
    let mut command = format!("althing sim --seeds {seed}");
    if options.consensus == Consensus::Paxos {
        command.push_str(" --protocol paxos");
    }
    if let Some(nodes) = options.nodes {
        command.push_str(&format!(" --nodes {nodes}"));
    }
    if options.faults != FaultSet::ALL {
        command.push_str(&format!(" --faults {}", options.faults));
    }
    if options.storm != Options::default().storm {
        command.push_str(&format!(" --storm {}", duration::show(options.storm)));
    }
    if let Some(operations) = options.operations {
        command.push_str(&format!(" --operations {operations}"));
    }
    command
}

fn live_all(
    seeds: RangeInclusive<u64>,
    options: &Options,
    jobs: usize,
    bar: &ProgressBar,
) -> Report {
    let next = AtomicU64::new(*seeds.start());
    let report = Mutex::new(Report::default());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > *seeds.end() {
                        return;
                    }
                    let outcome = althing_sim::run(seed, options);
                    bar.inc(1);
                    let mut report = report.lock().expect("adding does not panic");
                    report.summary.add(&outcome);
                    report.trace ^= outcome.trace_hash.rotate_left((seed % 64) as u32);
                    if !outcome.is_clean() && report.told.len() < TOLD_MAX {
                        report.told.push(outcome);
                    }
                }
            });
        }
    });
    report.into_inner().expect("adding does not panic")
}

fn progress(count: u64) -> ProgressBar {
    // Nothing is drawn where the standard error is no terminal.
    let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} lives, {per_sec}, {eta} left");
    bar.with_style(style.expect("the template is fixed"))
}

fn eprintln_quietly(text: &str) {
    use std::io::Write as _;
    // Where the terminal is gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_one_or_a_range() {
        let range = |text: &str| text.parse::<Seeds>().map(|seeds| seeds.0);
        assert_eq!(range("42"), Ok(42..=42));
        assert_eq!(range("1..200"), Ok(1..=200));
        assert_eq!(range("1..=200"), Ok(1..=200));
        for wrong in ["", "a", "5..4", "..", "1..x"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_life_can_be_lived_again_as_it_was() {
        let faults = FaultSet::NONE.with(Fault::Loss).with(Fault::Pause);
        let options = Options {
            consensus: Consensus::Paxos,
            nodes: Some(5),
            faults,
            storm: Duration::from_secs(90),
            operations: NonZero::new(10),
            ..Options::default()
        };
        let expected = "althing sim --seeds 7 --protocol paxos --nodes 5 --faults loss,pause \
                        --storm 90s --operations 10";
        assert_eq!(again(7, &options), expected);
        assert_eq!(again(7, &Options::default()), "althing sim --seeds 7");
    }

    #[test]
    fn the_help_names_every_fault() {
        let help = after_help();
        assert!(Fault::ALL.iter().all(|fault| help.contains(fault.name())), "{help}");
        assert!(help.lines().all(|line| line.len() <= 100), "{help}");
    }
}
