//! What can be wrong with what a caller asks for.

use core::fmt;

/// Why a change to a set of nodes was refused. It is the input that is to blame, and the set is as
/// it was before.
///
/// ```
/// use althing_ring::{Ring, RingError};
///
/// assert_eq!(Ring::new(["a", "b", "a"]).unwrap_err(), RingError::DuplicateNode);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RingError {
    /// Two nodes have the same id.
    DuplicateNode,
    /// No node has this id.
    UnknownNode,
    /// A ring was to have no points for a unit of weight.
    NoPointsPerWeight,
    /// There would be more nodes than can be told apart.
    TooManyNodes {
        /// The most nodes there can be.
        max: usize,
    },
    /// There would be more points than allowed: memory that a weight alone could ask for.
    TooManyPoints {
        /// How many points there would be.
        needed: u64,
        /// The most points allowed.
        max: usize,
    },
}

impl fmt::Display for RingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateNode => write!(formatter, "two nodes have the same id"),
            Self::UnknownNode => write!(formatter, "no node has this id"),
            Self::NoPointsPerWeight => write!(formatter, "no points for a unit of weight"),
            Self::TooManyNodes { max } => write!(formatter, "more than {max} nodes"),
            Self::TooManyPoints { needed, max } => {
                write!(formatter, "{needed} points, and no more than {max} are allowed")
            }
        }
    }
}

impl core::error::Error for RingError {}
