//! Defects put in on purpose, to prove that the checkers of the simulator find them.
//!
//! Without the crate's feature `planted-bugs` none has any effect.

#[cfg(feature = "planted-bugs")]
use std::cell::Cell;

/// Defects that can be planted into the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A write does not make a revision.
    FreezesRevision,
    /// A delete says what it deleted, and leaves it.
    DeletesNothing,
    /// A transaction takes its first branch, whatever it compares.
    ComparesNothing,
    /// Nothing compares equal to what is not there.
    MissesAbsence,
    /// A compaction drops keys that exist.
    SweepsTheLiving,
    /// A snapshot forgets when a key was created.
    SnapshotsForgetCreation,
    /// A watch is not told of the revision that it begins with.
    WatchesSkip,
    /// A watch is not told that history was compacted away under it.
    WatchesMissCompaction,
    /// The clock gives a lease half of its time.
    ExpiresEarly,
    /// A lease is called kept alive though the log knows of less.
    SkipsNotes,
    /// The keys of a lease outlive it.
    KeepsLeasedKeys,
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants this defect, or none, for all that this thread does from now on.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this defect is planted.
#[cfg(feature = "planted-bugs")]
pub(crate) fn has(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether this defect is planted: never.
#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn has(_bug: Bug) -> bool {
    false
}
