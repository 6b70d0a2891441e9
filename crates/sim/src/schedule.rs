use std::sync::Arc;

use althing_core::Time;

use crate::{Fault, FaultSet};

/// Which of the things that would go wrong in a life do.
///
/// They are numbered in the order in which the seed draws them; each has a bit, the lowest of the
/// first byte first, and happens if that is set. What lies beyond the bytes does not happen. So a
/// seed with any bytes is a life: those that a fuzzer makes up, or ever fewer of the bits of a life
/// that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Arc<[u8]>);

impl Schedule {
    /// The schedule that these bytes are.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The schedule on which just these happen.
    pub(crate) fn of(numbers: &[u64]) -> Self {
        let last = numbers.iter().max().map_or(0, |last| last / 8 + 1);
        let mut bytes = vec![0; usize::try_from(last).expect("a life is short")];
        for number in numbers {
            bytes[(number / 8) as usize] |= 1 << (number % 8);
        }
        Self(bytes.into())
    }

    /// Whether the thing with this number happens.
    pub(crate) fn allows(&self, number: u64) -> bool {
        let byte = usize::try_from(number / 8).ok().and_then(|at| self.0.get(at));
        byte.is_some_and(|byte| byte >> (number % 8) & 1 == 1)
    }
}

/// Something that went wrong because the simulator wanted it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Befallen {
    /// Its number in the [`Schedule`].
    pub number: u64,
    /// When, on the world's clock.
    pub at: Time,
    /// Its class.
    pub fault: Fault,
    /// Whom it befell, and how.
    pub what: String,
}

/// What befalls a world: it asks here before anything goes wrong.
#[derive(Debug)]
pub(crate) struct Mishaps {
    faults: FaultSet,
    schedule: Option<Schedule>,
    /// How many were drawn so far.
    drawn: u64,
    /// Whether somebody wants to know of each.
    is_told: bool,
    told: Vec<Befallen>,
}

impl Mishaps {
    pub(crate) const fn new(faults: FaultSet, schedule: Option<Schedule>, is_told: bool) -> Self {
        Self { faults, schedule, drawn: 0, is_told, told: Vec::new() }
    }

    /// Whether things of this class go wrong at all.
    pub(crate) const fn include(&self, fault: Fault) -> bool {
        self.faults.contains(fault)
    }

    /// Whether this happens, now that it was drawn.
    pub(crate) fn befalls(
        &mut self,
        at: Time,
        fault: Fault,
        what: impl FnOnce() -> String,
    ) -> bool {
        let number = self.drawn;
        self.drawn += 1;
        let happens = self.faults.contains(fault)
            && self.schedule.as_ref().is_none_or(|schedule| schedule.allows(number));
        if happens && self.is_told {
            self.told.push(Befallen { number, at, fault, what: what() });
        }
        happens
    }

    pub(crate) fn into_told(self) -> Vec<Befallen> {
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_lets_happen_what_its_bits_say_and_nothing_beyond() {
        let schedule = Schedule::of(&[0, 3, 17]);
        assert_eq!(schedule, Schedule::from_bytes(&[0b1001, 0, 0b10]));
        let happens: Vec<u64> = (0..1_000).filter(|number| schedule.allows(*number)).collect();
        assert_eq!(happens, [0, 3, 17]);
        assert!(!Schedule::from_bytes(&[]).allows(0));
    }

    #[test]
    fn what_is_switched_off_counts_and_does_not_happen() {
        let schedule = Schedule::of(&[1, 2]);
        let mut mishaps = Mishaps::new(FaultSet::NONE.with(Fault::Loss), Some(schedule), true);
        let mut befalls = |fault| mishaps.befalls(Time::ZERO, fault, || "n1 to n2".into());
        let happened = [Fault::Loss, Fault::Pause, Fault::Loss, Fault::Loss].map(&mut befalls);
        assert_eq!(happened, [false, false, true, false]);
        let told: Vec<u64> = mishaps.into_told().iter().map(|befallen| befallen.number).collect();
        assert_eq!(told, [2]);
    }
}
