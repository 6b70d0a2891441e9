//! Where on a sorted circle to begin looking: two bytes for a point, six in a small circle.
//!
//! The circle is cut into equal buckets, about two for each point. There is a power of two of them,
//! so that the upper bits of a hash are its bucket: a shift takes a cycle where a product takes
//! four, and every load waits for it. The buckets are put into groups. A group says how many points
//! lie before it, and a bucket how many of the group's points lie before it: both are needed, but
//! neither waits for the other. A count that does not fit its byte is cut to 255: the start is then
//! too early, which costs time and is never wrong, because whoever looks goes forward from it.
//!
//! Where positions fit two bytes, each bucket's is also there as it is: a load and an addition
//! less, and all of it still fits the second cache. In a larger circle the room matters more.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use crate::word::point_of;

/// How many buckets a group has.
const GROUP: usize = 128;
/// How many points a group has at most, and half as many at least, when the index is built: about
/// two buckets for each, and in a large circle less than eleven bytes with the point itself.
const POINTS_PER_GROUP: usize = 90;

/// **Invariant**: there are 2^(64 - `shift`) buckets, or none; for every point, the start of its
/// bucket is at or before its position, and the base of the next group is behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// One more than there are groups: the last one only says how many points there are.
    bases: Vec<u32>,
    offsets: Vec<u8>,
    /// What base and offset say of each bucket, if no position is above 65,535; empty otherwise.
    starts: Vec<u16>,
    /// How many of a hash's lower bits do not tell its bucket.
    shift: u32,
}

impl Index {
    /// The index of sorted `words`: about two buckets for each.
    pub(crate) fn new(words: &[u64]) -> Self {
        let groups = (words.len() / POINTS_PER_GROUP + 1).next_power_of_two();
        let offsets = vec![0; groups * GROUP];
        let shift = u64::BITS - offsets.len().ilog2();
        let mut index = Self { bases: vec![0; groups + 1], offsets, starts: Vec::new(), shift };
        let mut base = 0;
        for group in 0..groups {
            base += index.fill(group, base, words);
        }
        index.bases[groups] = to_u32(words.len());
        index.write_starts(words.len());
        index
    }

    /// Writes all starts anew, or takes them away: there are few, so a change need not be followed.
    fn write_starts(&mut self, points: usize) {
        self.starts.clear();
        if points > usize::from(u16::MAX) {
            self.starts.shrink_to_fit();
            return;
        }
        self.starts.reserve_exact(self.offsets.len());
        for (&base, offsets) in self.bases.iter().zip(self.offsets.chunks_exact(GROUP)) {
            self.starts.extend(offsets.iter().map(|&offset| base as u16 + u16::from(offset)));
        }
    }

    /// A position at or before the first point that is not less than `target`; `None` if there is
    /// no point.
    #[inline]
    pub(crate) fn start(&self, target: u64) -> Option<usize> {
        let bucket = self.bucket(target);
        // The check of the bounds is also the question which of the two it is.
        if let Some(&start) = self.starts.get(bucket) {
            return Some(usize::from(start));
        }
        let base = *self.bases.get(bucket / GROUP)? as usize;
        Some(base + usize::from(*self.offsets.get(bucket)?))
    }

    /// A position behind every point in the group of `target`.
    pub(crate) fn end(&self, target: u64) -> usize {
        self.bases[self.group(target) + 1] as usize
    }

    /// Follows a change: `changed`, which is sorted, was put into `words` or taken out of them.
    pub(crate) fn update(&mut self, words: &[u64], changed: &[u64]) {
        // Built again when there is less than one bucket for a point, or more than four; between
        // that, only what changed is touched.
        let groups = self.bases.len().saturating_sub(1);
        let fits =
            words.len() <= groups * GROUP && (groups == 1 || groups * GROUP <= words.len() * 4);
        if !fits {
            *self = Self::new(words);
            return;
        }
        // The words themselves say how many of them are in a group that changed; the bases behind
        // it move by what that is more or less than before.
        let mut moved = 0_u32;
        let mut next = 0;
        for &word in changed {
            let group = self.group(point_of(word));
            if group < next {
                continue;
            }
            self.move_bases(next..group + 1, moved);
            let base = self.bases[group];
            let after = base as usize + self.fill(group, base as usize, words);
            moved = to_u32(after).wrapping_sub(self.bases[group + 1]);
            next = group + 1;
        }
        self.move_bases(next..groups, moved);
        assert_eq!(self.bases[groups].wrapping_add(moved), to_u32(words.len()), "all is named");
        self.bases[groups] = to_u32(words.len());
        self.write_starts(words.len());
    }

    fn move_bases(&mut self, groups: Range<usize>, moved: u32) {
        for base in &mut self.bases[groups] {
            *base = base.wrapping_add(moved);
        }
    }

    /// Writes a group that begins at the word `base`; returns how many words are in it.
    fn fill(&mut self, group: usize, base: usize, words: &[u64]) -> usize {
        self.bases[group] = to_u32(base);
        let first = group * GROUP;
        let end = first + GROUP;
        let (mut filled, mut count) = (first, 0);
        for &word in &words[base..] {
            let bucket = self.bucket(point_of(word));
            if bucket >= end {
                break;
            }
            if filled <= bucket {
                self.offsets[filled..=bucket].fill(cut(count));
                filled = bucket + 1;
            }
            count += 1;
        }
        self.offsets[filled..end].fill(cut(count));
        count
    }

    /// The bucket of a hash: its place on the circle in units of buckets.
    #[inline]
    fn bucket(&self, target: u64) -> usize {
        (target >> self.shift) as usize
    }

    fn group(&self, target: u64) -> usize {
        self.bucket(target) / GROUP
    }

    /// How many bytes this takes from the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.bases.capacity() * size_of::<u32>()
            + self.offsets.capacity()
            + self.starts.capacity() * size_of::<u16>()
    }
}

fn cut(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

fn to_u32(count: usize) -> u32 {
    u32::try_from(count).expect("a circle has at most 2^31 points")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: u64) -> Vec<u64> {
        let step = u64::MAX / count;
        (0..count).map(|point| point_of(point * step)).collect()
    }

    #[test]
    fn a_search_begins_at_the_first_point_of_its_bucket() {
        for count in [1, 100, 128, 129, 5_000, 65_535, 65_536] {
            let words = words(count);
            let index = Index::new(&words);
            for target in (0..20_000).map(|part| point_of(part * (u64::MAX / 20_000))) {
                let before =
                    words.partition_point(|word| index.bucket(*word) < index.bucket(target));
                assert_eq!(index.start(target), Some(before), "{target:#x}");
            }
        }
    }

    #[test]
    fn an_index_that_follows_begins_where_a_new_one_would() {
        let mut all = words(5_000);
        let mut index = Index::new(&all);
        let groups = index.bases.len();
        for step in [3, 50, 7, 900] {
            let taken: Vec<u64> = all.iter().copied().step_by(step).collect();
            all.retain(|word| !taken.contains(word));
            index.update(&all, &taken);
            assert_eq!(index.bases.len(), groups, "it was not built again");
            for &target in all.iter().chain(&taken) {
                let bucket = index.bucket(target);
                let before = all.partition_point(|&word| index.bucket(word) < bucket);
                assert_eq!(index.start(target), Some(before));
                assert!(index.end(target) >= before);
            }
        }
    }
}
