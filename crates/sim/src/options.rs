use std::time::Duration;

use althing_consensus::raft::Bug;

/// What is the same for all seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many nodes, at most 9. `None` lets the seed choose between 3 and 5.
    pub nodes: Option<usize>,
    /// How long things go wrong, on the world's clock. Default 2 s.
    pub storm: Duration,
    /// How many of the last things that happened an outcome with a violation tells; 0 for none.
    /// Default 200.
    pub timeline_lines: usize,
    /// A defect planted into the protocol, to prove that the checkers find it. It has no effect
    /// without this crate's feature `planted-bugs`.
    pub bug: Option<Bug>,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: None, storm: Duration::from_secs(2), timeline_lines: 200, bug: None }
    }
}
