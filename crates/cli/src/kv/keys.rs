//! Which keys a command means.

use clap::Args;

use crate::failure::Failure;

/// Arguments that name one key or a range of keys.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct KeyArguments {
    /// The key, or the first key of the range
    pub(crate) key: String,
    /// Where the range ends: the first key that is no longer in it
    #[arg(conflicts_with_all = ["prefix", "from_key"])]
    pub(crate) range_end: Option<String>,
    /// Every key that begins with KEY; every key there is if KEY is empty
    #[arg(long, conflicts_with = "from_key")]
    pub(crate) prefix: bool,
    /// KEY and every key after it
    #[arg(long)]
    pub(crate) from_key: bool,
}

/// A range as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) key: Vec<u8>,
    /// Empty for the one key; one zero byte for no end.
    pub(crate) range_end: Vec<u8>,
}

impl KeyArguments {
    /// The range; an error for an empty key where one must be named.
    pub(crate) fn keys(&self) -> Result<Keys, Failure> {
        Keys::new(
            self.key.as_bytes(),
            self.range_end.as_deref().map(str::as_bytes),
            self.prefix,
            self.from_key,
        )
    }

    /// Whether exactly one key is meant, so that its absence is worth an exit code.
    pub(crate) fn is_single(&self) -> bool {
        self.range_end.is_none() && !self.prefix && !self.from_key
    }
}

impl Keys {
    /// The range that the arguments of a command or of a transaction's operation mean.
    pub(crate) fn new(
        key: &[u8],
        range_end: Option<&[u8]>,
        is_prefix: bool,
        is_from: bool,
    ) -> Result<Self, Failure> {
        let said = [range_end.is_some(), is_prefix, is_from];
        if said.into_iter().filter(|said| *said).count() > 1 {
            return Err(Failure::usage("a range has one of: an end, a prefix, a first key"));
        }
        if key.is_empty() && !is_prefix && !is_from {
            let failure = Failure::usage("the key is empty");
            return Err(failure.hint("--prefix with an empty key means every key"));
        }
        // The least key there is: an empty one cannot be stored.
        let first = if key.is_empty() { vec![0] } else { key.to_vec() };
        let range_end = match range_end {
            Some(end) => end.to_vec(),
            None if is_prefix => prefix_end(key),
            None if is_from => vec![0],
            None => Vec::new(),
        };
        Ok(Self { key: first, range_end })
    }
}

/// The first key that does not begin with `prefix`, or "no end" where there is none.
fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let Some(last) = prefix.iter().rposition(|byte| *byte != 0xff) else { return vec![0] };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_prefix() {
        for (prefix, end) in [
            (&b"a"[..], &b"b"[..]),
            (b"a/b", b"a/c"),
            (b"a\xff", b"b"),
            (b"\xff\xff", b"\0"),
            (b"", b"\0"),
        ] {
            assert_eq!(prefix_end(prefix), end, "{prefix:?}");
        }
    }

    #[test]
    fn an_empty_key_means_all_keys_or_nothing() {
        assert!(Keys::new(b"", None, false, false).is_err());
        let all = Keys { key: vec![0], range_end: vec![0] };
        assert_eq!(Keys::new(b"", None, true, false), Ok(all.clone()));
        assert_eq!(Keys::new(b"", None, false, true), Ok(all));
        let one = Keys { key: b"a".to_vec(), range_end: Vec::new() };
        assert_eq!(Keys::new(b"a", None, false, false), Ok(one));
        assert!(Keys::new(b"a", Some(b"b"), true, false).is_err());
    }
}
