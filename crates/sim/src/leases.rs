use std::collections::BTreeMap;
use std::time::Duration;

use althing_core::Time;

/// What holders of leases were told, and whether it was true: a lease lasts at least as long as it
/// was granted or renewed for, counted from before that was asked, as the clock of whoever leads
/// counts it; and once it is over, nobody keeps it alive.
#[derive(Debug)]
pub(crate) struct Leases {
    leases: BTreeMap<i64, Lease>,
    /// How much too fast a clock may run, in millionths.
    drift_max: u32,
    /// A clock leapt: from then on an end says nothing about time.
    has_leapt: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lease {
    ttl: Duration,
    /// When the last grant or renewal was asked for that was acknowledged.
    asked: Option<Time>,
    /// When the first node applied its end.
    ended: Option<Time>,
}

impl Leases {
    pub(crate) fn new(drift_max: i64) -> Self {
        let drift_max = u32::try_from(drift_max).expect("clocks are a little wrong at most");
        Self { leases: BTreeMap::new(), drift_max, has_leapt: false }
    }

    pub(crate) const fn leapt(&mut self) {
        self.has_leapt = true;
    }

    /// A holder was told that what it asked for at this moment is done.
    pub(crate) fn acknowledged(&mut self, id: i64, ttl: Duration, asked: Time) -> Option<String> {
        let lease = self.leases.entry(id).or_default();
        lease.ttl = ttl;
        lease.asked = lease.asked.max(Some(asked));
        if let Some(ended) = lease.ended
            && ended < asked
        {
            return Some(format!("lease {id} was over at {ended} and kept alive at {asked}"));
        }
        self.judge(id)
    }

    /// A node applied the end of a lease.
    pub(crate) fn ended(&mut self, id: i64, now: Time) -> Option<String> {
        let lease = self.leases.entry(id).or_default();
        if lease.ended.is_some() {
            return None;
        }
        lease.ended = Some(now);
        self.judge(id)
    }

    fn judge(&self, id: i64) -> Option<String> {
        let Lease { ttl, asked, ended } = *self.leases.get(&id)?;
        let (asked, ended) = (asked?, ended?);
        // By the world's clock a fast clock counts fewer seconds for its own.
        let least = ttl * 1_000_000 / (1_000_000 + self.drift_max);
        let is_early = !self.has_leapt && ended < asked + least;
        is_early.then(|| {
            format!("lease {id} of {ttl:?}, asked for at {asked}, was over at {ended} already")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(2);

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn an_end_in_time_is_none_to_report_and_an_early_one_is() {
        let mut leases = Leases::new(0);
        assert_eq!(leases.acknowledged(1, TTL, at(100)), None);
        assert_eq!(leases.acknowledged(1, TTL, at(900)), None);
        assert!(leases.ended(1, at(2_899)).is_some(), "it was renewed");
        assert_eq!(leases.ended(1, at(3_000)), None, "that is told once");
        assert_eq!(leases.acknowledged(2, TTL, at(100)), None);
        assert_eq!(leases.ended(2, at(2_100)), None);
    }

    #[test]
    fn what_is_over_is_not_kept_alive() {
        let mut leases = Leases::new(0);
        assert_eq!(leases.acknowledged(1, TTL, at(0)), None);
        assert_eq!(leases.ended(1, at(2_000)), None);
        assert!(leases.acknowledged(1, TTL, at(2_001)).is_some());
    }

    #[test]
    fn a_late_answer_is_judged_as_well_and_a_fast_clock_is_allowed_for() {
        let mut leases = Leases::new(100_000);
        assert_eq!(leases.acknowledged(1, TTL, at(0)), None);
        assert_eq!(leases.ended(1, at(1_900)), None);
        assert!(leases.acknowledged(1, TTL, at(1_000)).is_some(), "it had 900 ms of 2 s");
    }
}
