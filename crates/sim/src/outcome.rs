use std::fmt;
use std::time::Duration;

use althing_core::Time;

use crate::world::World;
use crate::{Befallen, Coverage, FaultSet, Mark, Options, Protocol, Violation};

/// What came of one seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// How many nodes there were.
    pub nodes: usize,
    /// What went wrong, the first first. A life ends with its first violation.
    pub violations: Vec<Violation>,
    /// A hash over everything that happened, in order: equal lives, equal hashes.
    pub trace_hash: u64,
    /// How long it was, on the world's clock.
    pub simulated: Duration,
    /// Messages sent.
    pub messages: u64,
    /// Requests of clients.
    pub requests: u64,
    /// Elections won.
    pub elections: u64,
    /// Entries committed.
    pub commits: u64,
    /// Snapshots that a node received and went on from.
    pub snapshots_installed: u64,
    /// The search for an order of what clients saw was given up.
    pub undecided: bool,
    /// What it met.
    pub coverage: Coverage,
    /// The last things that happened, if the options ask for them.
    pub timeline: Vec<String>,
    /// What went wrong because the simulator wanted it to, if the options ask for a timeline.
    pub befallen: Vec<Befallen>,
}

impl Outcome {
    pub(crate) fn of<P: Protocol>(seed: u64, nodes: usize, world: World<P>) -> Self {
        let (shared, requests) = world.into_shared();
        let elections = shared.checker.elections();
        let commits = shared.checker.committed().0;
        Self {
            seed,
            nodes,
            violations: shared.checker.into_violations(),
            trace_hash: shared.trace.value(),
            simulated: shared.now.since(Time::ZERO),
            messages: shared.messages,
            requests,
            elections,
            commits,
            snapshots_installed: shared.snapshots_installed,
            undecided: shared.undecided,
            coverage: shared.coverage,
            timeline: shared.timeline.into_lines(),
            befallen: shared.mishaps.into_told(),
        }
    }

    /// Whether nothing went wrong.
    pub const fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.timeline {
            writeln!(f, "{line}")?;
        }
        for Befallen { at, fault, what, .. } in &self.befallen {
            writeln!(f, "{:>16} {fault}: {what}", at.to_string())?;
        }
        for violation in &self.violations {
            writeln!(f, "seed {}: {violation}", self.seed)?;
        }
        write!(
            f,
            "seed {}: {} nodes, {:.1} s, {} messages, {} faults, {} elections, {} commits, {} \
             snapshots installed, trace {:016x}",
            self.seed,
            self.nodes,
            self.simulated.as_secs_f64(),
            self.messages,
            self.coverage.faults(),
            self.elections,
            self.commits,
            self.snapshots_installed,
            self.trace_hash
        )
    }
}

/// What came of many seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many.
    pub seeds: u64,
    /// The ones with violations, by seed, each with its first violation.
    pub failed: Vec<(u64, Violation)>,
    /// How long all of them were together, on their worlds' clocks.
    pub simulated: Duration,
    /// Messages sent.
    pub messages: u64,
    /// Requests of clients.
    pub requests: u64,
    /// Elections won.
    pub elections: u64,
    /// Entries committed.
    pub commits: u64,
    /// Snapshots that a node received and went on from.
    pub snapshots_installed: u64,
    /// How many histories were too hard to judge.
    pub undecided: u64,
    /// What they met.
    pub coverage: Coverage,
}

impl Summary {
    /// What no seed met, of what these options can bring about.
    pub fn missing(&self, options: &Options) -> impl Iterator<Item = Mark> {
        let faults = options.faults;
        self.coverage.missing().filter(move |mark| match mark.fault() {
            Some(fault) => faults.contains(fault),
            // What follows from what cannot be said of each.
            None => faults == FaultSet::ALL,
        })
    }

    /// Adds one more seed. The order in which seeds are added makes no difference.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        if let Some(violation) = outcome.violations.first() {
            let at = self.failed.partition_point(|(seed, _)| *seed < outcome.seed);
            self.failed.insert(at, (outcome.seed, violation.clone()));
        }
        self.simulated += outcome.simulated;
        self.messages += outcome.messages;
        self.requests += outcome.requests;
        self.elections += outcome.elections;
        self.commits += outcome.commits;
        self.snapshots_installed += outcome.snapshots_installed;
        self.undecided += u64::from(outcome.undecided);
        self.coverage.add(&outcome.coverage);
    }
}
