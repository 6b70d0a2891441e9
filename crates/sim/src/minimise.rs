use crate::{Diary, Invariant, Options, Outcome, Schedule, run};

/// Lives a life that went wrong again, with ever fewer things that go wrong in it, as long as the
/// same invariant is broken; at most `lives_max` times. Returns the life with the fewest, told in
/// full, or `None` if this life does not go wrong.
///
/// This is delta debugging (Zeller and Hildebrandt, 2002): parts are left out, halves first, then
/// ever smaller ones, until none can be missed. What is left need not be the least there is, for a
/// life that goes on otherwise draws otherwise.
pub fn minimise(seed: u64, options: &Options, lives_max: u32) -> Option<Outcome> {
    let mut trial = Trial { seed, options, lives_left: lives_max, invariant: None };
    let mut kept = trial.live(options.schedule.clone())?;
    if let Some(none) = trial.live(Some(Schedule::of(&[]))) {
        kept = none;
    }
    let mut parts = 2;
    while !kept.is_empty() && trial.lives_left > 0 {
        let size = kept.len().div_ceil(parts);
        let fewer = (0..kept.len()).step_by(size).find_map(|from| {
            let to = kept.len().min(from + size);
            let others: Vec<u64> = [&kept[..from], &kept[to..]].concat();
            trial.live(Some(Schedule::of(&others)))
        });
        match fewer {
            Some(fewer) => {
                kept = fewer;
                parts = (parts - 1).max(2);
            }
            None if size == 1 => break,
            None => parts = (parts * 2).min(kept.len()),
        }
    }
    let schedule = Some(Schedule::of(&kept));
    Some(run(seed, &Options { schedule, diary: Diary::Always, ..options.clone() }))
}

struct Trial<'a> {
    seed: u64,
    options: &'a Options,
    lives_left: u32,
    /// What is broken.
    invariant: Option<Invariant>,
}

impl Trial<'_> {
    /// The numbers of what went wrong, if the same came of it.
    fn live(&mut self, schedule: Option<Schedule>) -> Option<Vec<u64>> {
        self.lives_left = self.lives_left.checked_sub(1)?;
        let options = Options { schedule, diary: Diary::Mishaps, ..self.options.clone() };
        let outcome = run(self.seed, &options);
        let broken = outcome.violations.first()?.invariant;
        if *self.invariant.get_or_insert(broken) != broken {
            return None;
        }
        Some(outcome.befallen.iter().map(|befallen| befallen.number).collect())
    }
}
