use althing_consensus::Restart;
use althing_core::{Configuration, LogId};
use althing_keyspace::Keyspace;
use althing_storage::{Identity, Opened, Options, RealDisk, SnapshotError, Store};

use crate::node::{NodeError, random};
use crate::peers::Membership;
use crate::settings::Settings;
use crate::snapshots;

/// What the data folder gives back.
pub(crate) struct Memory {
    pub(crate) opened: Opened<RealDisk>,
    pub(crate) restart: Restart,
    pub(crate) keyspace: Keyspace,
}

impl Memory {
    pub(crate) fn recover(
        settings: &Settings,
        disk: RealDisk,
        whose: Membership,
    ) -> Result<Self, NodeError> {
        let mut opened = Store::open(disk, identity(settings, whose), Options::default(), random())
            .map_err(NodeError::Open)?;
        if let Some(torn) = &opened.recovered.torn {
            tracing::warn!(
                "cut a torn write, never acknowledged, at {}:{}",
                torn.file,
                torn.offset
            );
        }
        let (begin, configuration, keyspace) = match opened.snapshot {
            Some(id) => {
                let keyspace =
                    snapshots::restore(&opened.snapshots, id).map_err(NodeError::Snapshot)?;
                let configuration = opened.snapshots.configuration(id);
                let told = |error: SnapshotError| NodeError::Snapshot(error.to_string());
                (id, configuration.map_err(told)?, keyspace)
            }
            None => (LogId::ZERO, None, Keyspace::new()),
        };
        let mut entries = std::mem::take(&mut opened.recovered.entries);
        entries.retain(|entry| entry.id.index > begin.index);
        let configuration = configuration.unwrap_or_else(|| founding(settings));
        let promise = opened.recovered.promise;
        let mut acceptances = std::mem::take(&mut opened.recovered.acceptances);
        acceptances.begin_after(begin.index);
        let restart = Restart { promise, configuration, begin, entries, acceptances };
        Ok(Self { opened, restart, keyspace })
    }
}

/// Whose data folder it is.
pub(crate) fn identity(settings: &Settings, whose: Membership) -> Identity {
    let Membership { cluster, node } = whose;
    Identity { cluster, node, protocol: settings.consensus.name().to_owned() }
}

/// Who this node is, if it has a memory of it.
pub(crate) fn known_membership(
    settings: &Settings,
    disk: &RealDisk,
) -> Result<Option<Membership>, NodeError> {
    let found = Store::identity(disk).map_err(NodeError::Open)?;
    Ok(found.map(|Identity { cluster, node, .. }| match settings.join.is_empty() {
        // Whether the folder is of that one is found out when it is opened.
        true => settings.membership(),
        false => Membership { cluster, node },
    }))
}

/// The members that the cluster was founded with, unless this node joins it.
pub(crate) fn founding(settings: &Settings) -> Configuration {
    Configuration::of(settings.members.iter().map(|member| settings.node_id(&member.name)))
}
