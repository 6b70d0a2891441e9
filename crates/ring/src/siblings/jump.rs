//! Jump consistent hash: numbered buckets and no memory.
//!
//! J. Lamping, E. Veach: A Fast, Minimal Memory, Consistent Hash Algorithm (2014).

use alloc::vec::Vec;

use super::buckets::{BUCKETS_MAX, distinct};
use super::for_keys;
use super::members::collect;
use crate::error::RingError;
use crate::hasher::KeyHasher;
use crate::node::IntoNode;
use crate::placement::Placement;
use crate::ring::DefaultHash;

/// The bucket of `hash` among `buckets` of them, from 0; `None` if there are none. With one more
/// bucket a hash stays where it is or goes to the new one.
///
/// ```
/// use althing_ring::jump;
///
/// assert_eq!(jump(256, 1024), Some(520));
/// assert!([Some(520), Some(1024)].contains(&jump(256, 1025)));
/// assert_eq!(jump(256, 0), None);
/// ```
#[must_use]
pub fn jump(hash: u64, buckets: u32) -> Option<u32> {
    let mut state = hash;
    let (mut bucket, mut next) = (None, 0_i64);
    while next < i64::from(buckets) {
        bucket = Some(next as u32);
        // The constants are the paper's.
        state = state.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let random = ((state >> 33) as i64 + 1) as f64;
        // At most 2^63, where a cast ends; signed numbers are the ones that processors convert.
        next = ((next + 1) as f64 * ((1_i64 << 31) as f64 / random)) as i64;
    }
    bucket
}

/// Nodes in an order of their own, found without any table of points.
///
/// The nodes are numbered as they come, and **their order counts**: only the last one can be taken
/// away, or another put behind it, without moving keys between the others. That is right for shards
/// that are numbered anyway. A node of weight `w` is `w` buckets in a row.
///
/// ```
/// use althing_ring::Jump;
///
/// let mut shards = Jump::new(["shard-0", "shard-1"])?;
/// let before = *shards.owner("user:42").expect("there are shards");
/// shards.push("shard-2")?;
/// let after = *shards.owner("user:42").expect("there are shards");
/// assert!(after == before || after == "shard-2");
/// assert_eq!(shards.pop().map(|node| node.id), Some("shard-2"));
/// # Ok::<(), althing_ring::RingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Jump<Id, H = DefaultHash> {
    nodes: Vec<crate::Node<Id>>,
    /// The position of each bucket's node.
    buckets: Vec<u32>,
    live: usize,
    hasher: H,
}

#[cfg(feature = "rapidhash")]
impl<Id: crate::NodeName> Jump<Id> {
    /// These nodes in this order, with the default hash.
    ///
    /// ```
    /// use althing_ring::Jump;
    ///
    /// let (nodes, turned) = (Jump::new(["a", "b"])?, Jump::new(["b", "a"])?);
    /// assert_ne!(nodes.owner("user:42"), turned.owner("user:42"));
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

impl<Id: crate::NodeName, H: KeyHasher> Jump<Id, H> {
    /// These nodes in this order, with another hash.
    ///
    /// ```
    /// use althing_ring::{Jump, RapidHash};
    ///
    /// assert!(Jump::with(RapidHash, ["a", "b"])?.owner("user:42").is_some());
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    ///
    /// # Errors
    /// Two equal ids, or more nodes or weight than there can be.
    pub fn with<N: IntoNode<Id = Id>>(
        hasher: H,
        nodes: impl IntoIterator<Item = N>,
    ) -> Result<Self, RingError> {
        let nodes = collect(nodes)?;
        let mut ids: Vec<&Id> = nodes.iter().map(|node| &node.id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(RingError::DuplicateNode);
        }
        let mut all = Self { nodes: Vec::new(), buckets: Vec::new(), live: 0, hasher };
        for node in nodes {
            all.append(node)?;
        }
        Ok(all)
    }

    /// Puts a node behind the last one. Looks through all ids.
    ///
    /// ```
    /// use althing_ring::{Jump, RingError};
    ///
    /// assert_eq!(Jump::new(["a", "b"])?.push("a"), Err(RingError::DuplicateNode));
    /// # Ok::<(), RingError>(())
    /// ```
    ///
    /// # Errors
    /// An id that is there already, or more nodes or weight than there can be.
    pub fn push(&mut self, node: impl IntoNode<Id = Id>) -> Result<(), RingError> {
        let node = node.into_node();
        if self.nodes.iter().any(|other| other.id == node.id) {
            return Err(RingError::DuplicateNode);
        }
        self.append(node)
    }

    fn append(&mut self, node: crate::Node<Id>) -> Result<(), RingError> {
        let needed = self.buckets.len() as u64 + u64::from(node.weight);
        if needed > BUCKETS_MAX as u64 {
            return Err(RingError::TooManyPoints { needed, max: BUCKETS_MAX });
        }
        self.live += usize::from(node.weight > 0);
        self.buckets.resize(needed as usize, self.nodes.len() as u32);
        self.nodes.push(node);
        Ok(())
    }

    /// Takes the last node away; `None` if there is none.
    ///
    /// ```
    /// let mut nodes = althing_ring::Jump::new(["b", "a"])?;
    /// assert_eq!(nodes.pop().map(|node| node.id), Some("a"));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn pop(&mut self) -> Option<crate::Node<Id>> {
        let node = self.nodes.pop()?;
        self.live -= usize::from(node.weight > 0);
        self.buckets.truncate(self.buckets.len() - node.weight as usize);
        Some(node)
    }
}

for_keys!(Jump);

impl<Id, H> Jump<Id, H> {
    #[inline]
    fn position_of(&self, hash: u64) -> Option<u32> {
        Some(self.buckets[jump(hash, self.buckets.len() as u32)? as usize])
    }
}

impl<Id, H> Placement<Id> for Jump<Id, H> {
    #[inline]
    fn owner_of(&self, hash: u64) -> Option<&Id> {
        Some(&self.nodes[self.position_of(hash)? as usize].id)
    }

    /// The owners of the hashes that follow from this one, each node once.
    fn replicas_into<'a>(&'a self, hash: u64, found: &mut [Option<&'a Id>]) -> usize {
        let wanted = found.len().min(self.live);
        let all = self.buckets.iter().copied();
        let positions = distinct(hash, wanted, |hash| self.position_of(hash), all);
        for (place, position) in found.iter_mut().zip(positions) {
            *place = Some(&self.nodes[position as usize].id);
        }
        wanted
    }

    fn live_nodes(&self) -> usize {
        self.live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_function_of_the_paper() {
        // As other implementations of it test themselves.
        for (hash, buckets, expected) in [
            (1, 1, 0),
            (42, 57, 43),
            (0xdead_10cc, 1, 0),
            (0xdead_10cc, 666, 361),
            (256, 1024, 520),
        ] {
            assert_eq!(jump(hash, buckets), Some(expected), "{hash} of {buckets}");
        }
    }

    #[test]
    fn it_ends_whatever_the_numbers() {
        for hash in [0, 1, u64::MAX, 1 << 63] {
            assert!(jump(hash, u32::MAX).expect("there are buckets") < u32::MAX);
        }
    }
}
