//! Users: who they are, and what they may do.
//!
//! What users, roles and rights there are is part of the keyspace; here is how somebody proves to
//! be a user (`passwords.rs`), and how it is known afterwards: by a token that the log tells every
//! node of (`crate::tokens`), or by one that proves itself (`jwt.rs`).

mod jwt;
mod passwords;
mod service;

use std::sync::Arc;
use std::time::Duration;

use althing_keyspace::PasswordHash;
use tonic::Status;
use zeroize::Zeroizing;

use self::passwords::Passwords;

pub(super) use self::jwt::Jwt;
pub use self::jwt::{JwtError, JwtKey};

/// How a user is known once it has proved who it is.
#[derive(Clone, Debug)]
pub enum TokenSettings {
    /// By a token without meaning, that every node is told of.
    Simple {
        /// How long it lasts after it was last used. Each node counts for itself.
        time: Duration,
    },
    /// By a signed token (RFC 7519), which lasts as long as it says.
    Jwt {
        /// What it is signed with, the same on every node.
        key: JwtKey,
        /// How long it lasts.
        time: Duration,
    },
}

impl TokenSettings {
    /// How long a token lasts.
    pub const fn time(&self) -> Duration {
        match self {
            Self::Simple { time } | Self::Jwt { time, .. } => *time,
        }
    }
}

impl Default for TokenSettings {
    /// Five minutes, as in etcd.
    fn default() -> Self {
        Self::Simple { time: Duration::from_secs(300) }
    }
}

/// What a new password will be checked against.
///
/// # Errors
/// There is no randomness to salt it with, or the process ends.
pub(crate) async fn hash_password(password: Zeroizing<String>) -> Result<PasswordHash, Status> {
    Passwords::default().hash(password).await
}

/// What it takes to find out who somebody is.
pub(super) struct Guard {
    passwords: Passwords,
    jwt: Option<Arc<Jwt>>,
}

impl Guard {
    pub(super) fn new(tokens: &TokenSettings) -> Self {
        let jwt = match tokens {
            TokenSettings::Simple { .. } => None,
            TokenSettings::Jwt { key, time } => Some(Arc::new(Jwt::new(key.clone(), *time))),
        };
        Self { passwords: Passwords::default(), jwt }
    }

    /// Set if users are known by signed tokens.
    pub(super) const fn jwt(&self) -> Option<&Arc<Jwt>> {
        self.jwt.as_ref()
    }
}
