//! Points on a circle, each with a node, and the first one at or after a place.
//!
//! The lowest layer: it knows numbers, not names. [`Ring`](crate::Ring) makes points from names and
//! weights; the formats of other programs make them by their own rules.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::hint::select_unpredictable;

use crate::error::RingError;
use crate::index::Index;
use crate::word::{POINT_MASK, SLOTS_MAX, point_of, slot_of, word};

/// How many words are compared at once, without a branch between them; also how many copies of the
/// first point's node stand behind the last point, where a search that goes past it ends.
pub(crate) const STRIDE: usize = 3;

/// Sorted points, each with the slot of its node: a number below [`Circle::SLOTS_MAX`] which the
/// caller gives a meaning.
///
/// Points are places among all hashes of 64 bits, of which the upper 44 count; points of 32 bits go
/// into the upper half and keep all of theirs. Several points may be at one place. They stay in the
/// order in which they came, and the first of them is the one that is found.
///
/// ```
/// use althing_ring::{Circle, hash_of_u32};
///
/// let points = [(300, 7), (100, 4), (200, 5)];
/// let circle = Circle::new(points.map(|(point, slot)| (hash_of_u32(point), slot)))?;
/// assert_eq!(circle.owner(hash_of_u32(150)), Some(5));
/// assert_eq!(circle.owner(hash_of_u32(200)), Some(5));
/// assert_eq!(circle.owner(hash_of_u32(301)), Some(4));
/// # Ok::<(), althing_ring::RingError>(())
/// ```
///
/// **Invariant**: `words` is sorted by point and empty, or followed by `STRIDE` words that no hash
/// is greater than and that carry the first point's slot.
#[derive(Clone, Debug, Default)]
pub struct Circle {
    words: Vec<u64>,
    index: Index,
}

impl Circle {
    /// How many slots there can be: 1,048,576.
    ///
    /// ```
    /// use althing_ring::{Circle, RingError};
    ///
    /// let slot = Circle::SLOTS_MAX as u32;
    /// let refused = RingError::TooManyNodes { max: 1_048_576 };
    /// assert_eq!(Circle::new([(0, slot)]), Err(refused));
    /// assert_eq!(Circle::new([(0, slot - 1)])?.owner(7), Some(slot - 1));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub const SLOTS_MAX: usize = SLOTS_MAX;

    /// How many points there can be: 2,147,483,648, at about ten bytes each.
    ///
    /// ```
    /// use althing_ring::{Circle, Settings};
    ///
    /// let settings = Settings::default().points_max(usize::MAX);
    /// assert_eq!(settings.points_max, Circle::POINTS_MAX);
    /// ```
    pub const POINTS_MAX: usize = 1 << 31;

    /// A circle with these points: pairs of a place and a slot, in any order; those of equal place
    /// keep theirs.
    ///
    /// ```
    /// use althing_ring::Circle;
    ///
    /// let circle = Circle::new([(2 << 60, 3), (1 << 60, 5), (1 << 60, 4)])?;
    /// assert!(circle.points().eq([(1 << 60, 5), (1 << 60, 4), (2 << 60, 3)]));
    /// assert_eq!(circle.owner(0), Some(5));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    ///
    /// # Errors
    /// A slot or a number of points that is too large.
    pub fn new(points: impl IntoIterator<Item = (u64, u32)>) -> Result<Self, RingError> {
        let mut words = Vec::new();
        for (point, slot) in points {
            if slot as usize >= SLOTS_MAX {
                return Err(RingError::TooManyNodes { max: SLOTS_MAX });
            }
            if words.len() >= Self::POINTS_MAX {
                let needed = words.len() as u64 + 1;
                return Err(RingError::TooManyPoints { needed, max: Self::POINTS_MAX });
            }
            words.push(word(point, slot));
        }
        words.sort_by_key(|&word| point_of(word));
        Ok(Self::from_sorted(words))
    }

    /// A circle of words that are in order.
    pub(crate) fn from_sorted(mut words: Vec<u64>) -> Self {
        debug_assert!(words.is_sorted_by_key(|&word| point_of(word)));
        words.shrink_to(words.len() + STRIDE);
        let index = Index::new(&words);
        let mut circle = Self { words, index };
        circle.close();
        circle
    }

    /// How many points there are.
    ///
    /// ```
    /// use althing_ring::Circle;
    ///
    /// let circle = Circle::new([(1 << 60, 0), (1 << 60, 1)])?;
    /// assert_eq!(circle.len(), 2, "points at one place are counted one by one");
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[inline]
    pub fn len(&self) -> usize {
        self.words.len().saturating_sub(STRIDE)
    }

    /// Whether there is no point.
    ///
    /// ```
    /// assert!(althing_ring::Circle::default().is_empty());
    /// ```
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The slot of the first point that is at `hash` or after it, going round past the end; `None`
    /// if there is no point.
    ///
    /// ```
    /// use althing_ring::Circle;
    ///
    /// let circle = Circle::new([(1 << 60, 0), (2 << 60, 1)])?;
    /// assert_eq!(circle.owner((1 << 60) + 0xf_ffff), Some(0)); // The lowest 20 bits do not count.
    /// assert_eq!(circle.owner((1 << 60) + 0x10_0000), Some(1));
    /// assert_eq!(circle.owner(u64::MAX), Some(0));
    /// assert_eq!(Circle::default().owner(7), None);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[inline]
    pub fn owner(&self, hash: u64) -> Option<u32> {
        // Behind the last point stands the first one's slot, so nothing needs to go round here.
        Some(slot_of(self.search(point_of(hash))?))
    }

    /// The position of the first point that is at `hash` or after it, going round past the end;
    /// `None` if there is no point.
    ///
    /// ```
    /// use althing_ring::Circle;
    ///
    /// let circle = Circle::new([(1 << 60, 0), (2 << 60, 1)])?;
    /// assert_eq!(circle.successor(1 << 60), Some(0));
    /// assert_eq!(circle.successor(3 << 60), Some(0));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[inline]
    pub fn successor(&self, hash: u64) -> Option<usize> {
        let position = self.lower_bound(point_of(hash));
        (!self.is_empty()).then_some(if position == self.len() { 0 } else { position })
    }

    /// The position of the last place that is at `hash` or before it, going round past the
    /// beginning, and there of the first of its points; `None` if there is no point.
    ///
    /// ```
    /// use althing_ring::Circle;
    ///
    /// let circle = Circle::new([(1 << 60, 0), (2 << 60, 1), (2 << 60, 2)])?;
    /// assert_eq!(circle.predecessor(1 << 60), Some(0));
    /// assert_eq!(circle.predecessor(0), Some(1));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn predecessor(&self, hash: u64) -> Option<usize> {
        let behind = match point_of(hash).checked_add(!POINT_MASK + 1) {
            Some(next) => self.lower_bound(next),
            None => self.len(),
        };
        let last = behind.checked_sub(1).or_else(|| self.len().checked_sub(1))?;
        Some(self.lower_bound(point_of(self.words[last])))
    }

    /// The point at a position and its slot; `None` behind the last one.
    ///
    /// ```
    /// use althing_ring::Circle;
    ///
    /// let circle = Circle::new([(2 << 60, 1), (1 << 60, 0)])?;
    /// assert_eq!(circle.point(1), Some((2 << 60, 1)));
    /// assert_eq!(circle.point(2), None);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[inline]
    pub fn point(&self, position: usize) -> Option<(u64, u32)> {
        self.words().get(position).map(|&word| (point_of(word), slot_of(word)))
    }

    /// All points with their slots, in order.
    ///
    /// ```
    /// use althing_ring::Circle;
    ///
    /// let circle = Circle::new([(2 << 60, 1), (1 << 60, 0)])?;
    /// assert!(circle.points().eq([(1 << 60, 0), (2 << 60, 1)]));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn points(&self) -> impl ExactSizeIterator<Item = (u64, u32)> + '_ {
        self.words().iter().map(|&word| (point_of(word), slot_of(word)))
    }

    /// The slots of all points, once round from the first that is at `hash` or after it.
    ///
    /// ```
    /// use althing_ring::Circle;
    ///
    /// let circle = Circle::new([(1 << 60, 0), (2 << 60, 1), (3 << 60, 0)])?;
    /// assert!(circle.walk(2 << 60).eq([1, 0, 0]));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[inline]
    pub fn walk(&self, hash: u64) -> Walk<'_> {
        let (before, after) = self.words().split_at(self.lower_bound(point_of(hash)));
        Walk { now: after.iter(), later: before }
    }

    /// How many bytes this takes from the heap.
    ///
    /// ```
    /// use althing_ring::Circle;
    ///
    /// let circle = Circle::new((0..160_000).map(|point| (point << 44, 0)))?;
    /// assert!(circle.heap_bytes() < 11 * circle.len());
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn heap_bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>() + self.index.bytes()
    }

    /// The words without what stands behind the last point.
    #[inline]
    pub(crate) fn words(&self) -> &[u64] {
        &self.words[..self.len()]
    }

    /// How many points are less than `target`.
    #[inline]
    fn lower_bound(&self, target: u64) -> usize {
        let Some((start, [first, second, third])) = self.next_words(target) else { return 0 };
        if third < target {
            return self.search_from(start + STRIDE, target).0;
        }
        start + usize::from(first < target) + usize::from(second < target)
    }

    /// The first word that is not less than `target`; `None` if there is no point.
    #[inline]
    fn search(&self, target: u64) -> Option<u64> {
        let (start, [first, second, third]) = self.next_words(target)?;
        if third < target {
            return Some(self.search_from(start + STRIDE, target).1);
        }
        // Chosen from what is loaded already: a load from a position that is counted first would
        // have to wait for the count.
        let found = select_unpredictable(second < target, third, second);
        Some(select_unpredictable(first < target, found, first))
    }

    /// The words among which the first one that is not less than `target` is most likely, and the
    /// position of the first of them; `None` if there is no point.
    #[inline]
    fn next_words(&self, target: u64) -> Option<(usize, [u64; STRIDE])> {
        let start = self.index.start(target)?;
        // One comparison is enough for all three, and its right side is the same in every lookup.
        let &third = self.words.get(STRIDE - 1..)?.get(start)?;
        Some((start, [self.words[start], self.words[start + 1], third]))
    }

    /// The rest of a search that went past the first few words: one in some hundreds, or where
    /// points are crowded.
    #[cold]
    #[inline(never)]
    fn search_from(&self, start: usize, target: u64) -> (usize, u64) {
        let rest = &self.words[start..self.index.end(target)];
        let position = start + rest.partition_point(|&word| word < target);
        (position, self.words[position])
    }

    /// Puts `added` in, which is in order; `order` says which of two slots is first where points
    /// are equal.
    pub(crate) fn insert(&mut self, added: &[u64], order: impl Fn(u32, u32) -> Ordering) {
        if added.is_empty() {
            return;
        }
        let positions: Vec<usize> = added
            .iter()
            .map(|&word| self.rank(word, |slot| order(slot, slot_of(word)).is_le()))
            .collect();
        self.open();
        let mut end = self.words.len();
        self.words.resize(end + added.len(), 0);
        for (before, (&word, &position)) in added.iter().zip(&positions).enumerate().rev() {
            self.words.copy_within(position..end, position + before + 1);
            self.words[position + before] = word;
            end = position;
        }
        self.index.update(&self.words, added);
        self.close();
    }

    /// Takes `removed` out, which is in order and in the circle; `order` is that of
    /// [`Self::insert`].
    pub(crate) fn remove(&mut self, removed: &[u64], order: impl Fn(u32, u32) -> Ordering) {
        let Some(&first) = removed.first() else { return };
        let mut position = 0;
        let mut positions = Vec::with_capacity(removed.len());
        let mut previous = !first;
        for &word in removed {
            position = if word == previous {
                position + 1
            } else {
                self.rank(word, |slot| order(slot, slot_of(word)).is_lt())
            };
            assert_eq!(self.words[position], word, "only a point that is there is taken out");
            positions.push(position);
            previous = word;
        }
        self.open();
        let mut to = positions[0];
        for (number, &position) in positions.iter().enumerate() {
            let end = positions.get(number + 1).copied().unwrap_or(self.words.len());
            self.words.copy_within(position + 1..end, to);
            to += end - position - 1;
        }
        self.words.truncate(to);
        self.index.update(&self.words, removed);
        self.close();
    }

    /// How many points are before `word`: those that are less, and of those at the same place the
    /// ones whose slot is `before` it.
    fn rank(&self, word: u64, before: impl Fn(u32) -> bool) -> usize {
        let start = self.lower_bound(point_of(word));
        let rest = &self.words()[start..];
        if rest.first().is_none_or(|&next| point_of(next) != point_of(word)) {
            return start;
        }
        start
            + rest
                .partition_point(|&next| point_of(next) == point_of(word) && before(slot_of(next)))
    }

    /// Takes away what stands behind the last point.
    fn open(&mut self) {
        self.words.truncate(self.len());
    }

    /// Puts the first point's slot behind the last point.
    fn close(&mut self) {
        if let Some(&first) = self.words.first() {
            self.words.extend([word(POINT_MASK, slot_of(first)); STRIDE]);
        }
    }
}

/// Circles are equal if their points are.
impl PartialEq for Circle {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl Eq for Circle {}

/// Once round a circle; made by [`Circle::walk`].
///
/// ```
/// use althing_ring::Circle;
///
/// let circle = Circle::new([(1 << 60, 0), (2 << 60, 1), (3 << 60, 0)])?;
/// let mut walk = circle.walk(2 << 60);
/// assert_eq!((walk.next(), walk.len()), (Some(1), 2));
/// assert!(walk.eq([0, 0]), "a slot comes once for each of its points");
/// # Ok::<(), althing_ring::RingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    now: core::slice::Iter<'a, u64>,
    later: &'a [u64],
}

impl Iterator for Walk<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if let Some(&word) = self.now.next() {
            return Some(slot_of(word));
        }
        self.now = core::mem::take(&mut self.later).iter();
        self.now.next().map(|&word| slot_of(word))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.now.len() + self.later.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for Walk<'_> {}

/// The place of a hash or point of 32 bits among those of 64 bits: the upper half.
///
/// ```
/// assert_eq!(althing_ring::hash_of_u32(0x1234_5678), 0x1234_5678_0000_0000);
/// ```
#[inline]
pub const fn hash_of_u32(hash: u32) -> u64 {
    (hash as u64) << 32
}
