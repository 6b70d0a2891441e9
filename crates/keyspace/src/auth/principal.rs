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
        /// The [`User::since`](crate::User::since) of the credentials that were checked. A user
        /// that has changed its password or was added anew since is another one.
        since: u64,
    },
    /// The server itself, for what only a server asks: the ends of leases, where members are.
    Server,
}

impl Principal {
    /// The user of this name with the credentials of this revision.
    pub fn user(name: impl Into<Arc<str>>, since: u64) -> Self {
        Self::User { name: name.into(), since }
    }
}
