//! A ring that was changed is the ring that would have been built, and names what moved.

use althing_ring::{Node, Placement as _, Ring, RingError, Settings};
use proptest::prelude::*;

use crate::model::Model;
use crate::{Hash, edges, hash, node, nodes, settings, spread};

#[derive(Clone, Debug)]
enum Change {
    Add(Node<u32>),
    Remove(u32),
    Weigh(u32, u32),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        node().prop_map(Change::Add),
        (0_u32..20).prop_map(Change::Remove),
        (0_u32..20, 0_u32..6).prop_map(|(id, weight)| Change::Weigh(id, weight)),
    ];
    prop::collection::vec(change, 1..60)
}

/// Does the same to the ring and to a list of its nodes; both must agree on whether it can be done.
fn apply(ring: &mut Ring<u32, Hash>, nodes: &mut Vec<Node<u32>>, change: Change) {
    let position = |id| nodes.iter().position(|node| node.id == id);
    match change {
        Change::Add(node) => match position(node.id) {
            Some(_) => assert_eq!(ring.add(node), Err(RingError::DuplicateNode)),
            None => {
                assert_eq!(ring.add(node.clone()), Ok(()));
                nodes.push(node);
            }
        },
        Change::Remove(id) => match position(id) {
            Some(position) => assert_eq!(ring.remove(&id), Ok(nodes.swap_remove(position))),
            None => assert_eq!(ring.remove(&id), Err(RingError::UnknownNode)),
        },
        Change::Weigh(id, weight) => match position(id) {
            Some(position) => {
                assert_eq!(ring.set_weight(&id, weight), Ok(()));
                nodes[position].weight = weight;
            }
            None => assert_eq!(ring.set_weight(&id, weight), Err(RingError::UnknownNode)),
        },
    }
}

/// The ring answers as the plain model does, wherever it could go wrong.
fn agrees(ring: &Ring<u32, Hash>, settings: Settings, hash: Hash, nodes: &[Node<u32>]) {
    let model = Model::new(settings, &hash, nodes);
    assert!(ring.points().map(|(point, id)| (point, *id)).eq(model.points()));
    let mut probes = edges(model.points().map(|(point, _)| point).step_by(7));
    probes.extend(spread(20));
    for probe in probes {
        assert_eq!(ring.owner_of(probe).copied(), model.owner(probe), "{probe:#x}");
    }
    for (probe, count) in spread(20).zip([1, 2, 3, 4, 5, 9, 16, 17, 18, 40].into_iter().cycle()) {
        let found: Vec<u32> = ring.replicas_of(probe, count).into_iter().copied().collect();
        assert_eq!(found, model.replicas(probe, count), "{probe:#x}, {count}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_answers_as_the_plain_one_does(
        (settings, hash, nodes) in (settings(), hash(), nodes()),
    ) {
        let ring = Ring::with(settings, hash, nodes.iter().cloned()).expect("different ids");
        agrees(&ring, settings, hash, &nodes);
    }

    #[test]
    fn changing_equals_building_bit_for_bit(
        (settings, hash, mut nodes, changes) in (settings(), hash(), nodes(), changes()),
    ) {
        let mut ring = Ring::with(settings, hash, nodes.iter().cloned()).expect("different ids");
        for change in changes {
            apply(&mut ring, &mut nodes, change);
            let built = Ring::with(settings, hash, nodes.iter().cloned()).expect("different ids");
            prop_assert_eq!(&ring, &built);
            prop_assert!(ring.points().eq(built.points()));
        }
        agrees(&ring, settings, hash, &nodes);
    }

    #[test]
    fn the_order_in_which_nodes_came_never_matters(
        (settings, hash, nodes, order) in (settings(), hash(), nodes(), any::<u64>()),
    ) {
        let mut shuffled = nodes.clone();
        shuffled.sort_by_key(|node| u64::from(node.id).wrapping_mul(order | 1));
        let built = Ring::with(settings, hash, nodes).expect("different ids");
        let mut grown = Ring::<u32, _>::with::<u32>(settings, hash, []).expect("nothing is fine");
        for node in shuffled {
            grown.add(node).expect("different ids");
        }
        prop_assert!(grown.points().eq(built.points()));
        for probe in spread(50) {
            prop_assert_eq!(grown.replicas_of(probe, 7), built.replicas_of(probe, 7));
        }
    }

    #[test]
    fn the_difference_names_every_hash_that_moves_and_no_other(
        (settings, hash, nodes, changes) in (settings(), hash(), nodes(), changes()),
    ) {
        let before = Ring::with(settings, hash, nodes.iter().cloned()).expect("different ids");
        let (mut after, mut list) = (before.clone(), nodes);
        for change in changes {
            apply(&mut after, &mut list, change);
        }
        let moves = before.diff(&after);
        for pair in moves.windows(2) {
            prop_assert!(pair[0].range.end() < pair[1].range.start());
        }
        for each in &moves {
            prop_assert!(each.from != each.to && each.range.start() <= each.range.end());
        }
        let points = before.points().chain(after.points()).map(|(point, _)| point);
        for probe in edges(points).into_iter().chain(spread(500)) {
            let next = moves.partition_point(|each| *each.range.end() < probe);
            let named = moves.get(next).filter(|each| each.range.contains(&probe));
            let (from, to) = (before.owner_of(probe), after.owner_of(probe));
            let moved = (from != to).then_some((from, to));
            prop_assert_eq!(named.map(|each| (each.from, each.to)), moved);
        }
    }

    #[test]
    fn the_ranges_are_the_whole_circle_and_say_who_owns_it(
        (settings, hash, nodes) in (settings(), hash(), nodes()),
    ) {
        let ring = Ring::with(settings, hash, nodes).expect("different ids");
        let mut next = Some(0);
        let mut previous = None;
        for owned in ring.ranges() {
            prop_assert_eq!(Some(*owned.range.start()), next);
            prop_assert!(previous != Some(owned.owner));
            for probe in [*owned.range.start(), *owned.range.end()] {
                prop_assert_eq!(ring.owner_of(probe), Some(owned.owner));
            }
            next = owned.range.end().checked_add(1);
            previous = Some(owned.owner);
        }
        prop_assert_eq!(next.is_none(), ring.live_nodes() > 0);
    }

    #[test]
    fn copies_are_distinct_and_apart_for_as_long_as_that_goes(
        (settings, hash, nodes, count) in (settings(), hash(), nodes(), 0_usize..25),
    ) {
        let ring = Ring::with(settings, hash, nodes).expect("different ids");
        let live: Vec<_> = ring.nodes().filter(|node| node.weight > 0).collect();
        let kinds = |mut names: Vec<String>| { names.sort(); names.dedup(); names.len() };
        let zones = |of: &[&Node<u32>]| {
            kinds(of.iter().map(|node| format!("{:?}", node.zone)).collect())
        };
        let racks = |of: &[&Node<u32>]| {
            kinds(of.iter().map(|node| format!("{:?}/{:?}", node.zone, node.rack)).collect())
        };
        for probe in spread(30) {
            let found = ring.replicas_of(probe, count);
            prop_assert_eq!(found.len(), count.min(live.len()));
            prop_assert_eq!(found.first().copied(), ring.owner_of(probe).filter(|_| count > 0));
            let of: Vec<_> = found.iter().map(|id| ring.node(*id).expect("a node")).collect();
            prop_assert_eq!(kinds(found.iter().map(|id| id.to_string()).collect()), found.len());
            prop_assert_eq!(zones(&of), zones(&live).min(count));
            prop_assert_eq!(racks(&of), racks(&live).min(count));
        }
    }
}
