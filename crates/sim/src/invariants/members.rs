use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use althing_core::{Ballot, Configuration, Index, LogId, NodeId, Quorum};

/// What the checker knows of the group's members: every configuration that was ever in a log, and
/// those that were committed. It counts for itself.
#[derive(Debug)]
pub(super) struct Members {
    /// By its entry.
    known: BTreeMap<LogId, Arc<Configuration>>,
    /// By place, from the founding on.
    committed: Vec<(Index, Arc<Configuration>)>,
    /// Where it was committed that they are removed.
    removed: BTreeMap<NodeId, Index>,
    /// Durable votes or promises: by term or ballot and voter, for whom.
    votes: BTreeMap<Ballot, BTreeMap<NodeId, NodeId>>,
}

impl Members {
    pub(super) fn new(founding: Configuration) -> Self {
        Self {
            known: BTreeMap::new(),
            committed: vec![(Index::ZERO, Arc::new(founding))],
            removed: BTreeMap::new(),
            votes: BTreeMap::new(),
        }
    }

    /// Takes note of a configuration in a log; whether it was never seen before.
    pub(super) fn take(&mut self, id: LogId, configuration: &Arc<Configuration>) -> bool {
        self.known.insert(id, Arc::clone(configuration)).is_none()
    }

    /// The committed configuration in force at `index`, with its place.
    pub(super) fn committed_at(&self, index: Index) -> &(Index, Arc<Configuration>) {
        let count = self.committed.partition_point(|(at, _)| *at <= index);
        &self.committed[count.max(1) - 1]
    }

    /// The last committed configuration.
    pub(super) fn committed(&self) -> &Arc<Configuration> {
        &self.committed_at(Index(u64::MAX)).1
    }

    /// This entry is committed.
    pub(super) fn commit(&mut self, id: LogId) {
        let Some(configuration) = self.known.get(&id) else { return };
        for node in configuration.removed() {
            self.removed.entry(node).or_insert(id.index);
        }
        self.committed.push((id.index, Arc::clone(configuration)));
    }

    /// Where it was committed that this node is removed.
    pub(super) fn removed_at(&self, node: NodeId) -> Option<Index> {
        self.removed.get(&node).copied()
    }

    /// Whether this node ever was a voter, as far as it is committed.
    pub(super) fn was_voter(&self, node: NodeId) -> bool {
        self.committed.iter().any(|(_, configuration)| configuration.is_voter(node))
    }

    /// A vote is durable.
    pub(super) fn vote(&mut self, reign: Ballot, voter: NodeId, candidate: NodeId) {
        self.votes.entry(reign).or_default().insert(voter, candidate);
    }

    /// Whether the durable votes of a term, or the promises of a ballot, elect this candidate under
    /// this configuration.
    pub(super) fn elected(
        &self,
        reign: Ballot,
        candidate: NodeId,
        configuration: &Configuration,
    ) -> bool {
        let votes = self.votes.get(&reign);
        let votes_for = |voter| votes.and_then(|votes| votes.get(&voter)) == Some(&candidate);
        agree(configuration, votes_for)
    }

    /// What is wrong with `next` as the successor of `before`.
    pub(super) fn misstep(before: &Configuration, next: &Configuration) -> Option<String> {
        if let Some(apart) = decide_apart(before, next) {
            return Some(format!("{apart:?} and all others decide apart"));
        }
        // By the log, not by what is committed: a leader that was deposed meanwhile cannot know.
        let is_back = |node: &NodeId| next.contains(*node) || !next.was_removed(*node);
        before.removed().find(is_back).map(|node| format!("{node} was removed and is back"))
    }
}

/// Whether those of whom `holds` is true are a majority of each set of voters.
pub(super) fn agree(configuration: &Configuration, holds: impl Fn(NodeId) -> bool) -> bool {
    let is_majority =
        |voters: Vec<NodeId>| voters.iter().filter(|node| holds(**node)).count() * 2 > voters.len();
    is_majority(configuration.voters().nodes())
        && configuration.outgoing().is_none_or(|outgoing| is_majority(outgoing.nodes()))
}

/// A set of nodes that is enough under one configuration while all the others are enough under the
/// other.
fn decide_apart(one: &Configuration, other: &Configuration) -> Option<Vec<NodeId>> {
    let voters: BTreeSet<NodeId> = one.nodes().into_iter().chain(other.nodes()).collect();
    let voters: Vec<NodeId> = voters.into_iter().collect();
    (0..1_u32 << voters.len()).find_map(|mask| {
        let is_in = |node: NodeId| {
            voters.iter().position(|voter| *voter == node).is_some_and(|at| mask >> at & 1 == 1)
        };
        let apart = agree(one, is_in) && agree(other, |node| !is_in(node));
        apart.then(|| voters.iter().copied().filter(|node| is_in(*node)).collect())
    })
}
