//! The plan as a picture of characters.

use super::change::Change;
use super::show::percent;
use super::study::Study;

/// Columns of the longest bar.
const COLUMNS: f64 = 48.0;

/// Columns of a name, beyond which it is cut.
const NAME_COLUMNS_MAX: usize = 20;

/// A bar for each of these nodes: what stays with it, what comes to it, what goes from it. Then the
/// moves of the ring beside those of modulo hashing.
pub(super) fn picture(change: &Change, study: &Study, shown: &[usize]) -> String {
    let mut gained = vec![0.0; change.planned().len()];
    let mut lost = gained.clone();
    for moved in &study.moves {
        gained[moved.to] += moved.amount.share;
        lost[moved.from] += moved.amount.share;
    }
    let length = |node: usize| study.before[node].share.max(0.0) + gained[node];
    let longest = shown.iter().map(|node| length(*node)).fold(f64::MIN_POSITIVE, f64::max);
    let name = |node: usize| {
        crate::output::printable_cut(change.planned()[node].name.as_bytes(), NAME_COLUMNS_MAX)
    };
    let width = shown.iter().map(|node| name(*node).chars().count()).max().unwrap_or(0).max(6);
    let mut text = String::new();
    for &node in shown {
        let stays = (study.before[node].share - lost[node]).max(0.0);
        let bar = bar(&[('█', stays), ('▒', gained[node]), ('░', lost[node])], longest);
        text.push_str(format!("{:width$}  {bar}", name(node)).trim_end());
        text.push('\n');
    }
    text.push_str(&format!("{:width$}  █ stays  ▒ comes  ░ goes\n", ""));
    if study.keys > 0 {
        text.push('\n');
        for (label, share) in [("ring", study.moved().share), ("modulo", study.modulo.share)] {
            let bar = bar(&[('▒', share), (' ', 1.0 - share)], 1.0);
            text.push_str(&format!("{label:width$}  {bar} {} of all keys move\n", percent(share)));
        }
    }
    text
}

/// Pieces one behind the other. Their ends are rounded, not their lengths, so that the whole is as
/// long as it should be.
fn bar(pieces: &[(char, f64)], longest: f64) -> String {
    let mut bar = String::new();
    let (mut end, mut drawn) = (0.0, 0);
    for (character, length) in pieces {
        end += length / longest * COLUMNS;
        let until = end.round() as usize;
        bar.extend(std::iter::repeat_n(*character, until.saturating_sub(drawn)));
        drawn = drawn.max(until);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_pieces_together() {
        assert_eq!(bar(&[('a', 0.5), ('b', 0.25)], 1.0), "a".repeat(24) + &"b".repeat(12));
        assert_eq!(bar(&[('a', 0.0), ('b', 0.0)], 1.0), "");
        // Three pieces of half a column are two columns, not none and not three.
        let half = 0.5 / COLUMNS;
        assert_eq!(bar(&[('a', half), ('b', half), ('c', half)], 1.0).chars().count(), 2);
    }
}
