use std::time::Instant;

use althing_core::Time;

/// The monotonic clock of this process, as the machines see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Time {
        Time::from_nanos(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// When the operating system's clock will show `time`.
    pub(crate) fn instant(self, time: Time) -> Instant {
        /// Far enough to mean never, near enough for every timer.
        const YEAR_NANOS: u64 = 365 * 24 * 3600 * 1_000_000_000;
        let latest = Time::from_nanos(self.now().nanos() + YEAR_NANOS);
        self.0 + time.min(latest).since(Time::ZERO)
    }
}
