use althing_core::{Disk, DiskError, DiskFile, LogId};

use crate::planted::{Bug, has};
use crate::snapshot::{SYNC_EVERY, file_of, receiving_file_of};
use crate::{SnapshotError, SnapshotReader, SnapshotStore};

/// A piece of a snapshot's file, as it goes to a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The bytes, blocks and checksums and all.
    pub bytes: Vec<u8>,
    /// Whether they are the file's last.
    pub last: bool,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveOutcome {
    /// It was written; the next one begins at this offset, in bytes.
    Accepted {
        /// Where.
        next: u64,
    },
    /// It was the last, the whole was checked, and the snapshot is durable.
    Complete,
    /// It is not the one that was due; nothing changed. The one that is due begins at this offset,
    /// in bytes; at zero if no transfer of this snapshot is under way.
    OutOfOrder {
        /// Where.
        expected: u64,
    },
}

/// A snapshot that is being received.
#[derive(Debug)]
pub(crate) struct Receiving<F> {
    id: LogId,
    file: F,
    offset: u64,
    synced: u64,
}

impl<D: Disk + Clone> SnapshotStore<D> {
    /// Up to `size_max` bytes of a snapshot's file, from `offset` on, for a peer.
    ///
    /// # Errors
    /// There is no such snapshot, or no longer, or the disk failed.
    pub fn read_chunk(
        &self,
        id: LogId,
        offset: u64,
        size_max: usize,
    ) -> Result<Chunk, SnapshotError> {
        let file = self.find(id)?;
        let left = file.length()?.saturating_sub(offset);
        let mut bytes = vec![0; usize::try_from(left).map_or(size_max, |left| left.min(size_max))];
        let read = file.read_at(offset, &mut bytes)?;
        bytes.truncate(read);
        Ok(Chunk { last: read as u64 == left, bytes })
    }

    /// Takes a chunk of a snapshot from a peer. Chunks come in order; one at offset zero begins
    /// anew, and ends the transfer of any other snapshot.
    ///
    /// # Errors
    /// What was received is not a valid snapshot of the state after `id`, or the disk failed or is
    /// full. The transfer is over and what came of it is removed.
    pub fn receive_chunk(
        &mut self,
        id: LogId,
        offset: u64,
        bytes: &[u8],
        last: bool,
    ) -> Result<ReceiveOutcome, SnapshotError> {
        if offset == 0 {
            self.abandon()?;
            let file = self.disk.create(&receiving_file_of(id), 0)?;
            self.receiving = Some(Receiving { id, file, offset: 0, synced: 0 });
        }
        let Some(receiving) = self.receiving.as_mut().filter(|receiving| receiving.id == id) else {
            return Ok(ReceiveOutcome::OutOfOrder { expected: 0 });
        };
        if receiving.offset != offset {
            return Ok(ReceiveOutcome::OutOfOrder { expected: receiving.offset });
        }
        let taken = match receiving.take(bytes, last) {
            Ok(()) if !last => return Ok(ReceiveOutcome::Accepted { next: receiving.offset }),
            Ok(()) => self.complete(id).map(|()| ReceiveOutcome::Complete),
            Err(error) => Err(error.into()),
        };
        if taken.is_err() {
            // The first error is the one to report; what is left is removed when the store is
            // opened.
            let _ = self.abandon();
        }
        taken
    }

    /// Ends the transfer that is under way, if one is.
    fn abandon(&mut self) -> Result<(), DiskError> {
        match self.receiving.take() {
            Some(receiving) => self.disk.remove(&receiving_file_of(receiving.id)),
            None => Ok(()),
        }
    }

    /// Checks what was received, and gives it its name.
    fn complete(&mut self, id: LogId) -> Result<(), SnapshotError> {
        let name = receiving_file_of(id);
        check(self.disk.open(&name)?, id).map_err(|error| match error {
            SnapshotError::Damaged { offset, why, .. } => SnapshotError::Rejected { offset, why },
            error => error,
        })?;
        self.disk.rename(&name, &file_of(id))?;
        self.receiving = None;
        if !has(Bug::SkipsReceivedNameSync) {
            self.disk.sync_names()?;
        }
        Ok(())
    }
}

impl<F: DiskFile> Receiving<F> {
    fn take(&mut self, bytes: &[u8], last: bool) -> Result<(), DiskError> {
        self.file.write_at(self.offset, bytes)?;
        self.offset += bytes.len() as u64;
        if last || self.offset - self.synced >= SYNC_EVERY {
            self.file.sync()?;
            self.synced = self.offset;
        }
        Ok(())
    }
}

/// Reads a snapshot to its end.
fn check<F: DiskFile>(file: F, id: LogId) -> Result<(), SnapshotError> {
    if has(Bug::AcceptsAnySnapshot) {
        return Ok(());
    }
    let mut reader = SnapshotReader::open(file, receiving_file_of(id), id)?;
    while reader.next_block()?.is_some() {}
    Ok(())
}
