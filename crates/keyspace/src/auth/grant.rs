use crate::Key;

/// What a grant allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// To read.
    Read,
    /// To write and delete.
    Write,
    /// Both.
    ReadWrite,
}

impl Access {
    /// Whether it allows to read.
    pub const fn reads(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    /// Whether it allows to write and delete.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Write | Self::ReadWrite)
    }
}

/// A right to a key or a range of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The key, or the first key of the range.
    pub key: Key,
    /// Empty for the one key, a single zero byte for every key from `key` on, otherwise the first
    /// key after the range.
    pub range_end: Key,
    /// To do what.
    pub access: Access,
}
