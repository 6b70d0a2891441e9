use std::collections::VecDeque;
use std::time::Duration;

use althing_core::{Index, NodeId, Time};

use crate::ReadId;

/// Reads that wait until the leader knows that it still leads (thesis, section 6.4).
///
/// The leader numbers its **rounds** of confirmation. A read that arrives joins the next round;
/// every append carries the number of the last round that was started, followers repeat it, and
/// when a majority has repeated the number, every read of that round is served: the leader led when
/// they were asked. A round's number is never used for reads that came after it was first sent, so
/// however often a message is repeated, no answer to an old one confirms a new read. One round is
/// under way at a time; reads that arrive meanwhile share the next.
///
/// # Invariants
/// - Every read in `confirming` was asked before `round` was sent for the first time.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    round: u64,
    confirming: VecDeque<Read>,
    arrived: VecDeque<Read>,
    /// Rounds that were started with a heartbeat, and when: no message with the round or a later
    /// one was sent before that.
    begun: VecDeque<(u64, Time)>,
}

/// A read, and who asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    /// The follower whose client asked; `None` if it was our own.
    pub(super) from: Option<NodeId>,
    pub(super) id: ReadId,
    /// What was committed when it was asked.
    pub(super) index: Index,
}

impl Reads {
    /// Takes a read in. `index` covers everything that was committed before it was asked.
    pub(super) fn ask(&mut self, from: Option<NodeId>, id: ReadId, index: Index) {
        self.arrived.push_back(Read { from, id, index });
    }

    /// The number of the last round that was started.
    pub(super) const fn round(&self) -> u64 {
        self.round
    }

    /// Starts a round if reads wait and none is under way; returns whether it did, and then the
    /// followers must hear of it.
    pub(super) fn start_round(&mut self) -> bool {
        if self.arrived.is_empty() || !self.confirming.is_empty() {
            return false;
        }
        self.round += 1;
        std::mem::swap(&mut self.arrived, &mut self.confirming);
        true
    }

    /// A heartbeat is due. It starts a round, unless one is under way, so that the answers tell
    /// which heartbeat they answer.
    pub(super) fn beat(&mut self, now: Time, patience: Duration) {
        if !self.confirming.is_empty() {
            return;
        }
        self.round += 1;
        while self.begun.pop_front_if(|(_, at)| now.since(*at) > patience).is_some() {}
        self.begun.push_back((self.round, now));
    }

    /// A moment before which nobody had heard of `round`; `None` if that is too long ago to matter.
    pub(super) fn begun_at(&self, round: u64) -> Option<Time> {
        let begun = self.begun.iter().rev().find(|(begun, _)| *begun <= round);
        begun.map(|(_, at)| *at)
    }

    /// A majority has answered `round`: its reads are served.
    pub(super) fn confirm(&mut self, round: u64) -> impl Iterator<Item = Read> {
        let count = if round >= self.round { self.confirming.len() } else { 0 };
        self.confirming.drain(..count)
    }

    /// Leadership is over: the own reads that got no answer.
    pub(super) fn abandon(self) -> impl Iterator<Item = ReadId> {
        self.confirming
            .into_iter()
            .chain(self.arrived)
            .filter(|read| read.from.is_none())
            .map(|read| read.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_comes_during_a_round_waits_for_the_next() {
        let mut reads = Reads::default();
        reads.ask(None, ReadId(1), Index(5));
        assert!(reads.start_round());
        reads.ask(None, ReadId(2), Index(6));
        assert!(!reads.start_round(), "one round at a time");
        assert_eq!(reads.confirm(0).count(), 0, "an old round confirms nothing");
        let served: Vec<ReadId> = reads.confirm(1).map(|read| read.id).collect();
        assert_eq!(served, [ReadId(1)]);
        assert!(reads.start_round());
        assert_eq!(reads.confirm(1).count(), 0, "the answer to round 1 says nothing of round 2");
        assert_eq!(reads.confirm(2).count(), 1);
    }
}
