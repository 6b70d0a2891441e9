//! What every algorithm keeps, and what each of them promises beyond that.

use std::collections::BTreeMap;

use althing_ring::{
    Jump, KeyHasher, Maglev, Memento, MultiProbe, Node, Placement, RapidHash, Rendezvous, Ring,
    RingError,
};

type Any = Box<dyn Placement<u32>>;

/// What algorithm, with a table of at least so many places where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ring,
    Rendezvous,
    Jump,
    MultiProbe,
    Maglev,
    Memento,
}

use Kind::{Jump as J, Maglev as M, Memento as E, MultiProbe as P, Rendezvous as R, Ring as C};

const ALL: [Kind; 6] = [C, R, J, P, M, E];

fn build(kind: Kind, nodes: Vec<Node<u32>>) -> Result<Any, RingError> {
    build_with(kind, RapidHash, nodes)
}

fn build_with(
    kind: Kind,
    hasher: impl KeyHasher + 'static,
    nodes: Vec<Node<u32>>,
) -> Result<Any, RingError> {
    Ok(match kind {
        C => Box::new(Ring::with(althing_ring::Settings::default(), hasher, nodes)?),
        R => Box::new(Rendezvous::with(hasher, nodes)?),
        J => Box::new(Jump::with(hasher, nodes)?),
        P => Box::new(MultiProbe::with(hasher, nodes)?),
        M => Box::new(Maglev::with(hasher, None, nodes)?),
        E => Box::new(Memento::with(hasher, nodes)?),
    })
}

fn equal(count: u32) -> Vec<Node<u32>> {
    (0..count).map(Node::new).collect()
}

fn hashes(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|number| RapidHash.hash_bytes(&number.to_le_bytes()))
}

fn owners(placement: &dyn Placement<u32>, keys: u64) -> Vec<u32> {
    hashes(keys).map(|hash| *placement.owner_of(hash).expect("there are nodes")).collect()
}

fn loads(owners: &[u32]) -> BTreeMap<u32, f64> {
    let mut loads = BTreeMap::new();
    owners.iter().for_each(|owner| *loads.entry(*owner).or_insert(0.0) += 1.0);
    loads
}

/// Keys whose owner changed although neither the old one nor the new one is `changed`.
fn moved_between_others(before: &[u32], after: &[u32], changed: u32) -> usize {
    let pairs = before.iter().zip(after);
    pairs.filter(|(old, new)| old != new && **old != changed && **new != changed).count()
}

#[test]
fn no_node_is_no_owner_and_one_node_owns_all() {
    for kind in ALL {
        for nodes in [vec![], vec![Node::new(1).weight(0)]] {
            let empty = build(kind, nodes).expect("no nodes");
            assert_eq!((empty.owner_of(7), empty.live_nodes()), (None, 0), "{kind:?}");
            assert!(empty.replicas_of(7, 3).is_empty(), "{kind:?}");
        }
        let single = build(kind, equal(1)).expect("one node");
        for hash in hashes(100).chain([0, u64::MAX]) {
            assert_eq!(single.replicas_of(hash, 3), [&0], "{kind:?}");
        }
    }
}

#[test]
fn equal_ids_and_too_much_weight_are_refused() {
    for kind in ALL {
        let twice = build(kind, vec![Node::new(1), Node::new(2), Node::new(1)]);
        assert_eq!(twice.err(), Some(RingError::DuplicateNode), "{kind:?}");
        if kind != R {
            let heavy = vec![Node::new(1).weight(u32::MAX), Node::new(2).weight(u32::MAX)];
            let refused = build(kind, heavy).err();
            assert!(matches!(refused, Some(RingError::TooManyPoints { .. })), "{kind:?}");
        }
        let many = build(kind, equal((1 << 20) + 1)).err();
        assert!(
            matches!(many, Some(RingError::TooManyNodes { .. } | RingError::TooManyPoints { .. })),
            "{kind:?}: {many:?}"
        );
    }
    // Rendezvous hashing has no points that a weight could ask for.
    let heavy = vec![Node::new(1).weight(u32::MAX), Node::new(2).weight(u32::MAX)];
    assert_eq!(build(R, heavy).expect("two nodes").live_nodes(), 2);
}

#[test]
fn replicas_are_distinct_and_begin_with_the_owner() {
    for kind in ALL {
        let nodes = (0..40).map(|id| Node::new(id).weight(id % 4)).collect();
        let placement = build(kind, nodes).expect("thirty nodes that have weight");
        assert_eq!(placement.live_nodes(), 30, "{kind:?}");
        for hash in hashes(300) {
            for count in [1, 3, 20, 100] {
                let replicas = placement.replicas_of(hash, count);
                assert_eq!(replicas.len(), count.min(30), "{kind:?}");
                assert_eq!(replicas.first().copied(), placement.owner_of(hash), "{kind:?}");
                assert!(replicas.iter().all(|id| **id % 4 != 0), "{kind:?}");
                let mut sorted = replicas.clone();
                sorted.sort();
                sorted.dedup();
                assert_eq!(sorted.len(), replicas.len(), "{kind:?} {replicas:?}");
            }
        }
    }
}

#[test]
fn the_shares_are_as_even_as_each_can_make_them() {
    const KEYS: u64 = 200_000;
    const NODES: u32 = 100;
    // The standard deviation that chance alone leaves, of a node's share.
    let floor = (f64::from(NODES) / KEYS as f64).sqrt();
    for (kind, deviation_max, peak_max) in [
        (R, 1.2 * floor, 1.1),
        (J, 1.2 * floor, 1.1),
        (M, 1.3 * floor, 1.1),
        (E, 1.2 * floor, 1.1),
        (P, 0.25, 1.15),
        (C, 0.12, 1.35),
    ] {
        let placement = build(kind, equal(NODES)).expect("a hundred nodes");
        let loads = loads(&owners(&*placement, KEYS));
        let mean = KEYS as f64 / f64::from(NODES);
        let squares: f64 = loads.values().map(|load| (load / mean - 1.0).powi(2)).sum();
        let deviation = (squares / f64::from(NODES)).sqrt();
        let peak = loads.values().copied().fold(0.0, f64::max) / mean;
        println!("{kind:?}: deviation {deviation:.4} (floor {floor:.4}), peak {peak:.3}");
        assert_eq!(loads.len() as u32, NODES, "{kind:?}");
        assert!(deviation <= deviation_max, "{kind:?}: {deviation}");
        assert!(peak <= peak_max, "{kind:?}: {peak}");
    }
}

#[test]
fn weights_are_kept() {
    const KEYS: u64 = 300_000;
    let weights = [1, 2, 3, 4, 5, 10];
    let total: u32 = weights.iter().sum();
    let nodes: Vec<_> = (0..6).map(|id| Node::new(id).weight(weights[id as usize])).collect();
    for (kind, tolerance) in [(R, 0.02), (J, 0.02), (M, 0.03), (E, 0.02), (C, 0.15), (P, 0.5)] {
        let placement = build(kind, nodes.clone()).expect("six nodes");
        let loads = loads(&owners(&*placement, KEYS));
        for (id, weight) in (0..).zip(weights) {
            let fair = KEYS as f64 * f64::from(weight) / f64::from(total);
            let error = (loads[&id] / fair - 1.0).abs();
            println!("{kind:?} weight {weight}: {error:.3}");
            assert!(error <= tolerance, "{kind:?}, weight {weight}: off by {error:.3}");
        }
    }
}

#[test]
fn the_order_of_nodes_counts_only_where_it_is_said_to() {
    let forward = equal(50);
    let mut backward = equal(50);
    backward.reverse();
    for kind in ALL {
        let one = owners(&*build(kind, forward.clone()).expect("fifty nodes"), 5_000);
        let other = owners(&*build(kind, backward.clone()).expect("fifty nodes"), 5_000);
        assert_eq!(one == other, kind != J, "{kind:?}");
    }
}

#[test]
fn a_node_that_goes_moves_its_keys_and_others_only_in_maglev() {
    const KEYS: u64 = 100_000;
    for (kind, gone) in [(C, 41), (R, 41), (P, 41), (J, 99), (M, 41)] {
        let before = owners(&*build(kind, equal(100)).expect("a hundred nodes"), KEYS);
        let mut left = equal(100);
        left.remove(gone as usize);
        let after = owners(&*build(kind, left).expect("ninety-nine nodes"), KEYS);
        assert!(after.iter().all(|owner| *owner != gone), "{kind:?}");
        let needless = moved_between_others(&before, &after, gone);
        println!("{kind:?}: {needless} of {KEYS} moved without need");
        if kind == M {
            assert!((500..2_500).contains(&needless), "{needless}");
        } else {
            assert_eq!(needless, 0, "{kind:?}");
        }
    }
}

#[test]
fn maglev_moves_some_keys_in_vain_and_nearly_all_in_a_table_of_another_size() {
    const KEYS: u64 = 100_000;
    let needless = |places_before, places_after| {
        let table = |places, nodes| {
            let table = Maglev::with(RapidHash, Some(places), nodes);
            owners(&table.expect("a hundred nodes"), KEYS)
        };
        let mut left = equal(100);
        left.remove(41);
        moved_between_others(&table(places_before, equal(100)), &table(places_after, left), 41)
    };
    // One in a hundred has to move.
    let (small, large) = (needless(10_007, 10_007), needless(65_537, 65_537));
    let resized = needless(10_007, 65_537);
    println!(
        "Maglev: {small} in vain of 10,007 places, {large} of 65,537, {resized} from one to other"
    );
    assert!((500..2_500).contains(&small), "{small}");
    assert!((500..2_500).contains(&large), "{large}");
    assert!(resized > 90_000, "{resized}");
    // By itself the size stays until the weight has doubled.
    let places = |count| Maglev::new(equal(count)).expect("nodes").places();
    assert_eq!(
        [places(1), places(655), places(656), places(1_310)],
        [65_537, 65_537, 131_101, 131_101]
    );
}

#[test]
fn a_weight_that_changes_moves_keys_to_or_from_that_node_alone() {
    const KEYS: u64 = 100_000;
    let weighted = |weight| {
        let mut nodes: Vec<_> = (0..20).map(|id| Node::new(id).weight(1 + id % 3)).collect();
        nodes[7] = Node::new(7).weight(weight);
        nodes
    };
    for kind in [C, R, P] {
        let before = owners(&*build(kind, weighted(2)).expect("twenty nodes"), KEYS);
        let after = owners(&*build(kind, weighted(4)).expect("twenty nodes"), KEYS);
        assert_eq!(moved_between_others(&before, &after, 7), 0, "{kind:?}");
        let pairs = before.iter().zip(&after);
        let (gained, lost) = pairs.fold((0, 0), |(gained, lost), (old, new)| {
            (
                gained + usize::from(*new == 7 && *old != 7),
                lost + usize::from(*old == 7 && *new != 7),
            )
        });
        assert!(gained > 1_000 && lost == 0, "{kind:?}: {gained} gained, {lost} lost");
    }
}

#[test]
fn the_next_replica_takes_over_where_that_is_promised() {
    for kind in [C, R, P] {
        let all = build(kind, equal(30)).expect("thirty nodes");
        for gone in [3, 17] {
            let nodes = equal(30).into_iter().filter(|node| node.id != gone).collect();
            let left = build(kind, nodes).expect("twenty-nine nodes");
            for hash in hashes(3_000) {
                let mut expected = all.replicas_of(hash, 4);
                expected.retain(|id| **id != gone);
                expected.truncate(3);
                assert_eq!(left.replicas_of(hash, 3), expected, "{kind:?}");
            }
        }
    }
}

#[test]
fn jump_and_memento_grow_by_what_the_new_node_takes() {
    const KEYS: u64 = 100_000;
    let mut jump = Jump::new(equal(50)).expect("fifty nodes");
    let mut memento = Memento::new(equal(50)).expect("fifty nodes");
    let before = (owners(&jump, KEYS), owners(&memento, KEYS));
    jump.push(50).expect("one more");
    memento.add(50).expect("one more");
    for (before, after) in [(before.0, owners(&jump, KEYS)), (before.1, owners(&memento, KEYS))] {
        assert_eq!(moved_between_others(&before, &after, 50), 0);
        let moved = before.iter().zip(&after).filter(|(old, new)| old != new).count();
        assert!((1_700..2_200).contains(&moved), "{moved} of 100,000 for one of 51");
    }
    assert_eq!(jump.push(7), Err(RingError::DuplicateNode));
    assert_eq!(memento.add(7), Err(RingError::DuplicateNode));
    assert_eq!(memento.remove(&99), Err(RingError::UnknownNode));
    assert_eq!(jump.pop().map(|node| node.id), Some(50));
}

#[test]
fn what_is_pushed_and_popped_leaves_no_trace() {
    let mut jump = Jump::new(equal(10)).expect("ten nodes");
    let before = owners(&jump, 5_000);
    for weight in [3, 0, 7] {
        jump.push(Node::new(10 + weight).weight(weight)).expect("another node");
    }
    assert_eq!(jump.live_nodes(), 12);
    assert_ne!(owners(&jump, 5_000), before);
    let popped: Vec<_> = (0..3).filter_map(|_| jump.pop()).map(|node| node.weight).collect();
    assert_eq!((popped, jump.live_nodes()), (vec![7, 0, 3], 10));
    assert_eq!(owners(&jump, 5_000), before);
}

#[test]
fn memento_moves_nothing_in_vain_through_a_long_life() {
    const KEYS: u64 = 20_000;
    let mut memento = Memento::new(equal(60)).expect("sixty nodes");
    let mut present: Vec<u32> = (0..60).collect();
    let mut before = owners(&memento, KEYS);
    for (step, draw) in (0_u32..).zip(hashes(300)) {
        let next = 60 + step;
        // Down to a handful, then up again.
        let grows = if step < 60 { false } else { draw % 5 < 3 };
        let changed = if grows || present.len() < 4 {
            memento.add(Node::new(next).weight(1 + step % 3)).expect("a new node");
            present.push(next);
            next
        } else {
            let gone = present.swap_remove((draw % present.len() as u64) as usize);
            memento.remove(&gone).expect("it is there");
            gone
        };
        let after = owners(&memento, KEYS);
        assert_eq!(moved_between_others(&before, &after, changed), 0, "step {step}");
        assert_eq!(loads(&after).len(), present.len(), "step {step}");
        assert_eq!(memento.live_nodes(), present.len());
        before = after;
    }
    // And the shares are still as even as chance allows, for each weight.
    let mean = KEYS as f64 / present.iter().map(|id| weight_of(*id)).sum::<f64>();
    for (id, load) in loads(&before) {
        let fair = mean * weight_of(id);
        assert!((load - fair).abs() < 5.0 * fair.sqrt(), "{id}: {load} of {fair}");
    }
}

fn weight_of(id: u32) -> f64 {
    if id < 60 { 1.0 } else { f64::from(1 + (id - 60) % 3) }
}

#[test]
fn a_hash_that_sees_nothing_gives_sound_answers() {
    let constant = |_: &[u8]| 7_u64;
    for kind in ALL {
        let placement = build_with(kind, constant, equal(2_000)).expect("two thousand nodes");
        let replicas = placement.replicas_of(7, 2_000);
        assert_eq!(replicas.len(), 2_000, "{kind:?}");
        assert_eq!(replicas.first().copied(), placement.owner_of(7), "{kind:?}");
    }
}

#[test]
fn a_million_nodes_are_held_or_refused() {
    for kind in [R, J, P, E] {
        let placement = build(kind, equal(1_000_000)).expect("a million nodes");
        assert_eq!(placement.live_nodes(), 1_000_000, "{kind:?}");
        assert_eq!(placement.replicas_of(7, 3).len(), 3, "{kind:?}");
        assert_eq!(placement.replicas_of(7, 1_000).len(), 1_000, "{kind:?}");
    }
    let refused = build(M, equal(1_000_000)).err();
    assert!(matches!(refused, Some(RingError::TooManyPoints { .. })), "{refused:?}");
    let small = Maglev::with(RapidHash, Some(2_000_003), equal(1_000_000)).expect("two each");
    assert_eq!((small.places(), small.live_nodes()), (2_000_003, 1_000_000));
}
