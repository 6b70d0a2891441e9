use crate::{Key, KeyRange};

/// Stretches of keys, disjoint and in ascending order: from a key up to but not including another,
/// or with no end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spans(Vec<Span>);

/// From a key up to the other; `None` for no end.
type Span = (Key, Option<Key>);

/// The stretch that a range is.
fn span(range: &KeyRange) -> Span {
    match range.single() {
        Some(key) => (key.clone(), Some(successor(key))),
        None => (range.start().clone(), range.end().cloned()),
    }
}

/// The least key that is greater.
fn successor(key: &Key) -> Key {
    [key.as_bytes(), &[0]].concat().into()
}

impl Spans {
    /// The stretches that these ranges make together.
    pub(crate) fn of<'a>(ranges: impl IntoIterator<Item = &'a KeyRange>) -> Self {
        let mut spans: Vec<Span> = ranges.into_iter().map(span).collect();
        spans.sort_unstable();
        let mut merged: Vec<Span> = Vec::new();
        for (start, end) in spans {
            match merged.last_mut() {
                Some((_, None)) => break,
                Some((_, Some(last))) if start <= *last => {
                    if end.as_ref().is_none_or(|end| *end > *last) {
                        merged.last_mut().expect("it is there").1 = end;
                    }
                }
                _ => merged.push((start, end)),
            }
        }
        Self(merged)
    }

    /// How far the stretch goes that `key` is in.
    fn reach(&self, key: &Key) -> Option<&Option<Key>> {
        let after = self.0.partition_point(|(start, _)| start <= key);
        let (_, end) = self.0.get(after.checked_sub(1)?)?;
        end.as_ref().is_none_or(|end| key < end).then_some(end)
    }

    /// Whether these stretches, all of them together, hold every key of `range`.
    pub(crate) fn cover(all: &[&Self], range: &KeyRange) -> bool {
        let (mut start, end) = span(range);
        // Each round goes on from the end of a stretch, so that no stretch is met twice.
        loop {
            let mut furthest: Option<&Key> = None;
            for reach in all.iter().filter_map(|spans| spans.reach(&start)) {
                let Some(reach) = reach else { return true };
                furthest = furthest.max(Some(reach));
            }
            match (furthest, &end) {
                (None, _) => return false,
                (Some(reach), Some(end)) if reach >= end => return true,
                (Some(reach), _) => start = reach.clone(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(key: &str, range_end: &str) -> KeyRange {
        KeyRange::new(key.into(), range_end.into()).expect("it has room")
    }

    fn spans(ranges: &[(&str, &str)]) -> Spans {
        let ranges: Vec<KeyRange> = ranges.iter().map(|(key, end)| range(key, end)).collect();
        Spans::of(&ranges)
    }

    #[test]
    fn a_range_is_covered_if_no_key_of_it_is_missing() {
        let granted = spans(&[("b", "d"), ("d", "f"), ("k", ""), ("x", "\0"), ("y", "z")]);
        for (key, end) in [("b", ""), ("b", "f"), ("c", "e"), ("k", ""), ("x", "\0"), ("z", "")] {
            assert!(Spans::cover(&[&granted], &range(key, end)), "{key:?} to {end:?}");
        }
        for (key, end) in
            [("a", ""), ("a", "c"), ("b", "g"), ("f", ""), ("k", "l"), ("k\0", ""), ("k", "\0")]
        {
            assert!(!Spans::cover(&[&granted], &range(key, end)), "{key:?} to {end:?}");
        }
    }

    #[test]
    fn what_two_hold_together_is_covered() {
        let (one, other) = (spans(&[("a", "c"), ("e", "g")]), spans(&[("b", "e"), ("g", "\0")]));
        assert!(Spans::cover(&[&one, &other], &range("a", "\0")));
        assert!(!Spans::cover(&[&one], &range("a", "g")));
        assert!(!Spans::cover(&[], &range("a", "")));
    }

    #[test]
    fn the_grant_of_one_key_holds_no_later_one() {
        let one = spans(&[("a", "")]);
        for (key, end) in [("a", "\0"), ("a", "b"), ("a", "a\0\0"), ("a\0", "")] {
            assert!(!Spans::cover(&[&one], &range(key, end)), "{key:?} to {end:?}");
        }
        assert!(Spans::cover(&[&one], &range("a", "a\0")), "the same key as a range");
    }
}
