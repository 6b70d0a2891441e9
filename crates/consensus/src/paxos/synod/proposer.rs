use std::collections::BTreeMap;

use althing_core::{Ballot, NodeId, Quorum};

use super::{Accept, Change, Prepare, Promise, Refused, Unwritten};

/// Proposes a change of the group's value: one attempt at a time, each under a greater ballot.
///
/// Two proposers can refuse each other for ever; waiting for a random time after a refusal is the
/// caller's affair, since a machine has no clock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proposer<V, Q, C> {
    node: NodeId,
    quorum: Q,
    round: u64,
    attempt: Option<Attempt<V, C>>,
    bug: Option<Bug>,
}

/// Phase one of an attempt; in phase two there is nothing to remember but what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Attempt<V, C> {
    ballot: Ballot,
    change: C,
    promises: BTreeMap<NodeId, Option<Accept<V>>>,
}

/// Defects that can be planted, to prove that a checker finds them. Without the crate's feature
/// `planted-bugs` they have no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bug {
    /// Proposes its own value whatever was accepted before (against P2c).
    IgnoresAccepted,
    /// Takes the value of the least ballot that was told, not of the greatest (against P2c).
    TakesLeast,
    /// Goes to phase two before a quorum has promised.
    CountsNoQuorum,
    /// Counts promises for an earlier ballot of its own.
    MixesBallots,
}

impl<V: Clone, Q: Quorum, C: Change<V>> Proposer<V, Q, C> {
    /// A proposer of this node. `round` is that of the last ballot that it wrote, 0 if there was
    /// none: a ballot must never be used for two values, not even across a restart.
    pub const fn new(node: NodeId, quorum: Q, round: u64) -> Self {
        Self { node, quorum, round, attempt: None, bug: None }
    }

    /// The same one, with a defect.
    #[must_use]
    pub const fn with_bug(mut self, bug: Bug) -> Self {
        self.bug = Some(bug);
        self
    }

    /// Phase 1(a): begins an attempt, and gives up an earlier one. The request goes to every
    /// acceptor, once the round is durable.
    pub fn prepare(&mut self, change: C) -> Unwritten<u64, Prepare> {
        self.round += 1;
        let ballot = Ballot::new(self.round, self.node);
        let promises = match self.attempt.take() {
            Some(former) if self.has(Bug::MixesBallots) => former.promises,
            _ => BTreeMap::new(),
        };
        self.attempt = Some(Attempt { ballot, change, promises });
        Unwritten::new(self.round, Prepare(ballot))
    }

    /// An acceptor promised. With a phase-one quorum of promises this gives phase 2(a): the request
    /// for every acceptor, once for each attempt.
    ///
    /// P2c: if any of the quorum had accepted something, the change starts from the value of the
    /// greatest ballot among those, since that is what may have been chosen.
    ///
    /// # Errors
    /// The change does not apply to that value. The attempt is over; what may have been chosen
    /// before may still not be (see [`register`](super::register)).
    pub fn promised(
        &mut self,
        from: NodeId,
        promise: Promise<V>,
    ) -> Result<Option<Accept<V>>, C::Refusal> {
        let (mixes, hasty) = (self.has(Bug::MixesBallots), self.has(Bug::CountsNoQuorum));
        let Some(attempt) = &mut self.attempt else { return Ok(None) };
        if promise.ballot != attempt.ballot && !mixes {
            return Ok(None);
        }
        attempt.promises.insert(from, promise.accepted);
        let holds = |node| attempt.promises.contains_key(&node);
        if !self.quorum.is_phase_one(&holds) && !hasty {
            return Ok(None);
        }
        let Some(Attempt { ballot, change, promises }) = self.attempt.take() else {
            return Ok(None);
        };
        // Who is not in the group is not asked, but may answer: its word counts for nothing.
        let group = self.quorum.nodes();
        let told = promises.into_iter().filter(|(node, _)| group.contains(node));
        let told = told.filter_map(|(_, accepted)| accepted);
        let current = if self.has(Bug::IgnoresAccepted) {
            None
        } else if self.has(Bug::TakesLeast) {
            told.min_by_key(|accept| accept.ballot)
        } else {
            told.max_by_key(|accept| accept.ballot)
        };
        let value = change.apply(current.as_ref().map(|accept| &accept.value))?;
        Ok(Some(Accept { ballot, value }))
    }

    /// An acceptor refused. The next attempt's ballot will be above what stood in the way.
    pub fn refused(&mut self, refused: Refused) {
        self.round = self.round.max(refused.promised.round);
        if self.attempt.as_ref().is_some_and(|attempt| attempt.ballot == refused.ballot) {
            self.attempt = None;
        }
    }

    fn has(&self, bug: Bug) -> bool {
        cfg!(feature = "planted-bugs") && self.bug == Some(bug)
    }
}
