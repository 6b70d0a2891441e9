//! How much history to keep, as people write it: `1h` or `30m` of it, `10000` revisions, or `all`.

use althing_node::Retention;

use crate::duration;

/// Reads a time, a number of revisions, or `all`. An error says what was expected.
pub(super) fn parse(text: &str) -> Result<Retention, String> {
    let expected = || "expected a time as in 1h, a number of revisions, or `all`".to_owned();
    if text == "all" {
        return Ok(Retention::All);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let count = text.parse::<i64>().ok().filter(|count| *count > 0);
        return count.map(Retention::Revisions).ok_or_else(expected);
    }
    let time = duration::parse(text).ok().filter(|time| !time.is_zero());
    time.map(Retention::Time).ok_or_else(expected)
}

/// The form that [`parse`] reads back.
pub(super) fn show(retention: Retention) -> String {
    match retention {
        Retention::All => "all".to_owned(),
        Retention::Time(time) => duration::show(time),
        Retention::Revisions(count) => count.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn retentions_are_a_time_a_number_or_all() {
        for (text, retention) in [
            ("1h", Retention::Time(Duration::from_secs(3600))),
            ("90s", Retention::Time(Duration::from_secs(90))),
            ("10000", Retention::Revisions(10_000)),
            ("all", Retention::All),
        ] {
            assert_eq!(parse(text), Ok(retention), "{text}");
            assert_eq!(parse(&show(retention)), Ok(retention), "{text}");
        }
        for text in ["", "0", "0s", "-1", "h", "1d", "some", "99999999999999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
