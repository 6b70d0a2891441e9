use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use althing_consensus::Chunk;
use althing_core::{LogId, NodeId};
use althing_keyspace::{Keyspace, Restore, Snapshot};
use althing_storage::{RealDisk, ReceiveOutcome, SnapshotError, SnapshotStore};
use tokio::sync::mpsc;

use crate::driver::Event;

/// How much of a snapshot travels in one message, in bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// Work for the snapshot thread.
#[derive(Debug)]
pub(crate) enum Job {
    /// Write the state after `id`.
    Save { id: LogId, snapshot: Snapshot },
    /// Read a piece for a peer.
    Load { to: NodeId, id: LogId, offset: u64 },
    /// Store a piece from a peer.
    Store(Chunk),
    /// Build the keyspace from a stored snapshot.
    Restore { id: LogId },
    /// Free what was replaced; a large keyspace takes a while.
    Discard(Box<Keyspace>),
}

/// Starts the thread that handles snapshots, away from the log's path. It ends when the sender is
/// dropped.
pub(crate) fn start(
    store: SnapshotStore<RealDisk>,
    newest: Option<LogId>,
    events: mpsc::UnboundedSender<Event>,
) -> std::io::Result<(Sender<Job>, thread::JoinHandle<()>)> {
    let (jobs, incoming): (_, Receiver<Job>) = channel();
    let thread = thread::Builder::new().name("althing-snapshot".to_owned()).spawn(move || {
        let mut snapshots = Snapshots { store, newest };
        for job in incoming {
            if let Some(event) = snapshots.carry_out(job)
                && events.send(event).is_err()
            {
                return;
            }
        }
    })?;
    Ok((jobs, thread))
}

/// Reads a stored snapshot into a keyspace.
///
/// # Errors
/// The file is damaged, or is not the state that its name says.
pub(crate) fn restore(store: &SnapshotStore<RealDisk>, id: LogId) -> Result<Keyspace, String> {
    let told = |error: SnapshotError| error.to_string();
    let mut restore = Restore::new();
    let mut reader = store.read(id).map_err(told)?;
    while let Some(block) = reader.next_block().map_err(told)? {
        restore.feed(block).map_err(|error| format!("snapshot {id}: {error}"))?;
    }
    let keyspace = restore.finish().map_err(|error| format!("snapshot {id}: {error}"))?;
    if keyspace.applied() != id.index {
        return Err(format!("snapshot {id} holds the state after {}", keyspace.applied()));
    }
    Ok(keyspace)
}

struct Snapshots {
    store: SnapshotStore<RealDisk>,
    newest: Option<LogId>,
}

impl Snapshots {
    fn carry_out(&mut self, job: Job) -> Option<Event> {
        Some(match job {
            Job::Save { id, snapshot } => {
                let outcome = self.save(id, snapshot).map_err(|error| error.to_string());
                Event::SnapshotSaved { id, outcome }
            }
            Job::Load { to, id, offset } => {
                let chunk = self.store.read_chunk(id, offset, CHUNK_BYTES).ok().map(|chunk| {
                    let data = chunk.bytes.into();
                    Chunk { snapshot: id, offset, data, last: chunk.last }
                });
                Event::ChunkLoaded { to, chunk }
            }
            Job::Store(Chunk { snapshot: id, offset, data, last }) => {
                let outcome = self.store.receive_chunk(id, offset, &data, last);
                let stored = match outcome {
                    Ok(ReceiveOutcome::Accepted { .. } | ReceiveOutcome::Complete) => true,
                    Ok(ReceiveOutcome::OutOfOrder { .. }) => false,
                    Err(error) => {
                        tracing::warn!("cannot store a snapshot from a peer: {error}");
                        false
                    }
                };
                Event::ChunkStored { id, stored }
            }
            Job::Restore { id } => {
                let outcome = restore(&self.store, id).map(Box::new);
                if outcome.is_ok() {
                    self.keep(id);
                }
                Event::Restored { id, outcome }
            }
            Job::Discard(keyspace) => {
                drop(keyspace);
                return None;
            }
        })
    }

    fn save(&mut self, id: LogId, snapshot: Snapshot) -> Result<(), SnapshotError> {
        let mut writer = self.store.write(id)?;
        snapshot.write(&mut |block| writer.write(block))?;
        writer.finish()?;
        self.keep(id);
        Ok(())
    }

    /// Keeps the newest two: the one before may be on its way to a peer.
    fn keep(&mut self, id: LogId) {
        if let Some(previous) = self.newest.replace(id)
            && let Err(error) = self.store.remove_older_than(previous)
        {
            tracing::warn!("cannot remove old snapshots: {error}");
        }
    }
}
