use std::fmt;

use althing_consensus::replication;
use althing_keyspace::planted as keyspace;
use althing_storage::planted as storage;

/// A defect that can be planted, in one of the crates that are simulated. Without this crate's
/// feature `planted-bugs` none has any effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// In the consensus.
    Consensus(replication::Bug),
    /// In the log and the snapshots.
    Storage(storage::Bug),
    /// In the state machine.
    Keyspace(keyspace::Bug),
    /// In what drives them, as a server does.
    Server(ServerBug),
}

/// Defects that can be planted into what drives a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerBug {
    /// Messages do not wait for the writes that they depend on.
    SendsEarly,
    /// A replica hears that a write is durable when it begins.
    PersistsEarly,
    /// A read is answered from what is applied, though it may lack what the read must see.
    ReadsEarly,
    /// A restarted server gives out numbers of its earlier life again.
    ReusesNumbers,
    /// What a snapshot may have covered is called not done.
    RefusesUnknown,
    /// A snapshot that was received is not taken for the state.
    InstallsNothing,
    /// The clock of the leases begins with an election, whatever is not applied yet.
    TimesEarly,
    /// A lease is called kept alive by a server that may not lead any more.
    RenewsUnconfirmed,
}

impl Bug {
    pub(crate) const fn in_consensus(self) -> Option<replication::Bug> {
        match self {
            Self::Consensus(bug) => Some(bug),
            Self::Storage(_) | Self::Keyspace(_) | Self::Server(_) => None,
        }
    }
}

/// Plants a defect, or none, into the crates that have no options for it.
pub(crate) fn plant(_bug: Option<Bug>) {
    #[cfg(feature = "planted-bugs")]
    {
        storage::plant(match _bug {
            Some(Bug::Storage(bug)) => Some(bug),
            _ => None,
        });
        keyspace::plant(match _bug {
            Some(Bug::Keyspace(bug)) => Some(bug),
            _ => None,
        });
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consensus(bug) => write!(f, "consensus {bug:?}"),
            Self::Storage(bug) => write!(f, "log {bug:?}"),
            Self::Keyspace(bug) => write!(f, "keyspace {bug:?}"),
            Self::Server(bug) => write!(f, "server {bug:?}"),
        }
    }
}

impl From<replication::Bug> for Bug {
    fn from(bug: replication::Bug) -> Self {
        Self::Consensus(bug)
    }
}

impl From<storage::Bug> for Bug {
    fn from(bug: storage::Bug) -> Self {
        Self::Storage(bug)
    }
}

impl From<keyspace::Bug> for Bug {
    fn from(bug: keyspace::Bug) -> Self {
        Self::Keyspace(bug)
    }
}

impl From<ServerBug> for Bug {
    fn from(bug: ServerBug) -> Self {
        Self::Server(bug)
    }
}
