//! The word a person probably meant.

/// The one of `known` that is nearest to `word`; `None` where none is near.
pub(super) fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let word = word.to_lowercase().replace('_', "-");
    let (distance, near) = known.iter().map(|known| (distance(&word, known), *known)).min()?;
    // More than half of the letters wrong is another word, not a slip.
    (distance * 2 <= near.len().max(word.len())).then_some(near)
}

/// How many letters must be added, taken away or changed to make one word of the other
/// (Levenshtein's distance).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (removed, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = removed + 1;
        for (column, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_letters() {
        for (one, other, expected) in
            [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!((distance(one, other), distance(other, one)), (expected, expected));
        }
    }

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        let known = ["quota", "data", "listen-client"];
        for (word, expected) in [
            ("qouta", Some("quota")),
            ("listen_client", Some("listen-client")),
            ("LISTEN-CLIENTS", Some("listen-client")),
            ("colour", None),
        ] {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
    }
}
