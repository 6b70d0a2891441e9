use std::sync::Arc;

use althing_consensus::ProposalId;
use althing_core::NodeId;
use althing_core::codec::{DecodeError, Reader, Writer};
use althing_keyspace::Authorized;

/// What an entry of the log carries: a command, and where its client waits.
///
/// Layout: origin (8 bytes), proposal id (8 bytes), little end first, then the encoded command.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    /// The node whose client proposed it.
    pub(crate) origin: Option<NodeId>,
    /// How that node knows it.
    pub(crate) proposal: ProposalId,
    /// The encoded command.
    pub(crate) command: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Seals a command that somebody may propose.
    pub(crate) fn seal(origin: NodeId, proposal: ProposalId, command: Authorized<'_>) -> Arc<[u8]> {
        let mut bytes = Vec::with_capacity(512);
        let mut writer = Writer(&mut bytes);
        writer.u64(origin.number());
        writer.u64(proposal.0);
        command.encode(&mut bytes);
        bytes.into()
    }

    /// Opens what was sealed.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let origin = NodeId::new(reader.u64()?);
        let proposal = ProposalId(reader.u64()?);
        let command = reader.take(reader.remaining())?;
        Ok(Self { origin, proposal, command })
    }
}
