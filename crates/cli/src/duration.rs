//! Lengths of time as people write them: `150ms`, `5s`, `2m`, `1h`.

use std::time::Duration;

/// Reads a whole number with a unit `ms`, `s`, `m` or `h`; a bare number is seconds. An error says
/// what was expected.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let milliseconds_per_unit = match unit {
        "ms" => 1,
        "s" | "" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(expected(text)),
    };
    let number: u64 = number.parse().map_err(|_| expected(text))?;
    let milliseconds = number.checked_mul(milliseconds_per_unit).ok_or_else(|| expected(text))?;
    if milliseconds == 0 {
        return Err("must be longer than nothing".to_owned());
    }
    Ok(Duration::from_millis(milliseconds))
}

fn expected(text: &str) -> String {
    format!("`{text}` is no length of time; write for example 150ms, 5s or 2m")
}

/// The shortest form that [`parse`] reads back.
pub(crate) fn show(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds.is_multiple_of(1000) {
        format!("{}s", milliseconds / 1000)
    } else {
        format!("{milliseconds}ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, milliseconds) in
            [("150ms", 150), ("5s", 5000), ("5", 5000), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
            assert_eq!(parse(&show(Duration::from_millis(milliseconds))), parse(text));
        }
        for text in ["", "s", "5x", "-1s", "1.5s", "0", "99999999999999999m"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
