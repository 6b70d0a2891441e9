//! How long it takes to find an owner, and three copies.

use std::hint::black_box;
use std::time::Instant;

use super::contestant::{Bound, Contestant, Key, Visitor, keys, wanted};
use super::{Figure, Plan, median, peers};

/// How many keys there are; the slower contestants are asked for fewer in a turn.
const KEYS: u64 = 1_000_000;
/// How long a turn takes, about.
const TURN_NS: f64 = 40e6;

/// A turn of one contestant: nanoseconds for one lookup.
type Turn = Box<dyn FnMut(&[Key]) -> f64>;

/// Times of all rounds, and the same in multiples of the bound of the same round.
struct Series {
    name: &'static str,
    turn: Turn,
    times: Vec<f64>,
    ratios: Vec<f64>,
}

/// What a lookup costs when the next does not wait for it, when it does, and what copies cost.
pub(super) fn measure(plan: &Plan, nodes: u32) -> Vec<Figure> {
    let keys = keys(KEYS);
    let mut figures = Vec::new();
    for (measure, ratio, turns) in [
        ("lookup", "lookup/bound", Turns::Independent),
        ("lookup, one after the other", "", Turns::Dependent),
        ("three copies", "", Turns::Copies),
    ] {
        let mut gather = Gather { plan, nodes, turns, keys: &keys, series: Vec::new() };
        peers::all(&mut gather);
        for series in rounds(gather.series, plan.rounds, &keys) {
            let figure = |measure, unit, values| Figure {
                measure,
                unit,
                contestant: series.name,
                nodes,
                value: median(values),
            };
            if !ratio.is_empty() {
                figures.push(figure(ratio, "times", series.ratios));
            }
            figures.push(figure(measure, "ns", series.times));
        }
    }
    figures
}

/// Gives everybody a turn in each round, the bound, which is the first, too.
fn rounds(mut all: Vec<Series>, rounds: u32, keys: &[Key]) -> Vec<Series> {
    for _ in 0..rounds {
        let mut bound = f64::NAN;
        for (place, series) in all.iter_mut().enumerate() {
            let time = (series.turn)(keys);
            if place == 0 {
                bound = time;
            }
            series.times.push(time);
            series.ratios.push(time / bound);
        }
    }
    all
}

#[derive(Clone, Copy)]
enum Turns {
    /// Lookups that can overlap.
    Independent,
    /// Each key is known only once the owner of the one before is.
    Dependent,
    /// Three different nodes.
    Copies,
}

/// Builds everybody and makes a turn of it.
struct Gather<'a> {
    plan: &'a Plan,
    nodes: u32,
    turns: Turns,
    keys: &'a [Key],
    series: Vec<Series>,
}

impl Visitor for Gather<'_> {
    fn visit<C: Contestant>(&mut self) {
        if C::NAME != Bound::NAME && !wanted::<C>(&self.plan.only, self.nodes) {
            return;
        }
        let contestant = C::build(0, self.nodes);
        let turn: fn(&C, &[Key]) = match self.turns {
            Turns::Independent => independent,
            Turns::Dependent => dependent,
            Turns::Copies if contestant.three(&self.keys[0]).is_some() => copies,
            Turns::Copies => return,
        };
        let pilot = nanoseconds(&contestant, turn, &self.keys[..1_000]);
        let count = ((TURN_NS / pilot) as usize).clamp(1_000, self.keys.len());
        self.series.push(Series {
            name: C::NAME,
            turn: Box::new(move |keys| nanoseconds(&contestant, turn, &keys[..count])),
            times: Vec::new(),
            ratios: Vec::new(),
        });
    }
}

/// The time of one lookup of a turn, after the same turn once to bring its memory back into the
/// caches.
fn nanoseconds<C>(contestant: &C, turn: fn(&C, &[Key]), keys: &[Key]) -> f64 {
    turn(contestant, keys);
    let start = Instant::now();
    turn(contestant, keys);
    start.elapsed().as_nanos() as f64 / keys.len() as f64
}

fn independent<C: Contestant>(contestant: &C, keys: &[Key]) {
    for key in keys {
        black_box(contestant.owner(key));
    }
}

fn dependent<C: Contestant>(contestant: &C, keys: &[Key]) {
    let mut owner = 0;
    for pair in keys.windows(2) {
        owner = contestant.owner(&pair[(owner & 1) as usize]);
    }
    black_box(owner);
}

fn copies<C: Contestant>(contestant: &C, keys: &[Key]) {
    for key in keys {
        black_box(contestant.three(key));
    }
}
