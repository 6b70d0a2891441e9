use std::fmt;

/// One operation of one client on one key, and what is known of it.
///
/// Moments are numbers that grow with time; no two of a history need to differ, but an operation
/// that returns at the moment at which another is called is not before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who asked.
    pub client: u32,
    /// What it was about.
    pub key: u32,
    /// When it was asked.
    pub called: u64,
    /// When it was answered; `None` if it never was, and may take effect at any time.
    pub returned: Option<u64>,
    /// What was asked.
    pub action: Action,
    /// The answer. `None` exactly where `returned` is.
    pub observed: Option<Observed>,
}

/// What was asked for. Values are numbers, and each is written by one operation only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write a value.
    Put {
        /// The value.
        value: u64,
    },
    /// Read.
    Get,
    /// Delete.
    Delete,
    /// Write a value if another one is there.
    Swap {
        /// What must be there; `None` for no value.
        expected: Option<u64>,
        /// The value.
        value: u64,
    },
}

/// What was found under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The value.
    pub value: u64,
    /// The revision that wrote it.
    pub written: u64,
}

/// What was answered. Revisions are those of the whole store right after the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Of a put.
    Put {
        /// The store's revision; this write made it.
        revision: u64,
    },
    /// Of a read.
    Get {
        /// The store's revision.
        revision: u64,
        /// What was there.
        found: Option<Found>,
    },
    /// Of a delete.
    Delete {
        /// The store's revision; made by this write if something was deleted.
        revision: u64,
        /// Whether something was.
        deleted: bool,
    },
    /// Of a swap that did write.
    Swapped {
        /// The store's revision; this write made it.
        revision: u64,
    },
    /// Of a swap that did not write.
    Kept {
        /// The store's revision.
        revision: u64,
        /// What was there instead.
        found: Option<Found>,
    },
}

impl Observed {
    /// The store's revision right after the operation.
    pub const fn revision(&self) -> u64 {
        match self {
            Self::Put { revision }
            | Self::Get { revision, .. }
            | Self::Delete { revision, .. }
            | Self::Swapped { revision }
            | Self::Kept { revision, .. } => *revision,
        }
    }

    /// Whether the operation made that revision.
    pub const fn wrote(&self) -> bool {
        match self {
            Self::Put { .. } | Self::Swapped { .. } | Self::Delete { deleted: true, .. } => true,
            Self::Get { .. } | Self::Kept { .. } | Self::Delete { deleted: false, .. } => false,
        }
    }

    /// What it saw under the key, where it says: `Some(None)` for no value.
    pub const fn saw(&self) -> Option<Option<Found>> {
        match self {
            Self::Get { found, .. } | Self::Kept { found, .. } => Some(*found),
            Self::Delete { deleted: false, .. } => Some(None),
            Self::Put { .. } | Self::Swapped { .. } | Self::Delete { deleted: true, .. } => None,
        }
    }
}

impl Action {
    /// The value that it leaves where it takes effect; `Some(None)` for none.
    pub const fn leaves(self) -> Option<Option<u64>> {
        match self {
            Self::Put { value } | Self::Swap { value, .. } => Some(Some(value)),
            Self::Delete => Some(None),
            Self::Get => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{} k{} [{}..", self.client, self.key, self.called)?;
        match self.returned {
            Some(returned) => write!(f, "{returned}] ")?,
            None => f.write_str("?] ")?,
        }
        match self.action {
            Action::Put { value } => write!(f, "put {value}")?,
            Action::Get => f.write_str("get")?,
            Action::Delete => f.write_str("delete")?,
            Action::Swap { expected: Some(expected), value } => {
                write!(f, "swap {expected} for {value}")?;
            }
            Action::Swap { expected: None, value } => write!(f, "create {value}")?,
        }
        let Some(observed) = self.observed else { return f.write_str(" → ?") };
        f.write_str(match observed {
            Observed::Put { .. } | Observed::Swapped { .. } => " → done",
            Observed::Delete { deleted: true, .. } => " → deleted",
            Observed::Delete { deleted: false, .. } => " → nothing there",
            Observed::Get { .. } | Observed::Kept { .. } => " →",
        })?;
        if let Observed::Get { found, .. } | Observed::Kept { found, .. } = observed {
            match found {
                Some(Found { value, written }) => write!(f, " {value} written at {written}")?,
                None => f.write_str(" nothing")?,
            }
        }
        write!(f, " at revision {}", observed.revision())
    }
}
