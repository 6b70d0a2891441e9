use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{ClusterId, Disk, DiskError, DiskErrorKind, DiskFile, NodeId};

use crate::OpenError;

/// The file's name.
pub(crate) const FILE: &str = "identity";
/// Its name while it is written.
pub(crate) const FILE_NEW: &str = "identity-new";

/// The format of the folder as a whole. It grows with every change to any file's format. A folder
/// of an older one becomes one of this when it is opened, and then older programs refuse it.
const FORMAT_VERSION: u32 = 3;
const MAGIC: &[u8; 8] = b"ALTHNODE";
const SIZE_MAX: u64 = 256;
const PROTOCOL_SIZE_MAX: usize = 64;

/// Whose folder it is. Fixed when the folder is first opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node of that cluster.
    pub node: NodeId,
    /// The consensus protocol under which the log is written, such as `raft`; at most 64 bytes.
    pub protocol: String,
}

/// How far the first opening of a folder got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The folder is taken; a log may not have been made yet, and nothing was ever committed.
    Claimed,
    /// The log was made. From here on its absence is a loss.
    Founded,
}

/// What the file says.
pub(crate) struct Found {
    pub(crate) identity: Identity,
    pub(crate) stage: Stage,
    /// The folder's format is older than what is written now.
    pub(crate) is_old: bool,
}

/// Reads the file, if there is one.
pub(crate) fn load<D: Disk>(disk: &D) -> Result<Option<Found>, OpenError> {
    let file = match disk.open(FILE) {
        Err(DiskError { kind: DiskErrorKind::NotFound, .. }) => return Ok(None),
        file => file?,
    };
    let damaged = |why| OpenError::Damaged { file: FILE.into(), offset: 0, why };
    let length = file.length()?;
    if length > SIZE_MAX {
        return Err(damaged("it is too long"));
    }
    let mut bytes = vec![0; usize::try_from(length).expect("it is short")];
    let read = file.read_at(0, &mut bytes)?;
    let (body, checksum) =
        bytes[..read].split_last_chunk::<4>().ok_or_else(|| damaged("it is too short"))?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*checksum) {
        return Err(damaged("it does not check"));
    }
    let mut reader = Reader::new(body);
    let version = version(&mut reader).map_err(|_| damaged("it is malformed"))?;
    if !(1..=FORMAT_VERSION).contains(&version) {
        let supported = FORMAT_VERSION;
        return Err(OpenError::NewerFormat { file: FILE.into(), found: version, supported });
    }
    let (identity, stage) = decode(&mut reader).map_err(|_| damaged("it is malformed"))?;
    Ok(Some(Found { identity, stage, is_old: version < FORMAT_VERSION }))
}

/// Writes the file, durably, whole or not at all.
pub(crate) fn save<D: Disk>(disk: &D, identity: &Identity, stage: Stage) -> Result<(), DiskError> {
    assert!(identity.protocol.len() <= PROTOCOL_SIZE_MAX, "the name of a protocol is short");
    let mut bytes = MAGIC.to_vec();
    let mut writer = Writer(&mut bytes);
    writer.u32(FORMAT_VERSION);
    writer.bool(stage == Stage::Founded);
    writer.u64(identity.cluster.0);
    writer.u64(identity.node.number());
    writer.bytes(identity.protocol.as_bytes());
    let checksum = crc32c::crc32c(&bytes);
    Writer(&mut bytes).u32(checksum);
    let mut file = disk.create(FILE_NEW, 0)?;
    file.write_at(0, &bytes)?;
    file.sync()?;
    disk.rename(FILE_NEW, FILE)?;
    disk.sync_names()
}

/// Fails unless the folder is of this node, cluster and protocol.
pub(crate) fn check(found: Identity, expected: &Identity) -> Result<(), OpenError> {
    if found.cluster != expected.cluster {
        let (found, expected) = (found.cluster, expected.cluster);
        return Err(OpenError::OtherCluster { found, expected });
    }
    if found.node != expected.node {
        return Err(OpenError::OtherNode { found: found.node, expected: expected.node });
    }
    if found.protocol != expected.protocol {
        let (found, expected) = (found.protocol, expected.protocol.clone());
        return Err(OpenError::OtherProtocol { found, expected });
    }
    Ok(())
}

fn version(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    if reader.take(MAGIC.len())? != MAGIC {
        return Err(DecodeError::Invalid { what: "not an identity" });
    }
    reader.u32()
}

fn decode(reader: &mut Reader<'_>) -> Result<(Identity, Stage), DecodeError> {
    let stage = if reader.bool()? { Stage::Founded } else { Stage::Claimed };
    let cluster = ClusterId(reader.u64()?);
    let node = NodeId::new(reader.u64()?).ok_or(DecodeError::Invalid { what: "node zero" })?;
    let protocol = reader.string(PROTOCOL_SIZE_MAX)?;
    reader.finish()?;
    Ok((Identity { cluster, node, protocol }, stage))
}
