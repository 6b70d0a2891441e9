//! `althing sim`: lives many simulated lives of a cluster and tells what they met.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use althing_sim::{Consensus, Diary, Options, Outcome, Summary};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use crate::Outcome as Ending;
use crate::failure::{Failure, Kind};
use crate::output::{self, Format, print, print_line};

/// Arguments of `althing sim`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
A seed is a whole cluster's life: the real consensus, log and keyspace on a network and on disks
that fail in every way they can. The same seed gives the same life on every machine. It ends with 1
if any life went wrong, and then tells what happened in it.

Examples:
  althing sim --seeds 1..1000              a thousand lives
  althing sim --seeds 42 --nodes 5         one life, of five nodes
  althing sim --seeds 1..1000 -o json      what they met, by class of fault")]
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

/// What came of all of them.
#[derive(Default)]
struct Report {
    summary: Summary,
    /// The lives that went wrong, told in full; the first few of them.
    told: Vec<Outcome>,
    /// The hashes of all lives, in whatever order they ended.
    trace: u64,
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
        diary: Diary::OfViolations,
        ..Options::default()
    };
    let jobs =
        arguments.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let bar = progress(seeds.end() - seeds.start() + 1);
    let report = live_all(seeds.clone(), &options, jobs, &bar);
    bar.finish_and_clear();

    let cpu = cpu_time();
    show(&report, cpu, format)?;
    if report.summary.failed.is_empty() {
        return Ok(Ending::Done);
    }
    for outcome in &report.told {
        eprintln_quietly(&outcome.to_string());
    }
    let seed = report.summary.failed[0].0;
    let wrong = report.summary.failed.len();
    Err(Failure::new(Kind::Other, format!("{wrong} of {} lives went wrong", report.summary.seeds))
        .cause(format!("seed {seed}: {}", report.summary.failed[0].1))
        .hint(format!("live it again with `althing sim --seeds {seed}`")))
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

/// What this process has used so far, of all cores together.
fn cpu_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), used.tv_nsec.unsigned_abs() as u32)
}

fn show(report: &Report, cpu: Duration, format: Format) -> Result<(), Failure> {
    /// A cluster-year for each hour of one core is 8,766 simulated hours in that hour.
    const HOURS_A_YEAR: f64 = 8_766.0;
    let Report { summary, trace, .. } = report;
    let rate = summary.simulated.as_secs_f64() / cpu.as_secs_f64().max(1e-9);
    let years = rate / HOURS_A_YEAR;
    if format == Format::Json {
        let faults = |is_fault: bool| -> BTreeMap<String, u64> {
            let marks = summary.coverage.iter().filter(|(mark, _)| mark.is_fault() == is_fault);
            marks.map(|(mark, count)| (mark.to_string(), count)).collect()
        };
        let violations: Vec<_> = summary
            .failed
            .iter()
            .map(|(seed, violation)| json!({ "seed": seed, "violation": violation.to_string() }))
            .collect();
        return print_line(json!({
            "seeds": summary.seeds,
            "violations": violations,
            "trace_hash": format!("{trace:016x}"),
            "simulated_seconds": summary.simulated.as_secs_f64(),
            "messages": summary.messages,
            "requests": summary.requests,
            "elections": summary.elections,
            "commits": summary.commits,
            "snapshots_installed": summary.snapshots_installed,
            "undecided_histories": summary.undecided,
            "faults": faults(true),
            "branches": faults(false),
            "cpu_seconds": cpu.as_secs_f64(),
            "cluster_years_per_cpu_hour": years,
        }));
    }
    let mut table = output::table(&["met", "times"]);
    for (mark, count) in summary.coverage.iter() {
        table.add_row([mark.to_string(), count.to_string()]);
    }
    if format == Format::Table {
        print(output::table_text(&table).as_bytes())?;
    }
    print_line(format!(
        "{} lives, {} went wrong; {:.0} s simulated in {:.1} s of CPU ({rate:.0} times as fast, \
         {years:.3} cluster-years per CPU-hour); {} messages, {} requests, {} elections, {} \
         commits; trace {trace:016x}",
        summary.seeds,
        summary.failed.len(),
        summary.simulated.as_secs_f64(),
        cpu.as_secs_f64(),
        summary.messages,
        summary.requests,
        summary.elections,
        summary.commits,
    ))
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
}
