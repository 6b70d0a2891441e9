//! The little that every encoding of ours is made of: little-endian integers and counted bytes,
//! with a limit on every length.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::{Ballot, Index, LogId, NodeId};

/// Appends values to a buffer that the caller owns and reuses.
pub struct Writer<'a>(pub &'a mut Vec<u8>);

impl Writer<'_> {
    /// Appends one byte.
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// Appends a flag.
    pub fn bool(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }

    /// Appends four bytes, little end first.
    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends eight bytes, little end first.
    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends eight bytes, little end first, two's complement.
    pub fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends a four-byte length and the bytes.
    ///
    /// # Panics
    /// The slice is longer than 4 GiB.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).expect("lengths are limited far below 4 GiB"));
        self.0.extend_from_slice(bytes);
    }

    /// Appends a place in the log.
    pub fn index(&mut self, index: Index) {
        self.u64(index.0);
    }

    /// Appends a ballot; nobody is written as node zero.
    pub fn ballot(&mut self, ballot: Ballot) {
        self.u64(ballot.round);
        self.u64(ballot.node.map_or(0, NodeId::number));
    }

    /// Appends an entry's name.
    pub fn log_id(&mut self, id: LogId) {
        self.ballot(id.ballot);
        self.index(id.index);
    }
}

/// No index, round or term comes near this: what does is damage, and arithmetic on what does not
/// never overflows.
const COUNT_MAX: u64 = 1 << 62;

/// Takes values from the front of a slice. Every method fails rather than read past the end.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads from `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    pub const fn remaining(&self) -> usize {
        self.0.len()
    }

    /// Takes `count` bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.0.split_at_checked(count).ok_or(DecodeError::EndOfInput)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(DecodeError::EndOfInput)?;
        self.0 = tail;
        Ok(*head)
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// Nothing is left.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// Takes a flag.
    ///
    /// # Errors
    /// Nothing is left, or the byte is neither 0 nor 1.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(DecodeError::UnknownTag { what: "flag", tag }),
        }
    }

    /// Takes four bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Takes eight bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Takes eight bytes, two's complement.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// Takes a four-byte length, at most `max`, and that many bytes.
    ///
    /// # Errors
    /// The length is over `max`, or fewer bytes are left.
    pub fn bytes(&mut self, max: usize) -> Result<&'a [u8], DecodeError> {
        let length = self.u32()? as usize;
        if length > max {
            return Err(DecodeError::TooLong { length, max });
        }
        self.take(length)
    }

    /// Takes counted bytes that must be UTF-8.
    ///
    /// # Errors
    /// As [`Self::bytes`], or the bytes are not UTF-8.
    pub fn string(&mut self, max: usize) -> Result<String, DecodeError> {
        let bytes = self.bytes(max)?;
        let text = core::str::from_utf8(bytes)
            .map_err(|_| DecodeError::Invalid { what: "text that is not UTF-8" })?;
        Ok(text.into())
    }

    /// Takes a place in the log.
    ///
    /// # Errors
    /// Fewer than eight bytes are left.
    pub fn index(&mut self) -> Result<Index, DecodeError> {
        Ok(Index(self.count()?))
    }

    /// Takes a number that counts up from zero, such as a term.
    ///
    /// # Errors
    /// Fewer than eight bytes are left, or the number is beyond what anything counts to.
    pub fn count(&mut self) -> Result<u64, DecodeError> {
        match self.u64()? {
            count if count <= COUNT_MAX => Ok(count),
            _ => Err(DecodeError::Invalid { what: "a count beyond all counting" }),
        }
    }

    /// Takes a ballot.
    ///
    /// # Errors
    /// Fewer than sixteen bytes are left.
    pub fn ballot(&mut self) -> Result<Ballot, DecodeError> {
        Ok(Ballot { round: self.count()?, node: NodeId::new(self.u64()?) })
    }

    /// Takes an entry's name.
    ///
    /// # Errors
    /// Fewer than twenty-four bytes are left.
    pub fn log_id(&mut self) -> Result<LogId, DecodeError> {
        Ok(LogId { ballot: self.ballot()?, index: self.index()? })
    }

    /// Succeeds only when everything was taken.
    ///
    /// # Errors
    /// Bytes are left over.
    pub const fn finish(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Invalid { what: "bytes after the end" })
        }
    }
}

/// Why bytes are not the value they should be. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The input ends inside a value.
    EndOfInput,
    /// A length is over its limit.
    TooLong {
        /// The length found, in bytes.
        length: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// A tag that this version does not know.
    UnknownTag {
        /// What was being read.
        what: &'static str,
        /// The tag found.
        tag: u8,
    },
    /// The value breaks a rule of its type.
    Invalid {
        /// What was found.
        what: &'static str,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndOfInput => f.write_str("the input ends inside a value"),
            Self::TooLong { length, max } => {
                write!(f, "a length of {length} bytes is over the limit of {max}")
            }
            Self::UnknownTag { what, tag } => write!(f, "unknown {what} tag {tag}"),
            Self::Invalid { what } => f.write_str(what),
        }
    }
}

impl core::error::Error for DecodeError {}
