use std::collections::VecDeque;

use crate::Key;

/// One write: when, and to which key. What was written stands in the key's history.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: i64,
    pub(crate) sub: u32,
    pub(crate) key: Key,
}

/// The index from revision to keys: every write since the last one that was swept away, in order.
///
/// It makes compaction cost what was written since the last one, however many keys there are: what
/// a write superseded is found from the write. A watch that starts in the past will walk it from
/// its start revision on; entries leave only after their revision was compacted.
///
/// Kept in blocks, so that it grows without ever moving what it holds.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// No block is empty.
    blocks: VecDeque<VecDeque<Change>>,
}

const BLOCK_CHANGES_MAX: usize = 1024;

impl Changes {
    pub(crate) fn push(&mut self, change: Change) {
        match self.blocks.back_mut() {
            Some(block) if block.len() < BLOCK_CHANGES_MAX => block.push_back(change),
            _ => {
                let mut block = VecDeque::with_capacity(BLOCK_CHANGES_MAX);
                block.push_back(change);
                self.blocks.push_back(block);
            }
        }
    }

    /// Takes the latest change back.
    pub(crate) fn pop_latest(&mut self) -> Option<Change> {
        let block = self.blocks.back_mut()?;
        let change = block.pop_back();
        if block.is_empty() {
            self.blocks.pop_back();
        }
        change
    }

    /// Takes the oldest change, if it is of `revision` or before.
    pub(crate) fn pop_oldest(&mut self, revision: i64) -> Option<Change> {
        let block = self.blocks.front_mut()?;
        if block.front()?.revision > revision {
            return None;
        }
        let change = block.pop_front();
        if block.is_empty() {
            self.blocks.pop_front();
        }
        change
    }

    /// Whether a change of `revision` or before is held.
    pub(crate) fn reaches(&self, revision: i64) -> bool {
        let oldest = self.blocks.front().and_then(VecDeque::front);
        oldest.is_some_and(|change| change.revision <= revision)
    }
}
