use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{Entry, Index, decode_entries, encode_entries};

use super::message::{AppendOutcome, Body, Message};
use super::protocol::{Ask, Protocol};
use crate::{Chunk, Proposal, ProposalId, ReadId, Refusal};

/// The largest piece of a snapshot that is read from a peer, in bytes.
const CHUNK_SIZE_MAX: usize = 4 << 20;

impl<P: Protocol> crate::Message for Message<P> {
    const PROTOCOL: &'static str = P::NAME;

    fn encode(&self, writer: &mut Writer<'_>) {
        P::encode_epoch(self.epoch, writer);
        match &self.body {
            Body::PreVoteReply { granted } => {
                writer.u8(2);
                writer.bool(*granted);
            }
            Body::Ask(ask) => ask.encode(writer),
            Body::Append { previous, entries, commit, round } => {
                writer.u8(5);
                writer.log_id(*previous);
                writer.index(*commit);
                writer.u64(*round);
                encode_entries(entries, writer);
            }
            Body::AppendReply { round, loyal_for, outcome } => {
                writer.u8(6);
                writer.u64(*round);
                writer.u32(*loyal_for);
                encode_outcome(*outcome, writer);
            }
            Body::Commit { commit } => {
                writer.u8(7);
                writer.log_id(*commit);
            }
            Body::Snapshot(chunk) => {
                writer.u8(8);
                encode_chunk(chunk, writer);
            }
            Body::SnapshotReply { snapshot, offset } => {
                writer.u8(9);
                writer.log_id(*snapshot);
                writer.u64(*offset);
            }
            Body::Propose { proposals } => {
                writer.u8(10);
                encode_proposals(proposals, writer);
            }
            Body::Refuse { ids, reason } => {
                writer.u8(11);
                encode_refuse(ids, *reason, writer);
            }
            Body::Read { id } => {
                writer.u8(12);
                writer.u64(id.0);
            }
            Body::ReadReply { id, index } => {
                writer.u8(13);
                writer.u64(id.0);
                writer.index(*index);
            }
            Body::TimeoutNow => writer.u8(14),
            Body::Removed => writer.u8(15),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let epoch = P::decode_epoch(reader)?;
        let body = match reader.u8()? {
            2 => Body::PreVoteReply { granted: reader.bool()? },
            5 => decode_append(reader)?,
            6 => Body::AppendReply {
                round: reader.u64()?,
                loyal_for: reader.u32()?,
                outcome: decode_outcome(reader)?,
            },
            7 => Body::Commit { commit: reader.log_id()? },
            8 => Body::Snapshot(decode_chunk(reader)?),
            9 => Body::SnapshotReply { snapshot: reader.log_id()?, offset: reader.u64()? },
            10 => Body::Propose { proposals: decode_proposals(reader)? },
            11 => decode_refuse(reader)?,
            12 => Body::Read { id: ReadId(reader.u64()?) },
            13 => Body::ReadReply { id: ReadId(reader.u64()?), index: reader.index()? },
            14 => Body::TimeoutNow,
            15 => Body::Removed,
            tag => Body::Ask(P::Ask::decode(tag, reader)?),
        };
        Ok(Self { epoch, body })
    }
}

fn encode_outcome(outcome: AppendOutcome, writer: &mut Writer<'_>) {
    match outcome {
        AppendOutcome::Accepted { matched } => {
            writer.u8(1);
            writer.index(matched);
        }
        AppendOutcome::Rejected { previous, hint } => {
            writer.u8(2);
            writer.index(previous);
            writer.log_id(hint);
        }
    }
}

fn decode_outcome(reader: &mut Reader<'_>) -> Result<AppendOutcome, DecodeError> {
    Ok(match reader.u8()? {
        1 => AppendOutcome::Accepted { matched: reader.index()? },
        2 => AppendOutcome::Rejected { previous: reader.index()?, hint: reader.log_id()? },
        tag => return Err(DecodeError::UnknownTag { what: "append outcome", tag }),
    })
}

fn encode_chunk(chunk: &Chunk, writer: &mut Writer<'_>) {
    writer.log_id(chunk.snapshot);
    writer.u64(chunk.offset);
    writer.bool(chunk.last);
    writer.bytes(&chunk.data);
}

fn encode_proposals(proposals: &[Proposal], writer: &mut Writer<'_>) {
    writer.u32(u32::try_from(proposals.len()).expect("bounded in bytes"));
    for Proposal { id, command } in proposals {
        writer.u64(id.0);
        writer.bytes(command);
    }
}

fn encode_refuse(ids: &[ProposalId], reason: Refusal, writer: &mut Writer<'_>) {
    writer.u8(match reason {
        Refusal::NoLeader => 0,
        Refusal::Overloaded => 1,
        Refusal::Transferring => 2,
    });
    writer.u32(u32::try_from(ids.len()).expect("as many as were proposed at most"));
    for id in ids {
        writer.u64(id.0);
    }
}

fn decode_append<P: Protocol>(reader: &mut Reader<'_>) -> Result<Body<P>, DecodeError> {
    let previous = reader.log_id()?;
    let commit = reader.index()?;
    let round = reader.u64()?;
    let entries = decode_entries(reader)?;
    require_following(previous.index, &entries)?;
    Ok(Body::Append { previous, entries, commit, round })
}

/// Fails unless the entries are a piece of a log that comes right after `previous`.
pub(crate) fn require_following(previous: Index, entries: &[Entry]) -> Result<(), DecodeError> {
    if entries.first().is_some_and(|first| first.id.index != previous.next()) {
        return Err(DecodeError::Invalid { what: "entries that do not follow the previous one" });
    }
    if !entries.is_sorted_by_key(|entry| entry.id.ballot) {
        return Err(DecodeError::Invalid { what: "entries with falling ballots" });
    }
    Ok(())
}

fn decode_chunk(reader: &mut Reader<'_>) -> Result<Chunk, DecodeError> {
    Ok(Chunk {
        snapshot: reader.log_id()?,
        offset: reader.u64()?,
        last: reader.bool()?,
        data: reader.bytes(CHUNK_SIZE_MAX)?.into(),
    })
}

fn decode_proposals(reader: &mut Reader<'_>) -> Result<Vec<Proposal>, DecodeError> {
    let count = reader.u32()? as usize;
    // A proposal takes at least 12 bytes, so a hostile count cannot reserve more than the input.
    let mut proposals = Vec::with_capacity(count.min(reader.remaining() / 12 + 1));
    for _ in 0..count {
        let id = ProposalId(reader.u64()?);
        let command = reader.bytes(Entry::PAYLOAD_SIZE_MAX)?.into();
        proposals.push(Proposal { id, command });
    }
    Ok(proposals)
}

fn decode_refuse<P: Protocol>(reader: &mut Reader<'_>) -> Result<Body<P>, DecodeError> {
    let reason = match reader.u8()? {
        0 => Refusal::NoLeader,
        1 => Refusal::Overloaded,
        2 => Refusal::Transferring,
        tag => return Err(DecodeError::UnknownTag { what: "refusal", tag }),
    };
    let count = reader.u32()? as usize;
    let mut ids = Vec::with_capacity(count.min(reader.remaining() / 8 + 1));
    for _ in 0..count {
        ids.push(ProposalId(reader.u64()?));
    }
    Ok(Body::Refuse { ids, reason })
}

#[cfg(test)]
mod tests {
    use althing_core::{Ballot, Configuration, Index, LogId, NodeId, Payload, Random};

    use super::*;
    use crate::Message as _;
    use crate::raft::{Ask, Terms};

    fn one_of_each() -> Vec<Body<Terms>> {
        let node = NodeId::new(3).expect("not zero");
        let id = |index| LogId::new(Ballot::new(7, node), Index(index));
        let entries = vec![
            Entry { id: id(5), payload: Payload::Opening },
            Entry { id: id(6), payload: Payload::Command(b"x"[..].into()) },
            Entry { id: id(7), payload: Payload::Configuration(Configuration::of([node]).into()) },
        ];
        let chunk = Chunk { snapshot: id(9), offset: 4, data: b"bytes"[..].into(), last: true };
        vec![
            Body::Ask(Ask::PreVote { last: id(4) }),
            Body::PreVoteReply { granted: true },
            Body::Ask(Ask::Vote { last: LogId::ZERO, handed_over: true }),
            Body::TimeoutNow,
            Body::Removed,
            Body::Ask(Ask::VoteReply { granted: false }),
            Body::Append { previous: id(4), entries, commit: Index(3), round: 8 },
            Body::AppendReply {
                round: 1,
                loyal_for: 1000,
                outcome: AppendOutcome::Accepted { matched: Index(6) },
            },
            Body::AppendReply {
                loyal_for: 0,
                round: 1,
                outcome: AppendOutcome::Rejected { previous: Index(9), hint: id(6) },
            },
            Body::Commit { commit: id(2) },
            Body::Snapshot(chunk),
            Body::SnapshotReply { snapshot: id(9), offset: 77 },
            Body::Propose {
                proposals: vec![Proposal { id: ProposalId(1), command: b"put"[..].into() }],
            },
            Body::Refuse { ids: vec![ProposalId(1)], reason: Refusal::Overloaded },
            Body::Read { id: ReadId(5) },
            Body::ReadReply { id: ReadId(5), index: Index(12) },
        ]
    }

    #[test]
    fn every_message_comes_back_as_it_went_and_no_prefix_of_it_does() {
        for body in one_of_each() {
            let message = Message { epoch: Ballot::unvoted(7), body };
            let mut bytes = Vec::new();
            message.encode(&mut Writer(&mut bytes));
            let mut reader = Reader::new(&bytes);
            assert_eq!(Message::<Terms>::decode(&mut reader).as_ref(), Ok(&message));
            assert_eq!(reader.finish(), Ok(()));
            for cut in 0..bytes.len() {
                let decoded = Message::<Terms>::decode(&mut Reader::new(&bytes[..cut]));
                assert!(decoded.is_err(), "{message} cut at {cut}");
            }
        }
    }

    #[test]
    fn damaged_messages_never_panic() {
        let mut random = Random::new(1);
        for body in one_of_each() {
            let mut bytes = Vec::new();
            Message { epoch: Ballot::unvoted(7), body }.encode(&mut Writer(&mut bytes));
            for _ in 0..2_000 {
                let mut damaged = bytes.clone();
                let at = random.below(damaged.len() as u64) as usize;
                damaged[at] = random.next_u64() as u8;
                let _decoded = Message::<Terms>::decode(&mut Reader::new(&damaged));
            }
        }
    }
}
