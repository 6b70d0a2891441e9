//! Multi-probe consistent hashing: one point for each node, and several looks for each key.
//!
//! B. Appleton, M. O'Reilly: Multi-Probe Consistent Hashing (2015).

use alloc::vec::Vec;

use super::buckets::first_of_each;
use super::members::{Member, by_id};
use super::{for_keys, rehash};
use crate::circle::Circle;
use crate::error::RingError;
use crate::hasher::KeyHasher;
use crate::node::IntoNode;
use crate::placement::Placement;
use crate::ring::DefaultHash;

/// As many places are looked at for a key: `1 + 1 / e` of them for a peak of `1 + e` times the
/// mean, and here `e` is 0.05.
const PROBES: u64 = 21;

/// Points in all at most: where nearly all of them are one heavy node's, the search for a replica
/// passes every one of them.
const POINTS_MAX: usize = 1 << 20;

/// Replicas up to this one are found by probes, those beyond it by walking on.
const PROBED_MAX: usize = 16;

/// A circle with a single point for each unit of weight. Of 21 places that follow from a key, the
/// one that lies closest before a point decides.
///
/// It takes a hundredth of a ring's memory, and no node gets much more than its share; but one may
/// get much less, as only the peak is bounded. A lookup is 21 of a ring's. The next replica is who
/// would own the key if those before it were gone (as far as the 16th).
///
/// ```
/// use althing_ring::MultiProbe;
///
/// let nodes = MultiProbe::new(["a", "b", "c"])?;
/// let replicas = nodes.replicas("user:42", 2);
/// assert_eq!(replicas[0], nodes.owner("user:42").expect("there are nodes"));
/// # Ok::<(), althing_ring::RingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultiProbe<Id, H = DefaultHash> {
    members: Vec<Member<Id>>,
    circle: Circle,
    hasher: H,
}

#[cfg(feature = "rapidhash")]
impl<Id: crate::NodeName> MultiProbe<Id> {
    /// These nodes, with the default hash.
    ///
    /// ```
    /// use althing_ring::{MultiProbe, Node, RingError};
    ///
    /// let error = MultiProbe::new([Node::new("a").weight(1 << 20), Node::new("b")]).unwrap_err();
    /// assert_eq!(error, RingError::TooManyPoints { needed: 1_048_577, max: 1_048_576 });
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

impl<Id: crate::NodeName, H: KeyHasher> MultiProbe<Id, H> {
    /// These nodes, with another hash.
    ///
    /// ```
    /// use althing_ring::{MultiProbe, RapidHash};
    ///
    /// assert!(MultiProbe::with(RapidHash, ["a", "b"])?.owner("user:42").is_some());
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    ///
    /// # Errors
    /// Two equal ids, or more nodes or weight than there can be.
    pub fn with<N: IntoNode<Id = Id>>(
        hasher: H,
        nodes: impl IntoIterator<Item = N>,
    ) -> Result<Self, RingError> {
        let members = by_id(&hasher, nodes)?;
        let needed = members.iter().map(|member| u64::from(member.weight)).sum();
        if needed > POINTS_MAX as u64 {
            return Err(RingError::TooManyPoints { needed, max: POINTS_MAX });
        }
        // Equal points stay in the order of the ids.
        let points = (0_u32..).zip(&members).flat_map(|(slot, member)| {
            (0..u64::from(member.weight)).map(move |unit| (rehash(member.seed, unit), slot))
        });
        let circle = Circle::new(points)?;
        Ok(Self { members, circle, hasher })
    }
}

for_keys!(MultiProbe);

impl<Id, H> MultiProbe<Id, H> {
    /// The slot of the point that comes closest behind one of the probes, and that probe; points of
    /// the slots in `without` do not count.
    fn closest(&self, hash: u64, without: &[u32]) -> Option<(u32, u64)> {
        let probes = (0..PROBES).map(|number| rehash(hash, number));
        let next = probes.filter_map(|probe| self.next_point(probe, without));
        next.min_by_key(|(distance, ..)| *distance).map(|(_, slot, probe)| (slot, probe))
    }

    /// How far it is from a probe to the first point that counts, whose that is, and the probe.
    fn next_point(&self, probe: u64, without: &[u32]) -> Option<(u64, u32, u64)> {
        let first = self.circle.successor(probe)?;
        for step in 0..self.circle.len() {
            let position = (first + step) % self.circle.len();
            let (point, slot) = self.circle.point(position)?;
            if !without.contains(&slot) {
                return Some((point.wrapping_sub(probe), slot, probe));
            }
        }
        None
    }
}

impl<Id, H> Placement<Id> for MultiProbe<Id, H> {
    #[inline]
    fn owner_of(&self, hash: u64) -> Option<&Id> {
        let (slot, _) = self.closest(hash, &[])?;
        Some(&self.members[slot as usize].id)
    }

    fn replicas_into<'a>(&'a self, hash: u64, found: &mut [Option<&'a Id>]) -> usize {
        let wanted = found.len().min(self.members.len());
        let mut slots: Vec<u32> = Vec::with_capacity(wanted);
        let mut last = hash;
        while slots.len() < wanted.min(PROBED_MAX) {
            let (slot, probe) = self.closest(hash, &slots).expect("not all nodes are excluded");
            slots.push(slot);
            last = probe;
        }
        if slots.len() < wanted {
            slots = first_of_each(slots.into_iter().chain(self.circle.walk(last)), wanted);
        }
        for (place, slot) in found.iter_mut().zip(slots) {
            *place = Some(&self.members[slot as usize].id);
        }
        wanted
    }

    fn live_nodes(&self) -> usize {
        self.members.len()
    }
}
