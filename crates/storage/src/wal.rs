use std::collections::VecDeque;
use std::fmt;

use althing_core::codec::Writer;
use althing_core::{Ballot, Disk, DiskError, DiskFile, Index, LogId, Record};

use crate::frame::{self, BLOCK, FRAME_SIZE_MAX, HEADER_SIZE, Kind};
use crate::head::{Head, SegmentNumber};
use crate::outline::Outline;
use crate::planted::{Bug, has};
use crate::recovery::{Recovered, Recovery, Retired};
use crate::spare::{Spare, SpareMaker, write_zeros};
use crate::{Options, WalError};

/// The most bytes that the records of one commit may encode to.
pub const COMMIT_SIZE_MAX: usize = 1 << 30;

/// How many spares are kept, made or recycled.
const SPARES_MAX: usize = 2;

/// The log of a replica: its records in the order in which they were issued, durable.
///
/// A commit is one write of whole blocks to one preallocated file, and one sync. Files are
/// segments; one whose entries are all covered by a snapshot becomes a spare, and a spare becomes
/// the next segment.
///
/// Owned by one thread; no call blocks on anything but the disk.
pub struct Wal<D: Disk> {
    disk: D,
    options: Options,
    seed: u64,
    /// Oldest first.
    retired: VecDeque<Retired>,
    current: Retired,
    file: D::File,
    salt: u64,
    /// Where the next frame goes.
    offset: u64,
    /// The sequence number of the next frame.
    sequence: u64,
    spares: Vec<Spare>,
    next_spare: u64,
    /// With what is being committed.
    outline: Outline,
    /// As of the last completed commit.
    restated: Restated,
    buffer: Vec<u8>,
    /// Used only by commits of several frames and by heads.
    frame: Vec<u8>,
    is_poisoned: bool,
}

/// What heads restate.
#[derive(Clone, Copy, Debug)]
struct Restated {
    promise: Ballot,
    begin: LogId,
    last: Index,
}

impl Restated {
    const fn of(outline: &Outline) -> Self {
        Self { promise: outline.promise(), begin: outline.begin(), last: outline.last() }
    }
}

impl<D: Disk> Wal<D> {
    /// Makes these records durable, all or none: one write and one sync, unless they encode to
    /// more than [`FRAME_SIZE_MAX`] bytes. Without records, nothing happens.
    ///
    /// # Errors
    /// The disk failed or is full, now or in an earlier call. Nothing can be committed any more;
    /// whether these records are durable shows when the store is opened again.
    ///
    /// # Panics
    /// A record cannot follow those before it (a gap, a promise taken back), or the records
    /// encode to more than [`COMMIT_SIZE_MAX`] bytes: a bug of whoever issued them.
    pub fn commit(&mut self, records: &[Record]) -> Result<(), WalError> {
        if records.is_empty() && !self.is_poisoned {
            return Ok(());
        }
        self.guarded(|wal| {
            frame::start(&mut wal.buffer);
            for record in records {
                let kept = wal.outline.record(record);
                let mut writer = Writer(&mut wal.buffer);
                record.encode(&mut writer);
                if matches!(record, Record::Begin(_)) {
                    writer.bool(kept);
                }
            }
            wal.write_body()?;
            for record in records {
                let reach = match record {
                    Record::Append(entries) => entries.last().map(|entry| entry.id.index),
                    Record::Accept(acceptance) => Some(acceptance.through),
                    Record::Promise(_) | Record::Begin(_) => None,
                };
                wal.current.reach = wal.current.reach.max(reach.unwrap_or_default());
            }
            wal.restated = Restated::of(&wal.outline);
            wal.buffer.shrink_to(FRAME_SIZE_MAX);
            Ok(())
        })
    }

    /// Drops the segments that hold no entry after `id`; two of them are kept as spares. Costs a
    /// commit if there are any, and nothing otherwise.
    ///
    /// # Errors
    /// As [`Self::commit`].
    ///
    /// # Panics
    /// The log has not been told to begin at `id` or later: its entries are still needed.
    pub fn purge_before(&mut self, id: LogId) -> Result<(), WalError> {
        let begin = self.restated.begin;
        assert!(id.index <= begin.index, "a purge up to {id} of a log that begins at {begin}");
        self.guarded(|wal| {
            let count = wal.droppable(id);
            if count == 0 {
                return Ok(());
            }
            let oldest =
                wal.retired.get(count).map_or(wal.current.number, |segment| segment.number);
            // The log says first what it does without. Whichever of the files the loss of power
            // then brings back, it is known for a leftover.
            wal.write_small(Kind::Purge, &oldest.0.to_le_bytes())?;
            for segment in wal.retired.drain(..count).collect::<Vec<_>>() {
                wal.recycle(segment.number, segment.size)?;
            }
            Ok(())
        })
    }

    /// Ends the log in order. Costs a commit, and gains this: damage to the last records, until the
    /// log is opened again, cannot be mistaken for a write that was never completed.
    ///
    /// # Errors
    /// As [`Self::commit`]. What was committed is durable all the same.
    pub fn close(mut self) -> Result<(), WalError> {
        self.guarded(|wal| wal.write_small(Kind::Mark, &[]))
    }

    /// Whether it is time to make a spare, so that the next change of segments does not have to.
    pub const fn wants_spare(&self) -> bool {
        self.spares.is_empty() && !self.is_poisoned
    }

    /// What makes a spare; best run on another thread, one at a time.
    pub fn spare_maker(&mut self) -> SpareMaker<D>
    where
        D: Clone,
    {
        let name = Spare::name(self.next_spare);
        self.next_spare += 1;
        SpareMaker { disk: self.disk.clone(), name, size: self.options.segment_size }
    }

    /// Takes a spare that a maker of this log made.
    ///
    /// # Errors
    /// There are enough already and the disk failed to remove this one.
    pub fn offer_spare(&mut self, spare: Spare) -> Result<(), WalError> {
        self.guarded(|wal| {
            if wal.spares.len() < SPARES_MAX {
                wal.spares.push(spare);
                return Ok(());
            }
            wal.disk.remove(&spare.name)
        })
    }

    /// Makes a log that holds nothing, in place of whatever files a log had there.
    pub(crate) fn create(disk: D, options: Options, seed: u64) -> Result<Self, DiskError> {
        for name in disk.list()? {
            if SegmentNumber::of_file(&name).is_some() || Spare::number(&name).is_some() {
                disk.remove(&name)?;
            }
        }
        let number = SegmentNumber::FIRST;
        let size = options.first_segment_size.min(options.segment_size);
        let outline = Outline::new(Ballot::ZERO, LogId::ZERO, &[]);
        let restated = Restated::of(&outline);
        let spare = Spare { name: Spare::name(0) };
        write_zeros(&mut disk.create(&spare.name, size)?, size)?;
        let mut frame = Vec::new();
        let head = restated.head(number, size, number);
        let file = enter(&disk, &spare, &head, number.salt(seed), 1, &mut frame)?;
        Ok(Self {
            disk,
            options,
            seed,
            retired: VecDeque::new(),
            current: Retired { number, size, reach: Index::ZERO, spills: false },
            file,
            salt: number.salt(seed),
            offset: BLOCK as u64,
            sequence: 2,
            spares: Vec::new(),
            next_spare: 1,
            outline,
            restated,
            buffer: Vec::new(),
            frame,
            is_poisoned: false,
        })
    }

    /// Goes on with a log that was recovered.
    pub(crate) fn resume(
        disk: D,
        options: Options,
        seed: u64,
        recovery: Recovery<D::File>,
    ) -> Result<(Self, Recovered), DiskError> {
        let Recovery {
            recovered,
            retired,
            current,
            file,
            salt,
            offset,
            sequence,
            needs_mark,
            leftovers,
        } = recovery;
        let outline = Outline::new(recovered.promise, recovered.begin, &recovered.entries);
        let restated = Restated::of(&outline);
        let mut wal = Self {
            disk,
            options,
            seed,
            retired,
            current,
            file,
            salt,
            offset,
            sequence,
            spares: Vec::new(),
            next_spare: 0,
            outline,
            restated,
            buffer: Vec::new(),
            frame: Vec::new(),
            is_poisoned: false,
        };
        wal.find_spares()?;
        for number in leftovers {
            let size = wal.disk.open(&number.file())?.length()?;
            wal.recycle(number, size)?;
        }
        if needs_mark {
            wal.write_small(Kind::Mark, &[])?;
        }
        Ok((wal, recovered))
    }

    /// Whether the log holds exactly this entry, or begins right after it.
    pub(crate) fn holds(&self, id: LogId) -> bool {
        self.outline.holds(id)
    }

    fn guarded(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<(), DiskError>,
    ) -> Result<(), WalError> {
        if self.is_poisoned {
            return Err(WalError::Poisoned);
        }
        // Set first, so that a panic in between poisons as well.
        self.is_poisoned = true;
        act(self)?;
        self.is_poisoned = false;
        Ok(())
    }

    /// Writes the body in the buffer, in as many frames as it needs.
    fn write_body(&mut self) -> Result<(), DiskError> {
        let body_size = self.buffer.len() - HEADER_SIZE;
        assert!(body_size <= COMMIT_SIZE_MAX, "a commit of {body_size} bytes");
        if frame::framed(body_size) as u64 > self.room() {
            self.rotate()?;
        }
        if frame::framed(body_size) <= FRAME_SIZE_MAX.min(room_in_frames(self.room())) {
            let kind = Kind::Records { first: true, last: true };
            frame::seal(&mut self.buffer, kind, self.salt, self.sequence);
            let buffer = std::mem::take(&mut self.buffer);
            let written = self.write_frame(&buffer);
            self.buffer = buffer;
            return written;
        }
        let mut from = HEADER_SIZE;
        while from < self.buffer.len() {
            if self.room() == 0 {
                self.current.spills = true;
                self.rotate()?;
            }
            let space = FRAME_SIZE_MAX.min(room_in_frames(self.room())) - HEADER_SIZE;
            let to = self.buffer.len().min(from + space);
            let kind = Kind::Records { first: from == HEADER_SIZE, last: to == self.buffer.len() };
            let mut part = std::mem::take(&mut self.frame);
            frame::build(&mut part, kind, self.salt, self.sequence, &self.buffer[from..to]);
            let written = self.write_frame(&part);
            self.frame = part;
            written?;
            from = to;
        }
        Ok(())
    }

    /// Writes a frame that fits into a block.
    fn write_small(&mut self, kind: Kind, body: &[u8]) -> Result<(), DiskError> {
        if self.room() == 0 {
            self.rotate()?;
        }
        let mut frame = std::mem::take(&mut self.frame);
        frame::build(&mut frame, kind, self.salt, self.sequence, body);
        let written = self.write_frame(&frame);
        self.frame = frame;
        written
    }

    fn write_frame(&mut self, frame: &[u8]) -> Result<(), DiskError> {
        assert!(frame.len() as u64 <= self.room(), "a frame stays within its segment");
        self.file.write_at(self.offset, frame)?;
        let synced = if has(Bug::SkipsSync) { Ok(()) } else { self.file.sync() };
        synced.or_else(|error| if has(Bug::IgnoresFailedSync) { Ok(()) } else { Err(error) })?;
        self.offset += frame.len() as u64;
        self.sequence += 1;
        Ok(())
    }

    /// How many bytes the current segment has left.
    const fn room(&self) -> u64 {
        self.current.size - self.offset
    }

    /// Goes on in a new segment.
    fn rotate(&mut self) -> Result<(), DiskError> {
        let size = self.options.segment_size;
        let spare = match self.spares.pop() {
            Some(spare) => spare,
            None => {
                // Nobody made one in time. Writing its zeros would hold up the commit for longer
                // than their absence slows down those that follow.
                let spare = Spare { name: Spare::name(self.next_spare) };
                self.next_spare += 1;
                self.disk.create(&spare.name, size)?;
                spare
            }
        };
        let number = self.current.number.next();
        let oldest = self.retired.front().map_or(self.current.number, |segment| segment.number);
        let mut head = self.restated.head(number, size, oldest);
        if has(Bug::ForgetsPromise) {
            head.promise = Ballot::ZERO;
        }
        let salt = number.salt(self.seed);
        self.file = enter(&self.disk, &spare, &head, salt, self.sequence, &mut self.frame)?;
        let new = Retired { number, size, reach: Index::ZERO, spills: false };
        self.retired.push_back(std::mem::replace(&mut self.current, new));
        self.salt = salt;
        self.offset = BLOCK as u64;
        self.sequence += 1;
        Ok(())
    }

    /// How many of the oldest segments hold nothing after `id`.
    fn droppable(&self, id: LogId) -> usize {
        let is_done = |segment: &&Retired| segment.reach <= id.index || has(Bug::PurgesTooMuch);
        let done = self.retired.iter().take_while(is_done).count();
        // A commit that spans segments is dropped as a whole.
        let is_cut = |count: &usize| *count == 0 || !self.retired[count - 1].spills;
        (0..=done).rev().find(is_cut).unwrap_or(0)
    }

    /// Makes a spare of a segment that was dropped, or removes it.
    fn recycle(&mut self, number: SegmentNumber, size: u64) -> Result<(), DiskError> {
        if self.spares.len() >= SPARES_MAX || size != self.options.segment_size {
            return self.disk.remove(&number.file());
        }
        let spare = Spare { name: Spare::name(self.next_spare) };
        self.next_spare += 1;
        self.disk.rename(&number.file(), &spare.name)?;
        self.spares.push(spare);
        Ok(())
    }

    /// Keeps the spares of an earlier run that are of use and removes the others.
    fn find_spares(&mut self) -> Result<(), DiskError> {
        for name in self.disk.list()? {
            let Some(number) = Spare::number(&name) else { continue };
            self.next_spare = self.next_spare.max(number.saturating_add(1));
            let mut file = self.disk.open(&name)?;
            if file.length()? == self.options.segment_size && self.spares.len() < SPARES_MAX {
                // The run that made it may have died before its length was durable.
                file.sync()?;
                self.spares.push(Spare { name });
            } else {
                self.disk.remove(&name)?;
            }
        }
        Ok(())
    }
}

impl<D: Disk> fmt::Debug for Wal<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wal")
            .field("segment", &self.current.number.0)
            .field("offset", &self.offset)
            .field("sequence", &self.sequence)
            .field("begin", &self.restated.begin)
            .field("last", &self.restated.last)
            .field("is_poisoned", &self.is_poisoned)
            .finish_non_exhaustive()
    }
}

impl Restated {
    const fn head(&self, number: SegmentNumber, size: u64, oldest: SegmentNumber) -> Head {
        let Self { promise, begin, last } = *self;
        Head { number, size, oldest, promise, begin, last }
    }
}

/// The longest frame that fits into this much room.
fn room_in_frames(room: u64) -> usize {
    usize::try_from(room).unwrap_or(FRAME_SIZE_MAX)
}

/// Turns a spare into a segment. Its head is durable before its name is, and its name before
/// anything else is written to it: a segment that can be found has a head.
fn enter<D: Disk>(
    disk: &D,
    spare: &Spare,
    head: &Head,
    salt: u64,
    sequence: u64,
    buffer: &mut Vec<u8>,
) -> Result<D::File, DiskError> {
    frame::start(buffer);
    head.encode(&mut Writer(buffer));
    frame::seal(buffer, Kind::Head, salt, sequence);
    let mut file = disk.open(&spare.name)?;
    file.write_at(0, buffer)?;
    file.sync()?;
    let name = head.number.file();
    disk.rename(&spare.name, &name)?;
    disk.sync_names()?;
    disk.open(&name)
}
