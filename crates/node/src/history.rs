use std::collections::VecDeque;
use std::time::Duration;

use althing_core::Time;

/// How much of the keys' history is kept without anybody asking; what is older is compacted away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// All of it, until somebody compacts it.
    All,
    /// What happened within this time, and up to a tenth more.
    Time(Duration),
    /// So many revisions.
    Revisions(i64),
}

/// When which revision was the last, as far as that is still of interest: what it takes to say
/// which revision was the last so long ago.
///
/// Every node keeps its own, so that it knows the past when it begins to lead.
#[derive(Debug)]
pub(crate) struct Timeline {
    retention: Retention,
    /// In ascending order of time and revision.
    samples: VecDeque<(Time, i64)>,
}

/// A sample is taken this often within the time of the retention.
const SAMPLES: u32 = 10;
/// Where revisions are counted, they are counted this often.
const REVISIONS_INTERVAL: Duration = Duration::from_secs(60);
/// At most as often as this.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

impl Timeline {
    pub(crate) const fn new(retention: Retention) -> Self {
        Self { retention, samples: VecDeque::new() }
    }

    /// How often [`Self::pass`] wants to be asked; `None` for never.
    pub(crate) fn interval(&self) -> Option<Duration> {
        match self.retention {
            Retention::All => None,
            Retention::Time(time) => Some((time / SAMPLES).max(INTERVAL_MIN)),
            Retention::Revisions(_) => Some(REVISIONS_INTERVAL),
        }
    }

    /// The revision is `revision` now. Returns the revision up to which history is too old, if one
    /// is known.
    pub(crate) fn pass(&mut self, now: Time, revision: i64) -> Option<i64> {
        let age = match self.retention {
            Retention::All => return None,
            Retention::Revisions(count) => return Some(revision - count).filter(|it| *it > 0),
            Retention::Time(age) => age,
        };
        self.samples.push_back((now, revision));
        let is_old = |sample: &(Time, i64)| now.since(sample.0) >= age;
        // The youngest of the old ones is what counts, and later ones will be older than it.
        let old = self.samples.iter().take_while(|sample| is_old(sample)).count();
        self.samples.drain(..old.saturating_sub(1));
        self.samples.front().filter(|sample| is_old(sample)).map(|(_, revision)| *revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_older_than_the_time_goes() {
        let mut timeline = Timeline::new(Retention::Time(Duration::from_secs(100)));
        assert_eq!(timeline.interval(), Some(Duration::from_secs(10)));
        let mut too_old = |seconds: u64| timeline.pass(at(seconds), 2 + seconds as i64);
        for seconds in (0..100).step_by(10) {
            assert_eq!(too_old(seconds), None, "nothing is that old");
        }
        assert_eq!(too_old(100), Some(2));
        assert_eq!(too_old(110), Some(12));
        assert_eq!(too_old(500), Some(112), "nobody looked in between");
        assert_eq!(too_old(510), Some(112));
        assert!(timeline.samples.len() <= 3, "{:?}", timeline.samples);
    }

    #[test]
    fn so_many_revisions_are_kept() {
        let mut timeline = Timeline::new(Retention::Revisions(10));
        assert_eq!(timeline.pass(at(0), 10), None);
        assert_eq!(timeline.pass(at(1), 25), Some(15));
    }

    #[test]
    fn all_is_all() {
        let mut timeline = Timeline::new(Retention::All);
        assert_eq!((timeline.interval(), timeline.pass(at(0), 1_000)), (None, None));
    }
}
