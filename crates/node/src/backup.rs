//! Backups: the state of a cluster as a file, from which another cluster is founded.
//!
//! A file has four parts. A head of 512 bytes: its name, the length of the state in eight bytes,
//! least first, and zeros. The state, as [`althing_keyspace::Snapshot::write`] makes it. Zeros, up
//! to a multiple of 512 bytes. The SHA-256 of all that. The last two are what etcd's tools look for
//! at the end of a file that they have saved. Maintenance/Snapshot streams all of it.

use std::fs;
use std::io::{self, Read};

use althing_core::{Ballot, LogId, Record};
use althing_keyspace::{Keyspace, Restore, RestoreError};
use althing_storage::{OpenError, Options, RealDisk, SnapshotError, Store, WalError};
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

use crate::memory::{founding, identity};
use crate::node::random;
use crate::settings::{Settings, SettingsError};

/// What a backup begins with.
const MAGIC: &[u8; 18] = b"althing backup 1\n\0";
/// The size of the head, and what head, state and zeros are a multiple of.
const BLOCK_SIZE: u64 = 512;
/// How many bytes a backup has after all that.
const SEAL_SIZE: usize = SHA256_OUTPUT_LEN;

/// The head of a backup of a state of so many bytes.
pub(crate) fn head(state_size: u64) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&state_size.to_le_bytes());
    head.resize(BLOCK_SIZE as usize, 0);
    head
}

/// The zeros after a state of so many bytes.
pub(crate) fn padding(state_size: u64) -> Vec<u8> {
    vec![0; (state_size.next_multiple_of(BLOCK_SIZE) - state_size) as usize]
}

/// The size of a whole backup of a state of so many bytes.
pub(crate) fn whole_size(state_size: u64) -> u64 {
    BLOCK_SIZE + state_size.next_multiple_of(BLOCK_SIZE) + SEAL_SIZE as u64
}

/// Why a file is not a backup, or cannot be made a node's memory.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// It does not begin as a backup does.
    #[error("it is not a backup that this build can read")]
    Foreign,
    /// Something was lost or changed on the way.
    #[error("it is cut or damaged: the checksum at its end is not that of what comes before")]
    Seal,
    /// What it holds is no state of this program.
    #[error("{0}")]
    State(#[from] RestoreError),
    /// The settings contradict themselves.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The data folder cannot be used.
    #[error("{0}")]
    Open(OpenError),
    /// The data folder is a node's already.
    #[error("the data folder holds a node's memory already")]
    InUse,
    /// The revision cannot go so far ahead.
    #[error("the revision cannot go so far ahead")]
    Ahead,
    /// The state cannot be written into the data folder.
    #[error("{0}")]
    Write(String),
}

/// What is in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSummary {
    /// The revision of the last write in it.
    pub revision: i64,
    /// The history begins after this revision; zero or less if it was never compacted.
    pub compacted_revision: i64,
    /// The keys that there are.
    pub keys: usize,
    /// The leases that had not ended.
    pub leases: usize,
    /// Whether users count.
    pub has_users: bool,
    /// The size of the file, in bytes.
    pub bytes: u64,
    /// A hash of the whole state, the same for the same state.
    pub hash: u64,
}

/// Looks through a backup as it comes in, in pieces of any size.
pub struct BackupReader {
    digest: Context,
    restore: Restore,
    /// What came of a head or a checksum that is not whole yet.
    held: Vec<u8>,
    stage: Stage,
    bytes: u64,
}

/// What comes next.
#[derive(Clone, Copy)]
enum Stage {
    Head,
    State { left: u64, padding: u64 },
    Padding { left: u64 },
    Seal,
}

impl Default for BackupReader {
    fn default() -> Self {
        Self {
            digest: Context::new(&SHA256),
            restore: Restore::new(),
            held: Vec::new(),
            stage: Stage::Head,
            bytes: 0,
        }
    }
}

impl BackupReader {
    /// Takes the next piece.
    ///
    /// # Errors
    /// What came cannot be part of a backup.
    pub fn feed(&mut self, mut piece: &[u8]) -> Result<(), BackupError> {
        self.bytes += piece.len() as u64;
        loop {
            match self.stage {
                Stage::State { left: 0, padding } => self.stage = Stage::Padding { left: padding },
                Stage::Padding { left: 0 } => self.stage = Stage::Seal,
                _ if piece.is_empty() => return Ok(()),
                Stage::Head => {
                    let missing = BLOCK_SIZE as usize - self.held.len();
                    self.held.extend_from_slice(take(&mut piece, missing));
                    if self.held.len() == BLOCK_SIZE as usize {
                        self.begin()?;
                    }
                }
                Stage::State { left, padding } => {
                    let state = take(&mut piece, usize::try_from(left).unwrap_or(usize::MAX));
                    self.digest.update(state);
                    self.restore.feed(state)?;
                    self.stage = Stage::State { left: left - state.len() as u64, padding };
                }
                Stage::Padding { left } => {
                    let zeros = take(&mut piece, left as usize);
                    self.digest.update(zeros);
                    self.stage = Stage::Padding { left: left - zeros.len() as u64 };
                }
                Stage::Seal => {
                    self.held.extend_from_slice(take(&mut piece, SEAL_SIZE));
                    if self.held.len() > SEAL_SIZE || !piece.is_empty() {
                        return Err(BackupError::Seal);
                    }
                }
            }
        }
    }

    fn begin(&mut self) -> Result<(), BackupError> {
        let size = self.held[MAGIC.len()..].first_chunk().copied().map(u64::from_le_bytes);
        let size = size.filter(|size| *size < u64::MAX / 2).unwrap_or(0);
        if self.held != head(size) {
            return Err(BackupError::Foreign);
        }
        self.digest.update(&self.held);
        self.held.clear();
        self.stage = Stage::State { left: size, padding: padding(size).len() as u64 };
        Ok(())
    }

    /// What is in it, if it came whole.
    ///
    /// # Errors
    /// It did not, or it is not a backup.
    pub fn finish(self) -> Result<BackupSummary, BackupError> {
        self.into_keyspace().map(|(_, summary)| summary)
    }

    fn into_keyspace(self) -> Result<(Keyspace, BackupSummary), BackupError> {
        if matches!(self.stage, Stage::Head) {
            return Err(BackupError::Foreign);
        }
        if self.digest.finish().as_ref() != self.held {
            return Err(BackupError::Seal);
        }
        let keyspace = self.restore.finish()?;
        let summary = BackupSummary {
            revision: keyspace.revision(),
            compacted_revision: keyspace.compacted_revision(),
            keys: keyspace.key_count(),
            leases: keyspace.leases().len(),
            has_users: keyspace.auth().is_enabled(),
            bytes: self.bytes,
            hash: keyspace.hash(),
        };
        Ok((keyspace, summary))
    }

    fn read(mut source: impl Read) -> Result<(Keyspace, BackupSummary), BackupError> {
        let mut reader = Self::default();
        let mut piece = vec![0; 64 << 10];
        loop {
            match source.read(&mut piece)? {
                0 => return reader.into_keyspace(),
                count => reader.feed(&piece[..count])?,
            }
        }
    }
}

/// Takes up to `count` bytes off the front of `piece`.
fn take<'a>(piece: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = piece.split_at(count.min(piece.len()));
    *piece = rest;
    taken
}

/// What is in a backup.
///
/// # Errors
/// It cannot be read, or is not a backup.
pub fn examine(source: impl Read) -> Result<BackupSummary, BackupError> {
    BackupReader::read(source).map(|(_, summary)| summary)
}

/// Makes a backup the memory of a node that does not exist yet, as the settings describe it. Every
/// member of the new cluster is made so, from the same backup with the same `ahead`; see
/// [`Keyspace::refound`] for what that is.
///
/// # Errors
/// The backup or the settings are no good, or the data folder is in use or cannot be written.
pub fn restore(
    settings: &Settings,
    source: impl Read,
    ahead: u32,
) -> Result<BackupSummary, BackupError> {
    settings.check()?;
    if !settings.join.is_empty() {
        return Err(SettingsError::JoinsAndFounds.into());
    }
    let (mut keyspace, summary) = BackupReader::read(source)?;
    keyspace.refound(ahead).map_err(|_| BackupError::Ahead)?;
    // In another folder first: a node that was started on half of it would begin with nothing.
    let beside = settings.data.with_added_extension("restoring");
    if settings.data.exists() && fs::read_dir(&settings.data)?.next().is_some() {
        return Err(BackupError::InUse);
    }
    if beside.exists() {
        fs::remove_dir_all(&beside)?;
    }
    let disk = RealDisk::open(&beside).map_err(BackupError::Open)?;
    write(disk, settings, &keyspace)?;
    fs::rename(&beside, &settings.data)?;
    if let Some(parent) = settings.data.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(BackupSummary {
        revision: keyspace.revision(),
        compacted_revision: keyspace.compacted_revision(),
        hash: keyspace.hash(),
        ..summary
    })
}

fn write(disk: RealDisk, settings: &Settings, keyspace: &Keyspace) -> Result<(), BackupError> {
    let told = |error: SnapshotError| BackupError::Write(error.to_string());
    let logged = |error: WalError| BackupError::Write(error.to_string());
    let identity = identity(settings, settings.membership());
    let opened = Store::open(disk, identity, Options::default(), random());
    let mut opened = opened.map_err(BackupError::Open)?;
    let configuration = founding(settings);
    // An entry of a first term that nobody led: all members begin with the same one.
    let ballot = Ballot { round: 1, node: configuration.members().next().map(|(node, _)| node) };
    opened.wal.commit(&[Record::Promise(Ballot::unvoted(ballot.round + 1))]).map_err(logged)?;
    let id = LogId::new(ballot, keyspace.applied());
    let mut writer = opened.snapshots.write(id, &configuration).map_err(told)?;
    keyspace.snapshot().write(&mut |block| writer.write(block)).map_err(told)?;
    writer.finish().map_err(told)?;
    opened.wal.close().map_err(logged)
}

#[cfg(test)]
mod tests {
    use althing_core::Index;
    use althing_keyspace::{Command, Put};

    use super::*;

    fn backup() -> Vec<u8> {
        let mut keyspace = Keyspace::new();
        for index in 1..5 {
            let put = Put { key: "key".into(), value: "value".into(), ..Put::default() };
            keyspace.apply_command(Index(index), Command::Put(put)).expect("it is put");
        }
        let mut state = Vec::new();
        let written = keyspace.snapshot().write(&mut |block| {
            state.extend_from_slice(block);
            Ok::<_, std::convert::Infallible>(())
        });
        let Ok(()) = written;
        let size = state.len() as u64;
        let mut file = [head(size), state, padding(size)].concat();
        let seal = ring::digest::digest(&SHA256, &file);
        file.extend_from_slice(seal.as_ref());
        assert_eq!(file.len() as u64, whole_size(size));
        file
    }

    #[test]
    fn a_backup_is_read_in_pieces_of_any_size() {
        let file = backup();
        let summary = examine(&file[..]).expect("it is whole");
        assert_eq!((summary.revision, summary.keys), (5, 1));
        for size in [1, 7, 511, 512, 513] {
            let mut reader = BackupReader::default();
            for piece in file.chunks(size) {
                reader.feed(piece).expect("it is whole");
            }
            assert_eq!(reader.finish().expect("it is whole"), summary, "in pieces of {size}");
        }
    }

    #[test]
    fn no_byte_can_be_lost_or_changed_or_added() {
        let file = backup();
        for position in 0..file.len() {
            let mut wrong = file.clone();
            wrong[position] ^= 1;
            assert!(examine(&wrong[..]).is_err(), "byte {position} was changed");
            assert!(examine(&file[..position]).is_err(), "only {position} bytes are left");
        }
        let longer = [&file[..], &[0]].concat();
        assert!(examine(&longer[..]).is_err());
        assert!(matches!(examine(&b"something else"[..]), Err(BackupError::Foreign)));
    }
}
