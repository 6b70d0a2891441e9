//! Amounts of bytes as people write them: `512MiB`, `2GiB`.

const UNITS: [(&str, u64); 7] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
];

/// Reads a whole number with or without a unit. An error says what was expected.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
    let (suffix, factor) = unit.copied().unwrap_or(("", 1));
    let number = text.strip_suffix(suffix).unwrap_or(text).trim_end();
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    let bytes = bytes.filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "expected an amount of bytes, as in 512MiB or 2GiB".to_owned())
}

/// The shortest form that [`parse`] reads back.
pub(super) fn show(bytes: u64) -> String {
    let fits =
        UNITS.iter().find(|(unit, factor)| unit.ends_with("iB") && bytes.is_multiple_of(*factor));
    match fits {
        Some((unit, factor)) if bytes > 0 => format!("{}{unit}", bytes / factor),
        _ => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_a_number_and_a_unit() {
        for (text, bytes) in [
            ("2GiB", 2 << 30),
            ("512 MiB", 512 << 20),
            ("7", 7),
            ("1MB", 1_000_000),
            ("8KiB", 8192),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
            assert_eq!(parse(&show(bytes)), Ok(bytes), "{text}");
        }
        for text in ["", "GiB", "2 G", "-1", "0", "1.5GiB", "99999999999TiB"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
