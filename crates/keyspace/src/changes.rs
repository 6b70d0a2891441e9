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
/// a write superseded is found from the write. A watch walks it from its start revision on; entries
/// leave only once their revision lies before the compacted one.
///
/// Kept in blocks, so that it grows without ever moving what it holds.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// No block is empty, and all but the first and the last are full.
    blocks: VecDeque<VecDeque<Change>>,
    /// How many of the oldest were handed out by [`Self::next_of`].
    seen: usize,
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

    /// Takes the oldest change, if it is from before `revision`.
    pub(crate) fn pop_before(&mut self, revision: i64) -> Option<Change> {
        let block = self.blocks.front_mut()?;
        if block.front()?.revision >= revision {
            return None;
        }
        let change = block.pop_front();
        if block.is_empty() {
            self.blocks.pop_front();
        }
        self.seen = self.seen.saturating_sub(1);
        change
    }

    /// The next change of `revision`, which is the oldest that is held; each only once.
    pub(crate) fn next_of(&mut self, revision: i64) -> Option<Change> {
        let change = self.get(self.seen).filter(|change| change.revision == revision)?.clone();
        self.seen += 1;
        Some(change)
    }

    /// Whether [`Self::pop_before`] or [`Self::next_of`] has something of this revision.
    pub(crate) fn has_garbage(&self, revision: i64) -> bool {
        let oldest = self.blocks.front().and_then(VecDeque::front);
        oldest.is_some_and(|change| change.revision < revision)
            || self.get(self.seen).is_some_and(|change| change.revision <= revision)
    }

    /// Every change of `revision` and later, in order.
    pub(crate) fn since(&self, revision: i64) -> impl Iterator<Item = &Change> {
        let is_before = |change: &Change| change.revision < revision;
        let skipped = self.blocks.partition_point(|block| block.back().is_some_and(is_before));
        let inside = self.blocks.get(skipped).map_or(0, |block| block.partition_point(is_before));
        let blocks = self.blocks.range(skipped..).enumerate();
        blocks.flat_map(move |(at, block)| block.range(if at == 0 { inside } else { 0 }..))
    }

    fn get(&self, at: usize) -> Option<&Change> {
        let first = self.blocks.front()?;
        match at.checked_sub(first.len()) {
            None => first.get(at),
            Some(rest) => {
                self.blocks.get(1 + rest / BLOCK_CHANGES_MAX)?.get(rest % BLOCK_CHANGES_MAX)
            }
        }
    }
}
