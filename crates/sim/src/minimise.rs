use crate::{Diary, Fault, Invariant, Options, Outcome, Schedule, run};

/// Lives a life that went wrong again, with ever fewer things that go wrong in it, as long as the
/// same invariant is broken; at most `lives_max` times. Returns the life with the fewest, told in
/// full, or `None` if this life does not go wrong.
///
/// Whole classes of faults are left out first, and then, after delta debugging (Zeller and
/// Hildebrandt, 2002), parts of what is left, large ones first, until none can be missed. What
/// remains need not be the least there is, for a life that goes on otherwise draws otherwise.
pub fn minimise(seed: u64, options: &Options, lives_max: u32) -> Option<Outcome> {
    let mut trial = Trial { seed, options, lives_left: lives_max, invariant: None };
    let mut kept = trial.live(options.schedule.clone())?;
    for class in Fault::ALL {
        if kept.iter().any(|(_, fault)| *fault == class) {
            let others = kept.iter().filter(|(_, fault)| *fault != class);
            kept = trial.live_with(others).unwrap_or(kept);
        }
    }
    let mut size = kept.len().div_ceil(2);
    while size > 0 && trial.lives_left > 0 {
        let mut from = 0;
        while from < kept.len() && trial.lives_left > 0 {
            let to = kept.len().min(from + size);
            match trial.live_with(kept[..from].iter().chain(&kept[to..])) {
                Some(fewer) => kept = fewer,
                None => from = to,
            }
        }
        size /= 2;
    }
    let numbers: Vec<u64> = kept.iter().map(|(number, _)| *number).collect();
    let schedule = Some(Schedule::of(&numbers));
    Some(run(seed, &Options { schedule, diary: Diary::Always, ..options.clone() }))
}

struct Trial<'a> {
    seed: u64,
    options: &'a Options,
    lives_left: u32,
    /// What is broken.
    invariant: Option<Invariant>,
}

/// Something that went wrong: its number in the schedule, and its class.
type Mishap = (u64, Fault);

impl Trial<'_> {
    /// Lives with just these.
    fn live_with<'a>(&mut self, kept: impl Iterator<Item = &'a Mishap>) -> Option<Vec<Mishap>> {
        let numbers: Vec<u64> = kept.map(|(number, _)| *number).collect();
        self.live(Some(Schedule::of(&numbers)))
    }

    /// What went wrong, if the same came of it.
    fn live(&mut self, schedule: Option<Schedule>) -> Option<Vec<Mishap>> {
        self.lives_left = self.lives_left.checked_sub(1)?;
        let options = Options { schedule, diary: Diary::Mishaps, ..self.options.clone() };
        let outcome = run(self.seed, &options);
        let broken = outcome.violations.first()?.invariant;
        if *self.invariant.get_or_insert(broken) != broken {
            return None;
        }
        Some(outcome.befallen.iter().map(|befallen| (befallen.number, befallen.fault)).collect())
    }
}
