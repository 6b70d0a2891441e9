use crate::changes::Change;
use crate::history::Superseded;
use crate::keyspace::{CHANGE_SIZE, Keyspace, key_size, version_size};
use crate::planted::{Bug, has};
use crate::{Rejection, Reply};

/// How many changes a compaction sweeps at once: enough that a small one is over when it is
/// answered, few enough that a large one holds nobody up.
const SWEPT_AT_ONCE: usize = 1024;

/// How many changes each later command sweeps: more than most add, so that the backlog shrinks even
/// under writes and even if nobody calls [`Keyspace::sweep`].
const SWEPT_WITH_COMMAND: usize = 4;

impl Keyspace {
    /// Makes every revision before `revision` unreadable, at once, and what only they could see
    /// garbage: of each key, all versions up to `revision` but the newest, and that one too if it
    /// is a tombstone of an earlier revision. One of that very revision stays until the next
    /// compaction, because a watch may still ask for what happened then.
    pub(crate) fn compact(&mut self, revision: i64) -> Result<Reply, Rejection> {
        if revision <= self.state.compacted {
            return Err(Rejection::Compacted);
        }
        if revision > self.revision() {
            return Err(Rejection::FutureRevision);
        }
        self.state.compacted = revision;
        self.record(|digest| digest.number(revision));
        self.sweep(SWEPT_AT_ONCE);
        Ok(Reply::Compact { revision: self.revision() })
    }

    /// Frees garbage that compaction left, looking at no more than `changes_max` changes (about a
    /// microsecond each); returns whether there is more.
    ///
    /// When and whether this is called changes nothing that can be read, hashed or put in a
    /// snapshot; only [`Self::size_bytes`] shrinks. A compaction frees a little by itself, and so
    /// does each command after it; a server calls this when it is idle, so that memory comes back
    /// without writes.
    pub fn sweep(&mut self, changes_max: usize) -> bool {
        let compacted = self.state.compacted;
        for _ in 0..changes_max {
            if let Some(change) = self.changes.pop_before(compacted) {
                self.size -= CHANGE_SIZE;
                self.sweep_change(&change);
            } else if let Some(change) = self.changes.next_of(compacted) {
                self.sweep_versions(&change, Superseded::By((change.revision, change.sub)));
            } else {
                return false;
            }
        }
        self.changes.has_garbage(compacted)
    }

    pub(crate) fn sweep_with_command(&mut self) {
        if self.changes.has_garbage(self.state.compacted) {
            self.sweep(SWEPT_WITH_COMMAND);
        }
    }

    /// Drops what this change superseded, and the change itself if it was a delete.
    fn sweep_change(&mut self, change: &Change) {
        let at = (change.revision, change.sub);
        self.sweep_versions(change, Superseded::ByOrDelete(at));
        let Some(history) = self.state.keys.get(&change.key) else { return };
        if history.is_dead(at) || has(Bug::SweepsTheLiving) {
            self.size -= key_size(&change.key) + version_size(history.latest());
            self.state.keys.remove(&change.key);
        }
    }

    fn sweep_versions(&mut self, change: &Change, superseded: Superseded) {
        // Most changes superseded nothing, and looking first does not copy what a snapshot shares.
        let Some(history) = self.state.keys.get(&change.key) else { return };
        if !history.has_superseded(superseded) {
            return;
        }
        let history = self.state.keys.get_mut(&change.key).expect("it was found a moment ago");
        while let Some(version) = history.pop_superseded(superseded) {
            self.size -= version_size(&version);
        }
    }
}
