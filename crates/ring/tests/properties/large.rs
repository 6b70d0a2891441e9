//! Numbers that are too large, or only just not: an error or a sound answer, in bounded memory.

use althing_ring::{Circle, Node, RapidHash, Ring, RingError, Settings};

#[test]
fn a_weight_that_asks_for_all_the_memory_is_refused_and_changes_nothing() {
    let needed = u64::from(u32::MAX) * 160;
    let error = RingError::TooManyPoints { needed, max: 1 << 24 };
    assert_eq!(Ring::new([Node::new("a").weight(u32::MAX)]).expect_err("too much"), error);
    let mut ring = Ring::new(["b"]).expect("one node");
    let before = ring.clone();
    assert!(ring.add(Node::new("a").weight(u32::MAX)).is_err());
    assert_eq!(ring.set_weight("b", u32::MAX), Err(error));
    assert_eq!(ring, before);
    let many = (0..1000).map(|id| Node::new(id).weight(u32::MAX));
    assert!(matches!(Ring::new(many), Err(RingError::TooManyPoints { .. })));
}

#[test]
fn a_million_nodes_are_refused_with_many_points_and_served_with_few() {
    let nodes = 1_000_000_u32;
    let refused = Ring::new(0..nodes).expect_err("160,000,000 points");
    assert_eq!(refused, RingError::TooManyPoints { needed: 160_000_000, max: 1 << 24 });
    let few = Settings::default().points_per_weight(4);
    let mut ring = Ring::with(few, RapidHash, 0..nodes).expect("4,000,000 points");
    let copies = ring.replicas("key", 3);
    assert_eq!(copies[0], ring.owner("key").expect("there are nodes"));
    let owner = *copies[0];
    ring.remove(&owner).expect("it is there");
    assert_ne!(ring.owner("key"), Some(&owner));
    assert_eq!(ring.replicas("key", usize::MAX).len(), 999_999);
}

#[test]
fn more_nodes_than_there_are_slots_are_refused() {
    let one = Settings::default().points_per_weight(1);
    let max = Circle::SLOTS_MAX;
    let error = RingError::TooManyNodes { max };
    assert_eq!(Ring::with(one, RapidHash, 0_u32..).expect_err("no end of nodes"), error);
    let mut ring = Ring::with(one, RapidHash, 0..max as u32).expect("as many as there can be");
    assert_eq!(ring.add(max as u32), Err(error));
    assert!(Circle::new([(0, max as u32)]).is_err());
}
