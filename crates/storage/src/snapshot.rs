use std::fmt;

use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{
    Ballot, Configuration, Disk, DiskError, DiskErrorKind, DiskFile, Index, LogId, NodeId,
};

use crate::SnapshotError;
use crate::head::number_after;
use crate::planted::{Bug, has};
use crate::transfer::Receiving;

/// The most content in one block, in bytes.
pub(crate) const BLOCK_SIZE: usize = 64 << 10;
/// After this many bytes what was written is synced, so that the log's syncs, on the same disk,
/// never wait for a whole snapshot.
pub(crate) const SYNC_EVERY: u64 = 256 << 10;

/// The format that is written. That of version 1 had no configuration, and is read.
const FORMAT_VERSION: u32 = 2;
const MAGIC: &[u8; 8] = b"ALTHSNAP";
/// The header up to the configuration's length. In version 1 it is all, and the checksum stands
/// there.
const HEADER_START_SIZE: usize = 40;
/// Above what the largest configuration takes, in bytes.
const CONFIGURATION_SIZE_MAX: usize = 512 << 10;
const BLOCK_HEADER_SIZE: usize = 8;
const TRAILER_SIZE: usize = 24;
const PARTIAL: &str = "partial-";

/// The snapshots of a node. Nothing here touches the log, so it may live on a thread of its own; a
/// clone of the disk is all that the two share.
pub struct SnapshotStore<D: Disk> {
    pub(crate) disk: D,
    pub(crate) receiving: Option<Receiving<D::File>>,
}

impl<D: Disk + Clone> SnapshotStore<D> {
    /// The snapshots on this disk; what was left unfinished is removed.
    pub(crate) fn open(disk: D) -> Result<Self, DiskError> {
        for name in disk.list()?.iter().filter(|name| is_partial(name)) {
            disk.remove(name)?;
        }
        Ok(Self { disk, receiving: None })
    }

    /// The newest snapshot in the folder.
    ///
    /// # Errors
    /// The disk failed.
    pub fn latest(&self) -> Result<Option<LogId>, SnapshotError> {
        Ok(self.ids()?.into_iter().max_by_key(|id| (id.index, id.ballot)))
    }

    /// Starts to write the snapshot of the state after `id`, when these were the group's members.
    /// It appears when it is finished, in place of one that has the same name.
    ///
    /// # Errors
    /// The disk failed or is full.
    pub fn write(
        &self,
        id: LogId,
        configuration: &Configuration,
    ) -> Result<SnapshotWriter<D>, SnapshotError> {
        let name = format!("{PARTIAL}written-{}", file_of(id));
        let file = self.disk.create(&name, 0)?;
        let header = header(id, configuration);
        let mut buffer = Vec::with_capacity(BLOCK_HEADER_SIZE + BLOCK_SIZE);
        buffer.resize(BLOCK_HEADER_SIZE, 0);
        let mut writer = SnapshotWriter {
            disk: self.disk.clone(),
            name,
            id,
            file,
            seed: crc32c::crc32c(&header),
            buffer,
            offset: header.len() as u64,
            synced: 0,
            total: 0,
            count: 0,
            state: WriterState::Open,
        };
        writer.file.write_at(0, &header)?;
        Ok(writer)
    }

    /// Starts to read the snapshot of the state after `id`.
    ///
    /// # Errors
    /// There is none, its start is damaged, or the disk failed.
    pub fn read(&self, id: LogId) -> Result<SnapshotReader<D::File>, SnapshotError> {
        let name = file_of(id);
        SnapshotReader::open(self.find(id)?, name, id)
    }

    /// The group's members when the snapshot of the state after `id` was taken; `None` if it was
    /// written before members could change.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn configuration(&self, id: LogId) -> Result<Option<Configuration>, SnapshotError> {
        Ok(self.read(id)?.configuration)
    }

    /// Removes all snapshots of earlier states than the one after `id`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn remove_older_than(&self, id: LogId) -> Result<(), SnapshotError> {
        for older in self.ids()?.into_iter().filter(|older| older.index < id.index) {
            self.disk.remove(&file_of(older))?;
        }
        Ok(())
    }

    /// The file of a snapshot that should exist.
    pub(crate) fn find(&self, id: LogId) -> Result<D::File, SnapshotError> {
        self.disk.open(&file_of(id)).map_err(|error| match error.kind {
            DiskErrorKind::NotFound => SnapshotError::Missing(id),
            _ => error.into(),
        })
    }

    fn ids(&self) -> Result<Vec<LogId>, SnapshotError> {
        Ok(self.disk.list()?.iter().filter_map(|name| id_of_file(name)).collect())
    }
}

impl<D: Disk> fmt::Debug for SnapshotStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_receiving = self.receiving.is_some();
        f.debug_struct("SnapshotStore").field("is_receiving", &is_receiving).finish_non_exhaustive()
    }
}

/// A snapshot that is being written. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct SnapshotWriter<D: Disk> {
    disk: D,
    name: String,
    id: LogId,
    file: D::File,
    /// The checksum of the header, from which every other checksum of the file continues.
    seed: u32,
    /// Room for a block's header, and its content so far.
    buffer: Vec<u8>,
    offset: u64,
    synced: u64,
    total: u64,
    count: u64,
    state: WriterState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriterState {
    Open,
    Failed,
    Finished,
}

impl<D: Disk> SnapshotWriter<D> {
    /// Appends content.
    ///
    /// # Errors
    /// The disk failed or is full; nothing more can be written and the snapshot will not appear.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), SnapshotError> {
        while !bytes.is_empty() {
            let room = BLOCK_HEADER_SIZE + BLOCK_SIZE - self.buffer.len();
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = rest;
            if self.buffer.len() == BLOCK_HEADER_SIZE + BLOCK_SIZE {
                self.guarded(Self::flush)?;
            }
        }
        Ok(())
    }

    /// Makes the snapshot durable under its name.
    ///
    /// # Errors
    /// The disk failed or is full, now or in an earlier call.
    pub fn finish(mut self) -> Result<(), SnapshotError> {
        self.guarded(|writer| {
            if writer.buffer.len() > BLOCK_HEADER_SIZE {
                writer.flush()?;
            }
            let trailer = trailer(writer.seed, writer.total, writer.count);
            writer.file.write_at(writer.offset, &trailer)?;
            if !has(Bug::SkipsSnapshotSync) {
                writer.file.sync()?;
            }
            writer.disk.rename(&writer.name, &file_of(writer.id))?;
            // From here on the file has its name; what a failure leaves is whole.
            writer.state = WriterState::Finished;
            if has(Bug::SkipsNameSync) { Ok(()) } else { writer.disk.sync_names() }
        })
    }

    fn guarded(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<(), DiskError>,
    ) -> Result<(), SnapshotError> {
        let failed = || DiskError {
            operation: "write",
            file: self.name.clone(),
            kind: DiskErrorKind::Failed("an earlier write failed".into()),
        };
        if self.state == WriterState::Failed {
            return Err(failed().into());
        }
        act(self).map_err(|error| {
            if self.state == WriterState::Open {
                self.state = WriterState::Failed;
            }
            error.into()
        })
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let content = self.buffer.len() - BLOCK_HEADER_SIZE;
        let length = u32::try_from(content).expect("a block is short").to_le_bytes();
        let checksum = checksum(self.seed, self.count, &self.buffer[BLOCK_HEADER_SIZE..]);
        self.buffer[..4].copy_from_slice(&length);
        self.buffer[4..8].copy_from_slice(&checksum.to_le_bytes());
        self.file.write_at(self.offset, &self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.total += content as u64;
        self.count += 1;
        self.buffer.truncate(BLOCK_HEADER_SIZE);
        if self.offset - self.synced >= SYNC_EVERY {
            self.file.sync()?;
            self.synced = self.offset;
        }
        Ok(())
    }
}

impl<D: Disk> Drop for SnapshotWriter<D> {
    fn drop(&mut self) {
        if self.state != WriterState::Finished {
            // What cannot be removed now is removed when the store is opened.
            let _ = self.disk.remove(&self.name);
        }
    }
}

/// A snapshot that is being read. Every block is checked before it is handed out; that nothing is
/// missing is known when the last one was.
#[derive(Debug)]
pub struct SnapshotReader<F> {
    file: F,
    name: String,
    configuration: Option<Configuration>,
    seed: u32,
    buffer: Vec<u8>,
    offset: u64,
    total: u64,
    count: u64,
    is_finished: bool,
}

impl<F: DiskFile> SnapshotReader<F> {
    pub(crate) fn open(file: F, name: String, id: LogId) -> Result<Self, SnapshotError> {
        let header = read_header(&file)?;
        let Ok(configuration) = check_header(&header, id) else {
            return Err(SnapshotError::Damaged {
                file: name,
                offset: 0,
                why: "it does not begin as a snapshot of this state",
            });
        };
        Ok(Self {
            file,
            name,
            configuration,
            seed: crc32c::crc32c(&header),
            buffer: Vec::new(),
            offset: header.len() as u64,
            total: 0,
            count: 0,
            is_finished: false,
        })
    }

    /// The next piece of the content, never empty and at most 64 KiB; `None` after the last, when
    /// the whole has been checked.
    ///
    /// # Errors
    /// The snapshot is damaged or cut short, or the disk failed. What was read before must not be
    /// used.
    pub fn next_block(&mut self) -> Result<Option<&[u8]>, SnapshotError> {
        if self.is_finished {
            return Ok(None);
        }
        self.buffer.resize(BLOCK_HEADER_SIZE + BLOCK_SIZE, 0);
        let read = self.file.read_at(self.offset, &mut self.buffer)?;
        let mut reader = Reader::new(&self.buffer[..read]);
        let (Ok(length), Ok(stored)) = (reader.u32(), reader.u32()) else {
            return Err(self.damaged("it ends here, before its trailer"));
        };
        let length = length as usize;
        if length == 0 {
            return self.check_trailer(read).map(|()| None);
        }
        if length > BLOCK_SIZE || read < BLOCK_HEADER_SIZE + length {
            return Err(self.damaged("a block is cut short or has an impossible length"));
        }
        let content = BLOCK_HEADER_SIZE..BLOCK_HEADER_SIZE + length;
        if checksum(self.seed, self.count, &self.buffer[content.clone()]) != stored {
            return Err(self.damaged("a block does not check"));
        }
        self.offset += content.end as u64;
        self.total += length as u64;
        self.count += 1;
        Ok(Some(&self.buffer[content]))
    }

    fn check_trailer(&mut self, read: usize) -> Result<(), SnapshotError> {
        if self.buffer[..read] != trailer(self.seed, self.total, self.count) {
            return Err(self.damaged("its trailer does not check, or bytes follow it"));
        }
        self.is_finished = true;
        Ok(())
    }

    fn damaged(&self, why: &'static str) -> SnapshotError {
        SnapshotError::Damaged { file: self.name.clone(), offset: self.offset, why }
    }
}

/// The name of the snapshot of the state after `id`.
pub(crate) fn file_of(id: LogId) -> String {
    let node = id.ballot.node.map_or(0, NodeId::number);
    format!("snapshot-{:016x}-{:016x}-{node:016x}", id.index.0, id.ballot.round)
}

/// The state whose snapshot has this name.
pub(crate) fn id_of_file(name: &str) -> Option<LogId> {
    let mut parts = name.strip_prefix("snapshot-")?.split('-');
    let mut number = || number_after("", parts.next()?);
    let (index, round, node) = (Index(number()?), number()?, number()?);
    let id = LogId::new(Ballot { round, node: NodeId::new(node) }, index);
    parts.next().is_none().then_some(id)
}

pub(crate) fn is_partial(name: &str) -> bool {
    name.starts_with(PARTIAL)
}

/// The name under which a snapshot is received.
pub(crate) fn receiving_file_of(id: LogId) -> String {
    format!("{PARTIAL}received-{}", file_of(id))
}

fn header(id: LogId, configuration: &Configuration) -> Vec<u8> {
    let mut encoded = Vec::new();
    configuration.encode(&mut Writer(&mut encoded));
    let mut bytes = MAGIC.to_vec();
    let mut writer = Writer(&mut bytes);
    writer.u32(FORMAT_VERSION);
    writer.log_id(id);
    writer.bytes(&encoded);
    let checksum = crc32c::crc32c(&bytes);
    Writer(&mut bytes).u32(checksum);
    bytes
}

/// What may be the header, as far as it says itself how long it is.
fn read_header<F: DiskFile>(file: &F) -> Result<Vec<u8>, DiskError> {
    let mut bytes = vec![0; HEADER_START_SIZE];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    let mut reader = Reader::new(&bytes);
    let lengths = reader.take(MAGIC.len()).and_then(|_| {
        let version = reader.u32()?;
        reader.take(HEADER_START_SIZE - MAGIC.len() - 8)?;
        Ok((version, reader.u32()? as usize))
    });
    if let Ok((2.., length)) = lengths
        && length <= CONFIGURATION_SIZE_MAX
    {
        let mut rest = vec![0; length + 4];
        let read = file.read_at(HEADER_START_SIZE as u64, &mut rest)?;
        bytes.extend_from_slice(&rest[..read]);
    }
    Ok(bytes)
}

/// The configuration in the header of the snapshot of this state.
fn check_header(bytes: &[u8], id: LogId) -> Result<Option<Configuration>, DecodeError> {
    const OTHER: DecodeError = DecodeError::Invalid { what: "not this snapshot" };
    let (body, checksum) = bytes.split_last_chunk::<4>().ok_or(DecodeError::EndOfInput)?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*checksum) {
        return Err(OTHER);
    }
    let mut reader = Reader::new(body);
    let begins = reader.take(MAGIC.len())? == MAGIC;
    let version = reader.u32()?;
    if !begins || reader.log_id()? != id {
        return Err(OTHER);
    }
    let configuration = match version {
        1 => None,
        FORMAT_VERSION => {
            let mut reader = Reader::new(reader.bytes(CONFIGURATION_SIZE_MAX)?);
            let configuration = Configuration::decode(&mut reader)?;
            reader.finish()?;
            Some(configuration)
        }
        _ => return Err(OTHER),
    };
    reader.finish()?;
    Ok(configuration)
}

fn trailer(seed: u32, total: u64, count: u64) -> [u8; TRAILER_SIZE] {
    let mut bytes = vec![0; BLOCK_HEADER_SIZE];
    let mut writer = Writer(&mut bytes);
    writer.u64(total);
    writer.u64(count);
    let checksum = checksum(seed, count, &bytes[BLOCK_HEADER_SIZE..]);
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    bytes.try_into().expect("its parts have fixed lengths")
}

/// Ties the content of a block to its file and its place in it. The length need not go in: bytes
/// more or less change the sum.
fn checksum(seed: u32, count: u64, content: &[u8]) -> u32 {
    let place = crc32c::crc32c_append(seed, &count.to_le_bytes());
    crc32c::crc32c_append(place, content)
}
