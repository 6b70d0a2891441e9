use althing_etcd_api::authpb::{Permission, permission::Type};
use clap::{Args, ValueEnum};

use crate::failure::Failure;

/// What a right allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Access {
    /// To read
    Read,
    /// To write and delete
    Write,
    /// Both
    Readwrite,
}

impl Access {
    /// What a message says.
    pub(crate) fn of(permission: &Permission) -> &'static str {
        match permission.perm_type() {
            Type::Read => "read",
            Type::Write => "write",
            Type::Readwrite => "readwrite",
        }
    }
}

/// The keys that a right is to.
#[derive(Args, Clone, Debug)]
pub(crate) struct RangeArguments {
    /// The key, or the first key of a range
    #[arg(value_name = "KEY", allow_hyphen_values = true)]
    key: String,
    /// The first key after the range
    #[arg(value_name = "END")]
    end: Option<String>,
    /// Every key that begins with KEY; with an empty KEY, all keys
    #[arg(long, conflicts_with = "end")]
    prefix: bool,
    /// Every key from KEY on
    #[arg(long, conflicts_with_all = ["end", "prefix"])]
    from_key: bool,
}

impl RangeArguments {
    /// Key and range end, as the API names them.
    pub(crate) fn range(&self) -> Result<(Vec<u8>, Vec<u8>), Failure> {
        let key = self.key.clone().into_bytes();
        let end = match &self.end {
            _ if self.from_key => vec![0],
            _ if self.prefix => prefix_end(&key),
            Some(end) => end.clone().into_bytes(),
            None => Vec::new(),
        };
        if key.is_empty() && !self.prefix && !self.from_key {
            return Err(Failure::usage("the key is empty")
                .hint("name a key, or say --prefix \"\" for all keys"));
        }
        if self.end.is_some() && end <= key {
            return Err(Failure::usage("the range ends before it begins")
                .hint("END is the first key after the range"));
        }
        Ok((key, end))
    }
}

/// The first key after all that begin with `prefix`; a zero byte where there is none.
fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    match prefix.iter().rposition(|byte| *byte < u8::MAX) {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end
        }
        None => vec![0],
    }
}

/// A right's keys, for people.
pub(crate) fn keys_of(permission: &Permission) -> String {
    let show = crate::output::printable;
    let (key, end) = (&permission.key, &permission.range_end);
    match &end[..] {
        [] => show(key),
        [0] if key.is_empty() => "all keys".to_owned(),
        [0] => format!("{} and all after it", show(key)),
        _ if prefix_end(key) == end[..] => format!("{}*", show(key)),
        _ => format!("{} up to {}", show(key), show(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(key: &str, end: Option<&str>, prefix: bool, from_key: bool) -> RangeArguments {
        RangeArguments { key: key.to_owned(), end: end.map(str::to_owned), prefix, from_key }
    }

    #[test]
    fn keys_are_named_as_the_api_names_them_and_shown_as_people_do() {
        for (given, key, end, shown) in [
            (arguments("a", None, false, false), "a", "", "a"),
            (arguments("a", Some("c"), false, false), "a", "c", "a up to c"),
            (arguments("a/", None, true, false), "a/", "a0", "a/*"),
            (arguments("a", None, false, true), "a", "\0", "a and all after it"),
            (arguments("", None, true, false), "", "\0", "all keys"),
        ] {
            let (found, found_end) = given.range().expect("it is a range");
            assert_eq!((found.as_slice(), found_end.as_slice()), (key.as_bytes(), end.as_bytes()));
            let (key, range_end) = (found.into(), found_end.into());
            assert_eq!(keys_of(&Permission { perm_type: 0, key, range_end }), shown);
        }
        assert!(arguments("", None, false, false).range().is_err());
        assert!(arguments("b", Some("a"), false, false).range().is_err());
    }
}
