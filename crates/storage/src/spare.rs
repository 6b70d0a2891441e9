use althing_core::{Disk, DiskError, DiskFile};

use crate::head::number_after;

/// Zeros are written and synced in pieces of this many bytes, so that a commit on another thread
/// never waits behind a whole segment.
const PIECE: usize = 256 << 10;

/// A file that waits to become a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spare {
    pub(crate) name: String,
}

impl Spare {
    pub(crate) fn name(number: u64) -> String {
        format!("spare-{number:016x}")
    }

    pub(crate) fn number(name: &str) -> Option<u64> {
        number_after("spare-", name)
    }
}

/// Makes a spare segment, slowly and thoroughly: its zeros are really written, so that a later
/// write changes nothing but the bytes themselves and its sync has no file system's bookkeeping to
/// do.
///
/// Meant for a thread that has nothing else to do.
#[derive(Debug)]
pub struct SpareMaker<D> {
    pub(crate) disk: D,
    pub(crate) name: String,
    pub(crate) size: u64,
}

impl<D: Disk> SpareMaker<D> {
    /// Makes the file, to be handed to [`Wal::offer_spare`](crate::Wal::offer_spare).
    ///
    /// # Errors
    /// The disk is full or failed. The log is none the worse for it and makes its segments itself;
    /// a disk that fails here will soon fail there.
    pub fn make(self) -> Result<Spare, DiskError> {
        let Self { disk, name, size } = self;
        let made = disk.create(&name, size).and_then(|mut file| write_zeros(&mut file, size));
        if let Err(error) = made {
            // The first error is the one to report; an unfinished spare is removed when the store
            // is opened, at the latest.
            let _ = disk.remove(&name);
            return Err(error);
        }
        Ok(Spare { name })
    }
}

/// Overwrites the first `size` bytes with zeros and syncs them.
pub(crate) fn write_zeros<F: DiskFile>(file: &mut F, size: u64) -> Result<(), DiskError> {
    let zeros = vec![0; PIECE.min(usize::try_from(size).unwrap_or(PIECE))];
    let mut offset = 0;
    while offset < size {
        let piece =
            usize::try_from(size - offset).map_or(zeros.len(), |rest| rest.min(zeros.len()));
        file.write_at(offset, &zeros[..piece])?;
        file.sync()?;
        offset += piece as u64;
    }
    Ok(())
}
