use std::collections::BTreeMap;

use althing_core::{Ballot, NodeId, Quorum};

use super::Accepted;

/// Learns which values were chosen: those that a phase-two quorum accepted under one ballot.
///
/// It counts the last acceptance of each acceptor and no more: an acceptor that has gone on to a
/// greater ballot helps to choose that one. What was chosen is proposed again under every later
/// ballot, so that nothing is missed for good; and memory stays bounded by the group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Learner<V, Q> {
    quorum: Q,
    latest: BTreeMap<NodeId, Accepted<V>>,
    learned: Ballot,
}

impl<V: Clone, Q: Quorum> Learner<V, Q> {
    /// A learner that has heard nothing yet.
    pub const fn new(quorum: Q) -> Self {
        Self { quorum, latest: BTreeMap::new(), learned: Ballot::ZERO }
    }

    /// An acceptor accepted; the value if with that it was chosen. Each ballot is told once.
    ///
    /// Messages may be lost, repeated and reordered; who is not in the group does not count.
    pub fn accepted(&mut self, from: NodeId, accepted: Accepted<V>) -> Option<V> {
        let ballot = accepted.ballot;
        let is_newer = self.latest.get(&from).is_none_or(|latest| latest.ballot < ballot);
        if !is_newer || !self.quorum.nodes().contains(&from) {
            return None;
        }
        self.latest.insert(from, accepted);
        let holds = |node| self.latest.get(&node).is_some_and(|latest| latest.ballot == ballot);
        if ballot <= self.learned || !self.quorum.is_phase_two(&holds) {
            return None;
        }
        self.learned = ballot;
        self.latest.get(&from).map(|latest| latest.value.clone())
    }
}
