//! What more points buy: a flatter share for more memory and a somewhat longer lookup.

use std::hint::black_box;
use std::time::Instant;

use althing_ring::{RapidHash, Ring, Settings};

use super::contestant::keys;
use super::median;

/// Nodes of each ring.
pub(super) const NODES: u32 = 100;
const SETS: u32 = 10;

/// What a number of points gives, for a hundred nodes.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) points: u32,
    /// Of exact shares, so without the noise of keys; averaged over sets of nodes.
    pub(super) peak: f64,
    pub(super) deviation: f64,
    pub(super) lookup_ns: f64,
    pub(super) kib_per_node: f64,
}

/// From 10 points a node to 10,240.
pub(super) fn measure() -> Vec<Step> {
    (0..11).map(|power| step(10 << power)).collect()
}

fn step(points: u32) -> Step {
    let build = |set: u32| {
        let settings = Settings::default().points_per_weight(points);
        let nodes = (0..NODES).map(|node| set * 1_000_000 + node);
        Ring::with(settings, RapidHash, nodes).expect("the numbers are different")
    };
    let (mut peak, mut deviation) = (0.0, 0.0);
    for set in 1..=SETS {
        let shares: Vec<f64> =
            build(set).shares().map(|(_, share)| share * f64::from(NODES)).collect();
        let squares = shares.iter().map(|share| (share - 1.0).powi(2)).sum::<f64>();
        peak += shares.iter().copied().fold(0.0, f64::max) / f64::from(SETS);
        deviation += (squares / f64::from(NODES)).sqrt() / f64::from(SETS);
    }
    let ring = build(0);
    let keys = keys(500_000);
    let turn = |_| {
        let start = Instant::now();
        for key in &keys {
            black_box(ring.owner(key));
        }
        start.elapsed().as_nanos() as f64 / keys.len() as f64
    };
    let lookup_ns = median((0..9).map(turn).collect());
    let kib_per_node = ring.circle().heap_bytes() as f64 / 1024.0 / f64::from(NODES);
    Step { points, peak, deviation, lookup_ns, kib_per_node }
}
