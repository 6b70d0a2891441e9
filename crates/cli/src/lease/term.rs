//! How long the holder of a lease may believe in it, without asking anybody.
//!
//! A lease of length T that was asked for at time s, by the holder's own clock, cannot end before
//! s + T: the cluster begins to count when the request arrives, which is later. Whatever the holder
//! does must be over by then, so it is told to end earlier, and killed before that moment with a
//! margin for two clocks that do not run at the same rate.
//!
//! ```text
//! s          s + T/4                    stop           kill    s + T
//! |-- sent --|-- renewals, one by one --|--- grace ----|-margin-|
//! ```

use std::time::Duration;

/// The grace and the margin are parts of the lease, but no longer than this.
const PART_MAX: Duration = Duration::from_secs(5);

/// What the last confirmed request says about a lease. Times are the holder's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    sent: Duration,
    ttl: Duration,
}

impl Term {
    /// A lease of length `ttl` that was confirmed by the answer to a request sent at `sent`.
    pub(crate) fn new(sent: Duration, ttl: Duration) -> Self {
        Self { sent, ttl }
    }

    /// Learns of another confirmation. An answer to an older request says nothing new.
    pub(crate) fn confirm(&mut self, sent: Duration, ttl: Duration) {
        if sent >= self.sent {
            *self = Self { sent, ttl };
        }
    }

    /// The length of the lease.
    pub(crate) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// When to ask for the next confirmation.
    pub(crate) fn renew_at(&self) -> Duration {
        self.sent + self.ttl / 4
    }

    /// How long to wait for one answer, so that several endpoints can be asked in time.
    pub(crate) fn answer_max(&self) -> Duration {
        self.ttl / 6
    }

    /// How long to wait after a confirmation that failed, so as not to ask in a tight loop.
    pub(crate) fn pause(&self) -> Duration {
        self.ttl / 40
    }

    /// When to tell whoever relies on the lease to end, unless it is confirmed before.
    pub(crate) fn stop_at(&self) -> Duration {
        self.kill_at() - self.grace()
    }

    /// When whoever relies on the lease must be gone.
    pub(crate) fn kill_at(&self) -> Duration {
        self.ends_at() - (self.ttl / 10).min(PART_MAX)
    }

    /// Before this moment the lease cannot have ended by itself.
    pub(crate) fn ends_at(&self) -> Duration {
        self.sent + self.ttl
    }

    /// When to kill what was told at `now` to end: it has its grace, but never beyond the moment
    /// at which somebody else may be the holder.
    pub(crate) fn kill_at_after(&self, now: Duration) -> Duration {
        (now + self.grace()).min(self.kill_at()).max(now)
    }

    fn grace(&self) -> Duration {
        (self.ttl / 5).min(PART_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn everything_is_over_before_another_can_hold() {
        for milliseconds in [1, 1000, 2000, 10_000, 60_000, 3_600_000] {
            let sent = seconds(100);
            let term = Term::new(sent, Duration::from_millis(milliseconds));
            assert!(sent <= term.renew_at(), "{term:?}");
            assert!(term.renew_at() < term.stop_at(), "{term:?}");
            assert!(term.stop_at() < term.kill_at(), "{term:?}");
            assert!(term.kill_at() < term.ends_at(), "{term:?}");
            // Two endpoints that hang leave time for a third.
            let asked_twice = term.renew_at() + 2 * (term.answer_max() + term.pause());
            assert!(asked_twice < term.stop_at(), "{term:?}");
        }
    }

    #[test]
    fn the_deadline_counts_from_the_sending() {
        let mut term = Term::new(seconds(100), seconds(10));
        assert_eq!(term.ends_at(), seconds(110));
        term.confirm(seconds(103), seconds(10));
        assert_eq!(
            (term.stop_at(), term.kill_at(), term.ends_at()),
            (seconds(110), seconds(112), seconds(113))
        );
        // A late answer to an earlier request takes nothing back.
        term.confirm(seconds(102), seconds(10));
        assert_eq!(term.ends_at(), seconds(113));
        // The cluster may have changed the length.
        term.confirm(seconds(104), seconds(20));
        assert_eq!((term.ends_at(), term.ttl()), (seconds(124), seconds(20)));
    }

    #[test]
    fn the_grace_ends_with_the_lease() {
        let term = Term::new(seconds(100), seconds(10));
        // Told early, because the key is gone: the whole grace.
        assert_eq!(term.kill_at_after(seconds(101)), seconds(103));
        assert_eq!(term.kill_at_after(term.stop_at()), term.kill_at());
        assert_eq!(term.kill_at_after(seconds(108)), seconds(109));
        // Told after it was too late: none.
        assert_eq!(term.kill_at_after(seconds(200)), seconds(200));
    }

    #[test]
    fn a_long_lease_is_not_given_up_early() {
        let term = Term::new(seconds(0), seconds(3600));
        assert_eq!(term.stop_at(), seconds(3590));
        assert_eq!(term.kill_at(), seconds(3595));
    }
}
