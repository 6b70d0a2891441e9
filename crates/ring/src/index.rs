//! Where on a sorted circle to begin looking: one cache line for every two dozen points.
//!
//! The circle is cut into lines of equal width, and each line into sixty buckets. A line says how
//! many points lie before it, and for each of its buckets how many of the line's points lie before
//! that. A count that does not fit its byte is cut to 255: the start is then too early, which costs
//! time and is never wrong, because whoever looks goes forward from it.

use alloc::vec::Vec;

use crate::word::point_of;

const BUCKETS: usize = 60;
/// How many points a line has when the index is built: 2.5 buckets for each.
const POINTS_PER_LINE: usize = 24;
/// Outside these, the index is built again. Between them an update touches only what changed.
const POINTS_PER_LINE_MAX: usize = 40;
const POINTS_PER_LINE_MIN: usize = 12;

/// **Invariant**: for every point, the start of its bucket is at or before its position, and the
/// base of the next line is behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// One more than there are lines: the last one only says how many points there are.
    lines: Vec<Line>,
}

/// As large as a cache line and in one.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line {
    base: u32,
    offsets: [u8; BUCKETS],
}

impl Index {
    /// The index of sorted `words`.
    pub(crate) fn new(words: &[u64]) -> Self {
        let lines = words.len() / POINTS_PER_LINE + 1;
        let mut index = Self { lines: Vec::new() };
        index.lines.reserve_exact(lines + 1);
        index.lines.resize(lines + 1, Line { base: 0, offsets: [0; BUCKETS] });
        let mut base = 0;
        for line in 0..lines {
            base += index.fill(line, base, words);
        }
        index.lines[lines].base = to_u32(words.len());
        index
    }

    /// A position at or before the first point that is not less than `target`, and the line in
    /// which that was found.
    #[inline]
    pub(crate) fn start(&self, target: u64) -> (usize, usize) {
        let (line, bucket) = place(target, self.lines.len().wrapping_sub(1));
        match self.lines.get(line) {
            Some(found) => (found.base as usize + usize::from(found.offsets[bucket]), line),
            None => (0, 0),
        }
    }

    /// A position behind every point of `line`.
    #[inline]
    pub(crate) fn end(&self, line: usize) -> usize {
        self.lines[line + 1].base as usize
    }

    /// Follows a change: `changed`, which is sorted, was put into `words` or taken out of them.
    pub(crate) fn update(&mut self, words: &[u64], changed: &[u64]) {
        let lines = self.lines.len().saturating_sub(1);
        let fits = words.len() <= lines * POINTS_PER_LINE_MAX
            && lines * POINTS_PER_LINE_MIN <= words.len() + POINTS_PER_LINE;
        if !fits {
            *self = Self::new(words);
            return;
        }
        let mut touched = changed.iter().map(|&word| place(point_of(word), lines).0).peekable();
        let shift = to_u32(words.len()).wrapping_sub(self.lines[lines].base);
        // What has come in or gone away so far is counted from the words themselves.
        let mut moved = 0_u32;
        for line in touched.peek().copied().unwrap_or(lines)..lines {
            let base = self.lines[line].base.wrapping_add(moved);
            self.lines[line].base = base;
            if touched.next_if_eq(&line).is_some() {
                while touched.next_if_eq(&line).is_some() {}
                let after = base as usize + self.fill(line, base as usize, words);
                moved = to_u32(after).wrapping_sub(self.lines[line + 1].base);
            }
        }
        assert_eq!(moved, shift, "the words that changed are those that were named");
        self.lines[lines].base = to_u32(words.len());
    }

    /// Writes a line that begins at the word `base`; returns how many words are in it.
    fn fill(&mut self, line: usize, base: usize, words: &[u64]) -> usize {
        let lines = self.lines.len() - 1;
        let Line { base: line_base, offsets } = &mut self.lines[line];
        *line_base = to_u32(base);
        let mut filled = 0;
        let mut count = 0;
        for &word in &words[base..] {
            let (word_line, bucket) = place(point_of(word), lines);
            if word_line != line {
                break;
            }
            if filled <= bucket {
                offsets[filled..=bucket].fill(cut(count));
                filled = bucket + 1;
            }
            count += 1;
        }
        offsets[filled..].fill(cut(count));
        count
    }

    /// How many bytes this takes from the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.lines.capacity() * size_of::<Line>()
    }
}

/// The line and the bucket of a hash: its place on the circle in units of lines, and the rest in
/// units of buckets. Both grow with the hash.
#[inline]
fn place(target: u64, lines: usize) -> (usize, usize) {
    let product = u128::from(target) * lines as u128;
    let rest = (product as u64) >> 32;
    ((product >> 64) as usize, (rest as usize * BUCKETS) >> 32)
}

#[inline]
fn cut(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

fn to_u32(count: usize) -> u32 {
    u32::try_from(count).expect("a circle has fewer than 2^31 points")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_index_is_a_line_of_the_cache() {
        assert_eq!((size_of::<Line>(), align_of::<Line>()), (64, 64));
    }

    #[test]
    fn the_highest_hash_is_in_the_last_bucket_of_the_last_line() {
        for lines in [1, 2, 7, 6_667, 1 << 20] {
            assert_eq!(place(u64::MAX, lines), (lines - 1, BUCKETS - 1));
            assert_eq!(place(0, lines), (0, 0));
        }
    }

    #[test]
    fn a_search_begins_at_the_first_point_of_its_bucket() {
        let step = u64::MAX / 1_000;
        let words: Vec<u64> = (0..1_000).map(|point| point_of(point * step)).collect();
        let index = Index::new(&words);
        let lines = index.lines.len() - 1;
        for target in (0..5_000).map(|part| point_of(part * (step / 5))) {
            let bucket = place(target, lines);
            let before = words.partition_point(|&word| place(word, lines) < bucket);
            assert_eq!(index.start(target), (before, bucket.0), "{target:#x}");
        }
    }
}
