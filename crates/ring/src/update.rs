//! Changes to a ring: a node comes, goes or weighs something else.

use alloc::vec::Vec;
use core::borrow::Borrow;
use core::ops::Range;

use crate::circle::Circle;
use crate::error::RingError;
use crate::hasher::KeyHasher;
use crate::name::NodeName;
use crate::node::{IntoNode, Node};
use crate::ring::Ring;
use crate::word::word;

impl<Id: NodeName, H: KeyHasher> Ring<Id, H> {
    /// Adds a node. Its keys come from every other node; between those none moves.
    ///
    /// ```
    /// use althing_ring::{Node, Ring, RingError};
    ///
    /// let mut ring = Ring::new(["a", "b"])?;
    /// ring.add(Node::new("c").weight(2))?;
    /// assert_eq!(ring.add("c"), Err(RingError::DuplicateNode));
    /// # Ok::<(), RingError>(())
    /// ```
    ///
    /// # Errors
    /// An id that is taken, or more nodes or points than there can be.
    pub fn add(&mut self, node: impl IntoNode<Id = Id>) -> Result<(), RingError> {
        let node = node.into_node();
        if self.roster.find(&node.id).is_some() {
            return Err(RingError::DuplicateNode);
        }
        if self.roster.len() == Circle::SLOTS_MAX {
            return Err(RingError::TooManyNodes { max: Circle::SLOTS_MAX });
        }
        let points = self.points_of(&node);
        self.check_points((self.circle.len() as u64).saturating_add(points))?;
        let slot = self.roster.insert(node).expect("the id is not taken");
        self.put(slot, 0..points);
        if points > 0 {
            self.join(slot);
        }
        Ok(())
    }

    /// Removes a node and returns it. Its keys go to the others; between those none moves.
    ///
    /// ```
    /// use althing_ring::{Ring, RingError};
    ///
    /// let mut ring = Ring::new(["a", "b"])?;
    /// assert_eq!(ring.remove("a")?.id, "a");
    /// assert_eq!(ring.remove("a"), Err(RingError::UnknownNode));
    /// # Ok::<(), RingError>(())
    /// ```
    ///
    /// # Errors
    /// An id that is not in the ring.
    pub fn remove<Q: Ord + ?Sized>(&mut self, id: &Q) -> Result<Node<Id>, RingError>
    where
        Id: Borrow<Q>,
    {
        let slot = self.roster.find(id).ok_or(RingError::UnknownNode)?;
        let points = self.points_of(self.roster.node(slot));
        if points > 0 {
            self.leave(slot);
        }
        self.take(slot, 0..points);
        self.roster.remove(slot);
        Ok(self.roster.node(slot).clone())
    }

    /// Changes the weight of a node. Keys move to it or from it, never between others, and no more
    /// than the change asks for. Weight 0 leaves the node in the ring, owning nothing.
    ///
    /// ```
    /// use althing_ring::{Ring, RingError};
    ///
    /// let mut ring = Ring::new(["a", "b"])?;
    /// ring.set_weight("a", 0)?;
    /// assert_eq!(ring.owner("user:42"), Some(&"b"));
    /// # Ok::<(), RingError>(())
    /// ```
    ///
    /// # Errors
    /// An id that is not in the ring, or more points than there can be.
    pub fn set_weight<Q: Ord + ?Sized>(&mut self, id: &Q, weight: u32) -> Result<(), RingError>
    where
        Id: Borrow<Q>,
    {
        let slot = self.roster.find(id).ok_or(RingError::UnknownNode)?;
        let node = self.roster.node(slot);
        let had = self.points_of(node);
        let has = match &node.points {
            Some(points) if weight > 0 => points.len() as u64,
            Some(_) => 0,
            None => u64::from(weight) * u64::from(self.settings.points_per_weight),
        };
        self.check_points(self.circle.len() as u64 - had + has)?;
        if had > 0 {
            self.leave(slot);
        }
        self.take(slot, has.min(had)..had);
        self.roster.node_mut(slot).weight = weight;
        self.put(slot, had.min(has)..has);
        if has > 0 {
            self.join(slot);
        }
        Ok(())
    }

    /// Refuses more points than allowed.
    pub(crate) fn check_points(&self, needed: u64) -> Result<(), RingError> {
        let max = self.settings.points_max;
        if needed > max as u64 {
            return Err(RingError::TooManyPoints { needed, max });
        }
        Ok(())
    }

    /// How many points a node has.
    pub(crate) fn points_of(&self, node: &Node<Id>) -> u64 {
        match &node.points {
            _ if node.weight == 0 => 0,
            Some(points) => points.len() as u64,
            None => u64::from(node.weight) * u64::from(self.settings.points_per_weight),
        }
    }

    /// Appends the words of some of a node's points, which are fewer than 2^31.
    pub(crate) fn make(&self, slot: u32, points: Range<u64>, words: &mut Vec<u64>) {
        let node = self.roster.node(slot);
        let (first, end) = (points.start as usize, points.end as usize);
        if let Some(placed) = &node.points {
            let masked = placed[first..end].iter().map(|&point| word(point & self.mask, slot));
            words.extend(masked);
            return;
        }
        let mut name = Vec::new();
        node.id.write_name(&mut name);
        let number = name.len();
        name.extend([0; 4]);
        words.extend((first as u32..end as u32).map(|point| {
            name[number..].copy_from_slice(&point.to_le_bytes());
            word(self.hasher.hash_bytes(&name) & self.mask, slot)
        }));
    }

    /// Puts some of a node's points on the circle.
    fn put(&mut self, slot: u32, points: Range<u64>) {
        let mut words = Vec::new();
        self.make(slot, points, &mut words);
        words.sort_unstable();
        self.circle.insert(&words, |one, other| self.roster.compare(one, other));
    }

    /// Takes some of a node's points off the circle.
    fn take(&mut self, slot: u32, points: Range<u64>) {
        let mut words = Vec::new();
        self.make(slot, points, &mut words);
        words.sort_unstable();
        self.circle.remove(&words, |one, other| self.roster.compare(one, other));
    }

    /// Counts a node that has points.
    pub(crate) fn join(&mut self, slot: u32) {
        let Node { weight, zone, rack, .. } = self.roster.node(slot);
        self.live += 1;
        self.weight += u64::from(*weight);
        self.domains.join(slot, zone.as_ref(), rack.as_ref());
    }

    /// Counts a node no longer.
    fn leave(&mut self, slot: u32) {
        let Node { weight, zone, rack, .. } = self.roster.node(slot);
        self.live -= 1;
        self.weight -= u64::from(*weight);
        self.domains.leave(zone.as_ref(), rack.as_ref());
    }
}
