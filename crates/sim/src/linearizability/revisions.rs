use std::collections::{BTreeMap, BTreeSet};

use super::{Action, ByRevision, Fault, Found, Observed, Operation};

/// Judges a history by the revisions that its answers carry.
///
/// Each write that took effect made one revision; each other answer was right at its revision. So
/// there is just one candidate for the order: by revision, at each the write first. It must agree
/// with real time (an operation that was over before another began is not after it), and replaying
/// it must give the answers that were given. A write of unknown outcome finds its place where
/// someone saw its value, or where the answers need a write of its kind and a revision is free.
pub fn check_revisions(history: &[Operation]) -> ByRevision {
    match Order::build(history).and_then(|mut order| {
        order.check_real_time(history)?;
        order.replay(history)
    }) {
        Ok(open) if open.is_empty() => ByRevision::Explained,
        Ok(open) => ByRevision::Open { keys: open.into_iter().collect() },
        Err(fault) => ByRevision::Violated(fault),
    }
}

fn fault(history: &[Operation], what: &str, operations: &[usize]) -> Fault {
    let shown: Vec<String> = operations.iter().map(|at| history[*at].to_string()).collect();
    Fault { why: format!("{what}: {}", shown.join("; ")), operations: operations.to_vec() }
}

/// Where every operation stands, as far as that is known.
struct Order {
    /// The revision each operation made or saw; `None` for writes that nobody saw.
    places: Vec<Option<Place>>,
    /// Which operation made a revision.
    writers: BTreeMap<u64, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    revision: u64,
    /// Sorts the write of a revision before those who saw it.
    is_read: bool,
}

impl Order {
    fn build(history: &[Operation]) -> Result<Self, Fault> {
        let mut order = Self { places: vec![None; history.len()], writers: BTreeMap::new() };
        let mut unknown = BTreeMap::new();
        for (at, operation) in history.iter().enumerate() {
            match operation.observed {
                Some(observed) => {
                    let (revision, is_read) = (observed.revision(), !observed.wrote());
                    order.place(history, at, Place { revision, is_read })?;
                }
                None => {
                    if let Some(Some(value)) = operation.action.leaves() {
                        unknown.insert(value, at);
                    }
                }
            }
        }
        for (at, operation) in history.iter().enumerate() {
            let Some(observed) = operation.observed else { continue };
            // A swap that wrote saw the value it replaced, but not the revision of that.
            let Some(Some(Found { value, written })) = observed.saw() else { continue };
            if written > observed.revision() {
                return Err(fault(history, "it saw a write of the future", &[at]));
            }
            let Some(writer) = unknown.get(&value).copied() else { continue };
            let place = Place { revision: written, is_read: false };
            match order.places[writer] {
                None => order.place(history, writer, place)?,
                Some(known) if known == place => {}
                Some(_) => {
                    return Err(fault(history, "one write at two revisions", &[writer, at]));
                }
            }
        }
        Ok(order)
    }

    fn place(&mut self, history: &[Operation], at: usize, place: Place) -> Result<(), Fault> {
        self.places[at] = Some(place);
        if !place.is_read
            && let Some(other) = self.writers.insert(place.revision, at)
        {
            return Err(fault(history, "two writes at one revision", &[other, at]));
        }
        Ok(())
    }

    /// No operation stands before one that was over when it began.
    fn check_real_time(&self, history: &[Operation]) -> Result<(), Fault> {
        let mut by_call: Vec<usize> = (0..history.len()).collect();
        by_call.sort_by_key(|at| history[*at].called);
        let mut by_return: Vec<usize> =
            (0..history.len()).filter(|at| history[*at].returned.is_some()).collect();
        by_return.sort_by_key(|at| history[*at].returned);
        let mut returned = by_return.into_iter().peekable();
        let mut latest: Option<(u64, usize)> = None;
        for at in by_call {
            let called = history[at].called;
            while let Some(over) = returned.next_if(|over| history[*over].returned < Some(called)) {
                if let Some(place) = self.places[over] {
                    latest = latest.max(Some((place.revision, over)));
                }
            }
            let (Some(place), Some((revision, over))) = (self.places[at], latest) else { continue };
            let is_after =
                if place.is_read { place.revision >= revision } else { place.revision > revision };
            if !is_after {
                let what = "the second began after the first was over and stands before it";
                return Err(fault(history, what, &[over, at]));
            }
        }
        Ok(())
    }

    /// Replays every key; returns those that it cannot explain, although writes which nobody saw
    /// may have gone in between.
    fn replay(&mut self, history: &[Operation]) -> Result<BTreeSet<u32>, Fault> {
        let mut sorted: Vec<(u32, Place, usize)> = Vec::with_capacity(history.len());
        let mut unseen: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (at, operation) in history.iter().enumerate() {
            match self.places[at] {
                Some(place) => sorted.push((operation.key, place, at)),
                None => unseen.entry(operation.key).or_default().push(at),
            }
        }
        sorted.sort_unstable();
        let mut open = BTreeSet::new();
        let floors = Floors::new(history, &self.places);
        for operations in sorted.chunk_by(|one, other| one.0 == other.0) {
            let key = operations[0].0;
            let mut unseen = unseen.remove(&key).unwrap_or_default();
            // What was called last has the fewest places where it can stand; it is tried first.
            unseen.sort_by_key(|at| history[*at].called);
            let is_certain = unseen.is_empty();
            let writers = &mut self.writers;
            let mut replay = Replay { history, floors: &floors, writers, unseen, state: None };
            match replay.run(operations) {
                Err(fault) if is_certain => return Err(fault),
                Err(_) => {
                    open.insert(key);
                }
                Ok(()) => {}
            }
        }
        Ok(open)
    }
}

/// The revision that the store had at least when an operation was called, because others had seen
/// it.
struct Floors {
    /// When an operation returned, and the greatest revision returned until then.
    known: Vec<(u64, u64)>,
}

impl Floors {
    fn new(history: &[Operation], places: &[Option<Place>]) -> Self {
        let mut known: Vec<(u64, u64)> = history
            .iter()
            .zip(places)
            .filter_map(|(operation, place)| Some((operation.returned?, place.as_ref()?.revision)))
            .collect();
        known.sort_unstable();
        let mut greatest = 0;
        for (_, revision) in &mut known {
            greatest = greatest.max(*revision);
            *revision = greatest;
        }
        Self { known }
    }

    fn at(&self, called: u64) -> u64 {
        let before = self.known.partition_point(|(returned, _)| *returned < called);
        before.checked_sub(1).map_or(0, |last| self.known[last].1)
    }
}

/// The replay of one key.
struct Replay<'a> {
    history: &'a [Operation],
    floors: &'a Floors,
    writers: &'a mut BTreeMap<u64, usize>,
    /// Writes of this key that nobody saw, the one called last at the end.
    unseen: Vec<usize>,
    /// What stands there, and who wrote it.
    state: Option<(Found, usize)>,
}

/// What must stand there for an answer to be right.
#[derive(Clone, Copy, Debug)]
enum Needed {
    Exactly(Option<Found>),
    Value(Option<u64>),
    NotValue(Option<u64>),
    Something,
}

impl Needed {
    fn is_met(self, found: Option<Found>) -> bool {
        let value = found.map(|found| found.value);
        match self {
            Self::Exactly(needed) => found == needed,
            Self::Value(needed) => value == needed,
            Self::NotValue(refused) => value != refused,
            Self::Something => value.is_some(),
        }
    }
}

impl Replay<'_> {
    fn run(&mut self, operations: &[(u32, Place, usize)]) -> Result<(), Fault> {
        // What was replayed so far stands at this revision at most.
        let mut since = 0;
        for (_, place, at) in operations {
            let operation = &self.history[*at];
            for needed in needs(operation).into_iter().flatten() {
                let found = self.state.map(|(found, _)| found);
                if needed.is_met(found) {
                    continue;
                }
                let end = if place.is_read { place.revision + 1 } else { place.revision };
                if !self.put_between(since, end, needed, *at) {
                    return Err(self.fault(*at));
                }
            }
            if !place.is_read
                && let Some(leaves) = operation.action.leaves()
            {
                let written = place.revision;
                self.state = leaves.map(|value| (Found { value, written }, *at));
            }
            since = place.revision;
        }
        Ok(())
    }

    fn fault(&self, at: usize) -> Fault {
        match self.state {
            Some((_, writer)) => {
                let what = "the second does not see what the first left";
                fault(self.history, what, &[writer, at])
            }
            None => fault(self.history, "it does not see that there is nothing", &[at]),
        }
    }

    /// Puts a write that nobody saw between two revisions, such that `needed` is met; returns
    /// whether there is one.
    fn put_between(&mut self, after: u64, end: u64, needed: Needed, observer: usize) -> bool {
        let value = self.state.map(|(found, _)| found.value);
        let observed_until = self.history[observer].returned.unwrap_or(u64::MAX);
        for position in (0..self.unseen.len()).rev() {
            let at = self.unseen[position];
            let Operation { called, action, .. } = self.history[at];
            let Some(leaves) = action.leaves() else { continue };
            let takes_effect = match action {
                Action::Swap { expected, .. } => expected == value,
                Action::Delete => value.is_some(),
                Action::Put { .. } | Action::Get => true,
            };
            if !takes_effect || called > observed_until {
                continue;
            }
            let from = after.max(self.floors.at(called)) + 1;
            let Some(written) = (from..end).find(|free| !self.writers.contains_key(free)) else {
                continue;
            };
            let state = leaves.map(|value| Found { value, written });
            if !needed.is_met(state) {
                continue;
            }
            self.unseen.remove(position);
            self.writers.insert(written, at);
            self.state = state.map(|found| (found, at));
            return true;
        }
        false
    }
}

/// What must stand under the key when this operation is done.
fn needs(operation: &Operation) -> [Option<Needed>; 2] {
    let Some(observed) = operation.observed else {
        return match operation.action {
            // It took effect, or nobody would have seen it.
            Action::Swap { expected, .. } => [Some(Needed::Value(expected)), None],
            Action::Put { .. } | Action::Get | Action::Delete => [None, None],
        };
    };
    let saw = observed.saw().map(Needed::Exactly);
    let condition = match (operation.action, observed) {
        (Action::Swap { expected, .. }, Observed::Swapped { .. }) => Some(Needed::Value(expected)),
        (Action::Swap { expected, .. }, Observed::Kept { .. }) => Some(Needed::NotValue(expected)),
        (Action::Delete, Observed::Delete { deleted: true, .. }) => Some(Needed::Something),
        _ => None,
    };
    [saw, condition]
}
