//! Users from the first moment on.

use std::time::Duration;

use althing_keyspace::{AuthChange, Command, PasswordHash, Principal, ROOT};
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::client::hash_password;
use crate::handle::{Handle, RequestError};

/// How often it is looked whether users count by now.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Adds the user `root` and makes users count, unless they do. Every member does so; whoever comes
/// second finds it done, and its password is not used.
pub(crate) async fn enable_users(password: Zeroizing<String>, handle: Handle) {
    // What the log holds about users is known once we have read it.
    while handle.linearizable().await.is_err() {
        sleep(LOOK_INTERVAL).await;
    }
    if handle.has_users() {
        return;
    }
    // Once: it is meant to cost much.
    let hash = loop {
        match hash_password(password.clone()).await {
            Ok(hash) => break hash,
            Err(status) => tracing::debug!("users cannot be enabled yet: {}", status.message()),
        }
        sleep(LOOK_INTERVAL).await;
    };
    while !handle.has_users() {
        if let Err(error) = enable(hash.clone(), &handle).await {
            tracing::debug!("users cannot be enabled yet: {error}");
        }
        sleep(LOOK_INTERVAL).await;
    }
}

async fn enable(password: PasswordHash, handle: &Handle) -> Result<(), RequestError> {
    let root = || ROOT.into();
    let steps = [
        AuthChange::UserAdd { name: root(), password: Some(password) },
        AuthChange::RoleAdd { name: root() },
        AuthChange::UserGrantRole { name: root(), role: root() },
    ];
    for step in steps {
        // What is there already was put there by another member, or by who prepared the cluster.
        if let Err(error) = handle.propose(&Principal::Nobody, Command::Auth(step)).await {
            tracing::debug!("on the way to users: {error}");
        }
    }
    handle.propose(&Principal::Nobody, Command::Auth(AuthChange::Enable)).await?;
    tracing::info!("users are enabled, with the user {ROOT}");
    Ok(())
}

/// Resolves once users count.
pub(crate) async fn users_count(handle: &Handle) {
    while !handle.has_users() {
        sleep(LOOK_INTERVAL).await;
    }
}
