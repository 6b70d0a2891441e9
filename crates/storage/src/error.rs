use std::fmt;

use althing_core::{ClusterId, DiskError, LogId, NodeId};

/// Why a store cannot be opened. Nothing that was acknowledged has been changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The disk failed or is full.
    Disk(DiskError),
    /// Another process has the folder open.
    InUse {
        /// The folder.
        folder: String,
        /// The holder's process id, if it left one.
        process: Option<u32>,
    },
    /// Something that was once durable does not check. The node must not run on what is left.
    Damaged {
        /// The file.
        file: String,
        /// Where in it, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// The folder holds files of a store but not the file that says whose they are.
    NoIdentity {
        /// One of those files.
        file: String,
    },
    /// The folder belongs to another cluster.
    OtherCluster {
        /// The cluster in the folder.
        found: ClusterId,
        /// The cluster it was opened for.
        expected: ClusterId,
    },
    /// The folder belongs to another node.
    OtherNode {
        /// The node in the folder.
        found: NodeId,
        /// The node it was opened for.
        expected: NodeId,
    },
    /// The folder was written under another protocol.
    OtherProtocol {
        /// The protocol in the folder.
        found: String,
        /// The protocol it was opened for.
        expected: String,
    },
    /// A file was written by a newer version of this software.
    NewerFormat {
        /// The file.
        file: String,
        /// Its format version.
        found: u32,
        /// The newest version known here.
        supported: u32,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::InUse { folder, process: Some(process) } => {
                write!(f, "the data folder {folder} is in use by process {process}")
            }
            Self::InUse { folder, process: None } => {
                write!(f, "the data folder {folder} is in use by another process")
            }
            Self::Damaged { file, offset, why } => write!(
                f,
                "{file} is damaged at byte {offset}: {why}; what this node had promised may be \
                 lost, so it must be rebuilt from its peers: remove it from the cluster and add it \
                 as a new node with an empty data folder"
            ),
            Self::NoIdentity { file } => write!(
                f,
                "the data folder holds {file} but no identity file, so it cannot be told whose it \
                 is; put the identity file back, or use an empty folder"
            ),
            Self::OtherCluster { found, expected } => write!(
                f,
                "the data folder belongs to cluster {found}, not to {expected}; use the folder of \
                 this cluster, or an empty one"
            ),
            Self::OtherNode { found, expected } => write!(
                f,
                "the data folder belongs to node {found}, not to {expected}; use the folder of \
                 this node, or an empty one"
            ),
            Self::OtherProtocol { found, expected } => write!(
                f,
                "the data folder was written under {found}, not under {expected}; start the node \
                 with the protocol of its folder, or with an empty one"
            ),
            Self::NewerFormat { file, found, supported } => write!(
                f,
                "{file} has format version {found}, newer than the {supported} known to this \
                 version; start the node with the version that wrote it"
            ),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<DiskError> for OpenError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

/// Why nothing was committed. The log takes nothing more; the node must stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalError {
    /// The disk failed or is full. Whether the records are durable is unknown until the store is
    /// opened again.
    Disk(DiskError),
    /// An earlier call failed.
    Poisoned,
}

impl fmt::Display for WalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Poisoned => f.write_str("the log takes nothing more after an earlier disk error"),
        }
    }
}

impl std::error::Error for WalError {}

impl From<DiskError> for WalError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

/// Why a snapshot was not written, read or received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// The disk failed or is full. No snapshot of this name was made durable by the call.
    Disk(DiskError),
    /// There is no snapshot of this state, or no longer.
    Missing(LogId),
    /// A snapshot of this node does not check.
    Damaged {
        /// The file.
        file: String,
        /// Where in it, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// The bytes that a peer sent are not a whole snapshot of the state it named. They were thrown
    /// away.
    Rejected {
        /// Where in them, in bytes from the start.
        offset: u64,
        /// What is wrong there.
        why: &'static str,
    },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Missing(id) => write!(f, "there is no snapshot at {id}"),
            Self::Damaged { file, offset, why } => write!(
                f,
                "{file} is damaged at byte {offset}: {why}; this node must be rebuilt from its \
                 peers: remove it from the cluster and add it as a new node with an empty data \
                 folder"
            ),
            Self::Rejected { offset, why } => {
                write!(f, "a received snapshot is not valid at byte {offset}: {why}")
            }
        }
    }
}

impl std::error::Error for SnapshotError {}

impl From<DiskError> for SnapshotError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}
