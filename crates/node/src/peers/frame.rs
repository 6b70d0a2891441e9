use std::fmt;
use std::io;

use althing_core::codec::DecodeError;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::error::Elapsed;

/// The unit that travels between peers.
///
/// Layout: the payload's length (4 bytes), CRC32C over the length and the payload (4 bytes), the
/// payload; little end first.
pub(super) struct Frame;

/// The largest payload, in bytes: above the largest message that consensus makes.
pub(super) const PAYLOAD_SIZE_MAX: usize = 32 << 20;

const HEADER_SIZE: usize = 8;

/// Why a frame cannot be had from a peer. The connection is of no more use.
#[derive(Debug)]
pub(super) enum FrameError {
    /// The connection failed or ended.
    Connection(io::Error),
    /// A length over the limit: not a peer of ours, or out of step.
    TooLong(usize),
    /// The checksum does not match.
    Damaged,
    /// The payload is no message.
    Malformed(DecodeError),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => write!(f, "the connection ended: {error}"),
            Self::TooLong(length) => {
                write!(f, "a frame of {length} bytes is over the limit of {PAYLOAD_SIZE_MAX}")
            }
            Self::Damaged => f.write_str("a frame's checksum does not match"),
            Self::Malformed(error) => write!(f, "a frame holds no message: {error}"),
        }
    }
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

impl From<Elapsed> for FrameError {
    fn from(elapsed: Elapsed) -> Self {
        Self::Connection(elapsed.into())
    }
}

impl From<DecodeError> for FrameError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

impl Frame {
    /// Appends a frame whose payload `write` appends.
    pub(super) fn write(buffer: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; HEADER_SIZE]);
        write(buffer);
        let length = buffer.len() - start - HEADER_SIZE;
        assert!(length <= PAYLOAD_SIZE_MAX, "a message of {length} bytes");
        let length = u32::try_from(length).expect("it is below the limit").to_le_bytes();
        let checksum = checksum(length, &buffer[start + HEADER_SIZE..]);
        buffer[start..start + 4].copy_from_slice(&length);
        buffer[start + 4..start + HEADER_SIZE].copy_from_slice(&checksum.to_le_bytes());
    }
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), payload)
}

/// Takes frames off a connection.
pub(super) struct FrameReader<R> {
    stream: R,
    buffer: Vec<u8>,
    /// Bytes before this have been taken.
    taken: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// How much is asked of the connection at a time, in bytes.
    const READ_SIZE: usize = 64 << 10;

    pub(super) fn new(stream: R) -> Self {
        Self { stream, buffer: Vec::with_capacity(Self::READ_SIZE), taken: 0 }
    }

    /// The connection itself.
    pub(super) const fn stream(&mut self) -> &mut R {
        &mut self.stream
    }

    /// The next payload. Memory is taken as bytes arrive, never on the word of a length alone.
    pub(super) async fn next(&mut self) -> Result<&[u8], FrameError> {
        let length = loop {
            if let Some(length) = self.whole_frame()? {
                break length;
            }
            if self.taken > 0 {
                self.buffer.drain(..self.taken);
                self.taken = 0;
            }
            self.buffer.reserve(Self::READ_SIZE);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        };
        let start = self.taken + HEADER_SIZE;
        self.taken = start + length;
        Ok(&self.buffer[start..self.taken])
    }

    /// The length of the next payload, if all of it is here and it checks.
    fn whole_frame(&self) -> Result<Option<usize>, FrameError> {
        let frame = &self.buffer[self.taken..];
        let Some((length, rest)) = frame.split_first_chunk::<4>() else { return Ok(None) };
        let size = u32::from_le_bytes(*length) as usize;
        if size > PAYLOAD_SIZE_MAX {
            return Err(FrameError::TooLong(size));
        }
        let Some((expected, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let Some(payload) = rest.get(..size) else { return Ok(None) };
        if checksum(*length, payload) != u32::from_le_bytes(*expected) {
            return Err(FrameError::Damaged);
        }
        Ok(Some(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(bytes: &[u8]) -> (Vec<Vec<u8>>, FrameError) {
        let mut reader = FrameReader::new(bytes);
        let mut payloads = Vec::new();
        loop {
            match reader.next().await {
                Ok(payload) => payloads.push(payload.to_vec()),
                Err(error) => return (payloads, error),
            }
        }
    }

    fn two_frames() -> Vec<u8> {
        let mut bytes = Vec::new();
        Frame::write(&mut bytes, |payload| payload.extend_from_slice(b"first"));
        Frame::write(&mut bytes, |payload| payload.extend_from_slice(&[7; 100_000]));
        bytes
    }

    #[tokio::test]
    async fn frames_come_out_as_they_went_in() {
        let (payloads, end) = read_all(&two_frames()).await;
        assert_eq!(payloads, [b"first".to_vec(), vec![7; 100_000]]);
        assert!(matches!(end, FrameError::Connection(_)));
    }

    #[tokio::test]
    async fn damage_and_monstrous_lengths_end_the_connection() {
        let mut flipped = two_frames();
        flipped[10] ^= 1;
        let (payloads, end) = read_all(&flipped).await;
        assert!(payloads.is_empty() && matches!(end, FrameError::Damaged), "{end}");
        let monstrous = [0xff; 64];
        assert!(matches!(read_all(&monstrous).await.1, FrameError::TooLong(_)));
        let http = b"GET / HTTP/1.1\r\nhost: somewhere\r\n\r\n";
        assert!(matches!(read_all(http).await.1, FrameError::TooLong(_)));
    }
}
