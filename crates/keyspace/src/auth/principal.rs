use std::sync::Arc;

/// On whose behalf something is asked. It goes into the log with a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Principal {
    /// Nobody that is known: no credentials came along. Once users are enabled it may do nothing.
    #[default]
    Nobody,
    /// A user.
    User {
        /// Its name.
        name: Arc<str>,
        /// The [`User::since`](crate::User::since) of the password that was checked: a user that
        /// has changed it, or was added anew, is another one. Zero for who is known otherwise.
        since: u64,
    },
    /// The server itself, for what only a server asks: the ends of leases, where members are.
    Server,
}

impl Principal {
    /// The user of this name whose certificate was checked, whether or not there is such a user.
    pub fn certified(name: impl Into<Arc<str>>) -> Self {
        Self::User { name: name.into(), since: 0 }
    }

    /// The user of this name with the password of this revision.
    pub fn user(name: impl Into<Arc<str>>, since: u64) -> Self {
        Self::User { name: name.into(), since }
    }
}
