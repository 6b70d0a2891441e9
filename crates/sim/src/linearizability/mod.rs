//! Did clients see one store that does one thing at a time?
//!
//! A history is linearizable (Herlihy and Wing, 1990) if every operation can be given a moment
//! between its call and its return such that, done at those moments one after the other, all of
//! them answer what they did answer.
//!
//! Two ways to find out. The store numbers its changes, so where answers carry **revisions** the
//! order is known and only has to be checked, in the time it takes to sort
//! ([`check_revisions`]). What that leaves open, because the outcome of a write is unknown, is
//! **searched** for, key by key ([`search()`]).

mod operation;
mod revisions;
mod search;

pub use operation::{Action, Found, Observed, Operation};
pub use revisions::check_revisions;
pub use search::{Search, search};

use std::collections::BTreeMap;
use std::fmt;

/// What is known about a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none.
    Violated(Fault),
    /// The search was given up.
    Unknown {
        /// The key it was about.
        key: u32,
    },
}

/// Why there is no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What does not fit.
    pub why: String,
    /// The operations concerned, as positions in the history.
    pub operations: Vec<usize>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// What the order by revision can say of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByRevision {
    /// It is an order that explains everything.
    Explained,
    /// No order can explain it.
    Violated(Fault),
    /// It explains all keys but these: writes of unknown outcome may have gone in between.
    Open {
        /// The keys, in ascending order.
        keys: Vec<u32>,
    },
}

/// Judges a history. Every operation in it may have taken effect; leave out those that did not, and
/// reads without an answer.
pub fn check(history: &[Operation]) -> Verdict {
    let open = match check_revisions(history) {
        ByRevision::Explained => return Verdict::Linearizable,
        ByRevision::Violated(fault) => return Verdict::Violated(fault),
        ByRevision::Open { keys } => keys,
    };
    let mut by_key: BTreeMap<u32, Vec<usize>> = open.iter().map(|key| (*key, Vec::new())).collect();
    for (position, operation) in history.iter().enumerate() {
        if let Some(positions) = by_key.get_mut(&operation.key) {
            positions.push(position);
        }
    }
    let mut unknown = None;
    for (key, positions) in by_key {
        let operations: Vec<&Operation> = positions.iter().map(|at| &history[*at]).collect();
        match search(&operations) {
            Search::Found => {}
            Search::Impossible { stuck } => {
                let operations: Vec<usize> = stuck.into_iter().map(|at| positions[at]).collect();
                let shown: Vec<String> =
                    operations.iter().map(|at| history[*at].to_string()).collect();
                let why = format!("no order explains key {key} past: {}", shown.join("; "));
                return Verdict::Violated(Fault { why, operations });
            }
            Search::GivenUp => unknown = unknown.or(Some(key)),
        }
    }
    unknown.map_or(Verdict::Linearizable, |key| Verdict::Unknown { key })
}

#[cfg(test)]
mod tests;
