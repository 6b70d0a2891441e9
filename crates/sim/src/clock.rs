use std::time::Duration;

use althing_core::Time;

/// A node's own clock: monotonic, started at its own moment, and a little too fast or too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// What it showed when the world began.
    offset: Time,
    /// How much it gains, in millionths; negative if it loses.
    drift: i64,
}

const MILLION: i128 = 1_000_000;

impl Clock {
    /// # Panics
    /// The clock would stand still or run backwards.
    pub(crate) fn new(offset: Time, drift: i64) -> Self {
        assert!(drift > -900_000, "a clock that loses {drift} millionths hardly runs");
        Self { offset, drift }
    }

    /// A clock that shows so much more.
    pub(crate) fn ahead(self, leap: Duration) -> Self {
        Self { offset: self.offset + leap, ..self }
    }

    /// What the clock shows at this moment of the world.
    pub(crate) fn show(self, world: Time) -> Time {
        let passed = i128::from(world.nanos()) * (MILLION + i128::from(self.drift)) / MILLION;
        let shown = i128::from(self.offset.nanos()) + passed;
        Time::from_nanos(u64::try_from(shown).unwrap_or(u64::MAX))
    }

    /// The first moment of the world at which the clock shows at least `local`.
    pub(crate) fn reaches(self, local: Time) -> Time {
        if local == Time::NEVER {
            return Time::NEVER;
        }
        let rate = MILLION + i128::from(self.drift);
        let ahead = i128::from(local.nanos().saturating_sub(self.offset.nanos()));
        let world = (ahead * MILLION + rate - 1) / rate;
        Time::from_nanos(u64::try_from(world).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_when_the_clock_shows_it_and_not_before() {
        for drift in [-100_000, -3, 0, 7, 250_000] {
            let clock = Clock::new(Time::from_nanos(77), drift);
            for local in [77, 78, 1_000, 123_456_789, 9_876_543_210_123] {
                let local = Time::from_nanos(local);
                let world = clock.reaches(local);
                assert!(clock.show(world) >= local, "drift {drift}, {local}");
                if world > Time::ZERO {
                    let before = Time::from_nanos(world.nanos() - 1);
                    assert!(clock.show(before) < local, "drift {drift}, {local}");
                }
            }
        }
    }
}
