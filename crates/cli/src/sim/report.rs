//! What came of many lives, as a table or as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use althing_sim::{Options, Outcome, Summary};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use crate::failure::Failure;
use crate::output::{self, Format, print, print_line};

/// What came of all of them.
#[derive(Default)]
pub(super) struct Report {
    pub(super) summary: Summary,
    /// The lives that went wrong, told in full; the first few of them.
    pub(super) told: Vec<Outcome>,
    /// The hashes of all lives, in whatever order they ended.
    pub(super) trace: u64,
}

/// What this process has used so far, of all cores together.
pub(super) fn cpu_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), used.tv_nsec.unsigned_abs() as u32)
}

pub(super) fn show(
    report: &Report,
    options: &Options,
    cpu: Duration,
    format: Format,
) -> Result<(), Failure> {
    /// A cluster-year for each hour of one core is 8,766 simulated hours in that hour.
    const HOURS_A_YEAR: f64 = 8_766.0;
    let Report { summary, trace, .. } = report;
    let rate = summary.simulated.as_secs_f64() / cpu.as_secs_f64().max(1e-9);
    let years = rate / HOURS_A_YEAR;
    let faults = summary.coverage.faults();
    let faults_a_second = faults as f64 / summary.simulated.as_secs_f64().max(1e-9);
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
            "never_met": summary.missing(options).map(|mark| mark.to_string()).collect::<Vec<_>>(),
            "faults_a_simulated_second": faults_a_second,
            "cpu_seconds": cpu.as_secs_f64(),
            "cluster_years_per_cpu_hour": years,
        }));
    }
    let mut table = output::table(&["met", "what it is", "times"]);
    for (mark, count) in summary.coverage.iter() {
        let kind = if mark.is_fault() { "fault" } else { "branch" };
        table.add_row([mark.to_string(), kind.to_string(), count.to_string()]);
    }
    if format == Format::Table {
        print(output::table_text(&table).as_bytes())?;
    }
    print_line(format!(
        "{} lives, {} went wrong; {:.0} s simulated in {:.1} s of CPU ({rate:.0} times as fast, \
         {years:.3} cluster-years per CPU-hour); {} messages, {} requests, {faults} faults, \
         {faults_a_second:.1} a second, {} elections, {} commits; trace {trace:016x}",
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
