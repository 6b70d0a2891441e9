use althing_consensus::Restart;
use althing_core::{ClusterId, Configuration, Entry, LogId};
use althing_keyspace::{Keyspace, Restore};
use althing_storage::{
    Identity, OpenError, Opened, Options as StorageOptions, SnapshotStore, Store,
};

use crate::Protocol;
use crate::coverage::Mark;
use crate::disk::SimDisk;
use crate::invariants::Invariant;
use crate::server::Death;
use crate::shared::Shared;

/// An open store that waits for the time it takes to open one.
pub(crate) struct Starting {
    pub(crate) opened: Opened<SimDisk>,
    pub(crate) keyspace: Keyspace,
    pub(crate) restart: Restart,
    /// The disk is not as it was left.
    pub(crate) is_damaged: bool,
}

impl Starting {
    /// Opens a node's store.
    pub(crate) fn open<P: Protocol>(
        shared: &mut Shared,
        protocol: &P,
        node: usize,
        (disk, is_damaged): (&SimDisk, bool),
    ) -> Result<Self, Death> {
        let identity = Identity {
            cluster: ClusterId(1),
            node: shared.ids[node],
            protocol: protocol.name().into(),
        };
        let segment_size = shared.profile.sizes.segment_bytes;
        let options = StorageOptions { segment_size, first_segment_size: segment_size };
        let seed = shared.random.next_u64();
        let wrong = |shared: &mut Shared, why: String| {
            if is_damaged {
                return Death::Damaged;
            }
            let detail = format!("{} cannot start: {why}", shared.ids[node]);
            shared.checker.report(Invariant::Recovery, detail);
            Death::Wrong
        };
        let opened = match Store::open(disk.clone(), identity, options, seed) {
            Ok(opened) => opened,
            Err(OpenError::Disk(error)) if !is_damaged => return Err(error.into()),
            Err(error) => return Err(wrong(shared, error.to_string())),
        };
        let (keyspace, configuration) = match opened.snapshot {
            None => (Keyspace::new(), shared.founding_of(node)),
            Some(id) => match restore(&opened.snapshots, id) {
                Ok(restored) => restored,
                Err(why) => return Err(wrong(shared, why)),
            },
        };
        let begin = opened.snapshot.unwrap_or(LogId::ZERO);
        let entries: Vec<Entry> = opened
            .recovered
            .entries
            .iter()
            .filter(|entry| entry.id.index > begin.index)
            .cloned()
            .collect();
        let promise = opened.recovered.promise;
        let mut acceptances = opened.recovered.acceptances.clone();
        acceptances.begin_after(begin.index);
        let restart = Restart { promise, configuration, begin, entries, acceptances };
        mark_start(shared, &opened);
        if is_damaged {
            shared.mark(Mark::DamageHarmless);
        }
        Ok(Self { opened, keyspace, restart, is_damaged })
    }
}

fn mark_start(shared: &mut Shared, opened: &Opened<SimDisk>) {
    shared.mark(if opened.is_new { Mark::FirstStart } else { Mark::Restart });
    if opened.snapshot.is_some() {
        shared.mark(Mark::SnapshotRestored);
    }
    if opened.recovered.torn.is_some() {
        shared.mark(Mark::TornTailCut);
    }
}

/// Reads a state and the members back from their snapshot.
pub(crate) fn restore(
    snapshots: &SnapshotStore<SimDisk>,
    id: LogId,
) -> Result<(Keyspace, Configuration), String> {
    let configuration = snapshots.configuration(id).map_err(|error| error.to_string())?;
    let configuration = configuration.ok_or("the snapshot names no members")?;
    let mut reader = snapshots.read(id).map_err(|error| error.to_string())?;
    let mut restore = Restore::new();
    while let Some(block) = reader.next_block().map_err(|error| error.to_string())? {
        restore.feed(block).map_err(|error| error.to_string())?;
    }
    let keyspace = restore.finish().map_err(|error| error.to_string())?;
    if keyspace.applied() != id.index {
        return Err(format!("the snapshot at {id} holds the state at {}", keyspace.applied()));
    }
    Ok((keyspace, configuration))
}
