//! Defects put in on purpose, to prove that the checkers of the simulator find them.
//!
//! Without the crate's feature `planted-bugs` none has any effect.

#[cfg(feature = "planted-bugs")]
use std::cell::Cell;

/// Defects that can be planted into the log and the snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A commit is reported as durable and was not synced.
    SkipsSync,
    /// A sync that failed is passed over.
    IgnoresFailedSync,
    /// Damage in the middle of the log is taken for a torn tail.
    CutsDamage,
    /// A frame that does not check is taken for whole.
    TakesTorn,
    /// What an earlier process left unsynced at the end of the log is built on as it is.
    SkipsSettling,
    /// The head of a segment does not restate the promise.
    ForgetsPromise,
    /// Segments are dropped whose entries are still needed.
    PurgesTooMuch,
    /// Reading back, entries stay that others were written over.
    KeepsOverwritten,
    /// A snapshot gets its name before its content is synced.
    SkipsSnapshotSync,
    /// The name of a snapshot is not synced.
    SkipsNameSync,
    /// The name of a snapshot that was received is not synced.
    SkipsReceivedNameSync,
    /// A log that was not told of a received snapshot is not told at the start either.
    SkipsReconciling,
    /// A snapshot that was received is not checked.
    AcceptsAnySnapshot,
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
