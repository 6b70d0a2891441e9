use std::time::Duration;

use althing_consensus::replication::Bug;

/// What is the same for all seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The protocol that [`run`](crate::run) runs. Default Raft.
    pub consensus: Consensus,
    /// How many nodes, at most 9. `None` lets the seed choose between 3 and 5.
    pub nodes: Option<usize>,
    /// How long things go wrong, on the world's clock. Default 2 s.
    pub storm: Duration,
    /// Whether to report also what has done no harm yet but can, such as an entry that is called
    /// committed while someone can be elected who lacks it. Default true.
    pub is_eager: bool,
    /// Which outcomes tell what happened. Default: those with a violation.
    pub diary: Diary,
    /// How many of the last things that happened are told. Default 200.
    pub diary_lines: usize,
    /// A defect planted into the protocol, to prove that the checkers find it. It has no effect
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
    /// All.
    Always,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            consensus: Consensus::default(),
            nodes: None,
            storm: Duration::from_secs(2),
            is_eager: true,
            diary: Diary::OfViolations,
            diary_lines: 200,
            bug: None,
        }
    }
}
