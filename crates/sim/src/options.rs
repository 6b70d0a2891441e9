use std::num::NonZero;
use std::time::Duration;

use crate::{Bug, FaultSet, Schedule};

/// What is the same for all seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The protocol that [`run`](crate::run) runs. Default Raft.
    pub consensus: Consensus,
    /// How many nodes, at most 9. `None` lets the seed choose between 3 and 5.
    pub nodes: Option<usize>,
    /// How long things go wrong, on the world's clock. Default 2 s.
    pub storm: Duration,
    /// The load of a service at rest: this many requests of clients in each second of the world's
    /// clock, to nodes that are as patient as a server is by default (an election timeout of 1 s, a
    /// heartbeat of 100 ms). How often things go wrong is counted in election timeouts, so they
    /// keep their density. `None`, the default: each seed draws hectic clients and impatient nodes,
    /// which meet more in less time.
    pub operations: Option<NonZero<u32>>,
    /// What can go wrong. Default all. To switch a class off changes nothing else that is drawn,
    /// up to the first thing that does not happen.
    pub faults: FaultSet,
    /// Of all that was drawn, what happens. `None`, the default: all of it.
    pub schedule: Option<Schedule>,
    /// Whether half of the lives see leases held. Default true.
    pub leases: bool,
    /// Whether to report also what has done no harm yet but can, such as an entry that is called
    /// committed while someone can be elected who lacks it. Default true.
    pub is_eager: bool,
    /// Which outcomes tell what happened. Default: those with a violation.
    pub diary: Diary,
    /// How many of the last things that happened are told. Default 200.
    pub diary_lines: usize,
    /// A defect planted somewhere, to prove that the checkers find it. It has no effect
    /// without this crate's feature `planted-bugs`.
    pub bug: Option<Bug>,
}

/// By what the nodes agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consensus {
    /// Raft.
    #[default]
    Raft,
    /// Multi-Paxos.
    Paxos,
}

/// Which lives are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diary {
    /// None.
    Never,
    /// Those that ended with a violation. They are lived twice, so that the others cost nothing.
    OfViolations,
    /// None, but what went wrong in them is told of each.
    Mishaps,
    /// All.
    Always,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            consensus: Consensus::default(),
            nodes: None,
            storm: Duration::from_secs(2),
            operations: None,
            faults: FaultSet::ALL,
            schedule: None,
            leases: true,
            is_eager: true,
            diary: Diary::OfViolations,
            diary_lines: 200,
            bug: None,
        }
    }
}
