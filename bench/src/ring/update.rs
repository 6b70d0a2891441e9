//! How long it takes to build, and to add a node.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::contestant::{Althing, Bound, Contestant, Visitor, check, keys, wanted};
use super::{Figure, Plan, median, peers};

/// How many times at most.
const TIMES: u32 = 21;
/// After this long a slow one has been measured enough.
const ENOUGH: Duration = Duration::from_millis(500);

/// Building from nothing, adding one node, and what a point of Althing's takes.
pub(super) fn measure(plan: &Plan, nodes: u32) -> Vec<Figure> {
    let mut gather = Gather { plan, nodes, figures: Vec::new() };
    peers::all(&mut gather);
    let ring = Althing::build(0, nodes);
    check(&ring, &keys(1_000));
    gather.push(
        "memory",
        "bytes/point",
        Althing::NAME,
        ring.0.circle().heap_bytes() as f64 / ring.0.circle().len() as f64,
    );
    gather.figures
}

struct Gather<'a> {
    plan: &'a Plan,
    nodes: u32,
    figures: Vec<Figure>,
}

impl Gather<'_> {
    fn push(&mut self, measure: &'static str, unit: &'static str, name: &'static str, value: f64) {
        let nodes = self.nodes;
        self.figures.push(Figure { measure, unit, contestant: name, nodes, value });
    }
}

impl Visitor for Gather<'_> {
    fn visit<C: Contestant>(&mut self) {
        if C::NAME == Bound::NAME || !wanted::<C>(&self.plan.only, self.nodes) {
            return;
        }
        let begin = Instant::now();
        let mut builds = Vec::new();
        while builds.len() < TIMES as usize && (builds.is_empty() || begin.elapsed() < ENOUGH) {
            let start = Instant::now();
            let built = black_box(C::build(0, self.nodes));
            builds.push(start.elapsed().as_secs_f64());
            drop(built);
        }
        let build = median(builds);
        let mut ring = C::build(0, self.nodes);
        let mut adds = Vec::new();
        for node in self.nodes..self.nodes + TIMES {
            let start = Instant::now();
            if !ring.add(node) {
                break;
            }
            adds.push(start.elapsed().as_secs_f64());
        }
        let add = if adds.is_empty() { build } else { median(adds) };
        self.push("building", "ms", C::NAME, build * 1e3);
        self.push("adding a node", "us", C::NAME, add * 1e6);
    }
}
