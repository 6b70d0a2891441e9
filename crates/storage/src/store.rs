use std::fmt;

use althing_core::{Disk, LogId, Record};

use crate::frame::BLOCK;
use crate::head::SegmentNumber;
use crate::identity::{self, Found, Stage};
use crate::planted::{Bug, has};
use crate::recovery::recover;
use crate::scan::SEGMENT_SIZE_MAX;
use crate::snapshot::{file_of, id_of_file, is_partial};
use crate::spare::Spare;
use crate::{Identity, OpenError, Recovered, SnapshotStore, Wal, WalError};

/// How a store lays out its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The size of a log segment, in bytes: a multiple of 4096, from 8192 to 1 GiB. Segments that
    /// exist already keep theirs.
    pub segment_size: u64,
    /// The size of the very first segment, in bytes, if smaller than the others. It is made while
    /// a new node starts, with somebody waiting.
    pub first_segment_size: u64,
}

impl Default for Options {
    /// 16 MiB, and 4 MiB for the first.
    ///
    /// A node keeps up to three segments that hold nothing of value (one in use, two spares), and
    /// three nodes may share a machine, or a disk in memory; so a segment is no larger than the
    /// cost of changing it, two syncs in four thousand commits, can be forgotten.
    fn default() -> Self {
        Self { segment_size: 16 << 20, first_segment_size: 4 << 20 }
    }
}

/// The folder of one node.
#[derive(Debug)]
pub struct Store;

/// An open store.
pub struct Opened<D: Disk> {
    /// The log, for the thread that writes it.
    pub wal: Wal<D>,
    /// The snapshots, for any other thread.
    pub snapshots: SnapshotStore<D>,
    /// What the log held.
    pub recovered: Recovered,
    /// The newest snapshot. The entries after it, if the log has any, are in `recovered`; so may be
    /// some before it.
    pub snapshot: Option<LogId>,
    /// Whose store it is.
    pub identity: Identity,
    /// Whether the folder was empty: this node has no past.
    pub is_new: bool,
}

impl<D: Disk> fmt::Debug for Opened<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("wal", &self.wal)
            .field("snapshot", &self.snapshot)
            .field("identity", &self.identity)
            .field("is_new", &self.is_new)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Whose store is on this disk, if there is one.
    ///
    /// # Errors
    /// The file that says so is damaged or of a newer program, or the disk failed.
    pub fn identity<D: Disk>(disk: &D) -> Result<Option<Identity>, OpenError> {
        Ok(identity::load(disk)?.map(|found| found.identity))
    }

    /// Opens the store on this disk, or makes it if the disk is empty.
    ///
    /// The seed salts the segments that are made; it must be different each time, so that what a
    /// recycled file held before is not taken for new.
    ///
    /// If a received snapshot is durable and the loss of power kept the log from being told, it is
    /// told now: `recovered` then begins after the snapshot.
    ///
    /// # Errors
    /// The folder belongs to someone else, is damaged, or the disk failed.
    ///
    /// # Panics
    /// The sizes in the options are not what they should be.
    pub fn open<D: Disk + Clone>(
        disk: D,
        identity: Identity,
        options: Options,
        seed: u64,
    ) -> Result<Opened<D>, OpenError> {
        for size in [options.segment_size, options.first_segment_size] {
            let is_possible = (2 * BLOCK as u64..=SEGMENT_SIZE_MAX).contains(&size);
            assert!(is_possible && size.is_multiple_of(BLOCK as u64), "a segment of {size} bytes");
        }
        let stage = claim(&disk, &identity)?;
        let snapshots = SnapshotStore::open(disk.clone())?;
        let (mut wal, mut recovered) = match stage {
            Stage::Claimed => {
                let wal = Wal::create(disk.clone(), options, seed)?;
                identity::save(&disk, &identity, Stage::Founded)?;
                (wal, Recovered::default())
            }
            Stage::Founded => {
                // What the folder shows may not be durable yet, if a process died in between.
                disk.sync_names()?;
                let recovery = recover(&disk)?;
                Wal::resume(disk.clone(), options, seed, recovery)?
            }
        };
        let snapshot = newest(&disk)?;
        reconcile(&mut wal, &mut recovered, snapshot)?;
        let is_new = stage == Stage::Claimed;
        Ok(Opened { wal, snapshots, recovered, snapshot, identity, is_new })
    }
}

/// Checks whose folder it is, or makes it this node's.
fn claim<D: Disk>(disk: &D, identity: &Identity) -> Result<Stage, OpenError> {
    if let Some(Found { identity: found, stage, is_old }) = identity::load(disk)? {
        identity::check(found, identity)?;
        if is_old {
            identity::save(disk, identity, stage)?;
        }
        return Ok(stage);
    }
    let is_ours = |name: &String| {
        SegmentNumber::of_file(name).is_some()
            || Spare::number(name).is_some()
            || id_of_file(name).is_some()
            || is_partial(name)
    };
    if let Some(file) = disk.list()?.into_iter().find(is_ours) {
        return Err(OpenError::NoIdentity { file });
    }
    identity::save(disk, identity, Stage::Claimed)?;
    Ok(Stage::Claimed)
}

fn newest<D: Disk>(disk: &D) -> Result<Option<LogId>, OpenError> {
    let ids = disk.list()?;
    Ok(ids.iter().filter_map(|name| id_of_file(name)).max_by_key(|id| (id.index, id.ballot)))
}

/// Makes the log agree with the newest snapshot.
///
/// A snapshot that was received becomes durable first, and the log is told second. In between, the
/// log holds entries that the snapshot's history does not have, or ends before it.
fn reconcile<D: Disk>(
    wal: &mut Wal<D>,
    recovered: &mut Recovered,
    snapshot: Option<LogId>,
) -> Result<(), OpenError> {
    let begin = recovered.begin;
    let Some(id) = snapshot.filter(|id| id.index >= begin.index) else {
        if begin == LogId::ZERO {
            return Ok(());
        }
        let why = "the file is missing, and the log begins after it";
        return Err(OpenError::Damaged { file: file_of(begin), offset: 0, why });
    };
    if wal.holds(id) || has(Bug::SkipsReconciling) {
        return Ok(());
    }
    wal.commit(&[Record::Begin(id)]).map_err(|error| match error {
        WalError::Disk(error) => OpenError::Disk(error),
        WalError::Poisoned => unreachable!("it was opened just now"),
    })?;
    recovered.begin = id;
    recovered.entries.clear();
    recovered.acceptances.clear();
    Ok(())
}
