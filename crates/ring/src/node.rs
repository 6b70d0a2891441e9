//! A node: who it is, how much it takes, and with whom it fails.

use alloc::string::String;
use alloc::vec::Vec;

use crate::name::NodeName;

/// A node as the user describes it. Wherever a node is asked for, an id alone will do: a node of
/// weight 1 in no particular place.
///
/// ```
/// use althing_ring::Node;
///
/// let big = Node::new("10.0.0.7:11211").weight(3).zone("eu-1a").rack("r12");
/// assert_eq!((big.id, big.weight), ("10.0.0.7:11211", 3));
/// assert_eq!(Node::new("b").weight, 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Node<Id> {
    /// Which node this is; no two nodes of a placement have the same.
    pub id: Id,
    /// How much it takes, in proportion to the others. 0 is a node that is known and takes nothing,
    /// such as one that is being emptied.
    pub weight: u32,
    /// What fails together: a building, an availability zone. All nodes that name none are taken to
    /// be in the same.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub zone: Option<String>,
    /// What fails together within the zone: a rack, a machine. Racks of different zones are
    /// different, even if they share a name.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub rack: Option<String>,
    /// The node's points, if they are set by hand instead of made from its name; its weight then
    /// does not change their number, except that weight 0 takes them all off.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub points: Option<Vec<u64>>,
}

impl<Id> Node<Id> {
    /// A node of weight 1.
    ///
    /// ```
    /// use althing_ring::Node;
    ///
    /// let node = Node::new("a");
    /// assert_eq!((node.weight, node.zone, node.points), (1, None, None));
    /// ```
    pub fn new(id: Id) -> Self {
        Self { id, weight: 1, zone: None, rack: None, points: None }
    }

    /// The same node, with this weight.
    ///
    /// ```
    /// use althing_ring::{Node, Ring};
    ///
    /// let ring = Ring::new([Node::new("a"), Node::new("b").weight(3)])?;
    /// assert_eq!(ring.points().filter(|(_, id)| **id == "b").count(), 3 * 160);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[must_use]
    pub fn weight(self, weight: u32) -> Self {
        Self { weight, ..self }
    }

    /// The same node, in this zone.
    ///
    /// ```
    /// use althing_ring::{Node, Ring};
    ///
    /// let east = ["a", "b"].map(|id| Node::new(id).zone("east"));
    /// let ring = Ring::new(east.into_iter().chain([Node::new("c").zone("west")]))?;
    /// // The only one in the west has a copy of every key.
    /// assert!((0..100_u8).all(|key| ring.replicas([key], 2).contains(&&"c")));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[must_use]
    pub fn zone(self, zone: impl Into<String>) -> Self {
        Self { zone: Some(zone.into()), ..self }
    }

    /// The same node, in this rack of its zone.
    ///
    /// ```
    /// use althing_ring::{Node, Ring};
    ///
    /// let node = |id, rack| Node::new(id).zone("east").rack(rack);
    /// let ring = Ring::new([node("a", "r1"), node("b", "r1"), node("c", "r2")])?;
    /// // The only one in its rack has a copy of every key.
    /// assert!((0..100_u8).all(|key| ring.replicas([key], 2).contains(&&"c")));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[must_use]
    pub fn rack(self, rack: impl Into<String>) -> Self {
        Self { rack: Some(rack.into()), ..self }
    }

    /// The same node, with its points set by hand. They are places among all hashes of 64 bits; for
    /// points of 32 bits there is [`hash_of_u32`](crate::hash_of_u32).
    ///
    /// ```
    /// use althing_ring::{Node, Placement, Ring, hash_of_u32};
    ///
    /// let node = |id, points: [u32; 2]| Node::new(id).points(points.map(hash_of_u32));
    /// let ring = Ring::new([node("a", [0, 180]), node("b", [90, 270])])?;
    /// assert_eq!(ring.owner_of(hash_of_u32(100)), Some(&"a"));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[must_use]
    pub fn points(self, points: impl Into<Vec<u64>>) -> Self {
        Self { points: Some(points.into()), ..self }
    }
}

/// What describes a node: a [`Node`], or an id alone for one of weight 1.
///
/// ```
/// use althing_ring::{IntoNode, Node};
///
/// assert_eq!("b".into_node(), Node::new("b").weight(1));
/// ```
pub trait IntoNode {
    /// What the node is known by.
    type Id: NodeName;

    /// The node.
    fn into_node(self) -> Node<Self::Id>;
}

impl<Id: NodeName> IntoNode for Id {
    type Id = Id;

    fn into_node(self) -> Node<Id> {
        Node::new(self)
    }
}

impl<Id: NodeName> IntoNode for Node<Id> {
    type Id = Id;

    fn into_node(self) -> Self {
        self
    }
}
