//! The ring: nodes of a name and a weight, and the points that follow from them.

use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;

use crate::circle::{Circle, STRIDE};
use crate::domains::Domains;
use crate::error::RingError;
use crate::hasher::KeyHasher;
use crate::name::NodeName;
use crate::node::{IntoNode, Node};
use crate::placement::Placement;
use crate::roster::Roster;
use crate::settings::Settings;

/// The hash of a ring that was not given one.
///
/// ```
/// use althing_ring::{DefaultHash, KeyHasher, Ring};
///
/// let ring = Ring::new(["a", "b"])?;
/// assert_eq!(DefaultHash::default().hash_bytes(b"user:42"), ring.hash("user:42"));
/// # Ok::<(), althing_ring::RingError>(())
/// ```
#[cfg(feature = "rapidhash")]
pub type DefaultHash = crate::hasher::RapidHash;
/// The hash of a ring that was not given one. Without the feature `rapidhash` there is none, so it
/// is whatever function the caller has.
#[cfg(not(feature = "rapidhash"))]
pub type DefaultHash = fn(&[u8]) -> u64;

/// Consistent hashing with virtual nodes: a key belongs to the first point at or after its hash.
///
/// ```
/// use althing_ring::Ring;
///
/// let mut ring = Ring::new(["a", "b", "c"])?;
/// let before = *ring.owner("user:42").expect("there are nodes");
/// ring.add("d")?;
/// let after = *ring.owner("user:42").expect("there are nodes");
/// assert!(after == before || after == "d");
/// # Ok::<(), althing_ring::RingError>(())
/// ```
///
/// **Where the points are.** Point `k` of a node, counted from 0, is the hash of its name followed
/// by `k` in four bytes, the lowest first. A node has [`Settings::points_per_weight`] of them for
/// each unit of its weight, whatever the others weigh, so that a change to one node moves keys to
/// it or from it and never between others. Points at the same place are all kept; the smallest id
/// comes first.
///
/// **Invariant**: the circle has exactly the points of the nodes in the roster, ordered by point
/// and id; `live` and `weight` count the nodes that have points, and they alone are in a domain.
#[derive(Clone)]
pub struct Ring<Id, H = DefaultHash> {
    pub(crate) circle: Circle,
    pub(crate) roster: Roster<Id>,
    pub(crate) domains: Domains,
    pub(crate) live: usize,
    pub(crate) weight: u64,
    pub(crate) mask: u64,
    pub(crate) settings: Settings,
    pub(crate) hasher: H,
}

#[cfg(feature = "rapidhash")]
impl<Id: NodeName> Ring<Id> {
    /// A ring of these nodes: ids, or [`Node`]s where they differ in weight or place. It has 160
    /// points for each unit of weight and the default hash.
    ///
    /// ```
    /// use althing_ring::{Node, Ring};
    ///
    /// let ring = Ring::new(["a", "b"])?;
    /// assert_eq!(ring, Ring::new([Node::new("b"), Node::new("a").weight(1)])?);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    ///
    /// # Errors
    /// Two equal ids, or more nodes or points than there can be.
    pub fn new<N: IntoNode<Id = Id>>(
        nodes: impl IntoIterator<Item = N>,
    ) -> Result<Self, RingError> {
        Self::with(Settings::default(), DefaultHash::default(), nodes)
    }
}

impl<Id: NodeName, H: KeyHasher> Ring<Id, H> {
    /// A ring of these nodes with other settings or another hash.
    ///
    /// ```
    /// use althing_ring::{KeyHasher, Node, Ring, Settings};
    ///
    /// let fnv = |bytes: &[u8]| {
    ///     const PRIME: u64 = 0x100_0000_01b3;
    ///     let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    ///     // FNV's upper bits hardly depend on the last bytes, and it is they that count.
    ///     bytes.iter().fold(0xcbf2_9ce4_8422_2325, step).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    /// };
    /// let nodes = [Node::new(1_u32), Node::new(2).weight(3)];
    /// let ring = Ring::with(Settings::default(), fnv, nodes)?;
    /// assert!(ring.owner("user:42").is_some());
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    ///
    /// # Errors
    /// Those of `new`, and a setting of no points for a unit of weight.
    pub fn with<N: IntoNode<Id = Id>>(
        settings: Settings,
        hasher: H,
        nodes: impl IntoIterator<Item = N>,
    ) -> Result<Self, RingError> {
        let settings = settings.points_max(settings.points_max);
        if settings.points_per_weight == 0 {
            return Err(RingError::NoPointsPerWeight);
        }
        let nodes: Vec<Node<Id>> =
            nodes.into_iter().take(Circle::SLOTS_MAX + 1).map(IntoNode::into_node).collect();
        if nodes.len() > Circle::SLOTS_MAX {
            return Err(RingError::TooManyNodes { max: Circle::SLOTS_MAX });
        }
        let roster = Roster::new(nodes).ok_or(RingError::DuplicateNode)?;
        let mut ring = Self {
            circle: Circle::default(),
            roster,
            domains: Domains::default(),
            live: 0,
            weight: 0,
            mask: settings.point_bits.mask(),
            settings,
            hasher,
        };
        ring.place_all()?;
        Ok(ring)
    }

    /// Makes the points of all nodes of a ring that has none yet.
    fn place_all(&mut self) -> Result<(), RingError> {
        let mut needed = 0_u64;
        for &slot in self.roster.slots_by_id() {
            needed = needed.saturating_add(self.points_of(self.roster.node(slot)));
        }
        self.check_points(needed)?;
        let mut words = Vec::with_capacity(needed as usize + STRIDE);
        for slot in 0..self.roster.slots() as u32 {
            let points = self.points_of(self.roster.node(slot));
            self.make(slot, 0..points, &mut words);
            if points > 0 {
                self.join(slot);
            }
        }
        // The slots follow the ids here, so the order of words is that of points and ids.
        words.sort_unstable();
        self.circle = Circle::from_sorted(words);
        Ok(())
    }

    /// The hash of a key, with which every other method that takes a hash can be asked.
    ///
    /// ```
    /// use althing_ring::{Placement, Ring};
    ///
    /// let ring = Ring::new(["a", "b", "c"])?;
    /// assert_eq!(ring.owner_of(ring.hash("user:42")), ring.owner("user:42"));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[inline]
    pub fn hash(&self, key: impl AsRef<[u8]>) -> u64 {
        self.hasher.hash_bytes(key.as_ref())
    }

    /// The node that owns a key; `None` if no node has any weight.
    ///
    /// ```
    /// use althing_ring::Ring;
    ///
    /// let ring = Ring::new([10_u32, 20, 30])?;
    /// assert_eq!(ring.owner("user:42"), Some(&30));
    /// assert_eq!(Ring::<u32>::default().owner("user:42"), None);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[inline]
    pub fn owner(&self, key: impl AsRef<[u8]>) -> Option<&Id> {
        self.owner_of(self.hash(key))
    }

    /// The nodes that hold copies of a key, the owner first, each node once; fewer than `count`
    /// only if there are not as many. As long as there are zones left, each is in a zone of its
    /// own, and after that in a rack of its own as long as there are racks left.
    ///
    /// ```
    /// use althing_ring::{Node, Ring};
    ///
    /// let node = |id, zone| Node::new(id).zone(zone);
    /// let east = [node(1_u32, "east"), node(2, "east")];
    /// let ring = Ring::new(east.into_iter().chain([node(3, "west"), node(4, "west")]))?;
    /// let copies = ring.replicas("user:42", 2);
    /// assert_eq!(copies[0], ring.owner("user:42").expect("there are nodes"));
    /// assert_ne!(*copies[0] <= 2, *copies[1] <= 2, "one in the east and one in the west");
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn replicas(&self, key: impl AsRef<[u8]>, count: usize) -> Vec<&Id> {
        self.replicas_of(self.hash(key), count)
    }

    /// The same as [`Self::replicas`] for a count that is known at compile time, without an
    /// allocation.
    ///
    /// ```
    /// use althing_ring::Ring;
    ///
    /// let ring = Ring::new(["a", "b"])?;
    /// let [owner, second, third] = ring.replica_array("user:42");
    /// assert_eq!(owner, ring.owner("user:42"));
    /// assert!(second.is_some() && third.is_none());
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[inline]
    pub fn replica_array<const COUNT: usize>(&self, key: impl AsRef<[u8]>) -> [Option<&Id>; COUNT] {
        let mut found = [None; COUNT];
        self.replicas_into(self.hash(key), &mut found);
        found
    }
}

impl<Id: Ord, H> Ring<Id, H> {
    /// The nodes by ascending id, those without weight too.
    ///
    /// ```
    /// use althing_ring::Ring;
    ///
    /// let ring = Ring::new(["b", "a"])?;
    /// assert!(ring.nodes().map(|node| node.id).eq(["a", "b"]));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Node<Id>> + '_ {
        self.roster.slots_by_id().iter().map(|&slot| self.roster.node(slot))
    }

    /// The node of an id.
    ///
    /// ```
    /// use althing_ring::{Node, Ring};
    ///
    /// let ring = Ring::new(["a".to_owned()])?;
    /// assert_eq!(ring.node("a"), Some(&Node::new("a".to_owned())));
    /// assert_eq!(ring.node("b"), None);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn node<Q: Ord + ?Sized>(&self, id: &Q) -> Option<&Node<Id>>
    where
        Id: Borrow<Q>,
    {
        self.roster.find(id).map(|slot| self.roster.node(slot))
    }

    /// How many nodes there are, those without weight too.
    ///
    /// ```
    /// use althing_ring::{Node, Placement, Ring};
    ///
    /// let ring = Ring::new([Node::new("a"), Node::new("b").weight(0)])?;
    /// assert_eq!((ring.len(), ring.live_nodes()), (2, 1));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn len(&self) -> usize {
        self.roster.len()
    }

    /// Whether there is no node.
    ///
    /// ```
    /// assert!(althing_ring::Ring::<u32>::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every point with its node, in the order of the circle.
    ///
    /// ```
    /// use althing_ring::{Node, Ring};
    ///
    /// let (a, b) = (Node::new("a").points([2 << 40]), Node::new("b").points([2 << 40, 1 << 40]));
    /// let ring = Ring::new([b, a])?;
    /// assert!(ring.points().eq([(1 << 40, &"b"), (2 << 40, &"a"), (2 << 40, &"b")]));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn points(&self) -> impl ExactSizeIterator<Item = (u64, &Id)> + '_ {
        self.circle.points().map(|(point, slot)| (point, &self.roster.node(slot).id))
    }

    /// What is the same for all nodes.
    ///
    /// ```
    /// let ring = althing_ring::Ring::<u32>::default();
    /// assert_eq!(ring.settings().points_per_weight, 160);
    /// ```
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The points alone, with the slots that stand for nodes here.
    ///
    /// ```
    /// let ring = althing_ring::Ring::new(["a", "b"])?;
    /// assert_eq!(ring.circle().len(), 320);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn circle(&self) -> &Circle {
        &self.circle
    }
}

/// A ring without nodes.
impl<Id, H: Default> Default for Ring<Id, H> {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            circle: Circle::default(),
            roster: Roster::default(),
            domains: Domains::default(),
            live: 0,
            weight: 0,
            mask: settings.point_bits.mask(),
            settings,
            hasher: H::default(),
        }
    }
}

/// Rings are equal if they have the same settings, nodes and points, however they came to them.
impl<Id: Ord, H> PartialEq for Ring<Id, H> {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
            && self.nodes().eq(other.nodes())
            && self.points().eq(other.points())
    }
}

impl<Id: Ord, H> Eq for Ring<Id, H> {}

/// The nodes and the settings; the points are too many to be read.
impl<Id: Ord + fmt::Debug, H> fmt::Debug for Ring<Id, H> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Ring")
            .field("settings", &self.settings)
            .field("nodes", &self.nodes().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
