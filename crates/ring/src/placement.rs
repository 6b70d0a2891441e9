//! What every algorithm of this crate can answer.

use alloc::vec;
use alloc::vec::Vec;

/// Nodes that share out the hashes of keys among themselves.
///
/// The input is a hash of 64 bits, made by a [`KeyHasher`](crate::KeyHasher), so that one hash of a
/// key serves any number of placements. The trait can be made into an object:
///
/// ```
/// use althing_ring::{Placement, Ring};
///
/// let ring = Ring::new(["a", "b", "c"])?;
/// let placement: &dyn Placement<&str> = &ring;
/// assert_eq!(placement.owner_of(7), placement.replicas_of(7, 2).first().copied());
/// # Ok::<(), althing_ring::RingError>(())
/// ```
///
/// **What every implementation keeps**
/// - The answers depend on the set of nodes, their weights and the hash, and on nothing else.
///   (An algorithm that remembers its history says so.)
/// - The first replica is the owner, and no node comes twice.
/// - A node without weight owns nothing and is never a replica.
pub trait Placement<Id> {
    /// The node that owns `hash`; `None` if no node can own anything.
    fn owner_of(&self, hash: u64) -> Option<&Id>;

    /// Fills `found` from the front with the nodes that hold copies of `hash`, the owner first,
    /// each node once, in the order in which they should be asked. Returns how many it found,
    /// which is less than the length of `found` only if there are not as many nodes. The rest of
    /// `found` is left as it was.
    ///
    /// This is the form that allocates nothing.
    fn replicas_into<'a>(&'a self, hash: u64, found: &mut [Option<&'a Id>]) -> usize;

    /// How many nodes can own something: those that have weight.
    fn live_nodes(&self) -> usize;

    /// The first `count` nodes for `hash`, as [`Self::replicas_into`] finds them; fewer if there
    /// are not as many.
    fn replicas_of(&self, hash: u64, count: usize) -> Vec<&Id> {
        let mut found = vec![None; count.min(self.live_nodes())];
        let count = self.replicas_into(hash, &mut found);
        found.truncate(count);
        found.into_iter().flatten().collect()
    }
}
