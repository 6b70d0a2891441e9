//! What holds for every ring, whatever its nodes and its hash.

mod changes;
mod hostile;
mod large;
mod loads;
mod model;
mod shares;

use althing_ring::{KeyHasher, Node, PointBits, RapidHash, Settings};
use proptest::prelude::*;

/// Hashes as good as can be, and as bad as can be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hash {
    /// The one that is used.
    Good,
    /// All points and keys at one place.
    Constant(u64),
    /// A handful of places.
    Crowded,
    /// The upper half of the bits always zero, and nearly all of the places that are left shared.
    Low,
    /// Half of everything in a tiny part of the circle, at its very end.
    Lopsided,
}

impl KeyHasher for Hash {
    fn hash_bytes(&self, bytes: &[u8]) -> u64 {
        let hash = RapidHash.hash_bytes(bytes);
        match self {
            Self::Good => hash,
            Self::Constant(place) => *place,
            Self::Crowded => hash & (0b111 << 61),
            Self::Low => hash >> 36,
            Self::Lopsided if hash & 1 == 0 => u64::MAX - (hash >> 30),
            Self::Lopsided => hash,
        }
    }
}

pub(crate) fn hash() -> impl Strategy<Value = Hash> {
    prop_oneof![
        3 => Just(Hash::Good),
        1 => prop_oneof![Just(0), Just(u64::MAX), any::<u64>()].prop_map(Hash::Constant),
        1 => Just(Hash::Crowded),
        1 => Just(Hash::Low),
        1 => Just(Hash::Lopsided),
    ]
}

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    let bits = prop_oneof![Just(PointBits::ThirtyTwo), Just(PointBits::SixtyFour)];
    (1_u32..60, bits)
        .prop_map(|(points, bits)| Settings::default().points_per_weight(points).point_bits(bits))
}

/// A node with one of twenty ids, a small weight, and perhaps a zone and a rack.
pub(crate) fn node() -> impl Strategy<Value = Node<u32>> {
    let domain = || prop::option::of(prop_oneof![Just("x"), Just("y"), Just("z")]);
    (0_u32..20, 0_u32..4, domain(), domain()).prop_map(|(id, weight, zone, rack)| {
        let node = Node::new(id).weight(weight);
        let node = if let Some(zone) = zone { node.zone(zone) } else { node };
        if let Some(rack) = rack { node.rack(rack) } else { node }
    })
}

/// Nodes with different ids, in any order.
pub(crate) fn nodes() -> impl Strategy<Value = Vec<Node<u32>>> {
    prop::collection::vec(node(), 0..20).prop_map(|mut nodes| {
        let mut seen = Vec::new();
        nodes.retain(|node| {
            !seen.contains(&node.id) && {
                seen.push(node.id);
                true
            }
        });
        nodes
    })
}

/// `count` hashes that are spread over the circle.
pub(crate) fn spread(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|number| RapidHash.hash_bytes(&number.to_le_bytes()))
}

/// Hashes at which something may go wrong: at every point, just before and just after it, and at
/// the ends.
pub(crate) fn edges(points: impl Iterator<Item = u64>) -> Vec<u64> {
    let around = |point: u64| {
        let before = point.wrapping_sub(1);
        [point, before, point | 0xf_ffff, (point | 0xf_ffff).wrapping_add(1), point | 0xffff_ffff]
    };
    points.flat_map(around).chain([0, 1, u64::MAX]).collect()
}
