//! MementoHash: jump hashing from which any bucket can be taken, not only the last.
//!
//! M. Coluzzi, A. Brocco, A. Antonucci, T. Leidi: MementoHash: A Stateful, Minimal Memory, Best
//! Performing Consistent Hash Algorithm (2023).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::buckets::{BUCKETS_MAX, distinct};
use super::members::collect;
use super::{for_keys, jump, rehash};
use crate::error::RingError;
use crate::hasher::KeyHasher;
use crate::node::{IntoNode, Node};
use crate::placement::Placement;
use crate::ring::DefaultHash;

/// Nodes that come and go in any order, with shares as equal as chance allows and almost no memory:
/// the node of each bucket, and an entry for each bucket that is empty.
///
/// **Its answers depend on its history**: who was removed, in what order. Programs agree on owners
/// only if they start from the same nodes and see the same changes. (The order of nodes at the
/// beginning does not count.) A node of weight `w` is `w` buckets.
///
/// ```
/// use althing_ring::Memento;
///
/// let mut nodes = Memento::new(["a", "b", "c", "d"])?;
/// let before = *nodes.owner("user:42").expect("there are nodes");
/// nodes.remove(&"b")?;
/// let after = *nodes.owner("user:42").expect("there are nodes");
/// assert!(after == before || before == "b");
/// nodes.add("b")?;
/// assert_eq!(nodes.owner("user:42"), Some(&before));
/// # Ok::<(), althing_ring::RingError>(())
/// ```
///
/// **Invariant**: every bucket below `owners.len()` is either in `removed`, and then its owner
/// there is stale, or in exactly one of `nodes`.
#[derive(Clone, Debug)]
pub struct Memento<Id, H = DefaultHash> {
    /// The position in `names` of each bucket's node.
    owners: Vec<u32>,
    names: Vec<Option<Id>>,
    free: Vec<u32>,
    nodes: BTreeMap<Id, Held>,
    live: usize,
    removed: BTreeMap<u32, Removed>,
    /// The bucket that was removed last, and is the first to be used again.
    last: u32,
    hasher: H,
}

/// What a node holds.
#[derive(Clone, Debug)]
struct Held {
    name: u32,
    buckets: Vec<u32>,
}

/// A bucket that is empty. The paper's entry `<b, c, p>`.
#[derive(Clone, Copy, Debug)]
struct Removed {
    /// How many buckets were left, and so the bucket that took its place among those.
    left: u32,
    /// The bucket that was removed before it.
    previous: u32,
}

#[cfg(feature = "rapidhash")]
impl<Id: crate::NodeName> Memento<Id> {
    /// These nodes, with the default hash.
    ///
    /// ```
    /// use althing_ring::Memento;
    ///
    /// let (nodes, turned) = (Memento::new(["a", "b"])?, Memento::new(["b", "a"])?);
    /// assert_eq!(nodes.owner("user:42"), turned.owner("user:42"));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    ///
    /// # Errors
    /// Two equal ids, or more nodes or weight than there can be.
    pub fn new<N: IntoNode<Id = Id>>(
        nodes: impl IntoIterator<Item = N>,
    ) -> Result<Self, RingError> {
        Self::with(DefaultHash::default(), nodes)
    }
}

impl<Id: crate::NodeName, H: KeyHasher> Memento<Id, H> {
    /// These nodes, with another hash.
    ///
    /// ```
    /// use althing_ring::{Memento, RapidHash};
    ///
    /// assert!(Memento::with(RapidHash, ["a", "b"])?.owner("user:42").is_some());
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    ///
    /// # Errors
    /// Two equal ids, or more nodes or weight than there can be.
    pub fn with<N: IntoNode<Id = Id>>(
        hasher: H,
        nodes: impl IntoIterator<Item = N>,
    ) -> Result<Self, RingError> {
        let mut nodes = collect(nodes)?;
        nodes.sort_by(|one, other| one.id.cmp(&other.id));
        let mut all = Self {
            owners: Vec::new(),
            names: Vec::new(),
            free: Vec::new(),
            nodes: BTreeMap::new(),
            live: 0,
            removed: BTreeMap::new(),
            last: 0,
            hasher,
        };
        for node in nodes {
            all.add(node)?;
        }
        Ok(all)
    }

    /// Adds a node. It takes its share from all others, and nothing moves between those.
    ///
    /// ```
    /// use althing_ring::{Memento, RingError};
    ///
    /// assert_eq!(Memento::new(["a", "b"])?.add("a"), Err(RingError::DuplicateNode));
    /// # Ok::<(), RingError>(())
    /// ```
    ///
    /// # Errors
    /// An id that is there already, or more weight than there can be.
    pub fn add(&mut self, node: impl IntoNode<Id = Id>) -> Result<(), RingError> {
        let Node { id, weight, .. } = node.into_node();
        if self.nodes.contains_key(&id) {
            return Err(RingError::DuplicateNode);
        }
        let needed = self.working() as u64 + u64::from(weight);
        if needed > BUCKETS_MAX as u64 {
            return Err(RingError::TooManyPoints { needed, max: BUCKETS_MAX });
        }
        let name = self.free.pop().unwrap_or(self.names.len() as u32);
        if name as usize == self.names.len() {
            self.names.push(None);
        }
        self.names[name as usize] = Some(id.clone());
        let buckets = (0..weight).map(|_| self.add_bucket(name)).collect();
        self.live += usize::from(weight > 0);
        self.nodes.insert(id, Held { name, buckets });
        Ok(())
    }

    /// Takes a node away. Its keys go to all others, and nothing moves between those.
    ///
    /// ```
    /// use althing_ring::{Memento, RingError};
    ///
    /// assert_eq!(Memento::new(["a", "b"])?.remove(&"c"), Err(RingError::UnknownNode));
    /// # Ok::<(), RingError>(())
    /// ```
    ///
    /// # Errors
    /// An id that is not there.
    pub fn remove(&mut self, id: &Id) -> Result<(), RingError> {
        let Held { name, buckets } = self.nodes.remove(id).ok_or(RingError::UnknownNode)?;
        self.live -= usize::from(!buckets.is_empty());
        // Backwards, so that a node that came last leaves nothing behind.
        buckets.into_iter().rev().for_each(|bucket| self.remove_bucket(bucket));
        self.names[name as usize] = None;
        self.free.push(name);
        Ok(())
    }

    /// The paper's algorithm 3: the bucket that was removed last comes back, else there is one
    /// more.
    fn add_bucket(&mut self, name: u32) -> u32 {
        let Some(Removed { previous, .. }) = self.removed.remove(&self.last) else {
            self.owners.push(name);
            return self.owners.len() as u32 - 1;
        };
        let bucket = self.last;
        self.owners[bucket as usize] = name;
        self.last = previous;
        bucket
    }

    /// The paper's algorithm 2: the last bucket goes without a trace if all are there, another
    /// leaves an entry.
    fn remove_bucket(&mut self, bucket: u32) {
        if self.removed.is_empty() && bucket as usize + 1 == self.owners.len() {
            self.owners.pop();
            return;
        }
        let left = self.working() as u32 - 1;
        // The first entry has none before it, which `last` shows by naming itself.
        let previous = if self.removed.is_empty() { bucket } else { self.last };
        self.removed.insert(bucket, Removed { left, previous });
        self.last = bucket;
    }
}

for_keys!(Memento);

impl<Id, H> Memento<Id, H> {
    /// How many buckets are not empty.
    fn working(&self) -> usize {
        self.owners.len() - self.removed.len()
    }

    /// The paper's algorithm 4: a hash that meets an empty bucket is thrown again among those that
    /// were left when that was removed.
    fn name_of(&self, hash: u64) -> Option<u32> {
        if self.working() == 0 {
            return None;
        }
        let mut bucket = jump(hash, self.owners.len() as u32)?;
        while let Some(removed) = self.removed.get(&bucket) {
            // Not one of the hashes that replicas are found by.
            let thrown = rehash(!hash, u64::from(bucket) + 1);
            let mut next = ((u128::from(thrown) * u128::from(removed.left)) >> 64) as u32;
            // What was empty already was not among them: who took its place then is meant.
            while let Some(earlier) = self.removed.get(&next).filter(|e| e.left >= removed.left) {
                next = earlier.left;
            }
            bucket = next;
        }
        Some(self.owners[bucket as usize])
    }

    fn id(&self, name: u32) -> &Id {
        self.names[name as usize].as_ref().expect("a bucket that is not removed has a node")
    }
}

impl<Id, H> Placement<Id> for Memento<Id, H> {
    #[inline]
    fn owner_of(&self, hash: u64) -> Option<&Id> {
        self.name_of(hash).map(|name| self.id(name))
    }

    /// The owners of the hashes that follow from this one, each node once.
    fn replicas_into<'a>(&'a self, hash: u64, found: &mut [Option<&'a Id>]) -> usize {
        let wanted = found.len().min(self.live);
        let all = self.nodes.values().filter(|held| !held.buckets.is_empty());
        let all = all.map(|held| held.name);
        let names = distinct(hash, wanted, |hash| self.name_of(hash), all);
        for (place, name) in found.iter_mut().zip(names) {
            *place = Some(self.id(name));
        }
        wanted
    }

    fn live_nodes(&self) -> usize {
        self.live
    }
}
