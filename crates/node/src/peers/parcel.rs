use althing_consensus::Message;
use althing_core::codec::{DecodeError, Reader, Writer};

use crate::comparison::ComparisonMessage;
use crate::leases::LeaseMessage;
use crate::members::MemberMessage;
use crate::probes::Probe;

/// What a frame between peers holds.
///
/// Layout: a tag (1 byte), then the message.
#[derive(Debug)]
pub(crate) enum Parcel<M> {
    /// From replica to replica.
    Consensus(M),
    /// From node to node, about the time of leases, which is not in the log.
    Lease(LeaseMessage),
    /// From node to node, about a change of members that is not in the log yet.
    Members(MemberMessage),
    /// From node to node, to learn how far away the other is.
    Probe(Probe),
    /// From node to node, to find out whether both hold the same.
    Comparison(ComparisonMessage),
}

const CONSENSUS: u8 = 1;
const LEASE: u8 = 2;
const MEMBERS: u8 = 3;
const PROBE: u8 = 4;
const COMPARISON: u8 = 5;

impl<M: Message> Parcel<M> {
    pub(super) fn encode_consensus(message: &M, writer: &mut Writer<'_>) {
        writer.u8(CONSENSUS);
        message.encode(writer);
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let parcel = match reader.u8()? {
            CONSENSUS => Self::Consensus(M::decode(&mut reader)?),
            LEASE => Self::Lease(LeaseMessage::decode(&mut reader)?),
            MEMBERS => Self::Members(MemberMessage::decode(&mut reader)?),
            PROBE => Self::Probe(Probe::decode(&mut reader)?),
            COMPARISON => Self::Comparison(ComparisonMessage::decode(&mut reader)?),
            tag => return Err(DecodeError::UnknownTag { what: "parcel", tag }),
        };
        reader.finish()?;
        Ok(parcel)
    }
}

pub(super) fn encode_lease(message: &LeaseMessage, writer: &mut Writer<'_>) {
    writer.u8(LEASE);
    message.encode(writer);
}

pub(super) fn encode_members(message: &MemberMessage, writer: &mut Writer<'_>) {
    writer.u8(MEMBERS);
    message.encode(writer);
}

pub(super) fn encode_probe(probe: Probe, writer: &mut Writer<'_>) {
    writer.u8(PROBE);
    probe.encode(writer);
}

pub(super) fn encode_comparison(message: ComparisonMessage, writer: &mut Writer<'_>) {
    writer.u8(COMPARISON);
    message.encode(writer);
}
