//! The unit that is written at once: a header, a body, and zeros up to the next block.
//!
//! The checksum covers all of it. The salt ties a frame to one use of one segment file, so neither
//! what a recycled file held before nor client data that looks like a frame is ever taken for one.

use althing_core::codec::{Reader, Writer};

use crate::planted::{Bug, has};

/// Frames begin and end at multiples of this, in bytes, so that no block which was acknowledged is
/// part of a later write.
pub(crate) const BLOCK: usize = 4096;

/// The longest frame, in bytes. A larger commit takes several frames and as many syncs.
pub const FRAME_SIZE_MAX: usize = 4 << 20;

/// What stands before the body, in bytes.
pub(crate) const HEADER_SIZE: usize = 32;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The head of a segment.
    Head,
    /// A part of the encoded records of one commit; most commits have a single part, which is both.
    Records {
        /// The commit begins here.
        first: bool,
        /// The commit ends here.
        last: bool,
    },
    /// Segments below a number are no longer needed.
    Purge,
    /// Nothing; it shows that the frames before it were durable, so that they cannot be mistaken
    /// for a torn tail.
    Mark,
}

impl Kind {
    const fn bytes(self) -> [u8; 4] {
        match self {
            Self::Head => [1, 0, 0, 0],
            Self::Records { first, last } => [2, first as u8 | (last as u8) << 1, 0, 0],
            Self::Purge => [3, 0, 0, 0],
            Self::Mark => [4, 0, 0, 0],
        }
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(match bytes {
            [1, 0, 0, 0] => Self::Head,
            [2, flags @ 0..=3, 0, 0] => {
                Self::Records { first: flags & 1 == 1, last: flags & 2 == 2 }
            }
            [3, 0, 0, 0] => Self::Purge,
            [4, 0, 0, 0] => Self::Mark,
            _ => return None,
        })
    }
}

/// A frame that checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) salt: u64,
    pub(crate) sequence: u64,
    pub(crate) body: &'a [u8],
    /// With header and padding, in bytes.
    pub(crate) size: usize,
}

/// How many bytes a frame with this body takes.
pub(crate) const fn framed(body_size: usize) -> usize {
    (HEADER_SIZE + body_size).next_multiple_of(BLOCK)
}

/// Empties `buffer` and leaves room for a header; the body is to be appended.
pub(crate) fn start(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(HEADER_SIZE, 0);
}

/// Fills in the header and the padding around the body that was appended after [`start`].
pub(crate) fn seal(buffer: &mut Vec<u8>, kind: Kind, salt: u64, sequence: u64) {
    let body_size = buffer.len() - HEADER_SIZE;
    let size = framed(body_size);
    assert!(size <= FRAME_SIZE_MAX, "the caller splits what does not fit");
    buffer.resize(size, 0);
    let length = u32::try_from(body_size).expect("a frame is limited far below 4 GiB");
    buffer[4..8].copy_from_slice(&kind.bytes());
    buffer[8..16].copy_from_slice(&salt.to_le_bytes());
    buffer[16..24].copy_from_slice(&sequence.to_le_bytes());
    buffer[24..28].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32c::crc32c(&buffer[4..]);
    buffer[..4].copy_from_slice(&checksum.to_le_bytes());
}

/// The salt that the bytes carry where a header has it, checked or not.
pub(crate) fn salt_of(bytes: &[u8]) -> Option<u64> {
    let salt = bytes.get(8..16)?;
    Some(u64::from_le_bytes(salt.try_into().expect("the slice has eight bytes")))
}

/// The frame at the start of `bytes`, if a whole and unharmed one is there.
pub(crate) fn open(bytes: &[u8]) -> Option<Frame<'_>> {
    let mut reader = Reader::new(bytes);
    let checksum = reader.u32().ok()?;
    let kind = reader.take(4).ok()?;
    let salt = reader.u64().ok()?;
    let sequence = reader.u64().ok()?;
    let body_size = reader.u32().ok()? as usize;
    if body_size > FRAME_SIZE_MAX - HEADER_SIZE {
        return None;
    }
    let size = framed(body_size);
    let frame = bytes.get(..size)?;
    if crc32c::crc32c(&frame[4..]) != checksum && !has(Bug::TakesTorn) {
        return None;
    }
    let kind = Kind::from_bytes(kind)?;
    Some(Frame { kind, salt, sequence, body: &frame[HEADER_SIZE..HEADER_SIZE + body_size], size })
}

/// Appends `body` to an emptied `buffer` and seals it.
pub(crate) fn build(buffer: &mut Vec<u8>, kind: Kind, salt: u64, sequence: u64, body: &[u8]) {
    start(buffer);
    Writer(buffer).0.extend_from_slice(body);
    seal(buffer, kind, salt, sequence);
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Kind = Kind::Records { first: true, last: true };

    #[test]
    fn a_frame_is_read_back() {
        for body_size in [0, 1, BLOCK - HEADER_SIZE, BLOCK - HEADER_SIZE + 1, 3 * BLOCK] {
            let body: Vec<u8> = (0..body_size).map(|byte| byte as u8).collect();
            let mut buffer = Vec::new();
            build(&mut buffer, WHOLE, 7, 9, &body);
            assert_eq!(buffer.len() % BLOCK, 0);
            let size = buffer.len();
            let frame = open(&buffer).expect("it was just sealed");
            assert_eq!(frame, Frame { kind: WHOLE, salt: 7, sequence: 9, body: &body, size });
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut buffer = Vec::new();
        build(&mut buffer, WHOLE, 7, 9, b"a body");
        for bit in 0..buffer.len() * 8 {
            buffer[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&buffer), None, "bit {bit}");
            buffer[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_shortened_frame_is_not_a_frame() {
        let mut buffer = Vec::new();
        build(&mut buffer, WHOLE, 7, 9, &[1; BLOCK]);
        for length in 0..buffer.len() {
            assert_eq!(open(&buffer[..length]), None);
        }
    }
}
