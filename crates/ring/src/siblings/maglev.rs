//! Maglev: a table that says for every hash whose it is, and one look into it.
//!
//! D. Eisenbud and others: Maglev: A Fast and Reliable Software Network Load Balancer (2016),
//! section 3.4; weights by giving a node fewer turns.

use alloc::collections::BinaryHeap;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::buckets::{BUCKETS_MAX, first_of_each};
use super::members::{Member, by_id};
use super::{for_keys, mix};
use crate::error::RingError;
use crate::hasher::KeyHasher;
use crate::node::IntoNode;
use crate::placement::Placement;
use crate::ring::DefaultHash;

/// Places in a table for each unit of weight, at the least: the paper's advice for shares that
/// differ by at most 1 %.
const PLACES_PER_WEIGHT: u64 = 100;

/// No place in the table is taken by this slot.
const NOBODY: u32 = u32::MAX;

/// The fewest places of a table whose size was not asked for.
const PLACES_MIN: u64 = 1 << 16;

/// Every node fills a table in an order of its own, one place a turn.
///
/// The shares are almost equal and a lookup is one load, but a node that comes or goes also moves
/// some keys between the others: with 100 places for each node one and a half times as many again
/// as it has to. The table is built anew for every change, and **a table of another size moves
/// nearly every key**: who expects to grow asks for the size of the end.
///
/// ```
/// use althing_ring::Maglev;
///
/// let nodes = Maglev::new(["a", "b", "c"])?;
/// let replicas = nodes.replicas("user:42", 2);
/// assert_eq!(replicas[0], nodes.owner("user:42").expect("there are nodes"));
/// assert_eq!(nodes.places(), 65_537);
/// # Ok::<(), althing_ring::RingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Maglev<Id, H = DefaultHash> {
    members: Vec<Member<Id>>,
    /// The slot of the node at each place.
    table: Vec<u32>,
    hasher: H,
}

#[cfg(feature = "rapidhash")]
impl<Id: crate::NodeName> Maglev<Id> {
    /// These nodes, with the default hash and a table of at least 100 places for each unit of
    /// weight. Its size is the first prime after a power of two, 65,537 or more, so that it stays
    /// the same until the weight doubles.
    ///
    /// ```
    /// use althing_ring::{Maglev, Node};
    ///
    /// let nodes = |weight| Maglev::new([Node::new("a").weight(weight)]);
    /// assert_eq!((nodes(1)?.places(), nodes(655)?.places()), (65_537, 65_537));
    /// assert_eq!(nodes(656)?.places(), 131_101);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    ///
    /// # Errors
    /// Two equal ids, or more nodes or weight than there can be.
    pub fn new<N: IntoNode<Id = Id>>(
        nodes: impl IntoIterator<Item = N>,
    ) -> Result<Self, RingError> {
        Self::with(DefaultHash::default(), None, nodes)
    }
}

impl<Id: crate::NodeName, H: KeyHasher> Maglev<Id, H> {
    /// These nodes, with another hash, and the first prime from this number on as the size of the
    /// table; `None` is what `new` does.
    ///
    /// ```
    /// use althing_ring::{Maglev, RapidHash};
    ///
    /// let nodes = Maglev::with(RapidHash, Some(1_000_000), ["a", "b"])?;
    /// assert_eq!(nodes.places(), 1_000_003);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    ///
    /// # Errors
    /// Two equal ids, or more nodes, weight or places than there can be.
    pub fn with<N: IntoNode<Id = Id>>(
        hasher: H,
        places_min: Option<u32>,
        nodes: impl IntoIterator<Item = N>,
    ) -> Result<Self, RingError> {
        let members = by_id(&hasher, nodes)?;
        let weight: u64 = members.iter().map(|member| u64::from(member.weight)).sum();
        let places = weight.saturating_mul(PLACES_PER_WEIGHT).max(PLACES_MIN);
        // Beyond the limit it only has to stay beyond it.
        let automatic = places.checked_next_power_of_two().unwrap_or(u64::MAX);
        // Every node needs a place, whatever was asked for.
        let needed = places_min.map_or(automatic, u64::from).max(members.len() as u64);
        if needed > BUCKETS_MAX as u64 {
            return Err(RingError::TooManyPoints { needed, max: BUCKETS_MAX });
        }
        let table = if members.is_empty() { Vec::new() } else { fill(&members, prime(needed)) };
        Ok(Self { members, table, hasher })
    }
}

for_keys!(Maglev);

impl<Id, H> Maglev<Id, H> {
    /// How many places the table has, four bytes each.
    ///
    /// ```
    /// assert_eq!(althing_ring::Maglev::new(["a"])?.places(), 65_537);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn places(&self) -> usize {
        self.table.len()
    }

    /// The place of a hash: its upper bits, scaled to the table.
    #[inline]
    fn place(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.table.len() as u128) >> 64) as usize
    }
}

impl<Id, H> Placement<Id> for Maglev<Id, H> {
    #[inline]
    fn owner_of(&self, hash: u64) -> Option<&Id> {
        let slot = *self.table.get(self.place(hash))?;
        Some(&self.members[slot as usize].id)
    }

    /// Goes through the table from the owner's place on.
    fn replicas_into<'a>(&'a self, hash: u64, found: &mut [Option<&'a Id>]) -> usize {
        let wanted = found.len().min(self.members.len());
        let (before, after) = self.table.split_at(self.place(hash));
        let around = after.iter().chain(before).copied();
        for (place, slot) in found.iter_mut().zip(first_of_each(around, wanted)) {
            *place = Some(&self.members[slot as usize].id);
        }
        wanted
    }

    fn live_nodes(&self) -> usize {
        self.members.len()
    }
}

/// A node's way through the table: all places, each once, because their number is a prime.
struct Way {
    next: u64,
    skip: u64,
    turns: u64,
}

/// Lets the nodes take places in turn until none is left. The heaviest has a turn in every round,
/// another as often as its weight is worth, and each has one in the first.
fn fill<Id>(members: &[Member<Id>], places: u64) -> Vec<u32> {
    let heaviest = members.iter().map(|member| u64::from(member.weight)).max().unwrap_or(1);
    let mut ways: Vec<Way> = members
        .iter()
        .map(|member| Way {
            next: member.seed % places,
            skip: mix(member.seed) % (places - 1) + 1,
            turns: 0,
        })
        .collect();
    // The round and the slot of each node's next turn, the earliest first.
    let mut turns: BinaryHeap<Reverse<(u64, u32)>> =
        (0..members.len() as u32).map(|slot| Reverse((0, slot))).collect();
    let mut table = vec![NOBODY; places as usize];
    for _ in 0..places {
        let mut turn = turns.peek_mut().expect("every node has a next turn");
        let slot = turn.0.1;
        let way = &mut ways[slot as usize];
        while table[way.next as usize] != NOBODY {
            way.next = (way.next + way.skip) % places;
        }
        table[way.next as usize] = slot;
        way.turns += 1;
        // At most 2^25 turns times 2^32.
        turn.0.0 = way.turns * heaviest / u64::from(members[slot as usize].weight);
    }
    table
}

/// The smallest prime that is at least `number` and at least 3.
fn prime(number: u64) -> u64 {
    let is_prime = |candidate: u64| {
        let divisors = (3..).step_by(2).take_while(|divisor| divisor * divisor <= candidate);
        !divisors.into_iter().any(|divisor| candidate.is_multiple_of(divisor))
    };
    (number.max(3) | 1..).step_by(2).find(|candidate| is_prime(*candidate)).expect("there are more")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lightest_has_a_place_before_the_heaviest_has_two() {
        let nodes =
            (0..11_u32).map(|id| crate::Node::new(id).weight(if id == 0 { 9_999 } else { 1 }));
        let hasher = |bytes: &[u8]| bytes.iter().fold(7, |hash, byte| mix(hash ^ u64::from(*byte)));
        let tight = Maglev::with(hasher, Some(11), nodes).expect("eleven nodes");
        assert_eq!(tight.places(), 11);
        assert_eq!(tight.replicas_of(0, 11).len(), 11);
    }

    #[test]
    fn the_size_is_the_next_prime() {
        for (number, expected) in
            [(0, 3), (3, 3), (4, 5), (100, 101), (65_536, 65_537), (1 << 24, 16_777_259)]
        {
            assert_eq!(prime(number), expected);
        }
    }
}
