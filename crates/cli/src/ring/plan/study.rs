//! What a change does: exactly, by the arcs of both rings, and to keys that are counted.

use std::collections::BTreeMap;

use althing_ring::{Placement as _, Ring};

use super::change::{Change, Numbered};

/// A share of all hashes, from 0 to 1, and the keys that were counted in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Amount {
    pub(super) share: f64,
    pub(super) keys: u64,
}

/// What goes from one node to another, by their positions in the plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moved {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) amount: Amount,
}

/// All figures of a plan.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Study {
    /// How many keys were counted.
    pub(super) keys: u64,
    /// What each node owns, in the order of the plan.
    pub(super) before: Vec<Amount>,
    pub(super) after: Vec<Amount>,
    /// What moves, the most first.
    pub(super) moves: Vec<Moved>,
    /// How many ranges of hashes these moves are.
    pub(super) ranges: usize,
    /// The largest share for its weight, over the mean.
    pub(super) peak_before: f64,
    pub(super) peak_after: f64,
    /// What has to move where each node owns exactly what its weight is worth.
    pub(super) fair: f64,
    /// What moves if the owner of a key is the rest of its hash divided by all weights.
    pub(super) modulo: Amount,
}

impl Study {
    /// Studies a change between two rings with so many keys; `progress` is told now and then how
    /// many are done.
    pub(super) fn new(
        change: &Change,
        before: &Ring<Numbered>,
        after: &Ring<Numbered>,
        keys: u64,
        progress: &dyn Fn(u64),
    ) -> Self {
        let count = change.planned().len();
        let mut moves = BTreeMap::new();
        let diff = before.diff(after);
        for piece in &diff {
            let (Some(from), Some(to)) = (piece.from, piece.to) else { continue };
            let hashes = u128::from(piece.range.end() - piece.range.start()) + 1;
            moves.entry((from.number, to.number)).or_insert((0_u128, 0_u64)).0 += hashes;
        }
        let mut study = Self {
            keys,
            before: shares(before, count),
            after: shares(after, count),
            moves: Vec::new(),
            ranges: diff.len(),
            peak_before: 0.0,
            peak_after: 0.0,
            fair: fair(change),
            modulo: Amount::default(),
        };
        study.count_keys(change, before, after, &mut moves, progress);
        study.moves = moves
            .into_iter()
            .map(|((from, to), (hashes, keys))| Moved {
                from,
                to,
                amount: Amount { share: share_of(hashes), keys },
            })
            .collect();
        study.moves.sort_by(|one, other| other.amount.share.total_cmp(&one.amount.share));
        let weights = |side: fn(&super::change::Planned) -> Option<u32>| {
            change.planned().iter().map(side).collect::<Vec<_>>()
        };
        study.peak_before = peak(&study.before, &weights(|planned| planned.before));
        study.peak_after = peak(&study.after, &weights(|planned| planned.after));
        study
    }

    /// All that moves.
    pub(super) fn moved(&self) -> Amount {
        let amounts = self.moves.iter().map(|moved| moved.amount);
        amounts.fold(Amount::default(), |sum, amount| Amount {
            share: sum.share + amount.share,
            keys: sum.keys + amount.keys,
        })
    }

    fn count_keys(
        &mut self,
        change: &Change,
        before: &Ring<Numbered>,
        after: &Ring<Numbered>,
        moves: &mut BTreeMap<(usize, usize), (u128, u64)>,
        progress: &dyn Fn(u64),
    ) {
        let modulo_before = buckets(change, |planned| planned.before);
        let modulo_after = buckets(change, |planned| planned.after);
        let bucket = |buckets: &[u32], hash: u64| buckets[(hash % buckets.len() as u64) as usize];
        let mut moved_by_modulo = 0;
        for number in 0..self.keys {
            if number % 65_536 == 0 {
                progress(number);
            }
            let hash = before.hash(number.to_le_bytes());
            let from = before.owner_of(hash).expect("a node has weight").number;
            let to = after.owner_of(hash).expect("a node has weight").number;
            self.before[from].keys += 1;
            self.after[to].keys += 1;
            if from != to {
                let moved = moves.get_mut(&(from, to));
                moved.expect("every hash that moves is in one of the ranges").1 += 1;
            }
            moved_by_modulo +=
                u64::from(bucket(&modulo_before, hash) != bucket(&modulo_after, hash));
        }
        let share = if self.keys == 0 { 0.0 } else { moved_by_modulo as f64 / self.keys as f64 };
        self.modulo = Amount { share, keys: moved_by_modulo };
    }
}

fn shares(ring: &Ring<Numbered>, count: usize) -> Vec<Amount> {
    let mut shares = vec![Amount::default(); count];
    for (id, share) in ring.shares() {
        shares[id.number].share = share;
    }
    shares
}

fn share_of(hashes: u128) -> f64 {
    hashes as f64 / (u64::MAX as f64 + 1.0)
}

/// The node of each bucket, a bucket for each unit of weight.
fn buckets(change: &Change, weight: impl Fn(&super::change::Planned) -> Option<u32>) -> Vec<u32> {
    let numbered = (0_u32..).zip(change.planned());
    numbered
        .flat_map(|(number, planned)| {
            std::iter::repeat_n(number, weight(planned).unwrap_or(0) as usize)
        })
        .collect()
}

/// What each node would own if all went by weight.
fn fair_shares(weights: &[Option<u32>]) -> Vec<f64> {
    let total: f64 = weights.iter().flatten().map(|weight| f64::from(*weight)).sum();
    weights.iter().map(|weight| f64::from(weight.unwrap_or(0)) / total).collect()
}

fn fair(change: &Change) -> f64 {
    let before: Vec<_> = change.planned().iter().map(|planned| planned.before).collect();
    let after: Vec<_> = change.planned().iter().map(|planned| planned.after).collect();
    let pairs = fair_shares(&before).into_iter().zip(fair_shares(&after));
    pairs.map(|(before, after)| (after - before).max(0.0)).sum()
}

fn peak(owned: &[Amount], weights: &[Option<u32>]) -> f64 {
    let fair = fair_shares(weights);
    let ratios = owned.iter().zip(fair).filter(|(_, fair)| *fair > 0.0);
    ratios.map(|(owned, fair)| owned.share / fair).fold(0.0, f64::max)
}
