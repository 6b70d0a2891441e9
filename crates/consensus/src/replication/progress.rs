use std::collections::VecDeque;
use std::time::Duration;

use althing_core::{Index, Time};

use super::snapshot::Transfer;
use super::taken::Taken;

/// What a leader knows about one follower.
///
/// # Invariants
/// - `matched < next`, and `next` is at most one past the leader's last entry.
/// - `matched` never falls.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// The follower's log agrees with the leader's up to here, durably.
    pub(super) matched: Index,
    /// The next entry to send.
    pub(super) next: Index,
    pub(super) state: State,
    /// When it was heard last.
    pub(super) heard_at: Time,
    /// The last round of read confirmation that it answered.
    pub(super) round: u64,
    /// Since it heard of that round it is loyal for so long, by its clock.
    pub(super) loyal_for: Duration,
    /// The commit index that it was told last.
    pub(super) commit_told: Index,
    /// What its clients proposed.
    pub(super) taken: Taken,
}

/// How a follower is being supplied.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Where the logs meet is unknown: one empty append at a time finds out.
    Probe {
        /// Whether the probe at `next` is on its way.
        sent: bool,
    },
    /// The logs met: entries are sent ahead of the answers, within a window.
    Replicate(Window),
    /// What it needs was compacted away: it gets a snapshot.
    Snapshot(Transfer),
}

impl Progress {
    pub(super) fn new(last: Index, now: Time) -> Self {
        Self {
            matched: Index::ZERO,
            next: last.next(),
            state: State::Probe { sent: false },
            heard_at: now,
            round: 0,
            loyal_for: Duration::ZERO,
            commit_told: Index::ZERO,
            taken: Taken::default(),
        }
    }

    /// The follower answered this round.
    pub(super) fn answer(&mut self, now: Time, round: u64, loyal_for: Duration) {
        self.heard_at = now;
        if round >= self.round {
            self.round = round;
            self.loyal_for = loyal_for;
        }
    }

    /// The follower holds everything up to `matched`.
    pub(super) fn accept(&mut self, matched: Index) {
        self.matched = self.matched.max(matched);
        self.next = self.next.max(self.matched.next());
        match &mut self.state {
            State::Replicate(window) => window.answered(matched),
            State::Probe { .. } => {
                self.next = self.matched.next();
                self.state = State::Replicate(Window::default());
            }
            // Heartbeats are answered during a transfer too; the leader decides when it is over.
            State::Snapshot(_) => {}
        }
    }

    /// The follower lacks the entry at `previous`; `candidate` is the next guess. Returns whether
    /// the rejection was fresh.
    pub(super) fn reject(&mut self, previous: Index, candidate: Index) -> bool {
        let fresh = match &self.state {
            State::Probe { .. } => previous == self.next.previous(),
            State::Replicate(_) => previous > self.matched,
            State::Snapshot(_) => false,
        };
        if fresh {
            self.next = candidate.min(previous).max(self.matched.next());
            self.state = State::Probe { sent: false };
        }
        fresh
    }
}

/// The messages that were sent ahead of their answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    in_flight: VecDeque<(Index, usize)>,
    bytes: usize,
}

impl Window {
    /// Whether one more message may be sent.
    pub(super) fn has_room(&self, messages_max: usize, bytes_max: usize) -> bool {
        self.in_flight.len() < messages_max && self.bytes < bytes_max
    }

    /// A message of `bytes` was sent that ends with the entry at `last`.
    pub(super) fn sent(&mut self, last: Index, bytes: usize) {
        self.in_flight.push_back((last, bytes));
        self.bytes += bytes;
    }

    /// Everything up to `matched` was answered.
    fn answered(&mut self, matched: Index) {
        while let Some((_, bytes)) = self.in_flight.pop_front_if(|(last, _)| *last <= matched) {
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_full_by_messages_or_by_bytes_and_empties_with_the_answers() {
        let mut window = Window::default();
        window.sent(Index(3), 10);
        window.sent(Index(5), 20);
        assert!(window.has_room(3, 100));
        assert!(!window.has_room(2, 100));
        assert!(!window.has_room(3, 30));
        window.answered(Index(4));
        assert!(window.has_room(2, 30));
        window.answered(Index(9));
        assert_eq!((window.in_flight.len(), window.bytes), (0, 0));
    }

    #[test]
    fn only_a_fresh_rejection_moves_the_probe() {
        let mut progress = Progress::new(Index(10), Time::ZERO);
        assert!(!progress.reject(Index(7), Index(2)), "nothing was asked at 7");
        assert!(progress.reject(Index(10), Index(5)));
        assert_eq!(progress.next, Index(5));
        progress.accept(Index(4));
        assert!(matches!(progress.state, State::Replicate(_)));
        assert!(!progress.reject(Index(4), Index(1)), "4 is known to match");
        progress.next = Index(9);
        assert!(progress.reject(Index(8), Index(7)));
        assert_eq!((progress.matched, progress.next), (Index(4), Index(7)));
    }
}
