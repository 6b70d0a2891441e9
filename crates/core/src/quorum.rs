use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::NodeId;

/// Decides which sets of nodes are enough.
///
/// Phase one is an election (Raft: votes; Paxos: promises), phase two is replication (Raft:
/// matching logs; Paxos: acceptances). The one law: every phase-one quorum meets every phase-two
/// quorum.
pub trait Quorum {
    /// Every node that counts, in ascending order.
    fn nodes(&self) -> Vec<NodeId>;

    /// Whether the nodes that `holds` names are enough to elect.
    fn is_phase_one(&self, holds: &dyn Fn(NodeId) -> bool) -> bool;

    /// Whether the nodes that `holds` names are enough to replicate.
    fn is_phase_two(&self, holds: &dyn Fn(NodeId) -> bool) -> bool;

    /// The greatest value that a phase-two quorum has reached, when each node reached
    /// `value(node)`; `None` when there is no quorum at all.
    ///
    /// Counted afresh at every call: a cached count that lost its order has committed entries
    /// without a quorum before.
    fn reached<V: Ord + Copy>(&self, value: impl Fn(NodeId) -> V) -> Option<V>
    where
        Self: Sized,
    {
        let mut candidates: Vec<V> = self.nodes().into_iter().map(&value).collect();
        candidates.sort_unstable();
        candidates
            .into_iter()
            .rev()
            .find(|candidate| self.is_phase_two(&|node| value(node) >= *candidate))
    }
}

/// More than half of the nodes, in both phases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Majority(BTreeSet<NodeId>);

impl Majority {
    /// The majority of `nodes`.
    pub fn new(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        Self(nodes.into_iter().collect())
    }

    /// Whether `node` counts.
    pub fn contains(&self, node: NodeId) -> bool {
        self.0.contains(&node)
    }

    fn holds(&self, holds: &dyn Fn(NodeId) -> bool) -> bool {
        let count = self.0.iter().filter(|node| holds(**node)).count();
        count * 2 > self.0.len()
    }
}

impl Quorum for Majority {
    fn nodes(&self) -> Vec<NodeId> {
        self.0.iter().copied().collect()
    }

    fn is_phase_one(&self, holds: &dyn Fn(NodeId) -> bool) -> bool {
        self.holds(holds)
    }

    fn is_phase_two(&self, holds: &dyn Fn(NodeId) -> bool) -> bool {
        self.holds(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("not zero")
    }

    fn subset(mask: u64) -> impl Fn(NodeId) -> bool {
        move |node| mask >> (node.number() - 1) & 1 == 1
    }

    #[test]
    fn any_two_majorities_meet() {
        for size in 1..=7 {
            let majority = Majority::new((1..=size).map(node));
            let quorums: Vec<u64> =
                (0..1 << size).filter(|mask| majority.is_phase_one(&subset(*mask))).collect();
            for one in &quorums {
                for other in &quorums {
                    assert_ne!(one & other, 0, "size {size}: {one:b} and {other:b} do not meet");
                }
            }
        }
    }

    #[test]
    fn reached_is_the_greatest_value_that_a_majority_holds() {
        // Against the definition, for every assignment of 0..=3 to five nodes.
        let majority = Majority::new((1..=5).map(node));
        for code in 0..4_u32.pow(5) {
            let value = |node: NodeId| code / 4_u32.pow(node.number() as u32 - 1) % 4;
            let expected = (0..4).rev().find(|candidate| {
                (1..=5).filter(|number| value(node(*number)) >= *candidate).count() >= 3
            });
            assert_eq!(majority.reached(value), expected);
        }
    }

    #[test]
    fn nobody_is_no_quorum() {
        assert_eq!(Majority::default().reached(|_| 7), None);
        assert!(!Majority::default().is_phase_one(&|_| true));
    }
}
