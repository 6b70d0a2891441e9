//! Which hashes belong to whom, and what changes hands between two rings.

use alloc::vec::Vec;
use core::iter::Peekable;
use core::ops::RangeInclusive;

use crate::ring::Ring;

/// How many hashes there are.
const HASHES: f64 = 18_446_744_073_709_551_616.0;

/// Hashes that belong to one node. Made by [`Ring::ranges`].
///
/// ```
/// use althing_ring::{Owned, Placement, Ring};
///
/// let ring = Ring::new(["a", "b"])?;
/// for Owned { range, owner } in ring.ranges() {
///     assert_eq!(ring.owner_of(*range.start()), Some(owner));
///     assert_eq!(ring.owner_of(*range.end()), Some(owner));
/// }
/// # Ok::<(), althing_ring::RingError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned<'a, Id> {
    /// The hashes, first and last.
    pub range: RangeInclusive<u64>,
    /// Whose they are.
    pub owner: &'a Id,
}

/// Hashes that change hands. Made by [`Ring::diff`].
///
/// ```
/// use althing_ring::{Move, Ring};
///
/// let (nobody, ring) = (Ring::default(), Ring::new(["a"])?);
/// assert_eq!(nobody.diff(&ring), [Move { range: 0..=u64::MAX, from: None, to: Some(&"a") }]);
/// assert_eq!(ring.diff(&nobody), [Move { range: 0..=u64::MAX, from: Some(&"a"), to: None }]);
/// # Ok::<(), althing_ring::RingError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move<'a, Id> {
    /// The hashes, first and last.
    pub range: RangeInclusive<u64>,
    /// Whose they were; `None` if nobody's.
    pub from: Option<&'a Id>,
    /// Whose they are now; `None` if nobody's.
    pub to: Option<&'a Id>,
}

impl<Id: Ord, H> Ring<Id, H> {
    /// All hashes by ascending value, with their owners: every hash is in exactly one range, and
    /// ranges that follow each other have different owners. What goes round past the end is two
    /// ranges. Nothing, if no node has any weight.
    ///
    /// ```
    /// use althing_ring::{Node, Owned, Ring, hash_of_u32};
    ///
    /// let half = hash_of_u32(1 << 31);
    /// let ring = Ring::new([Node::new("a").points([0]), Node::new("b").points([half])])?;
    /// let last_of_b = half | 0xf_ffff; // The lowest 20 bits of a hash do not count.
    /// assert!(ring.ranges().map(|owned| (*owned.range.end(), *owned.owner)).eq([
    ///     (0xf_ffff, "a"),
    ///     (last_of_b, "b"),
    ///     (u64::MAX, "a"),
    /// ]));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn ranges(&self) -> impl Iterator<Item = Owned<'_, Id>> + '_ {
        let mut arcs = self.arcs().peekable();
        let mut first = Some(0);
        core::iter::from_fn(move || {
            let (start, (mut end, owner)) = (first?, arcs.next()?);
            let owner = owner?;
            while let Some((last, _)) = arcs.next_if(|(_, next)| *next == Some(owner)) {
                end = last;
            }
            first = end.checked_add(1);
            Some(Owned { range: start..=end, owner })
        })
    }

    /// What changes hands when `self` becomes `after`, by ascending hash: every hash whose owner is
    /// another is in exactly one of the ranges, and no other hash is. Both rings must have the same
    /// hash for the keys. Takes a time proportional to the points of both.
    ///
    /// ```
    /// use althing_ring::Ring;
    ///
    /// let before = Ring::new(["a", "b"])?;
    /// let mut after = before.clone();
    /// after.add("c")?;
    /// let moves = before.diff(&after);
    /// assert!(moves.iter().all(|moved| moved.to == Some(&"c")));
    /// let moved = moves.iter().find(|moved| moved.range.contains(&before.hash("user:42")));
    /// assert_eq!(moved.is_some(), after.owner("user:42") == Some(&"c"));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn diff<'a>(&'a self, after: &'a Self) -> Vec<Move<'a, Id>> {
        let (mut old, mut new) = (self.arcs().peekable(), after.arcs().peekable());
        let mut moves: Vec<Move<'a, Id>> = Vec::new();
        let mut first = 0;
        while let (Some(&(old_last, from)), Some(&(new_last, to))) = (old.peek(), new.peek()) {
            let last = old_last.min(new_last);
            if from != to {
                extend(&mut moves, Move { range: first..=last, from, to });
            }
            pass(&mut old, last);
            pass(&mut new, last);
            first = last.wrapping_add(1);
        }
        moves
    }

    /// How much of all hashes each node owns, by ascending id: exact but for the rounding of the
    /// result, which is at least 0 and at most 1.
    ///
    /// ```
    /// let ring = althing_ring::Ring::new(["a", "b"])?;
    /// let shares: Vec<f64> = ring.shares().map(|(_, share)| share).collect();
    /// assert!((shares[0] + shares[1] - 1.0).abs() < 1e-9);
    /// assert!((0.3..0.7).contains(&shares[0]));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn shares(&self) -> impl ExactSizeIterator<Item = (&Id, f64)> + '_ {
        let mut owned = alloc::vec![0_u128; self.roster.slots()];
        let mut first = 0;
        for (last, slot) in self.slot_arcs() {
            if let Some(slot) = slot {
                owned[slot as usize] += u128::from(last - first) + 1;
            }
            first = last.wrapping_add(1);
        }
        let slots = self.roster.slots_by_id().iter();
        slots.map(move |&slot| (self.id(slot), owned[slot as usize] as f64 / HASHES))
    }

    /// The circle from hash 0 on: the last hash of each piece and its owner. The last piece ends
    /// with the last hash.
    fn arcs(&self) -> impl Iterator<Item = (u64, Option<&Id>)> + '_ {
        self.slot_arcs().map(|(last, slot)| (last, slot.map(|slot| self.id(slot))))
    }

    fn slot_arcs(&self) -> impl Iterator<Item = (u64, Option<u32>)> + '_ {
        let mut points = self.circle.points();
        let mut previous = None;
        let distinct = core::iter::from_fn(move || {
            let (point, slot) = points.find(|&(point, _)| previous != Some(point))?;
            previous = Some(point);
            Some((point | !self.mask, Some(slot)))
        });
        let after_all = self.circle.point(0).map(|(_, slot)| slot);
        distinct.chain(core::iter::once((u64::MAX, after_all)))
    }
}

/// Adds a move to those before it, or to the last of them if it goes on where that one ends.
fn extend<'a, Id: Eq>(moves: &mut Vec<Move<'a, Id>>, next: Move<'a, Id>) {
    match moves.last_mut() {
        Some(last)
            if (last.from, last.to) == (next.from, next.to)
                && last.range.end().checked_add(1) == Some(*next.range.start()) =>
        {
            last.range = *last.range.start()..=*next.range.end();
        }
        _ => moves.push(next),
    }
}

/// Drops the pieces that end at `last`. There may be two at the last hash of all, if a point is
/// there.
fn pass<T>(arcs: &mut Peekable<impl Iterator<Item = (u64, T)>>, last: u64) {
    while arcs.next_if(|&(end, _)| end == last).is_some() {}
}
