//! Bounded loads, and the next node that takes a key.

use althing_ring::{Loads, LoadsError, Node, Placement as _, Ring};

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
