use std::sync::Arc;

use althing_consensus::ProposalId;
use althing_core::NodeId;
use althing_core::codec::{DecodeError, Reader, Writer};
use althing_keyspace::Command;

/// A command as it stands in the log: with the node that proposed it and the name it has there, so
/// that its answer finds back. Servers use the same layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    pub(crate) origin: NodeId,
    pub(crate) id: ProposalId,
    /// The keyspace's command, encoded.
    pub(crate) command: &'a [u8],
}

impl<'a> Envelope<'a> {
    pub(crate) fn seal(origin: NodeId, id: ProposalId, command: &Command) -> Arc<[u8]> {
        let mut bytes = Vec::with_capacity(64);
        let mut writer = Writer(&mut bytes);
        writer.u64(origin.number());
        writer.u64(id.0);
        command.encode(&mut bytes);
        bytes.into()
    }

    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let origin = NodeId::new(reader.u64()?)
            .ok_or(DecodeError::Invalid { what: "a proposal of nobody" })?;
        let id = ProposalId(reader.u64()?);
        let command = reader.take(reader.remaining())?;
        Ok(Self { origin, id, command })
    }
}
