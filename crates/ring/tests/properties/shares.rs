//! Over millions of keys: who gets how much, and that no more moves than must.

use althing_ring::{Node, Placement as _, Ring};

use crate::spread;

const KEYS: u64 = 2_000_000;

fn ring(nodes: u32) -> Ring<u32> {
    Ring::new(0..nodes).expect("the ids are different")
}

#[test]
fn removing_a_node_moves_its_keys_and_no_others() {
    let before = ring(100);
    let mut after = before.clone();
    after.remove(&17).expect("17 is there");
    let mut moved = 0;
    for hash in spread(KEYS) {
        let (from, to) = (before.owner_of(hash), after.owner_of(hash));
        assert_eq!(from != to, from == Some(&17), "{hash:#x}");
        moved += u64::from(from != to);
    }
    assert!((KEYS / 130..KEYS / 70).contains(&moved), "{moved} moved, of which about 1% should");
}

#[test]
fn adding_a_node_moves_only_what_it_gains_which_is_about_its_share() {
    for nodes in [1_u32, 2, 9, 99, 999] {
        let before = ring(nodes);
        let mut after = before.clone();
        after.add(nodes).expect("it is new");
        let mut moved = 0;
        for hash in spread(KEYS) {
            let (from, to) = (before.owner_of(hash), after.owner_of(hash));
            assert_eq!(from != to, to == Some(&nodes), "{hash:#x}");
            moved += u64::from(from != to);
        }
        let fair = KEYS as f64 / f64::from(nodes + 1);
        let ratio = moved as f64 / fair;
        assert!((0.75..1.25).contains(&ratio), "{ratio} of its share, with {nodes} before it");
    }
}

#[test]
fn adding_and_removing_at_once_moves_nothing_between_those_that_stay() {
    let before = ring(50);
    let mut after = before.clone();
    after.remove(&3).expect("3 is there");
    after.add(Node::new(50).weight(2)).expect("50 is new");
    after.set_weight(&7, 0).expect("7 is there");
    for hash in spread(KEYS) {
        let (from, to) = (before.owner_of(hash), after.owner_of(hash));
        assert!(from == to || to == Some(&50) || [Some(&3), Some(&7)].contains(&from), "{hash:#x}");
    }
}

#[test]
fn a_change_of_weight_moves_keys_in_one_direction_only() {
    let light = ring(30);
    let mut heavy = light.clone();
    heavy.set_weight(&4, 3).expect("4 is there");
    for hash in spread(KEYS) {
        let (from, to) = (light.owner_of(hash), heavy.owner_of(hash));
        assert!(from == to || to == Some(&4), "{hash:#x}");
    }
}

/// The stated bound: with `p` points a node's share is within `4 / sqrt(p)` of what its weight
/// says.
#[test]
fn weights_are_honoured_within_four_standard_deviations() {
    for nodes in [10_u32, 100, 1_000] {
        let weight = |id: u32| 1 + id % 5;
        let ring = Ring::new((0..nodes).map(|id| Node::new(id).weight(weight(id))))
            .expect("the ids are different");
        let total: u32 = (0..nodes).map(weight).sum();
        for (&id, share) in ring.shares() {
            let fair = f64::from(weight(id)) / f64::from(total);
            let bound = 4.0 / f64::from(weight(id) * 160).sqrt();
            assert!((share / fair - 1.0).abs() < bound, "{id} of {nodes}: {}", share / fair);
        }
    }
}

#[test]
fn keys_fall_as_the_shares_say() {
    let ring = ring(100);
    let mut keys = [0_u64; 100];
    for hash in spread(KEYS) {
        keys[*ring.owner_of(hash).expect("there are nodes") as usize] += 1;
    }
    for ((&id, share), keys) in ring.shares().zip(keys) {
        let fair = share * KEYS as f64;
        assert!((keys as f64 - fair).abs() < 5.0 * fair.sqrt(), "{id}: {keys}, not {fair}");
    }
}

#[test]
fn more_points_share_more_evenly() {
    let peak = |points: u32| {
        let settings = althing_ring::Settings::default().points_per_weight(points);
        let ring = Ring::with(settings, althing_ring::RapidHash, 0_u32..100).expect("a ring");
        ring.shares().map(|(_, share)| share * 100.0).fold(0.0, f64::max)
    };
    let peaks = [10, 160, 2_560].map(peak);
    assert!(peaks[0] > 1.5 && peaks[1] < 1.4 && peaks[2] < 1.1, "{peaks:?}");
}

/// No release may move keys unnoticed.
#[test]
fn owners_stay_what_they_are_from_release_to_release() {
    let ring = Ring::new(["alpha", "beta", "gamma", "delta"]).expect("the ids are different");
    let owners: Vec<&str> =
        (0..8).map(|key| *ring.owner(key.to_string()).expect("nodes")).collect();
    assert_eq!(owners.join(" "), "delta delta alpha gamma delta gamma alpha alpha");
    let first: Vec<u64> = ring.points().take(2).map(|(point, _)| point).collect();
    assert_eq!(first, [5_047_364_647_649_280, 24_827_600_270_524_416]);
}
