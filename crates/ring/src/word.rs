//! A point and the slot of its node in one word, so that one load gives both and sorting points is
//! sorting integers.

/// The low bits of a word: a number for the node.
const SLOT_BITS: u32 = 20;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;

/// The bits of a hash that count: the upper 44.
pub(crate) const POINT_MASK: u64 = !SLOT_MASK;

/// How many nodes can be told apart: 1,048,576.
pub(crate) const SLOTS_MAX: usize = 1 << SLOT_BITS;

#[inline]
pub(crate) fn word(point: u64, slot: u32) -> u64 {
    debug_assert!(u64::from(slot) <= SLOT_MASK);
    point & POINT_MASK | u64::from(slot)
}

#[inline]
pub(crate) fn point_of(word: u64) -> u64 {
    word & POINT_MASK
}

#[inline]
pub(crate) fn slot_of(word: u64) -> u32 {
    (word & SLOT_MASK) as u32
}
