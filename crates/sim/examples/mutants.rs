//! Hunts every planted bug and says which was killed by which seed, and after how long.
//!
//! `cargo xtask mutants` builds and runs it.

#![allow(clippy::disallowed_methods, reason = "it measures the hunt with the clock of the CPU")]

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use althing_sim::mutants::{Kill, Mutant, catalogue};
use rustix::time::{ClockId, clock_gettime};

fn main() -> ExitCode {
    // An assertion that fires is a kill; its panic need not be told as well.
    std::panic::set_hook(Box::new(|_| {}));
    let mutants = catalogue();
    let mut taken: Vec<Duration> = Vec::new();
    let mut kinds = BTreeSet::new();
    for mutant in &mutants {
        let Mutant { protocol, bug, seeds_max, .. } = mutant;
        kinds.insert(bug.to_string());
        let began = cpu_time();
        let kill = mutant.hunt();
        let seconds = (cpu_time() - began).as_secs_f64();
        let name = format!("{protocol:?} {bug}");
        match kill {
            Some(Kill { seed, violation }) => {
                println!("{name:<42} killed by seed {seed:>4} in {seconds:>6.2} s: {violation}");
                taken.push(cpu_time() - began);
            }
            None => println!("{name:<42} SURVIVED {seeds_max} seeds, {seconds:.2} s"),
        }
    }
    taken.sort_unstable();
    let seconds = |at: usize| taken.get(at).map_or(0.0, Duration::as_secs_f64);
    let (median, most) = (seconds(taken.len() / 2), seconds(taken.len().saturating_sub(1)));
    println!("{} bugs; median {median:.2} s of CPU, most {most:.2} s", kinds.len());
    println!("{} mutants, {} killed", mutants.len(), taken.len());
    if taken.len() == mutants.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What this process has used of the CPU so far.
fn cpu_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), used.tv_nsec.unsigned_abs() as u32)
}
