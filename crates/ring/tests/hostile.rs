//! Whatever comes in: an error or a sound answer, never a panic.

use althing_ring::formats::{Continuum, ContinuumError, Format, POINTS_MAX, Server};
use althing_ring::{Jump, Maglev, Memento, MultiProbe, Node, Placement, Rendezvous, RingError};
use proptest::prelude::*;

/// Text that looks like a server, more or less.
fn server_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]?@?[0-9a-f.:]{0,12}(:[0-9]{1,6})?(=[0-9]{1,3})?",
        r"(unix:|UNIX:|/)?[a-z/.@=:\[\]]{0,10}(=[0-9]{0,11})?",
        any::<String>(),
    ]
}

/// Servers that no text was needed for. Weights are small, or more than can be.
fn server() -> impl Strategy<Value = Server> {
    let weight = prop_oneof![4 => 0..200_u32, 1 => (u32::MAX - 9)..=u32::MAX];
    (server_text(), proptest::option::of("[a-z]{0,90}"), weight).prop_map(
        |(address, name, weight)| {
            let server = Server::new(address).weighted(weight);
            match name {
                Some(name) => server.named(name),
                None => server,
            }
        },
    )
}

proptest! {
    #[test]
    fn a_text_is_a_server_or_not(text in server_text()) {
        if let Ok(server) = text.parse::<Server>() {
            prop_assert_eq!(server.to_string().parse::<Server>(), Ok(server.clone()));
            prop_assert!(!server.address().is_empty() && !server.label().contains(' '));
        }
    }

    #[test]
    fn servers_make_a_continuum_that_answers_for_every_key_or_an_error(
        servers in proptest::collection::vec(server(), 0..8),
        keys in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20),
    ) {
        for format in Format::ALL {
            let continuum = match Continuum::new(format, servers.clone()) {
                Ok(continuum) => continuum,
                Err(error) => {
                    prop_assert!(!error.to_string().is_empty());
                    continue;
                }
            };
            prop_assert!(continuum.points().len() as u64 <= POINTS_MAX);
            prop_assert!(continuum.points().is_sorted_by_key(|(point, _)| point));
            for key in &keys {
                let position = continuum.owner_position(key);
                let has_none = format == Format::Nginx && key.is_empty();
                prop_assert_eq!(position.is_none(), has_none);
                prop_assert!(position.is_none_or(|position| position < servers.len()));
                prop_assert_eq!(continuum.walk(key).next(), continuum.owner(key));
            }
        }
    }

    #[test]
    fn any_nodes_and_any_hasher_have_an_owner_or_none(
        weights in proptest::collection::vec(0..6_u32, 0..40),
        kept_bits in 0..65_u32,
        hashes in proptest::collection::vec(any::<u64>(), 1..20),
        count in 0..50_usize,
    ) {
        // A hash that only ever sets its lowest few bits, down to none at all.
        let mask = u64::MAX.checked_shr(64 - kept_bits).unwrap_or(0);
        let hasher = move |bytes: &[u8]| {
            bytes.iter().fold(0, |hash: u64, byte| hash.wrapping_mul(31) ^ u64::from(*byte)) & mask
        };
        let nodes: Vec<Node<u32>> =
            (0..).zip(&weights).map(|(id, weight)| Node::new(id).weight(*weight)).collect();
        let live = weights.iter().filter(|weight| **weight > 0).count();
        let all: [Box<dyn Placement<u32>>; 5] = [
            Box::new(Rendezvous::with(hasher, nodes.clone()).expect("few nodes")),
            Box::new(Jump::with(hasher, nodes.clone()).expect("few nodes")),
            Box::new(Maglev::with(hasher, Some(500), nodes.clone()).expect("few nodes")),
            Box::new(MultiProbe::with(hasher, nodes.clone()).expect("few nodes")),
            Box::new(Memento::with(hasher, nodes).expect("few nodes")),
        ];
        for placement in &all {
            prop_assert_eq!(placement.live_nodes(), live);
            for hash in &hashes {
                let mut replicas = placement.replicas_of(*hash, count);
                prop_assert_eq!(replicas.len(), count.min(live));
                if let Some(first) = replicas.first() {
                    prop_assert_eq!(placement.owner_of(*hash), Some(*first));
                }
                prop_assert!(replicas.iter().all(|id| weights[**id as usize] > 0));
                replicas.sort();
                replicas.dedup();
                prop_assert_eq!(replicas.len(), count.min(live));
            }
        }
    }

    #[test]
    fn memento_outlives_any_history(
        changes in proptest::collection::vec((any::<bool>(), 0..12_u32, 0..4_u32), 0..80),
        hashes in proptest::collection::vec(any::<u64>(), 8),
    ) {
        let mut memento = Memento::new(Vec::<Node<u32>>::new()).expect("no nodes");
        let mut present = std::collections::BTreeMap::new();
        for (is_added, id, weight) in changes {
            let before: Vec<Option<u32>> =
                hashes.iter().map(|hash| memento.owner_of(*hash).copied()).collect();
            if is_added {
                let added = memento.add(Node::new(id).weight(weight));
                let expected = present.contains_key(&id).then_some(RingError::DuplicateNode);
                prop_assert_eq!(added.err(), expected);
                present.entry(id).or_insert(weight);
            } else {
                let removed = memento.remove(&id);
                let expected = present.remove(&id).map_or(Some(RingError::UnknownNode), |_| None);
                prop_assert_eq!(removed.err(), expected);
            }
            let live = present.values().filter(|weight| **weight > 0).count();
            prop_assert_eq!(memento.live_nodes(), live);
            for (hash, before) in hashes.iter().zip(before) {
                let after = memento.owner_of(*hash).copied();
                prop_assert_eq!(after.is_some(), live > 0);
                prop_assert!(after == before || after == Some(id) || before == Some(id)
                    || before.is_none());
                prop_assert_eq!(memento.replicas_of(*hash, 99).len(), live);
            }
        }
    }
}

#[test]
fn weights_of_billions_are_refused_before_memory_is_taken() {
    let heavy = vec![Server::new("a:1").weighted(u32::MAX), Server::new("b:1").weighted(u32::MAX)];
    let refused = Continuum::new(Format::Nginx, heavy).map(|_| ());
    assert!(matches!(refused, Err(ContinuumError::TooManyPoints(_))), "{refused:?}");
}
