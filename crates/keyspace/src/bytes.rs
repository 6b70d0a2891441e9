use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A key: any bytes, ordered as bytes.
///
/// A short one, up to [`Key::INLINE_SIZE_MAX`], is kept in place: a search compares keys at every
/// step, and following a pointer at every step is what a large tree would otherwise spend most of
/// its time on. A longer one is shared, so that a clone costs a counter.
#[derive(Clone)]
pub struct Key(Bytes);

#[derive(Clone)]
enum Bytes {
    /// Bytes from `length` on are zero.
    Inline {
        length: u8,
        bytes: [u8; Key::INLINE_SIZE_MAX],
    },
    Shared(Arc<[u8]>),
}

/// A value: any bytes. Shared, so that a reply does not copy what the store holds.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(Arc<[u8]>);

impl Key {
    /// The longest key that is kept in place, in bytes.
    pub const INLINE_SIZE_MAX: usize = 30;

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Bytes::Shared(bytes) => bytes,
        }
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether it has none, which no stored key is.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// How many bytes it keeps elsewhere.
    pub(crate) fn shared_size(&self) -> usize {
        match &self.0 {
            Bytes::Inline { .. } => 0,
            Bytes::Shared(bytes) => bytes.len(),
        }
    }
}

impl From<&[u8]> for Key {
    fn from(source: &[u8]) -> Self {
        if source.len() > Self::INLINE_SIZE_MAX {
            return Self(Bytes::Shared(source.into()));
        }
        let mut bytes = [0; Self::INLINE_SIZE_MAX];
        bytes[..source.len()].copy_from_slice(source);
        Self(Bytes::Inline { length: source.len() as u8, bytes })
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::from([].as_slice())
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (
                Bytes::Inline { length, bytes },
                Bytes::Inline { length: other_length, bytes: other },
            ) => {
                // As two numbers each: faster than asking for a comparison of unknown length. Bytes
                // of zero after a shorter key compare as what they are, nothing, or as equal to a
                // longer key's own zeros, and then the length decides.
                let (head, tail) = numbers(bytes);
                let (other_head, other_tail) = numbers(other);
                (head, tail, length).cmp(&(other_head, other_tail, other_length))
            }
            _ => self.as_bytes().cmp(other.as_bytes()),
        }
    }
}

fn numbers(bytes: &[u8; Key::INLINE_SIZE_MAX]) -> (u128, u128) {
    let mut tail = [0; 16];
    tail[..Key::INLINE_SIZE_MAX - 16].copy_from_slice(&bytes[16..]);
    let head = bytes.first_chunk().expect("it is longer than sixteen bytes");
    (u128::from_be_bytes(*head), u128::from_be_bytes(tail))
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl Value {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// The end of the range that holds exactly the keys that begin with `prefix`: the prefix with its
/// last byte below 255 raised by one and what follows cut. Where there is none (an empty prefix, or
/// only bytes of 255) the range goes on to the last key, which is written as a single zero byte.
pub fn prefix_end(prefix: &[u8]) -> Key {
    match prefix.iter().rposition(|byte| *byte < u8::MAX) {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end.into()
        }
        None => [0_u8].as_slice().into(),
    }
}

macro_rules! conveniences {
    ($name:ident) => {
        impl From<Vec<u8>> for $name {
            fn from(bytes: Vec<u8>) -> Self {
                Self::from(bytes.as_slice())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::from(text.as_bytes())
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                self.as_bytes()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{}\"", self.as_bytes().escape_ascii())
            }
        }
    };
}

conveniences!(Key);
conveniences!(Value);
