use std::collections::{BTreeMap, BTreeSet};

use super::{Action, ByRevision, Fault, Found, Observed, Operation};

/// Judges a history by the revisions that its answers carry.
///
/// Each write that took effect made one revision; each other answer was right at its revision. So
/// there is just one candidate for the order: by revision, at each the write first. It must agree
/// with real time (an operation that was over before another began is not after it), and replaying
/// it must give the answers that were given. A write of unknown outcome finds its place where
/// someone saw its value.
pub fn check_revisions(history: &[Operation]) -> ByRevision {
    match Order::build(history).and_then(|order| {
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
            let is_after = if place.is_read {
                place.revision >= revision
            } else {
                place.revision > revision
            };
            if !is_after {
                let what = "the second began after the first was over and stands before it";
                return Err(fault(history, what, &[over, at]));
            }
        }
        Ok(())
    }

    /// Replays every key; returns those where an unseen write may have gone in between.
    fn replay(&self, history: &[Operation]) -> Result<BTreeSet<u32>, Fault> {
        let mut sorted: Vec<(u32, Place, usize)> = Vec::with_capacity(history.len());
        let mut unseen = BTreeSet::new();
        for (at, operation) in history.iter().enumerate() {
            match self.places[at] {
                Some(place) => sorted.push((operation.key, place, at)),
                None => {
                    unseen.insert(operation.key);
                }
            }
        }
        sorted.sort_unstable();
        let mut open = BTreeSet::new();
        for operations in sorted.chunk_by(|one, other| one.0 == other.0) {
            let key = operations[0].0;
            match replay_key(history, operations) {
                Ok(()) => {}
                Err(_) if unseen.contains(&key) => {
                    open.insert(key);
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(open)
    }
}

fn replay_key(history: &[Operation], operations: &[(u32, Place, usize)]) -> Result<(), Fault> {
    let mut state: Option<Found> = None;
    let mut writer = None;
    for (_, place, at) in operations {
        let operation = &history[*at];
        let wrong = |what: &str| match writer {
            Some(writer) => fault(history, what, &[writer, *at]),
            None => fault(history, what, &[*at]),
        };
        match operation.observed.and_then(|observed| observed.saw()) {
            Some(saw) if saw != state => {
                return Err(wrong("the second does not see what the first left"));
            }
            _ => {}
        }
        let value = state.map(|found| found.value);
        match (operation.action, operation.observed) {
            (Action::Swap { expected, .. }, Some(Observed::Swapped { .. })) if expected != value => {
                return Err(wrong("it swapped something else"));
            }
            (Action::Swap { expected, .. }, Some(Observed::Kept { .. })) if expected == value => {
                return Err(wrong("it should have swapped"));
            }
            (Action::Delete, Some(Observed::Delete { deleted: true, .. })) if value.is_none() => {
                return Err(wrong("it deleted what was not there"));
            }
            _ => {}
        }
        if !place.is_read
            && let Some(leaves) = operation.action.leaves()
        {
            state = leaves.map(|value| Found { value, written: place.revision });
            writer = Some(*at);
        }
    }
    Ok(())
}
