//! The number of a lease as people see it: in hex, as etcd's client shows it.

use serde_json::{Value, json};

/// Reads hex digits, with or without `0x` before them. An error says what was expected.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = i64::from_str_radix(digits, 16).ok().filter(|id| is_hex && *id > 0);
    id.ok_or_else(|| {
        format!("`{text}` is no number of a lease; it is hex, as in 694d5765fc71500b, and not zero")
    })
}

/// The form that [`parse`] reads back.
pub(crate) fn show(id: i64) -> String {
    format!("{id:016x}")
}

/// The same in JSON, as text, because numbers of that size do not survive every reader of JSON;
/// null where there is no lease.
pub(crate) fn json(id: i64) -> Value {
    if id == 0 { Value::Null } else { json!(show(id)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_leases_are_hex() {
        for (text, id) in [("1", 1), ("0x1f", 31), ("694D5765FC71500B", 0x694d_5765_fc71_500b)] {
            assert_eq!(parse(text), Ok(id), "{text}");
            assert_eq!(parse(&show(id)), Ok(id));
        }
        for text in ["", "0", "0x", "-1", "+1", "xyz", "8000000000000000", "1 "] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(json(0), Value::Null);
        assert_eq!(json(31), json!("000000000000001f"));
    }
}
