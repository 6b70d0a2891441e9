use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The places that connections take. When all are taken, whoever comes gets the place of the
/// connection that has been silent longest, and of those that never asked for anything before those
/// that did: a crowd of idle connections must not keep others out.
pub(super) struct Places {
    max: usize,
    opened: Instant,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    places: BTreeMap<u64, Arc<Seat>>,
}

/// A connection's place; given back when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    seat: Arc<Seat>,
}

struct Seat {
    /// When the connection was last heard, in milliseconds since the places were opened.
    heard: AtomicU64,
    has_asked: AtomicBool,
    leave: Notify,
}

impl Places {
    /// Whoever was heard so lately keeps its place: otherwise a crowd that arrives at once would
    /// push out those who came just before it.
    const SILENCE_MIN: Duration = Duration::from_secs(1);

    /// So many places.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, opened: Instant::now(), taken: Mutex::default() })
    }

    /// A place, if there is one or somebody can be asked to leave.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let now = self.now();
        let mut taken = self.lock();
        if taken.places.len() >= self.max {
            let most_silent = taken.most_silent()?;
            let silence = now.saturating_sub(taken.places[&most_silent].heard());
            if silence < Self::SILENCE_MIN.as_millis() as u64 {
                return None;
            }
            if let Some(seat) = taken.places.remove(&most_silent) {
                seat.leave.notify_one();
            }
        }
        let seat = Arc::new(Seat {
            heard: AtomicU64::new(now),
            has_asked: AtomicBool::new(false),
            leave: Notify::new(),
        });
        let number = taken.next;
        taken.next += 1;
        taken.places.insert(number, Arc::clone(&seat));
        Some(Place { places: Arc::clone(self), number, seat })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn most_silent(&self) -> Option<u64> {
        let claim = |seat: &Seat| (seat.has_asked.load(Ordering::Relaxed), seat.heard());
        self.places.iter().min_by_key(|(_, seat)| claim(seat)).map(|(number, _)| *number)
    }
}

impl Seat {
    fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }
}

impl Place {
    /// The connection said something.
    pub(super) fn heard(&self) {
        self.seat.heard.store(self.places.now(), Ordering::Relaxed);
    }

    /// The connection asked for something.
    pub(super) fn asked(&self) {
        self.seat.has_asked.store(true, Ordering::Relaxed);
    }

    /// Resolves when the place is needed for somebody else.
    pub(super) async fn must_be_left(&self) {
        self.seat.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places as if they had been opened so long ago.
    fn places(max: usize, age: Duration) -> Arc<Places> {
        let opened = Instant::now().checked_sub(age).expect("the machine has run for a while");
        Arc::new(Places { max, opened, taken: Mutex::default() })
    }

    fn silent_since(place: &Place, milliseconds: u64) {
        place.seat.heard.store(milliseconds, Ordering::Relaxed);
    }

    async fn is_told_to_leave(place: &Place) -> bool {
        let waiting = tokio::time::timeout(Duration::from_millis(1), place.must_be_left());
        waiting.await.is_ok()
    }

    #[tokio::test]
    async fn who_never_asked_leaves_first_and_then_who_was_silent_longest() {
        let places = places(3, Duration::from_secs(10));
        let [asked, early, late] = std::array::from_fn(|_| places.take().expect("a free place"));
        asked.asked();
        silent_since(&asked, 1);
        silent_since(&early, 2);
        silent_since(&late, 3);
        let fourth = places.take().expect("somebody leaves");
        assert!(is_told_to_leave(&early).await);
        let fifth = places.take().expect("somebody leaves");
        assert!(is_told_to_leave(&late).await);
        assert!(!is_told_to_leave(&asked).await);
        fourth.asked();
        fifth.asked();
        let _sixth = places.take().expect("somebody leaves");
        assert!(is_told_to_leave(&asked).await, "all have asked, and it is silent longest");
    }

    #[tokio::test]
    async fn who_was_heard_lately_keeps_its_place() {
        let places = places(1, Duration::from_secs(10));
        let first = places.take().expect("a free place");
        assert!(places.take().is_none());
        silent_since(&first, 1);
        first.heard();
        assert!(places.take().is_none());
        assert!(!is_told_to_leave(&first).await);
        drop(first);
        assert!(places.take().is_some());
    }

    #[test]
    fn a_place_that_was_given_away_is_given_back_once() {
        let places = places(1, Duration::from_secs(10));
        let first = places.take().expect("a free place");
        silent_since(&first, 1);
        let second = places.take().expect("the first leaves");
        drop(first);
        assert!(places.take().is_none(), "the second is still there");
        drop(second);
        assert!(places.take().is_some());
    }
}
