//! Bounded loads: no node takes much more than its share, whatever the keys are.
//!
//! V. Mirrokni, M. Thorup, M. Zadimoghaddam: Consistent Hashing with Bounded Loads (2016), with
//! capacities in proportion to weights.

use alloc::collections::BTreeMap;
use core::fmt;

use crate::hasher::KeyHasher;
use crate::name::NodeName;
use crate::node::Node;
use crate::ring::Ring;

/// How much each node carries, and how far above its share it may go.
///
/// With a slack of `e` percent and `n` things placed, this one included, a node of weight `w` among
/// weights that sum to `W` takes no more than `ceil((1 + e/100) * n * w / W)`. Whoever finds the
/// owner full goes on to the next node of the ring. A smaller slack is a flatter load and a longer
/// way to a node with room.
///
/// ```
/// use althing_ring::{Loads, Ring};
///
/// let ring = Ring::new(["a", "b", "c"])?;
/// let mut loads = Loads::new(25);
/// for _ in 0..300 {
///     loads.place(&ring, "the one key everybody asks for")?;
/// }
/// assert!(["a", "b", "c"].iter().all(|node| loads.of(node) <= 125));
/// assert_eq!(loads.total(), 300);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Where the limits are others than these, such as a number of connections for each node, there is
/// [`Ring::first_that`].
///
/// The loads are kept by id, not by ring: a ring may change while they stand. What a node carries
/// that is then above its bound stays until it is released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loads<Id: Ord> {
    slack_percent: u16,
    total: u64,
    loads: BTreeMap<Id, u64>,
}

/// Why a key could not be placed.
///
/// ```
/// use althing_ring::{Loads, LoadsError, Ring};
///
/// let nobody = Ring::<u32>::default();
/// assert_eq!(Loads::new(25).place(&nobody, "key"), Err(LoadsError::NoNodes));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadsError {
    /// No node of the ring has any weight.
    NoNodes,
    /// The node carries nothing that could be released.
    NothingToRelease,
}

impl<Id: Ord + Clone> Loads<Id> {
    /// No load yet, and a slack in percent: 25 lets a node take a quarter more than its share, 0
    /// nothing but the rounding.
    ///
    /// ```
    /// assert_eq!(althing_ring::Loads::<u32>::new(25).total(), 0);
    /// ```
    pub fn new(slack_percent: u16) -> Self {
        Self { slack_percent, total: 0, loads: BTreeMap::new() }
    }

    /// How many things lie on a node.
    ///
    /// ```
    /// assert_eq!(althing_ring::Loads::<u32>::new(25).of(&7), 0);
    /// ```
    pub fn of(&self, id: &Id) -> u64 {
        self.loads.get(id).copied().unwrap_or(0)
    }

    /// How many things lie on all nodes together.
    ///
    /// ```
    /// let mut loads = althing_ring::Loads::new(25);
    /// loads.place(&althing_ring::Ring::new(["a"])?, "key")?;
    /// assert_eq!(loads.total(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Places one more thing: on the owner of its key or, if that is full, on the next node that is
    /// not. The caller remembers on which, to release it there.
    ///
    /// ```
    /// use althing_ring::{Loads, Ring};
    ///
    /// let ring = Ring::new(["a", "b"])?;
    /// let mut loads = Loads::new(0);
    /// let (first, second) = (loads.place(&ring, "key")?, loads.place(&ring, "key")?);
    /// assert_ne!(first, second);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A ring of which no node has any weight. That all are full cannot be: the bounds of the nodes
    /// sum to more than is placed.
    pub fn place<'a, H: KeyHasher>(
        &mut self,
        ring: &'a Ring<Id, H>,
        key: impl AsRef<[u8]>,
    ) -> Result<&'a Id, LoadsError>
    where
        Id: NodeName,
    {
        self.place_hash(ring, ring.hash(key))
    }

    /// The same as [`Self::place`] for the hash of a key.
    ///
    /// ```
    /// use althing_ring::{Loads, Placement, Ring};
    ///
    /// let ring = Ring::new(["a", "b"])?;
    /// assert_eq!(Loads::new(25).place_hash(&ring, 7).ok(), ring.owner_of(7));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Self::place`].
    pub fn place_hash<'a, H>(
        &mut self,
        ring: &'a Ring<Id, H>,
        hash: u64,
    ) -> Result<&'a Id, LoadsError> {
        let has_room =
            |node: &Node<Id>| self.of(&node.id) < self.bound_of_weight(ring, node.weight);
        // The bounds sum to more than all that is placed, so that some node is below its own.
        let id = ring.first_that(hash, has_room).ok_or(LoadsError::NoNodes)?;
        // A count of things that were placed one by one does not reach 2^64.
        self.total += 1;
        *self.loads.entry(id.clone()).or_insert(0) += 1;
        Ok(id)
    }

    /// Takes away one thing that was placed on a node.
    ///
    /// ```
    /// use althing_ring::{Loads, LoadsError, Ring};
    ///
    /// let ring = Ring::new(["a"])?;
    /// let mut loads = Loads::new(25);
    /// let node = *loads.place(&ring, "key")?;
    /// loads.release(&node)?;
    /// assert_eq!(loads.release(&node), Err(LoadsError::NothingToRelease));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A node that carries nothing.
    pub fn release(&mut self, id: &Id) -> Result<(), LoadsError> {
        let load = self.loads.get_mut(id).ok_or(LoadsError::NothingToRelease)?;
        *load -= 1;
        self.total -= 1;
        if *load == 0 {
            self.loads.remove(id);
        }
        Ok(())
    }

    /// Forgets a node that is gone with all it carried; returns how much that was.
    ///
    /// ```
    /// use althing_ring::{Loads, Ring};
    ///
    /// let ring = Ring::new(["a"])?;
    /// let mut loads = Loads::new(25);
    /// loads.place(&ring, "key")?;
    /// assert_eq!((loads.forget(&"a"), loads.total()), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forget(&mut self, id: &Id) -> u64 {
        let load = self.loads.remove(id).unwrap_or(0);
        self.total -= load;
        load
    }

    /// How much a node may carry once another thing is placed; 0 if it is not in the ring.
    ///
    /// ```
    /// use althing_ring::{Loads, Node, Ring};
    ///
    /// let ring = Ring::new([Node::new("a"), Node::new("b").weight(3)])?;
    /// let mut loads = Loads::new(50);
    /// for key in 0_u8..99 {
    ///     loads.place(&ring, [key])?;
    /// }
    /// assert_eq!((loads.bound(&ring, &"a"), loads.bound(&ring, &"b")), (38, 113));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bound<H>(&self, ring: &Ring<Id, H>, id: &Id) -> u64 {
        ring.node(id).map_or(0, |node| self.bound_of_weight(ring, node.weight))
    }

    fn bound_of_weight<H>(&self, ring: &Ring<Id, H>, weight: u32) -> u64 {
        if ring.weight == 0 {
            return 0;
        }
        // At most 2^17 * 2^64 * 2^32.
        let percent = u128::from(self.slack_percent) + 100;
        let share = percent * (u128::from(self.total) + 1) * u128::from(weight);
        u64::try_from(share.div_ceil(100 * u128::from(ring.weight))).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for LoadsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoNodes => "no node of the ring has any weight",
            Self::NothingToRelease => "the node carries nothing that could be released",
        })
    }
}

impl core::error::Error for LoadsError {}
