//! The nodes of a ring: by slot, for whoever has a point, and in the order of their ids.

use alloc::vec::Vec;
use core::borrow::Borrow;
use core::cmp::Ordering;

use crate::node::Node;

/// Nodes in slots. A slot keeps its number as long as its node is there, and is then used again.
///
/// **Invariant**: `ids` are those of `nodes`; `order` has every taken slot once, by ascending id;
/// `free` has all others.
#[derive(Clone, Debug)]
pub(crate) struct Roster<Id> {
    /// The ids once more, close together: they are all that a lookup reads.
    ids: Vec<Id>,
    nodes: Vec<Node<Id>>,
    order: Vec<u32>,
    free: Vec<u32>,
}

impl<Id> Default for Roster<Id> {
    fn default() -> Self {
        Self { ids: Vec::new(), nodes: Vec::new(), order: Vec::new(), free: Vec::new() }
    }
}

impl<Id> Roster<Id> {
    /// The node in a slot that is taken.
    #[inline]
    pub(crate) fn node(&self, slot: u32) -> &Node<Id> {
        &self.nodes[slot as usize]
    }

    /// The id in a slot that is taken.
    #[inline]
    pub(crate) fn id(&self, slot: u32) -> &Id {
        &self.ids[slot as usize]
    }
}

impl<Id: Ord> Roster<Id> {
    /// The nodes in the order of their ids, which are the numbers of their slots too; `None` if two
    /// ids are equal. There are no more than 2^32 of them.
    pub(crate) fn new(mut nodes: Vec<Node<Id>>) -> Option<Self>
    where
        Id: Clone,
    {
        nodes.sort_by(|one, other| one.id.cmp(&other.id));
        if nodes.windows(2).any(|pair| pair[0].id == pair[1].id) {
            return None;
        }
        let ids = nodes.iter().map(|node| node.id.clone()).collect();
        let order = (0..nodes.len() as u32).collect();
        Some(Self { ids, nodes, order, free: Vec::new() })
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// How many slots there are, free ones too.
    pub(crate) fn slots(&self) -> usize {
        self.nodes.len()
    }

    /// The slot of a node.
    pub(crate) fn find<Q: Ord + ?Sized>(&self, id: &Q) -> Option<u32>
    where
        Id: Borrow<Q>,
    {
        self.position(id).ok().map(|position| self.order[position])
    }

    /// The node in a slot that is taken; its id must stay what it is.
    pub(crate) fn node_mut(&mut self, slot: u32) -> &mut Node<Id> {
        &mut self.nodes[slot as usize]
    }

    /// Which of two taken slots comes first where points are equal: the one with the smaller id.
    pub(crate) fn compare(&self, one: u32, other: u32) -> Ordering {
        self.id(one).cmp(self.id(other))
    }

    /// The taken slots by ascending id.
    pub(crate) fn slots_by_id(&self) -> &[u32] {
        &self.order
    }

    /// Gives a node a slot; `None` if its id is taken.
    pub(crate) fn insert(&mut self, node: Node<Id>) -> Option<u32>
    where
        Id: Clone,
    {
        let position = self.position(&node.id).err()?;
        let id = node.id.clone();
        let slot = match self.free.pop() {
            Some(slot) => {
                self.ids[slot as usize] = id;
                self.nodes[slot as usize] = node;
                slot
            }
            None => {
                self.ids.push(id);
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        self.order.insert(position, slot);
        Some(slot)
    }

    /// Frees a slot that is taken. The node stays in it until another one comes, and nobody asks.
    pub(crate) fn remove(&mut self, slot: u32) {
        let position = self.position(&self.node(slot).id).expect("the slot is taken");
        self.order.remove(position);
        self.free.push(slot);
    }

    fn position<Q: Ord + ?Sized>(&self, id: &Q) -> Result<usize, usize>
    where
        Id: Borrow<Q>,
    {
        self.order.binary_search_by(|&slot| self.id(slot).borrow().cmp(id))
    }
}
