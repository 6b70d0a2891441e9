//! How results are shown: for people, for programs, for pipes.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use comfy_table::Table;
use serde_json::{Value, json};

use crate::failure::{Failure, Kind};

/// The shape of what goes to the standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people; long values are cut
    Table,
    /// One JSON document
    Json,
    /// Bare values, for pipes
    Raw,
}

impl Format {
    /// What is right where the user did not say: columns on a terminal, bare values in a pipe.
    pub(crate) fn automatic() -> Self {
        if std::io::stdout().is_terminal() { Self::Table } else { Self::Raw }
    }
}

/// Writes a result. A reader that left early, as `head` does, is no failure.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    print_part(bytes).map(|_| ())
}

/// Writes a part of a result that has no end; `false` where the reader has left.
pub(crate) fn print_part(bytes: &[u8]) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(Kind::Other, "cannot write the result").cause(error)),
    }
}

/// Writes a result and ends its line.
pub(crate) fn print_line(text: impl std::fmt::Display) -> Result<(), Failure> {
    print(format!("{text}\n").as_bytes())
}

/// An empty table with a heading for each column, and no lines drawn, so that it can be pasted.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    table
}

/// The table as lines without the blanks that pad it at both ends.
pub(crate) fn table_text(table: &Table) -> String {
    table
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(&line).trim_end()))
        .collect()
}

/// Bytes in JSON: text where they are UTF-8, otherwise `{"b64": ".."}`.
pub(crate) fn json_bytes(bytes: &[u8]) -> Value {
    match str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "b64": STANDARD.encode(bytes) }),
    }
}

/// The reverse of [`json_bytes`]; `None` where the value is neither of the two.
pub(crate) fn bytes_from_json(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(map) if map.len() == 1 => STANDARD.decode(map.get("b64")?.as_str()?).ok(),
        _ => None,
    }
}

/// Bytes for people: what cannot be printed is escaped.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// [`printable`], cut after `columns_max` characters.
pub(crate) fn printable_cut(bytes: &[u8], columns_max: usize) -> String {
    // A character takes at most four bytes, so that the rest cannot matter.
    let text = printable(&bytes[..bytes.len().min(columns_max.saturating_mul(4) + 4)]);
    if text.chars().count() <= columns_max {
        return text;
    }
    text.chars().take(columns_max.saturating_sub(1)).chain(['…']).collect()
}

/// Bytes with a unit, as in `41.3 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_json_and_only_non_text_is_encoded() {
        for (bytes, expected) in [
            (&b"a/b"[..], json!("a/b")),
            ("键".as_bytes(), json!("键")),
            (b"", json!("")),
            (b"\xff\x00", json!({"b64": "/wA="})),
        ] {
            assert_eq!(json_bytes(bytes), expected);
            assert_eq!(bytes_from_json(&expected).as_deref(), Some(bytes));
        }
        for wrong in [json!(1), json!({"b64": "?"}), json!({"b64": "", "x": 1}), json!(null)] {
            assert_eq!(bytes_from_json(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_printed_is_escaped() {
        assert_eq!(printable(b"a\nb\xff\x00"), "a\\nb\\xff\\u{0}");
        assert_eq!(printable("键".as_bytes()), "键");
        assert_eq!(printable_cut(b"abcdef", 6), "abcdef");
        assert_eq!(printable_cut(b"abcdefg", 6), "abcde…");
        assert_eq!(printable_cut("键键键".as_bytes(), 2), "键…");
    }

    #[test]
    fn sizes_have_the_largest_unit_that_fits() {
        for (bytes, expected) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (43_253_760, "41.2 MiB")]
        {
            assert_eq!(size(bytes), expected);
        }
    }
}
