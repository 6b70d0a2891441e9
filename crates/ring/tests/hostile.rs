//! Input that means harm, or is merely large: an error or a sound answer, in bounded time and memory.

use althing_ring::{
    Circle, KeyHasher, Loads, LoadsError, Node, Placement as _, RapidHash, Ring, RingError,
    Settings,
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

#[test]
fn one_key_asked_for_by_everybody_fills_no_node_above_its_bound() {
    for slack in [0, 10, 25, 100] {
        let ring = Ring::new((0_u32..50).map(|id| Node::new(id).weight(1 + id % 3))).expect("50");
        let mut loads = Loads::new(slack);
        for _ in 0..20_000 {
            let node = *loads.place(&ring, "hot").expect("the bounds leave room for all");
            assert!(loads.of(&node) <= loads.bound(&ring, &node));
        }
        for node in ring.nodes() {
            let share = 20_000.0 * f64::from(node.weight)
                / f64::from((0..50).map(|id| 1 + id % 3).sum::<u32>());
            let bound = (share * (1.0 + f64::from(slack) / 100.0)).ceil() as u64;
            assert!(loads.of(&node.id) <= bound, "{} > {bound}", loads.of(&node.id));
        }
    }
}

#[test]
fn loads_outlive_a_change_of_the_ring_and_always_leave_room() {
    let mut ring = Ring::new(["a", "b", "c"]).expect("three");
    let mut loads = Loads::new(0);
    for _ in 0..30 {
        loads.place(&ring, "hot").expect("there is room");
    }
    assert!(["a", "b", "c"].iter().all(|node| loads.of(node) == 10));
    ring.remove("a").expect("it is there");
    ring.remove("b").expect("it is there");
    for _ in 0..30 {
        assert_eq!(loads.place(&ring, "hot"), Ok(&"c"));
    }
    assert_eq!((loads.forget(&"a"), loads.total()), (10, 50));
    assert_eq!(loads.release(&"a"), Err(LoadsError::NothingToRelease));
}

#[test]
fn every_node_is_asked_once_before_a_key_is_given_up() {
    for nodes in [1_u32, 5, 16, 17, 300] {
        let ring = Ring::new(0..nodes).expect("a ring");
        let mut asked = Vec::new();
        let nobody = ring.first_that(7, |node| {
            asked.push(node.id);
            false
        });
        assert_eq!(nobody, None);
        let all: Vec<u32> = ring.replicas_of(7, usize::MAX).into_iter().copied().collect();
        assert_eq!(asked, all);
    }
}
