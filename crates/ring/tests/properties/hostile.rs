//! Input that means harm or is merely odd: an error or a sound answer.

use althing_ring::{
    KeyHasher, Loads, LoadsError, Node, Placement as _, RapidHash, Ring, RingError, Settings,
};

#[test]
fn an_empty_ring_has_no_owner_and_no_copies() {
    let ring = Ring::<u32>::default();
    assert_eq!(ring.owner("key"), None);
    assert!(ring.replicas("key", usize::MAX).is_empty());
    assert_eq!(ring.replica_array::<2>("key"), [None, None]);
    assert_eq!(ring.ranges().count(), 0);
    assert_eq!(ring.diff(&ring), []);
    assert_eq!(Ring::<u32>::new::<u32>([]), Ok(ring));
}

#[test]
fn the_last_node_can_go_and_come_back() {
    let mut ring = Ring::new(["a"]).expect("one node");
    ring.remove("a").expect("it is there");
    assert_eq!(ring, Ring::default());
    assert_eq!(ring.owner("key"), None);
    ring.add("a").expect("it is gone");
    assert_eq!(ring.owner("key"), Some(&"a"));
}

#[test]
fn a_node_without_weight_owns_nothing() {
    let ring = Ring::new([Node::new("a").weight(0), Node::new("b").weight(0)]).expect("two");
    assert_eq!((ring.len(), ring.live_nodes(), ring.owner("key")), (2, 0, None));
    assert_eq!(Loads::new(25).place(&ring, "key"), Err(LoadsError::NoNodes));
    let ring = Ring::new([Node::new("a").weight(0), Node::new("b")]).expect("two");
    assert_eq!(ring.replicas("key", 2), [&"b"]);
    assert_eq!(ring.shares().map(|(_, share)| share).collect::<Vec<_>>(), [0.0, 1.0]);
}

#[test]
fn two_nodes_of_one_name_are_refused_and_change_nothing() {
    assert_eq!(Ring::new(["a", "b", "a"]).expect_err("twice"), RingError::DuplicateNode);
    let mut ring = Ring::new(["a", "b"]).expect("two");
    let before = ring.clone();
    assert_eq!(ring.add(Node::new("a").weight(9)), Err(RingError::DuplicateNode));
    assert_eq!(ring, before);
}

/// A hash that sends everything to one place, wherever that is.
fn constant(place: u64) -> impl KeyHasher + Copy {
    move |_: &[u8]| place
}

#[test]
fn a_hash_that_is_constant_gives_everything_to_the_smallest_id() {
    for place in [0, 1 << 20, 1 << 63, u64::MAX] {
        let nodes = || (0_u32..1_000).rev();
        let mut ring = Ring::with(Settings::default(), constant(place), nodes()).expect("a ring");
        assert_eq!(ring.owner("key"), Some(&0));
        assert_eq!(ring.owner_of(!place), Some(&0));
        assert_eq!(ring.replicas("key", 3), [&0, &1, &2]);
        assert_eq!(ring.replicas("key", 1_000).len(), 1_000);
        ring.remove(&0).expect("0 is there");
        ring.remove(&500).expect("500 is there");
        assert_eq!(ring.replicas("key", 2), [&1, &2]);
        ring.add(0).expect("0 is gone");
        assert_eq!(ring.owner("key"), Some(&0));
    }
}

#[test]
fn points_that_crowd_into_a_tiny_part_of_the_circle_are_still_told_apart() {
    let tiny = |bytes: &[u8]| RapidHash.hash_bytes(bytes) >> 20;
    let ring = Ring::with(Settings::default(), tiny, 0_u32..1_000).expect("a ring");
    let points: Vec<(u64, u32)> = ring.points().map(|(point, id)| (point, *id)).collect();
    for (key, &(point, id)) in points.iter().enumerate().filter(|(key, _)| key % 997 == 0) {
        let first = points.partition_point(|&(other, _)| other < point);
        assert_eq!(ring.owner_of(point), Some(&points[first].1), "{key}");
        assert!(points[first..].iter().any(|&(_, other)| other == id));
    }
}

#[test]
fn points_set_by_hand_may_be_equal_many_or_none() {
    let ring = Ring::new([
        Node::new("all at one").points([7 << 40; 500]),
        Node::new("at the ends").points([0, u64::MAX]),
        Node::new("none").points([]),
    ])
    .expect("a ring");
    assert_eq!((ring.live_nodes(), ring.circle().len()), (2, 502));
    assert_eq!(ring.owner_of(1 << 40), Some(&"all at one"));
    assert_eq!(ring.owner_of(8 << 40), Some(&"at the ends"));
    assert_eq!(ring.owner_of(u64::MAX), Some(&"at the ends"));
    let mut without = ring.clone();
    without.remove("all at one").expect("it is there");
    assert_eq!(without.circle().len(), 2);
}
