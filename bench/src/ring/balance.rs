//! How evenly keys are shared out: the fullest node in multiples of the mean.

use super::contestant::{Bound, Contestant, Key, Visitor, keys, wanted};
use super::{Figure, Plan, peers};

const KEYS: u64 = 1_000_000;

/// The peak over the mean and the standard deviation in multiples of the mean, averaged over sets
/// of nodes with other names: of one set they are mostly luck.
pub(super) fn measure(plan: &Plan, nodes: u32) -> Vec<Figure> {
    let keys = keys(KEYS);
    let mut gather = Gather { plan, nodes, keys: &keys, figures: Vec::new() };
    peers::all(&mut gather);
    gather.figures
}

struct Gather<'a> {
    plan: &'a Plan,
    nodes: u32,
    keys: &'a [Key],
    figures: Vec<Figure>,
}

impl Visitor for Gather<'_> {
    fn visit<C: Contestant>(&mut self) {
        if C::NAME == Bound::NAME || !wanted::<C>(&self.plan.only, self.nodes) {
            return;
        }
        let sets = (2_000 / self.nodes).clamp(2, 40);
        let (mut peaks, mut deviations) = (0.0, 0.0);
        for set in 1..=sets {
            let (peak, deviation) = share_out::<C>(set * 1_000_000, self.nodes, self.keys);
            peaks += peak / f64::from(sets);
            deviations += deviation / f64::from(sets);
        }
        for (measure, value) in [("peak/mean", peaks), ("deviation/mean", deviations)] {
            let (contestant, nodes) = (C::NAME, self.nodes);
            self.figures.push(Figure { measure, unit: "times", contestant, nodes, value });
        }
    }
}

fn share_out<C: Contestant>(first: u32, nodes: u32, keys: &[Key]) -> (f64, f64) {
    let contestant = C::build(first, nodes);
    let mut loads = vec![0_u32; nodes as usize];
    for key in keys {
        loads[(contestant.owner(key) - first) as usize] += 1;
    }
    let mean = keys.len() as f64 / f64::from(nodes);
    let peak = loads.iter().copied().max().map_or(f64::NAN, f64::from);
    let squares = loads.iter().map(|&load| (f64::from(load) - mean).powi(2)).sum::<f64>();
    (peak / mean, (squares / f64::from(nodes)).sqrt() / mean)
}
