use std::time::{Duration, Instant};

/// A token bucket: so many at a time, and so many a second in the long run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f64,
    at: Instant,
}

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// A second.
    pub(super) per_second: f64,
    /// At a time.
    pub(super) burst: f64,
}

impl Bucket {
    /// A full one.
    pub(super) const fn full(rate: Rate, now: Instant) -> Self {
        Self { tokens: rate.burst, at: now }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, rate: Rate, now: Instant) -> bool {
        self.fill(rate, now);
        let is_there = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(is_there));
        is_there
    }

    /// Whether it is as if nobody had ever taken any.
    pub(super) fn is_full(&mut self, rate: Rate, now: Instant) -> bool {
        self.fill(rate, now);
        self.tokens >= rate.burst
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let since: Duration = now.saturating_duration_since(self.at);
        self.tokens = (self.tokens + since.as_secs_f64() * rate.per_second).min(rate.burst);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_through_and_then_as_many_as_come_in() {
        let rate = Rate { per_second: 10.0, burst: 3.0 };
        let start = Instant::now();
        let mut bucket = Bucket::full(rate, start);
        let mut take =
            |milliseconds| bucket.take(rate, start + Duration::from_millis(milliseconds));
        assert_eq!([take(0), take(0), take(0), take(0)], [true, true, true, false]);
        assert_eq!([take(99), take(101), take(102)], [false, true, false]);
        // A long rest fills it to its brim and no further.
        assert_eq!([take(9000), take(9000), take(9000), take(9000)], [true, true, true, false]);
    }

    #[test]
    fn an_untouched_one_is_full() {
        let rate = Rate { per_second: 10.0, burst: 3.0 };
        let start = Instant::now();
        let mut bucket = Bucket::full(rate, start);
        assert!(bucket.is_full(rate, start));
        assert!(bucket.take(rate, start));
        assert!(!bucket.is_full(rate, start));
        assert!(bucket.is_full(rate, start + Duration::from_millis(101)));
    }
}
