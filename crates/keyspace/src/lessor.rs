use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use althing_core::Time;

use crate::lease::LEASES_MAX;
use crate::planted::{Bug, has};
use crate::{Command, Lease};

/// The clock of the leases, which only the leader runs.
///
/// The log says which leases there are; how much of its time each has used up is known to the
/// leader alone, by its own monotonic clock, and costs the log nothing while leases are kept alive.
/// When a lease is over, that becomes a command in the log, and only then is it over.
///
/// **Why no lease ends early.** A new leader begins once everything before its leadership is
/// applied, and gives each lease all the time that the log knows it to have, from then on. What an
/// earlier leader granted began earlier. So the end only ever moves away, as long as what a lease
/// was given is in the log or stems from the present leader. The first is seen to by
/// [`Timed::must_note`], the second by whoever asks: an answer counts only if the leader that gave
/// it still led when the question was put.
///
/// **How late one may end.** The time that a lease has used up is noted in the log each time that
/// half of what was last noted is gone, so a change of leaders at most doubles what was left.
/// Leases that are kept alive never come so far.
///
/// What it is not: it decides nothing about keys, and nothing that it says counts before it is
/// committed.
#[derive(Debug, Default)]
pub struct Lessor {
    is_leading: bool,
    leases: BTreeMap<i64, Clock>,
    /// When something is to be done about a lease; one entry at most for each.
    due: BTreeSet<(Time, i64)>,
}

/// Less is not noted, in seconds.
const NOTED_SECONDS_MIN: i64 = 1;

#[derive(Clone, Copy, Debug)]
struct Clock {
    ttl: i64,
    deadline: Time,
    /// What the log knows it to have, in seconds.
    noted: i64,
    /// How many notes of ours that say less are on their way into the log.
    noting: u32,
    /// Its end is on its way into the log.
    is_ending: bool,
}

/// How much time a lease has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    /// The whole of it, in seconds.
    pub ttl: i64,
    /// What is left, in seconds, rounded down.
    pub remaining: i64,
    /// The log knows of less than the lease was given. [`Command::LeaseNote`] with its whole time
    /// must be applied before anybody is told that it was kept alive.
    pub must_note: bool,
}

impl Lessor {
    /// A leadership begins: everything before it is applied.
    pub fn begin<'a>(&mut self, now: Time, leases: impl Iterator<Item = (i64, &'a Lease)>) {
        self.end();
        self.is_leading = true;
        for (id, lease) in leases {
            self.start(now, id, lease.ttl(), lease.remaining());
        }
    }

    /// The leadership is over; another one's clock counts.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    /// Whether this clock counts.
    pub const fn is_leading(&self) -> bool {
        self.is_leading
    }

    /// A lease was granted.
    pub fn granted(&mut self, now: Time, id: i64, ttl: i64) {
        if self.is_leading {
            self.start(now, id, ttl, ttl);
        }
    }

    /// A note about a lease was applied.
    pub fn noted(&mut self, id: i64, seconds: i64) {
        self.advance(id, |clock| {
            // Only who keeps a lease alive notes the whole of its time; notes of ours say less.
            if seconds < clock.ttl {
                clock.noting = clock.noting.saturating_sub(1);
            }
            clock.noted = seconds;
        });
    }

    /// A lease has ended.
    pub fn ended(&mut self, id: i64) {
        if let Some(clock) = self.leases.remove(&id) {
            self.due.remove(&(clock.next(), id));
        }
    }

    /// Gives a lease all of its time again; `None` if there is none of this number, or its end is
    /// on its way.
    pub fn renew(&mut self, now: Time, id: i64) -> Option<Timed> {
        let clock = self.leases.get_mut(&id).filter(|clock| !clock.is_ending)?;
        self.due.remove(&(clock.next(), id));
        clock.deadline = now + seconds(clock.ttl);
        let knows_less = clock.noting > 0 || clock.noted < clock.ttl;
        let must_note = knows_less && !has(Bug::SkipsNotes);
        self.due.insert((clock.next(), id));
        Some(Timed { ttl: clock.ttl, remaining: clock.ttl, must_note })
    }

    /// How much time a lease has; `None` as in [`Self::renew`].
    pub fn time(&self, now: Time, id: i64) -> Option<Timed> {
        let clock = self.leases.get(&id).filter(|clock| !clock.is_ending)?;
        Some(Timed { ttl: clock.ttl, remaining: clock.remaining(now), must_note: false })
    }

    /// What must be proposed now, if anything: that leases end, or how much time they have. Call
    /// [`Self::proposed`] with it once it is in the leader's own log, and then ask again.
    pub fn due(&self, now: Time) -> Option<Command> {
        let due = self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id);
        let is_over = |id: &i64| self.leases[id].deadline <= now;
        let ids: Vec<i64> = due.clone().filter(is_over).take(LEASES_MAX).collect();
        if !ids.is_empty() {
            return Some(Command::LeaseExpire { ids });
        }
        // Rounded up: the next leader may begin at once, and must not end it early. No more than
        // half of what was noted is left, so that this is less.
        let note = |id: i64| (id, self.leases[&id].remaining_at_most(now));
        let remaining: Vec<(i64, i64)> = due.map(note).take(LEASES_MAX).collect();
        (!remaining.is_empty()).then_some(Command::LeaseNote { remaining })
    }

    /// What [`Self::due`] gave is in the leader's log under its leadership. It is committed, or the
    /// leadership ends.
    pub fn proposed(&mut self, command: &Command) {
        match command {
            Command::LeaseExpire { ids } => {
                for id in ids {
                    self.advance(*id, |clock| clock.is_ending = true);
                }
            }
            Command::LeaseNote { remaining } => {
                for (id, seconds) in remaining {
                    self.advance(*id, |clock| {
                        clock.noting += 1;
                        clock.noted = *seconds;
                    });
                }
            }
            _ => {}
        }
    }

    /// When [`Self::due`] has something, unless a lease is renewed or granted before.
    pub fn wake_at(&self) -> Time {
        self.due.first().map_or(Time::NEVER, |(at, _)| *at)
    }

    fn start(&mut self, now: Time, id: i64, ttl: i64, remaining: i64) {
        let share = if has(Bug::ExpiresEarly) { 2 } else { 1 };
        let deadline = now + seconds(remaining) / share;
        let (noted, noting, is_ending) = (remaining, 0, false);
        let clock = Clock { ttl, deadline, noted, noting, is_ending };
        self.ended(id);
        self.leases.insert(id, clock);
        self.due.insert((clock.next(), id));
    }

    fn advance(&mut self, id: i64, change: impl FnOnce(&mut Clock)) {
        let Some(clock) = self.leases.get_mut(&id) else { return };
        self.due.remove(&(clock.next(), id));
        change(clock);
        if !clock.is_ending {
            self.due.insert((clock.next(), id));
        }
    }
}

impl Clock {
    /// When something is to be done about it.
    fn next(&self) -> Time {
        let half = self.noted / 2;
        if half < NOTED_SECONDS_MIN { self.deadline } else { self.deadline - seconds(half) }
    }

    fn remaining(&self, now: Time) -> i64 {
        self.deadline.since(now).as_secs().cast_signed()
    }

    fn remaining_at_most(&self, now: Time) -> i64 {
        let left = self.deadline.since(now);
        (left.as_secs() + u64::from(left.subsec_nanos() > 0)).cast_signed()
    }
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(count.unsigned_abs())
}

#[cfg(test)]
mod tests;
