//! The other crates, each as its documentation shows it, with the hash it comes with.

use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;
use std::net::{Ipv4Addr, SocketAddr};

use maglev::ConsistentHasher as _;

use super::contestant::{Althing, Bound, Contestant, Key, POINTS, Visitor};

/// Has every contestant visited: the bound first, then Althing, then the others.
pub(super) fn all(visitor: &mut impl Visitor) {
    visitor.visit::<Bound>();
    visitor.visit::<Althing>();
    visitor.visit::<Pingora>();
    visitor.visit::<Hashring>();
    visitor.visit::<ConsistentHashRing>();
    visitor.visit::<ConsistentHash>();
    visitor.visit::<HashRings>();
    visitor.visit::<Conhash>();
    visitor.visit::<Mpchash>();
    visitor.visit::<Anchorhash>();
    visitor.visit::<Maglev>();
    visitor.visit::<Jumphash>();
}

struct Pingora(pingora_ketama::Continuum);

impl Contestant for Pingora {
    const NAME: &'static str = "pingora-ketama";

    fn build(first: u32, nodes: u32) -> Self {
        let address = |node| SocketAddr::from((Ipv4Addr::from_bits(node), 80));
        let buckets: Vec<_> = (first..first + nodes)
            .map(|node| pingora_ketama::Bucket::new(address(node), 1))
            .collect();
        Self(pingora_ketama::Continuum::new(&buckets))
    }

    #[inline(always)]
    fn owner(&self, key: &Key) -> u32 {
        match self.0.node(key) {
            Some(SocketAddr::V4(address)) => address.ip().to_bits(),
            _ => unreachable!("every node has an IPv4 address"),
        }
    }
}

/// `hashring` has no points of its own; its documentation has the user make them.
struct Hashring(hashring::HashRing<(u32, u32)>);

impl Contestant for Hashring {
    const NAME: &'static str = "hashring";

    fn build(first: u32, nodes: u32) -> Self {
        let mut ring = hashring::HashRing::new();
        ring.batch_add((first..first + nodes).flat_map(points).collect());
        Self(ring)
    }

    #[inline(always)]
    fn owner(&self, key: &Key) -> u32 {
        self.0.get(key).expect("there are nodes").0
    }

    fn add(&mut self, node: u32) -> bool {
        self.0.batch_add(points(node).collect());
        true
    }
}

fn points(node: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..POINTS as u32).map(move |point| (node, point))
}

struct ConsistentHashRing(consistent_hash_ring::Ring<u32>);

impl Contestant for ConsistentHashRing {
    const NAME: &'static str = "consistent_hash_ring";
    const NODES_MAX: u32 = 1_000;

    fn build(first: u32, nodes: u32) -> Self {
        let builder = consistent_hash_ring::RingBuilder::default().vnodes(POINTS);
        Self(builder.nodes_iter(first..first + nodes).build())
    }

    #[inline(always)]
    fn owner(&self, key: &Key) -> u32 {
        *self.0.get(key)
    }

    #[inline(always)]
    fn three(&self, key: &Key) -> Option<[u32; 3]> {
        let mut nodes = self.0.replicas(key);
        Some([*nodes.next()?, *nodes.next()?, *nodes.next()?])
    }

    fn add(&mut self, node: u32) -> bool {
        self.0.insert(node);
        true
    }
}

type StaticRing = consistent_hash::StaticHashRing<'static, u32, (), consistent_hash::DefaultHash>;

struct ConsistentHash(StaticRing);

impl Contestant for ConsistentHash {
    const NAME: &'static str = "consistent_hash";

    fn build(first: u32, nodes: u32) -> Self {
        let node = |node| consistent_hash::Node::new(node).quantity(POINTS);
        let nodes = (first..first + nodes).map(node);
        Self(StaticRing::new(consistent_hash::DefaultHash, nodes))
    }

    #[inline(always)]
    fn owner(&self, key: &Key) -> u32 {
        self.0.calc_candidates(key).next().expect("there are nodes").key
    }

    #[inline(always)]
    fn three(&self, key: &Key) -> Option<[u32; 3]> {
        let mut nodes = self.0.calc_candidates(key);
        Some([nodes.next()?.key, nodes.next()?.key, nodes.next()?.key])
    }
}

type BorrowingRing = hash_rings::consistent::Ring<'static, u32, BuildHasherDefault<DefaultHasher>>;

struct HashRings(BorrowingRing);

impl Contestant for HashRings {
    const NAME: &'static str = "hash-rings";

    fn build(first: u32, nodes: u32) -> Self {
        let mut ring = BorrowingRing::with_hasher(BuildHasherDefault::default());
        // The ring borrows its nodes; a few bytes for each are left behind.
        let nodes: &'static [u32] = Vec::from_iter(first..first + nodes).leak();
        for node in nodes {
            ring.insert_node(node, POINTS);
        }
        Self(ring)
    }

    #[inline(always)]
    fn owner(&self, key: &Key) -> u32 {
        *self.0.get_node(key)
    }

    fn add(&mut self, node: u32) -> bool {
        self.0.insert_node(&vec![node].leak()[0], POINTS);
        true
    }
}

#[derive(Clone)]
struct Numbered(u32);

impl conhash::Node for Numbered {
    fn name(&self) -> String {
        self.0.to_string()
    }
}

struct Conhash(conhash::ConsistentHash<Numbered>);

impl Contestant for Conhash {
    const NAME: &'static str = "conhash";

    fn build(first: u32, nodes: u32) -> Self {
        let mut ring = conhash::ConsistentHash::new();
        for node in first..first + nodes {
            ring.add(&Numbered(node), POINTS);
        }
        Self(ring)
    }

    #[inline(always)]
    fn owner(&self, key: &Key) -> u32 {
        self.0.get(key).expect("there are nodes").0
    }

    fn add(&mut self, node: u32) -> bool {
        self.0.add(&Numbered(node), POINTS);
        true
    }
}

/// Probes 23 times instead of having points.
struct Mpchash(mpchash::HashRing<u32>);

impl Contestant for Mpchash {
    const NAME: &'static str = "mpchash (no points)";

    fn build(first: u32, nodes: u32) -> Self {
        let ring = mpchash::HashRing::new();
        for node in first..first + nodes {
            ring.add(node);
        }
        Self(ring)
    }

    #[inline(always)]
    fn owner(&self, key: &Key) -> u32 {
        *self.0.node(key).expect("there are nodes").node()
    }

    #[inline(always)]
    fn three(&self, key: &Key) -> Option<[u32; 3]> {
        let nodes = self.0.replicas(key, 3);
        Some([*nodes.first()?.node(), *nodes.get(1)?.node(), *nodes.get(2)?.node()])
    }

    fn add(&mut self, node: u32) -> bool {
        self.0.add(node);
        true
    }
}

struct Anchorhash(anchorhash::AnchorHash<Key, u32, BuildHasherDefault<DefaultHasher>>);

impl Contestant for Anchorhash {
    const NAME: &'static str = "anchorhash (no points)";
    const NODES_MAX: u32 = 32_000;

    fn build(first: u32, nodes: u32) -> Self {
        let builder = anchorhash::Builder::with_hasher(BuildHasherDefault::default());
        let capacity = u16::try_from(nodes * 2).unwrap_or(u16::MAX);
        Self(builder.with_resources(first..first + nodes).build(capacity))
    }

    #[inline(always)]
    fn owner(&self, key: &Key) -> u32 {
        *self.0.get_resource(*key).expect("there are nodes")
    }

    fn add(&mut self, node: u32) -> bool {
        self.0.add_resource(node).is_ok()
    }
}

/// A table of at least 160 entries a node.
struct Maglev(maglev::Maglev<u32>);

impl Contestant for Maglev {
    const NAME: &'static str = "maglev (a table)";
    const NODES_MAX: u32 = 1_000;

    fn build(first: u32, nodes: u32) -> Self {
        let capacity = nodes as usize * POINTS;
        Self(maglev::Maglev::with_capacity(first..first + nodes, capacity))
    }

    #[inline(always)]
    fn owner(&self, key: &Key) -> u32 {
        *self.0.get(key).expect("there are nodes")
    }
}

/// Nodes are numbered from 0, and only the last can go.
struct Jumphash(jumphash::JumpHasher, u32, u32);

impl Contestant for Jumphash {
    const NAME: &'static str = "jumphash (no points)";

    fn build(first: u32, nodes: u32) -> Self {
        Self(jumphash::JumpHasher::new_with_keys(1, 2), first, nodes)
    }

    #[inline(always)]
    fn owner(&self, key: &Key) -> u32 {
        self.1 + self.0.slot(key, self.2)
    }

    fn add(&mut self, _node: u32) -> bool {
        self.2 += 1;
        true
    }
}
