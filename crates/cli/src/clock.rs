//! The time that goes on while a machine sleeps, for deadlines that others count too.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What may be waited for at once before the clock is looked at again: timers stand still while
/// the machine sleeps, and the clock does not.
pub(crate) const LOOK: Duration = Duration::from_millis(200);

/// The time since some moment in the past. It never goes back and never jumps.
pub(crate) fn now() -> Duration {
    // The monotonic clock of Linux stands still while the machine sleeps; that of others does not.
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).expect("the clock counts up from zero");
    let nanoseconds = u32::try_from(time.tv_nsec).expect("a part of a second");
    Duration::new(seconds, nanoseconds)
}

/// Waits until the clock shows `time`.
pub(crate) async fn wait_until(time: Duration) {
    while let Some(rest) = time.checked_sub(now()).filter(|rest| !rest.is_zero()) {
        tokio::time::sleep(rest.min(LOOK)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_counts_up_and_can_be_waited_for() {
        let start = now();
        wait_until(start).await;
        let end = start + Duration::from_millis(30);
        wait_until(end).await;
        assert!(now() >= end);
    }
}
