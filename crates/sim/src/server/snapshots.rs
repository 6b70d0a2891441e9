use std::sync::Arc;

use althing_consensus::{Chunk, Replica, Stored};
use althing_core::{Configuration, LogId, NodeId};
use althing_keyspace::Snapshot;
use althing_storage::{ReceiveOutcome, SnapshotError};

use super::{Death, Server};
use crate::coverage::Mark;
use crate::disk::Lane;
use crate::invariants::Invariant;
use crate::shared::{Event, Shared};

/// What the snapshot thread has to do.
pub(super) enum Job {
    Write { id: LogId, configuration: Arc<Configuration>, snapshot: Snapshot },
    Load { to: NodeId, id: LogId, offset: u64 },
    Store(Chunk),
    RemoveOlderThan(LogId),
}

/// What it did.
pub(super) enum Worked {
    Written(LogId),
    Loaded { to: NodeId, chunk: Option<Chunk> },
    Stored { id: LogId, stored: Stored },
    Removed,
}

impl<R: Replica> Server<R> {
    /// Gives the snapshot thread its next piece of work, if it is free.
    pub(super) fn work(&mut self, shared: &mut Shared) -> Result<(), Death> {
        if self.working.is_some() {
            return Ok(());
        }
        let Some(job) = self.jobs.pop_front() else { return Ok(()) };
        self.disk.start(Lane::Snapshots);
        self.working = Some(self.do_job(shared, job)?);
        let (node, life) = (self.node, self.life);
        let done = shared.now + shared.latency(node, Lane::Snapshots);
        shared.queue.push(done, Event::SnapshotWorked { node, life });
        Ok(())
    }

    fn do_job(&mut self, shared: &mut Shared, job: Job) -> Result<Worked, Death> {
        let chunk_bytes = shared.profile.sizes.chunk_bytes;
        let mut wrong = |error: SnapshotError| match error {
            SnapshotError::Disk(error) => error.into(),
            _ if shared.is_damaged[self.node] => Death::Damaged,
            error => {
                let detail = format!("{} has a bad snapshot: {error}", self.id);
                shared.checker.report(Invariant::Recovery, detail);
                Death::Wrong
            }
        };
        Ok(match job {
            Job::Write { id, configuration, snapshot } => {
                let mut writer = self.snapshots.write(id, &configuration).map_err(&mut wrong)?;
                snapshot.write(&mut |bytes| writer.write(bytes)).map_err(&mut wrong)?;
                writer.finish().map_err(&mut wrong)?;
                Worked::Written(id)
            }
            Job::Load { to, id, offset } => {
                let chunk = match self.snapshots.read_chunk(id, offset, chunk_bytes) {
                    Ok(chunk) => Some(Chunk {
                        snapshot: id,
                        offset,
                        data: chunk.bytes.into(),
                        last: chunk.last,
                    }),
                    Err(SnapshotError::Missing(_)) => None,
                    Err(error) => return Err(wrong(error)),
                };
                Worked::Loaded { to, chunk }
            }
            Job::Store(Chunk { snapshot: id, offset, data, last }) => {
                let outcome = self.snapshots.receive_chunk(id, offset, &data, last);
                if let Err(SnapshotError::Rejected { .. }) = outcome
                    && shared.is_damaged.contains(&true)
                {
                    shared.mark(Mark::SnapshotRefused);
                    return Ok(Worked::Stored { id, stored: Stored::Rejected });
                }
                // Where no disk is damaged, a snapshot that does not check is a defect.
                let stored = match outcome.map_err(&mut wrong)? {
                    ReceiveOutcome::Accepted { .. } => Stored::Piece,
                    ReceiveOutcome::OutOfOrder { .. } => Stored::Rejected,
                    ReceiveOutcome::Complete => {
                        let configuration = self.snapshots.configuration(id).map_err(wrong)?;
                        let configuration = configuration.expect("everybody writes one").into();
                        Stored::Whole { configuration }
                    }
                };
                Worked::Stored { id, stored }
            }
            Job::RemoveOlderThan(id) => {
                self.snapshots.remove_older_than(id).map_err(&mut wrong)?;
                Worked::Removed
            }
        })
    }
}
