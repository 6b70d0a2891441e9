//! Highest random weight: every node has a number for every key, and the highest wins.
//!
//! D. Thaler, C. Ravishankar: Using Name-Based Mappings to Increase Hit Rates (1998); weights after
//! C. Schindelhauer, G. Schomaker: Weighted Distributed Hash Tables (2005).

use alloc::vec::Vec;

use super::logarithm::ln;
use super::members::{Member, by_id};
use super::{for_keys, mix};
use crate::error::RingError;
use crate::hasher::KeyHasher;
use crate::node::IntoNode;
use crate::placement::Placement;
use crate::ring::DefaultHash;

/// Rendezvous hashing: shares as flat as chance allows, in a time that grows with the nodes.
///
/// A node's number for a key is `-w / ln(h)`, where `w` is its weight and `h` a hash of key and
/// node between 0 and 1. The next replica is who would own the key if those before it were gone; a
/// node that comes or goes moves nothing between others, whatever the weights.
///
/// ```
/// use althing_ring::{Node, Rendezvous};
///
/// let nodes = Rendezvous::new([Node::new("a"), Node::new("b").weight(3), Node::new("c")])?;
/// let replicas = nodes.replicas("user:42", 2);
/// assert_eq!(replicas[0], nodes.owner("user:42").expect("there are nodes"));
/// # Ok::<(), althing_ring::RingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rendezvous<Id, H = DefaultHash> {
    members: Vec<Member<Id>>,
    /// Where all weights are equal, they need not be computed with.
    is_weighted: bool,
    hasher: H,
}

#[cfg(feature = "rapidhash")]
impl<Id: crate::NodeName> Rendezvous<Id> {
    /// These nodes, with the default hash.
    ///
    /// ```
    /// use althing_ring::Rendezvous;
    ///
    /// let nodes = Rendezvous::new(["a", "b", "c"])?;
    /// let replicas = nodes.replicas("user:42", 2);
    /// let without = Rendezvous::new(["a", "b", "c"].into_iter().filter(|id| id != replicas[0]))?;
    /// assert_eq!(without.owner("user:42"), Some(replicas[1]));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    ///
    /// # Errors
    /// Two equal ids, or more nodes than there can be.
    pub fn new<N: IntoNode<Id = Id>>(
        nodes: impl IntoIterator<Item = N>,
    ) -> Result<Self, RingError> {
        Self::with(DefaultHash::default(), nodes)
    }
}

impl<Id: crate::NodeName, H: KeyHasher> Rendezvous<Id, H> {
    /// These nodes, with another hash.
    ///
    /// ```
    /// use althing_ring::{RapidHash, Rendezvous};
    ///
    /// assert!(Rendezvous::with(RapidHash, ["a", "b"])?.owner("user:42").is_some());
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    ///
    /// # Errors
    /// Two equal ids, or more nodes than there can be.
    pub fn with<N: IntoNode<Id = Id>>(
        hasher: H,
        nodes: impl IntoIterator<Item = N>,
    ) -> Result<Self, RingError> {
        let members = by_id(&hasher, nodes)?;
        let is_weighted = members.windows(2).any(|pair| pair[0].weight != pair[1].weight);
        Ok(Self { members, is_weighted, hasher })
    }
}

for_keys!(Rendezvous);

impl<Id, H> Rendezvous<Id, H> {
    /// What a node bids for a hash, if that may be more than `least`. Of equal bids, that of the
    /// smaller id wins.
    #[inline]
    fn bid_above(&self, member: &Member<Id>, hash: u64, least: f64) -> Option<f64> {
        /// Far more than the rounding of all that is computed here, so that no bid is passed over
        /// that would turn out to be higher.
        const MARGIN: f64 = 1.0 - 1e-12;
        let random = mix(hash ^ member.seed) >> 11;
        let bid = if self.is_weighted {
            // The middle of one of 2^53 pieces of what lies between 0 and 1, so never either.
            let random = (random as f64 + 0.5) / (1_u64 << 53) as f64;
            let weight = f64::from(member.weight);
            // As -ln(h) is at least 1 - h, most bids need no logarithm to be seen to be too low.
            if weight <= least * (1.0 - random) * MARGIN {
                return None;
            }
            weight / -ln(random)
        } else {
            random as f64
        };
        (bid > least).then_some(bid)
    }
}

impl<Id, H> Placement<Id> for Rendezvous<Id, H> {
    #[inline]
    fn owner_of(&self, hash: u64) -> Option<&Id> {
        let mut best = None;
        // Every bid is above this.
        let mut highest = -1.0;
        for member in &self.members {
            if let Some(bid) = self.bid_above(member, hash, highest) {
                (best, highest) = (Some(&member.id), bid);
            }
        }
        best
    }

    /// Looks once at every node, and keeps the best in order.
    fn replicas_into<'a>(&'a self, hash: u64, found: &mut [Option<&'a Id>]) -> usize {
        /// Above this many, putting all in order is faster than keeping some in order.
        const FEW: usize = 32;
        let wanted = found.len().min(self.members.len());
        let mut best: Vec<(f64, &'a Id)> = Vec::with_capacity(wanted + 1);
        for member in &self.members {
            let is_full = best.len() == wanted && wanted <= FEW;
            let least = best.last().filter(|_| is_full).map_or(-1.0, |last| last.0);
            let Some(bid) = self.bid_above(member, hash, least) else { continue };
            if wanted > FEW {
                best.push((bid, &member.id));
            } else {
                let position = best.partition_point(|other| other.0 >= bid);
                best.insert(position, (bid, &member.id));
                best.truncate(wanted);
            }
        }
        // A stable sort: of equal bids that of the smaller id comes first, as above.
        best.sort_by(|one, other| other.0.total_cmp(&one.0));
        for (place, (_, id)) in found.iter_mut().zip(best).take(wanted) {
            *place = Some(id);
        }
        wanted
    }

    fn live_nodes(&self) -> usize {
        self.members.len()
    }
}

#[cfg(all(test, feature = "rapidhash"))]
mod tests {
    use super::*;
    use crate::Node;

    #[test]
    fn no_bid_is_passed_over_that_is_the_highest() {
        let weighted = (0..60_u32).map(|id| Node::new(id).weight(1 + id * id % 23));
        let nodes = Rendezvous::new(weighted).expect("sixty nodes");
        for key in 0..5_000_u32 {
            let hash = nodes.hash(key.to_le_bytes());
            let bid = |member: &Member<u32>| {
                let random = (mix(hash ^ member.seed) >> 11) as f64 + 0.5;
                f64::from(member.weight) / -ln(random / (1_u64 << 53) as f64)
            };
            let mut bids: Vec<(f64, u32)> =
                nodes.members.iter().map(|member| (bid(member), member.id)).collect();
            bids.sort_by(|one, other| other.0.total_cmp(&one.0));
            assert_eq!(nodes.owner_of(hash), Some(&bids[0].1));
            let first: Vec<&u32> = bids.iter().map(|(_, id)| id).take(40).collect();
            assert_eq!(nodes.replicas_of(hash, 5), first[..5]);
            assert_eq!(nodes.replicas_of(hash, 40), first);
        }
    }
}
