//! Lookup in a ring: the owner, and the nodes that hold the copies.

use alloc::vec::Vec;

use crate::node::Node;
use crate::placement::Placement;
use crate::ring::Ring;

/// Up to this many, looking through what was found is faster than a bit for each.
const FEW: usize = 16;

impl<Id, H> Placement<Id> for Ring<Id, H> {
    #[inline]
    fn owner_of(&self, hash: u64) -> Option<&Id> {
        Some(self.id(self.circle.owner(hash & self.mask)?))
    }

    /// Where the ring has zones or racks, walks on until there is a node of each, as far as
    /// `found` has room: at worst once round for zones, once for racks and once for nodes.
    #[inline]
    fn replicas_into<'a>(&'a self, hash: u64, found: &mut [Option<&'a Id>]) -> usize {
        let wanted = found.len().min(self.live);
        let mut few = [0; FEW];
        let mut many = Vec::new();
        let slots = if wanted <= FEW {
            &mut few[..wanted]
        } else {
            many.resize(wanted, 0);
            &mut many[..]
        };
        let hash = hash & self.mask;
        if wanted <= FEW && self.domains.is_flat() {
            self.next_few(hash, slots);
        } else {
            self.spread(hash, slots);
        }
        for (place, &mut slot) in found.iter_mut().zip(slots) {
            *place = Some(self.id(slot));
        }
        wanted
    }

    fn live_nodes(&self) -> usize {
        self.live
    }
}

impl<Id, H> Ring<Id, H> {
    /// The first node from `hash` on that `accepts` takes, each node being asked at most once, the
    /// owner first; `None` if it takes none. For whoever spills over: a node that is full or does
    /// not answer is one not to accept.
    ///
    /// ```
    /// use althing_ring::{Placement, Ring};
    ///
    /// let ring = Ring::new(["a", "b", "c"])?;
    /// let copies = ring.replicas("user:42", 3);
    /// let second = ring.first_that(ring.hash("user:42"), |node| node.id != *copies[0]);
    /// assert_eq!(second, Some(copies[1]));
    /// assert_eq!(ring.first_that(7, |_| false), None);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn first_that(&self, hash: u64, mut accepts: impl FnMut(&Node<Id>) -> bool) -> Option<&Id> {
        let hash = hash & self.mask;
        let owner = self.roster.node(self.circle.owner(hash)?);
        if accepts(owner) {
            return Some(&owner.id);
        }
        let mut asked = Seen::new(self.live);
        asked.insert(self.circle.owner(hash)?);
        let mut left = self.live - 1;
        for slot in self.circle.walk(hash) {
            if left == 0 {
                break;
            }
            if asked.insert(slot) {
                let node = self.roster.node(slot);
                if accepts(node) {
                    return Some(&node.id);
                }
                left -= 1;
            }
        }
        None
    }

    #[inline]
    pub(crate) fn id(&self, slot: u32) -> &Id {
        self.roster.id(slot)
    }

    /// The next nodes, each once. There are at least as many that have points.
    #[inline]
    fn next_few(&self, hash: u64, slots: &mut [u32]) {
        let mut count = 0;
        for slot in self.circle.walk(hash) {
            if count == slots.len() {
                break;
            }
            if !slots[..count].contains(&slot) {
                slots[count] = slot;
                count += 1;
            }
        }
    }

    /// The next nodes, each once, apart from each other for as long as that goes. There are at
    /// least as many that have points.
    #[inline(never)]
    fn spread(&self, hash: u64, slots: &mut [u32]) {
        let mut count = 0;
        for (groups, group_of) in self.domains.levels() {
            if groups > 1 {
                let group_of = |slot: u32| group_of[slot as usize];
                self.choose(hash, slots, &mut count, groups, group_of);
            }
        }
        self.choose(hash, slots, &mut count, self.live, |slot| slot);
    }

    /// Chooses further nodes, each of a group that has none yet, until every group has one.
    fn choose(
        &self,
        hash: u64,
        slots: &mut [u32],
        count: &mut usize,
        groups: usize,
        group_of: impl Fn(u32) -> u32,
    ) {
        let mut seen = Seen::new(slots.len());
        let mut left =
            groups - slots[..*count].iter().filter(|&&s| seen.insert(group_of(s))).count();
        for slot in self.circle.walk(hash) {
            if *count == slots.len() || left == 0 {
                return;
            }
            if seen.insert(group_of(slot)) {
                slots[*count] = slot;
                *count += 1;
                left -= 1;
            }
        }
    }
}

/// A set of small numbers that grows to a known size.
enum Seen {
    Few([u32; FEW], usize),
    Many(Vec<u64>),
}

impl Seen {
    fn new(size: usize) -> Self {
        if size <= FEW { Self::Few([0; FEW], 0) } else { Self::Many(Vec::new()) }
    }

    /// Whether `number` is new.
    fn insert(&mut self, number: u32) -> bool {
        match self {
            Self::Few(numbers, count) => {
                let new = !numbers[..*count].contains(&number);
                if new {
                    numbers[*count] = number;
                    *count += 1;
                }
                new
            }
            Self::Many(bits) => {
                let (place, bit) = (number as usize / 64, 1 << (number % 64));
                if bits.len() <= place {
                    bits.resize(place + 1, 0);
                }
                let new = bits[place] & bit == 0;
                bits[place] |= bit;
                new
            }
        }
    }
}
