//! Numbered buckets, each of a node: what jump hashing and its children choose from.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::rehash;

/// Buckets there may be in all, so that a weight cannot take all the memory.
pub(super) const BUCKETS_MAX: usize = 1 << 24;

/// So many different nodes, by their positions: that of `hash`, then those of the hashes that
/// follow from it. Where chance does not find the last ones soon, `all` is asked in its order.
pub(super) fn distinct(
    hash: u64,
    wanted: usize,
    owner_of: impl Fn(u64) -> Option<u32>,
    all: impl Iterator<Item = u32>,
) -> Vec<u32> {
    // A dozen draws for each are enough for all but the last few of very unequal nodes.
    let draws = (0..12 * wanted as u64).filter_map(|number| owner_of(rehash(hash, number)));
    first_of_each(draws.chain(all), wanted)
}

/// The first so many different ones, in order.
pub(super) fn first_of_each(all: impl Iterator<Item = u32>, wanted: usize) -> Vec<u32> {
    /// Up to this many, looking through what was found is faster than a tree.
    const FEW: usize = 16;
    let mut found = Vec::with_capacity(wanted);
    let mut seen = BTreeSet::new();
    for position in all {
        if found.len() == wanted {
            break;
        }
        let is_new = if wanted <= FEW { !found.contains(&position) } else { seen.insert(position) };
        if is_new {
            found.push(position);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_chance_does_not_find_is_found_in_order() {
        let stuck = |_| Some(7);
        assert_eq!(distinct(1, 3, stuck, [5, 7, 6].into_iter()), [7, 5, 6]);
        assert_eq!(distinct(1, 3, |_| None, [5].into_iter()), [5]);
        let many = distinct(1, 40, |hash| Some((hash % 50) as u32), 0..50);
        let sorted: BTreeSet<u32> = many.iter().copied().collect();
        assert_eq!((many.len(), sorted.len()), (40, 40));
    }
}
