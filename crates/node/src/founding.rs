//! Users from the first moment on.

use std::time::Duration;

use althing_keyspace::{AuthChange, Command, Principal, ROOT};
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::client::hash_password;
use crate::handle::Handle;

/// How often it is looked whether users count by now.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Adds the user `root` and makes users count, unless they do. Every member does so; whoever comes
/// second finds it done, and its password is not used.
pub(crate) async fn enable_users(password: Zeroizing<String>, handle: Handle) {
    // What the log holds about users is known once we have read it.
    while handle.linearizable().await.is_err() {
        sleep(LOOK_INTERVAL).await;
    }
    while !handle.has_users() {
        if let Err(error) = enable(password.clone(), &handle).await {
            tracing::debug!("users cannot be enabled yet: {error}");
        }
        sleep(LOOK_INTERVAL).await;
    }
}

async fn enable(password: Zeroizing<String>, handle: &Handle) -> Result<(), String> {
    let password = hash_password(password).await.map_err(|status| status.message().to_owned())?;
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
    let enabled = handle.propose(&Principal::Nobody, Command::Auth(AuthChange::Enable)).await;
    enabled.map_err(|error| error.to_string())?;
    tracing::info!("users are enabled, with the user {ROOT}");
    Ok(())
}

/// Resolves once users count.
pub(crate) async fn users_count(handle: &Handle) {
    while !handle.has_users() {
        sleep(LOOK_INTERVAL).await;
    }
}
