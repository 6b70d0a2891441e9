//! A register without a log: compare and set, by changes of one synod's value (CASPaxos).
//!
//! Every operation, a read among them, is one attempt of a [`Proposer`](super::Proposer) with one
//! of these changes. An operation took effect when a [`Learner`](super::Learner) says that its
//! ballot was chosen; one whose attempt broke off may take effect later or never. A comparison that
//! did not hold is told of a value that may not have been chosen yet: whoever answers a client with
//! it first proposes [`Operation::Read`], which chooses what it read.

use super::Change;

/// A value with the number of times that it was set, so that the same value twice is not the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Versioned<T> {
    /// Grows by one with every set; 0 is a register that was never set.
    pub version: u64,
    /// What was set; `None` in a register that was never set or was cleared.
    pub value: Option<T>,
}

impl<T> Default for Versioned<T> {
    fn default() -> Self {
        Self { version: 0, value: None }
    }
}

/// What is done with the register.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operation<T> {
    /// Leaves it as it is, and so chooses again what was there: a linearizable read.
    Read,
    /// Sets it whatever was there; `None` clears it.
    Set(Option<T>),
    /// Sets it if it was set so many times.
    CompareAndSet {
        /// The version that must be there.
        version: u64,
        /// What to set; `None` clears it.
        value: Option<T>,
    },
}

/// The comparison did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mismatch<T> {
    /// What was there instead.
    pub found: Versioned<T>,
}

impl<T: Clone> Change<Versioned<T>> for Operation<T> {
    type Refusal = Mismatch<T>;

    fn apply(&self, current: Option<&Versioned<T>>) -> Result<Versioned<T>, Mismatch<T>> {
        let current = current.cloned().unwrap_or_default();
        let set =
            |value: &Option<T>| Versioned { version: current.version + 1, value: value.clone() };
        match self {
            Self::Read => Ok(current),
            Self::Set(value) => Ok(set(value)),
            Self::CompareAndSet { version, value } if *version == current.version => Ok(set(value)),
            Self::CompareAndSet { .. } => Err(Mismatch { found: current }),
        }
    }
}
