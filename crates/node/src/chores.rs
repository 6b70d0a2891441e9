use althing_keyspace::{Command, Member, Principal};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::founding::enable_users;
use crate::handle::Handle;
use crate::history::{Retention, Timeline};
use crate::settings::Settings;

/// What a node does by itself beside its driver, until the set is dropped.
pub(crate) fn chores(settings: Settings, clock: Clock, handle: &Handle) -> JoinSet<()> {
    let mut chores = JoinSet::new();
    chores.spawn(forget(settings.retention, clock, handle.clone()));
    if let Some(password) = settings.root_password.clone() {
        chores.spawn(enable_users(password, handle.clone()));
    }
    chores.spawn(publish(settings, handle.clone()));
    chores
}

/// Tells the cluster what this member is called and where its clients find it, unless the cluster
/// knows. Where its peers find it is not said here: that is a matter of the configuration.
async fn publish(settings: Settings, handle: Handle) {
    let id = handle.node();
    let member = Member {
        id,
        name: settings.name.clone(),
        peer_urls: Vec::new(),
        client_urls: settings.advertise_client.clone(),
    };
    loop {
        // What the log holds about us is known once we have read it.
        if handle.linearizable().await.is_ok() {
            if handle.keyspace().members().get(&id) == Some(&member) {
                return;
            }
            if handle
                .propose(&Principal::Server, Command::PublishMember(member.clone()))
                .await
                .is_ok()
            {
                return;
            }
        }
        tokio::time::sleep(settings.heartbeat_interval).await;
    }
}

/// Compacts history that is too old, while this node leads.
async fn forget(retention: Retention, clock: Clock, handle: Handle) {
    let mut timeline = Timeline::new(retention);
    let Some(interval) = timeline.interval() else { return };
    loop {
        tokio::time::sleep(interval).await;
        let (present, compacted) = {
            let keyspace = handle.keyspace();
            (keyspace.revision(), keyspace.compacted_revision())
        };
        let too_old = timeline.pass(clock.now(), present).filter(|revision| *revision > compacted);
        let Some(revision) = too_old else { continue };
        if handle.status().leader == Some(handle.node()) {
            match handle.propose(&Principal::Server, Command::Compact { revision }).await {
                Ok(_) => tracing::info!("compacted the history up to revision {revision}"),
                // The next round tries again, or somebody else has compacted further.
                Err(error) => tracing::debug!("cannot compact up to revision {revision}: {error}"),
            }
        }
    }
}
