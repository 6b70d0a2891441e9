use std::time::Duration;

use althing_core::{Quorum as _, Time};

use super::{Bug, Machine, Protocol, Role};

/// A leader's lease to read (thesis, section 6.4.1; *Paxos Made Live*, section 5.2).
///
/// A follower that answers a heartbeat adds how long it is **loyal** since it heard it: until then
/// it stands for no election and helps nobody else to lead. As long as a quorum is loyal, nobody
/// else leads, and nothing is committed elsewhere. Three things could still break that, and this is
/// what holds them off:
/// - a member dies and forgets that it was loyal: after a start it is loyal, to nobody in
///   particular;
/// - a member is asked to stand by the leader itself: from then on the leader has no lease;
/// - clocks: the time is counted from when the heartbeat was *sent*, by a clock that may run slow,
///   while the follower's runs fast, as far as both may drift.
impl<P: Protocol> Machine<P> {
    /// Follower: a leader spoke.
    pub(super) fn be_loyal(&mut self, now: Time) {
        if self.options.lease_drift.is_some() {
            self.loyal_until = now + self.options.election_timeout;
        }
    }

    /// What a follower says of its loyalty since it last heard its leader, in milliseconds.
    pub(super) fn loyal_for(&self) -> u32 {
        let patience = self.options.election_timeout.as_millis();
        let keeps = self.options.lease_drift.is_some();
        if keeps { u32::try_from(patience).unwrap_or(u32::MAX) } else { 0 }
    }

    /// Until when a leader knows, without asking, that nobody else leads; zero for everyone else.
    pub(super) fn lease_until(&self) -> Time {
        let Some(drift) = self.options.lease_drift else { return Time::ZERO };
        let Role::Leader(leader) = &self.role else { return Time::ZERO };
        if leader.is_lease_over {
            return Time::ZERO;
        }
        let drift = if self.has(Bug::LeaseIgnoresDrift) { 0 } else { drift };
        let from_answer = self.has(Bug::LeaseFromAnswer);
        let ends = |node| {
            if node == self.id {
                return Time::NEVER;
            }
            let Some(progress) = leader.progress.get(&node) else { return Time::ZERO };
            let begun = leader.reads.begun_at(progress.round);
            let begun = if from_answer { begun.map(|_| progress.heard_at) } else { begun };
            begun.map_or(Time::ZERO, |begun| begun + shortened(progress.loyal_for, drift))
        };
        self.deciding.reached(ends).unwrap_or(Time::ZERO)
    }
}

/// What a clock that loses `drift` millionths may show at most before one that gains as many shows
/// `time`.
fn shortened(time: Duration, drift: u32) -> Duration {
    /// One, counted in millionths.
    const MILLION: u32 = 1_000_000;
    let kept = u128::from(MILLION.saturating_sub(drift));
    let nanos = time.as_nanos() * kept / u128::from(MILLION + drift);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_shorter_by_what_both_clocks_may_drift() {
        assert_eq!(shortened(Duration::from_secs(1), 0), Duration::from_secs(1));
        let shorter = shortened(Duration::from_secs(1), 100_000);
        assert!(shorter > Duration::from_millis(817) && shorter < Duration::from_millis(819));
        assert_eq!(shortened(Duration::from_secs(1), 2_000_000), Duration::ZERO);
    }
}
