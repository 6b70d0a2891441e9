use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::codec::{DecodeError, Reader, Writer};
use crate::{Acceptance, Ballot, Configuration, Index, LogId};

/// What one entry of the log carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// The first entry of a leadership. It changes nothing in the state machine; once it is
    /// committed, everything that survived from earlier leaderships is known to stand before it.
    Opening,
    /// A command for the state machine, opaque to consensus. Shared, never copied on the way from
    /// the proposal to the log and the peers.
    Command(Arc<[u8]>),
    /// From this entry on, these are the group's members. It holds as soon as it is in a log,
    /// committed or not, and changes nothing in the state machine.
    Configuration(Arc<Configuration>),
}

impl Payload {
    /// The bytes it weighs in windows and limits.
    pub fn size(&self) -> usize {
        match self {
            Self::Opening => 0,
            Self::Command(bytes) => bytes.len(),
            Self::Configuration(configuration) => configuration.size(),
        }
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its name.
    pub id: LogId,
    /// What it carries.
    pub payload: Payload,
}

impl Entry {
    /// The longest payload that is read back, in bytes: above every limit on a client's request,
    /// far below what memory holds.
    pub const PAYLOAD_SIZE_MAX: usize = 16 << 20;

    /// Appends the entry to `writer`.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.log_id(self.id);
        match &self.payload {
            Payload::Opening => writer.u8(0),
            Payload::Command(bytes) => {
                writer.u8(1);
                writer.bytes(bytes);
            }
            Payload::Configuration(configuration) => {
                writer.u8(2);
                configuration.encode(writer);
            }
        }
    }

    /// Reads one entry.
    ///
    /// # Errors
    /// The input ends early, a length is over [`Self::PAYLOAD_SIZE_MAX`] or a tag is unknown.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id = reader.log_id()?;
        let payload = match reader.u8()? {
            0 => Payload::Opening,
            1 => Payload::Command(reader.bytes(Self::PAYLOAD_SIZE_MAX)?.into()),
            2 => Payload::Configuration(Configuration::decode(reader)?.into()),
            tag => return Err(DecodeError::UnknownTag { what: "payload", tag }),
        };
        Ok(Self { id, payload })
    }
}

/// What a replica must not forget. Records are written in the order in which they were issued;
/// replaying all of them in that order gives back the replica's durable state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The replica will never again act under a smaller ballot (Raft: current term and vote).
    Promise(Ballot),
    /// These entries, contiguous and never empty, replace everything from the first one's index on.
    Append(Vec<Entry>),
    /// The log begins after this entry: a snapshot of the state up to it is durable. Entries up to
    /// its index are gone; those after it remain only if the log held this very entry.
    Begin(LogId),
    /// Everything up to there was accepted under this ballot, which is not the one that names it
    /// (Multi-Paxos: proposed again by a later leader). No entry changes or goes.
    Accept(Acceptance),
}

impl Record {
    /// Appends the record to `writer`.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Promise(ballot) => {
                writer.u8(1);
                writer.ballot(*ballot);
            }
            Self::Append(entries) => {
                writer.u8(2);
                encode_entries(entries, writer);
            }
            Self::Begin(id) => {
                writer.u8(3);
                writer.log_id(*id);
            }
            Self::Accept(Acceptance { ballot, through }) => {
                writer.u8(4);
                writer.ballot(*ballot);
                writer.index(*through);
            }
        }
    }

    /// Reads one record.
    ///
    /// # Errors
    /// The input ends early, a tag is unknown, or entries are missing or not contiguous.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            1 => Self::Promise(reader.ballot()?),
            2 => {
                let entries = decode_entries(reader)?;
                if entries.is_empty() {
                    return Err(DecodeError::Invalid { what: "an append without entries" });
                }
                Self::Append(entries)
            }
            3 => Self::Begin(reader.log_id()?),
            4 => Self::Accept(Acceptance { ballot: reader.ballot()?, through: reader.index()? }),
            tag => return Err(DecodeError::UnknownTag { what: "record", tag }),
        })
    }
}

/// Appends a counted run of entries.
pub fn encode_entries(entries: &[Entry], writer: &mut Writer<'_>) {
    writer.u32(u32::try_from(entries.len()).expect("a batch is bounded in bytes"));
    for entry in entries {
        entry.encode(writer);
    }
}

/// Reads a counted run of entries whose indexes follow one another.
///
/// # Errors
/// The input ends early, or the indexes are not contiguous.
pub fn decode_entries(reader: &mut Reader<'_>) -> Result<Vec<Entry>, DecodeError> {
    let count = reader.u32()? as usize;
    // An entry takes at least 25 bytes, so a hostile count cannot reserve more than the input.
    let mut entries = Vec::with_capacity(count.min(reader.remaining() / 25 + 1));
    let mut next: Option<Index> = None;
    for _ in 0..count {
        let entry = Entry::decode(reader)?;
        if next.is_some_and(|next| next != entry.id.index) {
            return Err(DecodeError::Invalid { what: "entries with a gap" });
        }
        next = Some(entry.id.index.next());
        entries.push(entry);
    }
    Ok(entries)
}
