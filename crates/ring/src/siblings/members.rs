//! The nodes of an algorithm that has no circle: who they are, and a random number for each.

use alloc::vec::Vec;

use super::mix;
use crate::error::RingError;
use crate::hasher::KeyHasher;
use crate::name::NodeName;
use crate::node::{IntoNode, Node};

/// How many nodes there can be, as in a ring.
const MEMBERS_MAX: usize = crate::circle::Circle::SLOTS_MAX;

/// A node that has weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member<Id> {
    pub(super) id: Id,
    pub(super) weight: u32,
    /// Follows from the name; by all odds no two members have the same.
    pub(super) seed: u64,
}

/// All nodes that have weight, in the order of their ids.
pub(super) fn by_id<N: IntoNode>(
    hasher: &impl KeyHasher,
    nodes: impl IntoIterator<Item = N>,
) -> Result<Vec<Member<N::Id>>, RingError> {
    let mut nodes = collect(nodes)?;
    nodes.sort_by(|one, other| one.id.cmp(&other.id));
    if nodes.windows(2).any(|pair| pair[0].id == pair[1].id) {
        return Err(RingError::DuplicateNode);
    }
    let mut name = Vec::new();
    let mut members = Vec::with_capacity(nodes.len());
    for node in nodes.into_iter().filter(|node| node.weight > 0) {
        name.clear();
        node.id.write_name(&mut name);
        let seed = mix(hasher.hash_bytes(&name));
        members.push(Member { id: node.id, weight: node.weight, seed });
    }
    separate(&mut members);
    Ok(members)
}

/// The nodes, if they are not too many.
pub(super) fn collect<N: IntoNode>(
    nodes: impl IntoIterator<Item = N>,
) -> Result<Vec<Node<N::Id>>, RingError> {
    let nodes = nodes.into_iter().take(MEMBERS_MAX + 1).map(IntoNode::into_node);
    let nodes: Vec<_> = nodes.collect();
    if nodes.len() > MEMBERS_MAX {
        return Err(RingError::TooManyNodes { max: MEMBERS_MAX });
    }
    Ok(nodes)
}

/// Gives members whose names have the same hash numbers of their own, by the order of their ids. It
/// takes a bad hash, but then all of them would be in each other's way.
fn separate<Id>(members: &mut [Member<Id>]) {
    let mut order: Vec<(u64, usize)> =
        members.iter().enumerate().map(|(position, member)| (member.seed, position)).collect();
    order.sort_unstable();
    for same in order.chunk_by(|one, other| one.0 == other.0) {
        for (number, &(seed, position)) in (0_u64..).zip(same).skip(1) {
            members[position].seed = mix(seed ^ mix(number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_weight_and_stand_by_id() {
        let hasher = |bytes: &[u8]| bytes.len() as u64;
        let nodes = [Node::new("c"), Node::new("a").weight(2), Node::new("b").weight(0)];
        let members = by_id(&hasher, nodes).expect("three nodes");
        let seen: Vec<_> = members.iter().map(|member| (member.id, member.weight)).collect();
        assert_eq!(seen, [("a", 2), ("c", 1)]);
        // Their names are equally long, which is all that this hash sees.
        assert_ne!(members[0].seed, members[1].seed);
        assert_eq!(by_id(&hasher, ["a", "a"]), Err(RingError::DuplicateNode));
    }
}
