use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use althing_consensus::{Chunk, Stored};
use althing_core::{Configuration, Index, LogId, NodeId};
use althing_keyspace::{Keyspace, Restore, Snapshot};
use althing_storage::{
    Chunk as StoredChunk, RealDisk, ReceiveOutcome, SnapshotError, SnapshotStore,
};
use tokio::sync::mpsc;

use crate::driver::{Alarm, Event};

/// How much of a snapshot travels in one message, in bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// A peer that read from a snapshot is given this long to go on.
const LENT_PATIENCE: Duration = Duration::from_secs(30);

/// Work for the snapshot thread.
#[derive(Debug)]
pub(crate) enum Job {
    /// Write the state after `id`, when these were the members.
    Save { id: LogId, configuration: Arc<Configuration>, snapshot: Snapshot },
    /// Read a piece for a peer.
    Load { to: NodeId, id: LogId, offset: u64 },
    /// Store a piece from a peer.
    Store(Chunk),
    /// Build the keyspace from a stored snapshot.
    Restore { id: LogId },
    /// Hash the state after the entry at `index`, for the member that asked.
    Hash { index: Index, to: NodeId, snapshot: Snapshot },
    /// Free what was replaced; a large keyspace takes a while.
    Discard(Box<Keyspace>),
}

/// Starts the thread that handles snapshots, away from the log's path. It ends when the sender is
/// dropped.
pub(crate) fn start(
    store: SnapshotStore<RealDisk>,
    (newest, founding): (Option<LogId>, Configuration),
    stopping: Arc<AtomicBool>,
    events: mpsc::UnboundedSender<Event>,
) -> std::io::Result<(Sender<Job>, thread::JoinHandle<()>)> {
    let (jobs, incoming): (_, Receiver<Job>) = channel();
    let thread = thread::Builder::new().name("althing-snapshot".to_owned()).spawn(move || {
        let _alarm = Alarm { thread: "snapshot", events: events.clone() };
        let mut snapshots = Snapshots { store, newest, founding, lent: None, stopping };
        for job in incoming {
            if snapshots.stopping.load(Ordering::Relaxed) {
                return;
            }
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
    /// The members as of a snapshot that does not name them: of a program that could not change
    /// them.
    founding: Configuration,
    /// The snapshot that a peer last read from, and when.
    lent: Option<(LogId, Instant)>,
    /// Nobody needs what is not finished yet.
    stopping: Arc<AtomicBool>,
}

/// Why a snapshot was not saved. The log is whole without it.
enum NotSaved {
    Stopped,
    Failed(SnapshotError),
}

impl From<SnapshotError> for NotSaved {
    fn from(error: SnapshotError) -> Self {
        Self::Failed(error)
    }
}

impl Snapshots {
    fn carry_out(&mut self, job: Job) -> Option<Event> {
        Some(match job {
            Job::Save { id, configuration, snapshot } => {
                let outcome = self.save(id, &configuration, snapshot).map_err(|why| match why {
                    NotSaved::Stopped => "the node stops".to_owned(),
                    NotSaved::Failed(error) => error.to_string(),
                });
                Event::SnapshotSaved { id, outcome }
            }
            Job::Load { to, id, offset } => {
                self.lent = Some((id, Instant::now()));
                let chunk = match self.store.read_chunk(id, offset, CHUNK_BYTES) {
                    Ok(StoredChunk { bytes, last }) => {
                        Some(Chunk { snapshot: id, offset, data: bytes.into(), last })
                    }
                    Err(SnapshotError::Missing(_)) => None,
                    Err(error) => {
                        tracing::warn!("cannot read a snapshot for {to}: {error}");
                        None
                    }
                };
                Event::ChunkLoaded { to, chunk }
            }
            Job::Store(Chunk { snapshot: id, offset, data, last }) => {
                let stored = self.store_chunk(id, offset, &data, last).unwrap_or_else(|error| {
                    tracing::warn!("cannot store a snapshot from a peer: {error}");
                    Stored::Rejected
                });
                Event::ChunkStored { id, stored }
            }
            Job::Restore { id } => {
                let outcome = restore(&self.store, id).map(Box::new);
                if outcome.is_ok() {
                    self.keep(id);
                }
                Event::Restored { id, outcome }
            }
            Job::Hash { index, to, snapshot } => Event::Hashed { index, to, hash: snapshot.hash() },
            Job::Discard(keyspace) => {
                drop(keyspace);
                return None;
            }
        })
    }

    fn save(
        &mut self,
        id: LogId,
        configuration: &Configuration,
        snapshot: Snapshot,
    ) -> Result<(), NotSaved> {
        let mut writer = self.store.write(id, configuration)?;
        let stopping = &self.stopping;
        snapshot.write(&mut |block| {
            if stopping.load(Ordering::Relaxed) {
                return Err(NotSaved::Stopped);
            }
            Ok(writer.write(block)?)
        })?;
        writer.finish()?;
        self.keep(id);
        Ok(())
    }

    fn store_chunk(
        &mut self,
        id: LogId,
        offset: u64,
        data: &[u8],
        last: bool,
    ) -> Result<Stored, SnapshotError> {
        Ok(match self.store.receive_chunk(id, offset, data, last)? {
            ReceiveOutcome::Accepted { .. } => Stored::Piece,
            ReceiveOutcome::OutOfOrder { .. } => Stored::Rejected,
            ReceiveOutcome::Complete => {
                let configuration = self.store.configuration(id)?;
                let founding = || Configuration::clone(&self.founding);
                Stored::Whole { configuration: configuration.unwrap_or_else(founding).into() }
            }
        })
    }

    /// Keeps the newest two, and what a peer is reading.
    fn keep(&mut self, id: LogId) {
        let Some(previous) = self.newest.replace(id) else { return };
        let lent = self.lent.filter(|(_, since)| since.elapsed() < LENT_PATIENCE);
        let oldest = match lent {
            Some((lent, _)) if lent.index < previous.index => lent,
            _ => previous,
        };
        if let Err(error) = self.store.remove_older_than(oldest) {
            tracing::warn!("cannot remove old snapshots: {error}");
        }
    }
}
