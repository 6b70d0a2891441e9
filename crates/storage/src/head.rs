use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{Ballot, Index, LogId, Random};

/// The format of the log that this version writes, and the newest it reads. Version 2 differs in
/// that it had no acceptances, and version 1 had no configurations either.
pub(crate) const FORMAT_VERSION: u32 = 3;

/// Numbers the segments of a log, from one, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentNumber(pub(crate) u64);

impl SegmentNumber {
    pub(crate) const FIRST: Self = Self(1);

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The name of the segment's file.
    pub(crate) fn file(self) -> String {
        format!("log-{:016x}", self.0)
    }

    /// The segment whose file has this name.
    pub(crate) fn of_file(name: &str) -> Option<Self> {
        number_after("log-", name).map(Self)
    }

    /// The salt of this segment: unlike that of every other segment made from this seed.
    pub(crate) const fn salt(self, seed: u64) -> u64 {
        let mixed = Random::new(seed).next_u64();
        Random::new(mixed ^ self.0).next_u64()
    }
}

/// The number in a name made of `prefix` and sixteen lower-case hexadecimal digits.
pub(crate) fn number_after(prefix: &str, name: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    let is_ours = digits.len() == 16
        && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if is_ours { u64::from_str_radix(digits, 16).ok() } else { None }
}

/// What the first frame of a segment says. It restates all that is still in force of the segments
/// before it, so that these can be dropped once their entries are no longer needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) number: SegmentNumber,
    /// The length of the file, in bytes: a shortened file is told from one that is not full yet.
    pub(crate) size: u64,
    /// The first segment that was still needed.
    pub(crate) oldest: SegmentNumber,
    pub(crate) promise: Ballot,
    pub(crate) begin: LogId,
    /// Where the log ended.
    pub(crate) last: Index,
}

impl Head {
    pub(crate) fn encode(&self, writer: &mut Writer<'_>) {
        writer.u32(FORMAT_VERSION);
        writer.u64(self.number.0);
        writer.u64(self.size);
        writer.u64(self.oldest.0);
        writer.ballot(self.promise);
        writer.log_id(self.begin);
        writer.index(self.last);
    }

    /// Reads the format version, and the rest if the version is known.
    pub(crate) fn decode(body: &[u8]) -> Result<Self, HeadFault> {
        let mut reader = Reader::new(body);
        let version = reader.u32()?;
        if !(1..=FORMAT_VERSION).contains(&version) {
            return Err(HeadFault::Version(version));
        }
        let head = Self {
            number: SegmentNumber(reader.u64()?),
            size: reader.u64()?,
            oldest: SegmentNumber(reader.u64()?),
            promise: reader.ballot()?,
            begin: reader.log_id()?,
            last: reader.index()?,
        };
        reader.finish()?;
        Ok(head)
    }
}

/// Why a body is not a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadFault {
    /// It has a format that is not known here.
    Version(u32),
    /// It is not encoded as a head.
    Malformed,
}

impl From<DecodeError> for HeadFault {
    fn from(_: DecodeError) -> Self {
        Self::Malformed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_are_segments() {
        assert_eq!(SegmentNumber::of_file("log-00000000000000ff"), Some(SegmentNumber(255)));
        assert_eq!(SegmentNumber(255).file(), "log-00000000000000ff");
        for name in ["log-ff", "log-00000000000000FF", "log-+0000000000000ff", "spare-1", "lock"] {
            assert_eq!(SegmentNumber::of_file(name), None, "{name}");
        }
    }

    #[test]
    fn segments_of_one_seed_have_different_salts() {
        let mut salts: Vec<u64> = (1..1000).map(|number| SegmentNumber(number).salt(3)).collect();
        salts.sort_unstable();
        salts.dedup();
        assert_eq!(salts.len(), 999);
    }
}
