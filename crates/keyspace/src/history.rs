use std::collections::VecDeque;
use std::sync::Arc;

use crate::Value;

/// What one write left of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// The revision of the write.
    pub(crate) mod_revision: i64,
    /// The revision that created the key; zero in a tombstone.
    pub(crate) create_revision: i64,
    /// Writes since the key was created; zero in a tombstone.
    pub(crate) version: i64,
    /// The lease; zero for none.
    pub(crate) lease: i64,
    /// The value; `None` in a tombstone, which a delete leaves.
    pub(crate) value: Option<Value>,
    /// The place of the write among the writes of its revision, from zero.
    pub(crate) sub: u32,
}

impl Version {
    pub(crate) const fn tombstone(mod_revision: i64, sub: u32) -> Self {
        Self { mod_revision, create_revision: 0, version: 0, lease: 0, value: None, sub }
    }

    pub(crate) const fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }

    pub(crate) fn live(&self) -> Option<&Self> {
        (!self.is_tombstone()).then_some(self)
    }

    /// When it was written.
    pub(crate) const fn at(&self) -> (i64, u32) {
        (self.mod_revision, self.sub)
    }
}

/// The versions of one key, from the oldest that is kept to the latest.
///
/// **Invariants**: versions are in strictly ascending order of `(mod_revision, sub)`; there is
/// always one.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// Apart from the others, because most reads want it, and most keys have no other.
    latest: Version,
    older: Option<Arc<Older>>,
}

/// Superseded versions, in blocks, so that a snapshot that shares them makes the next write copy
/// one block and not all of a busy key's past.
#[derive(Clone, Debug)]
struct Older {
    /// Never empty, and no block is.
    blocks: VecDeque<Arc<VecDeque<Version>>>,
}

const BLOCK_VERSIONS_MAX: usize = 64;

/// What is superseded, seen from a write of the same key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Superseded {
    /// Every version before the write at this place.
    By((i64, u32)),
    /// The same, and the write's own version if it was a delete.
    ByOrDelete((i64, u32)),
}

impl History {
    pub(crate) const fn new(first: Version) -> Self {
        Self { latest: first, older: None }
    }

    pub(crate) const fn latest(&self) -> &Version {
        &self.latest
    }

    /// The key as it stood at `revision`; `None` if it did not exist then.
    pub(crate) fn at(&self, revision: i64) -> Option<&Version> {
        if self.latest.mod_revision <= revision {
            return self.latest.live();
        }
        self.older.as_ref()?.at(revision)?.live()
    }

    pub(crate) fn push(&mut self, version: Version) {
        debug_assert!(version.at() > self.latest.at(), "versions are written in their order");
        let superseded = std::mem::replace(&mut self.latest, version);
        match &mut self.older {
            Some(older) => Arc::make_mut(older).push(superseded),
            None => self.older = Some(Arc::new(Older::new(superseded))),
        }
    }

    /// Takes the latest version back; returns it, or `None` if it was the only one, in which case
    /// the key must go.
    pub(crate) fn pop_latest(&mut self) -> Option<Version> {
        let older = Arc::make_mut(self.older.as_mut()?);
        let (version, is_empty) = older.pop_back();
        if is_empty {
            self.older = None;
        }
        Some(std::mem::replace(&mut self.latest, version))
    }

    /// What the write at `at`, which is one of this key's, left of the key.
    pub(crate) fn written(&self, at: (i64, u32)) -> Option<&Version> {
        if self.latest.at() == at {
            return Some(&self.latest);
        }
        self.older.as_ref()?.written(at)
    }

    /// Whether [`Self::pop_superseded`] would drop something.
    pub(crate) fn has_superseded(&self, by: Superseded) -> bool {
        let Some(older) = &self.older else { return false };
        let oldest = &older.blocks[0][0];
        match by {
            Superseded::By(at) => oldest.at() < at,
            Superseded::ByOrDelete(at) => {
                oldest.at() < at || (oldest.is_tombstone() && oldest.at() == at)
            }
        }
    }

    /// Drops the oldest version if it is superseded. The latest version stays; see
    /// [`Self::is_dead`].
    pub(crate) fn pop_superseded(&mut self, by: Superseded) -> Option<Version> {
        if !self.has_superseded(by) {
            return None;
        }
        let older = Arc::make_mut(self.older.as_mut()?);
        let (version, is_empty) = older.pop_front();
        if is_empty {
            self.older = None;
        }
        Some(version)
    }

    /// Whether nothing is left but a tombstone written at or before `at`.
    pub(crate) fn is_dead(&self, at: (i64, u32)) -> bool {
        self.older.is_none() && self.latest.is_tombstone() && self.latest.at() <= at
    }

    /// Every version that a compaction at `compacted` leaves visible, oldest first: what can be
    /// read, and a delete at that very revision, which a watch can still ask for. The same before
    /// and after the superseded ones were swept away.
    pub(crate) fn visible(&self, compacted: i64) -> impl Iterator<Item = &Version> {
        let mut versions = self.versions().peekable();
        std::iter::from_fn(move || {
            loop {
                let version = versions.next()?;
                let superseded = versions.peek().is_some_and(|next| next.mod_revision <= compacted);
                let dead = version.is_tombstone() && version.mod_revision < compacted;
                if !superseded && !dead {
                    return Some(version);
                }
            }
        })
    }

    fn versions(&self) -> impl Iterator<Item = &Version> {
        let older = self.older.iter().flat_map(|older| older.blocks.iter());
        older.flat_map(|block| block.iter()).chain(std::iter::once(&self.latest))
    }
}

impl Older {
    fn new(version: Version) -> Self {
        Self { blocks: VecDeque::from([block_of(version)]) }
    }

    fn at(&self, revision: i64) -> Option<&Version> {
        let after = self.blocks.partition_point(|block| block[0].mod_revision <= revision);
        let block = &self.blocks[after.checked_sub(1)?];
        let after = block.partition_point(|version| version.mod_revision <= revision);
        Some(&block[after - 1])
    }

    fn written(&self, at: (i64, u32)) -> Option<&Version> {
        let after = self.blocks.partition_point(|block| block[0].at() <= at);
        let block = &self.blocks[after.checked_sub(1)?];
        block.binary_search_by_key(&at, Version::at).ok().map(|found| &block[found])
    }

    fn push(&mut self, version: Version) {
        match self.blocks.back_mut() {
            Some(block) if block.len() < BLOCK_VERSIONS_MAX => {
                Arc::make_mut(block).push_back(version);
            }
            _ => self.blocks.push_back(block_of(version)),
        }
    }

    /// The last version, and whether it was the only one.
    fn pop_back(&mut self) -> (Version, bool) {
        let block = Arc::make_mut(self.blocks.back_mut().expect("there is always a block"));
        let version = block.pop_back().expect("no block is empty");
        if block.is_empty() {
            self.blocks.pop_back();
        }
        (version, self.blocks.is_empty())
    }

    /// The first version, and whether it was the only one.
    fn pop_front(&mut self) -> (Version, bool) {
        let block = Arc::make_mut(self.blocks.front_mut().expect("there is always a block"));
        let version = block.pop_front().expect("no block is empty");
        if block.is_empty() {
            self.blocks.pop_front();
        }
        (version, self.blocks.is_empty())
    }
}

fn block_of(version: Version) -> Arc<VecDeque<Version>> {
    // Room for one: a key that is written twice between compactions should not pay for four.
    let mut block = VecDeque::with_capacity(1);
    block.push_back(version);
    Arc::new(block)
}
