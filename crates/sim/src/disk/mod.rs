//! A disk that keeps what was synced, and of the rest whatever it likes.

mod damage;
mod media;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use althing_core::{Disk, DiskError, DiskErrorKind, DiskFile, Random};

pub(crate) use damage::Damage;
use media::{FileId, Media, Step};

/// The disk of one node. Clones are the same disk.
///
/// Whoever writes calls straight through, and what it wrote can be read at once; but the world lets
/// time pass between the start of a [`Lane`]'s work and its end. A crash in between cuts the
/// work off after any of its steps, as if it had been interrupted there: what the steps before had
/// synced is kept, what they had not may be kept in part, and the steps after never were.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk(Rc<RefCell<State>>);

/// An open file of a [`SimDisk`].
#[derive(Debug)]
pub(crate) struct SimFile {
    disk: SimDisk,
    file: FileId,
    name: String,
}

/// Who works on the disk. Work of different lanes overlaps; within a lane it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The log thread; also the opening of a store.
    Log,
    /// The thread that writes, reads and receives snapshots.
    Snapshots,
}

/// How a node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The process died. The operating system still has what was written.
    Process,
    /// The power went. What was not synced may be lost, whole or in sectors.
    Power,
}

/// What the disk does instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It takes this many more bytes and is full then.
    Full {
        /// In bytes.
        after: u64,
    },
    /// It does this many more writes and syncs and fails at the next.
    Fails {
        /// How many succeed.
        after: u32,
    },
}

#[derive(Debug)]
struct State {
    media: Media,
    /// What readers see: file contents and names, with every step up to now.
    files: BTreeMap<FileId, Vec<u8>>,
    names: BTreeMap<String, FileId>,
    next_file: u64,
    /// Steps that a crash might still cut off, from `first` on.
    steps: VecDeque<(Lane, Step)>,
    first: u64,
    lane: Lane,
    /// The first step of the work that each lane has under way.
    under_way: [Option<u64>; 2],
    trouble: Option<Trouble>,
    random: Random,
}

impl SimDisk {
    /// A disk that is empty. `tears` if the loss of power keeps single sectors of what was not
    /// synced, rather than nothing of it.
    pub(crate) fn new(random: Random, tears: bool) -> Self {
        Self(Rc::new(RefCell::new(State {
            media: Media::new(tears),
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            next_file: 0,
            steps: VecDeque::new(),
            first: 0,
            lane: Lane::Log,
            under_way: [None, None],
            trouble: None,
            random,
        })))
    }

    /// What is done from now on belongs to work of this lane, which takes until
    /// [`Self::finish`].
    pub(crate) fn start(&self, lane: Lane) {
        let mut state = self.0.borrow_mut();
        let next = state.first + state.steps.len() as u64;
        let before = state.under_way[lane as usize].replace(next);
        assert!(before.is_none(), "the work of a lane does not overlap");
        state.lane = lane;
    }

    /// The work of this lane is done: no crash can cut it off any more.
    pub(crate) fn finish(&self, lane: Lane) {
        let mut state = self.0.borrow_mut();
        state.under_way[lane as usize] = None;
        state.settle();
    }

    /// From now on there is this trouble, or none.
    pub(crate) fn set_trouble(&self, trouble: Option<Trouble>) {
        self.0.borrow_mut().trouble = trouble;
    }

    /// The node is no more: cuts work that is under way, and loses what such an ending loses.
    /// Returns whether a part of what was written was lost and a part was kept.
    pub(crate) fn end(&self, ending: Ending) -> bool {
        let state = &mut *self.0.borrow_mut();
        // What was synced whole is as readers saw it; most files are, and need not be copied.
        let is_open = |step: &(Lane, Step)| step.1.file();
        let open: BTreeSet<FileId> = state.steps.iter().filter_map(is_open).collect();
        state.cut();
        let State { media, random, files, names, .. } = state;
        files.retain(|file, _| !open.contains(file) && media.is_synced(*file));
        let torn = match ending {
            Ending::Process => false,
            Ending::Power => media.lose_power(random),
        };
        *names = media.names();
        for file in names.values() {
            files.entry(*file).or_insert_with(|| media.read(*file));
        }
        torn
    }
}

impl State {
    /// Hands the steps that no crash can cut off to the media.
    fn settle(&mut self) {
        let next = self.first + self.steps.len() as u64;
        let until = self.under_way.iter().flatten().copied().min().unwrap_or(next);
        for (_, step) in self.steps.drain(..usize::try_from(until - self.first).unwrap_or(0)) {
            self.media.take(step);
        }
        self.first = until;
    }

    /// Cuts off the work that is under way, each lane's after any of its steps.
    fn cut(&mut self) {
        let mut kept = [0_u64; 2];
        for (lane, started) in self.under_way.iter().enumerate() {
            let Some(started) = *started else { continue };
            let skip = usize::try_from(started - self.first).unwrap_or(usize::MAX);
            let of_lane = |step: &&(Lane, Step)| step.0 as usize == lane;
            let count = self.steps.iter().skip(skip).filter(of_lane).count() as u64;
            kept[lane] = self.random.below(count + 1);
        }
        for (position, (lane, step)) in self.steps.drain(..).enumerate() {
            let lane = lane as usize;
            let is_open =
                self.under_way[lane].is_some_and(|from| self.first + position as u64 >= from);
            if is_open && kept[lane] == 0 {
                continue;
            }
            kept[lane] = kept[lane].saturating_sub(u64::from(is_open));
            self.media.take(step);
        }
        self.under_way = [None, None];
    }

    fn take(&mut self, step: Step) {
        self.steps.push_back((self.lane, step));
        if self.under_way == [None, None] {
            self.settle();
        }
    }

    /// Room for this many more bytes?
    fn claim(&mut self, operation: &'static str, file: &str, bytes: u64) -> Result<(), DiskError> {
        let Some(Trouble::Full { after }) = &mut self.trouble else { return Ok(()) };
        let Some(left) = after.checked_sub(bytes) else {
            let kind = DiskErrorKind::Full;
            return Err(DiskError { operation, file: file.into(), kind });
        };
        *after = left;
        Ok(())
    }

    /// Does the device work?
    fn work(&mut self, operation: &'static str, file: &str) -> Result<(), DiskError> {
        let Some(Trouble::Fails { after }) = &mut self.trouble else { return Ok(()) };
        let Some(left) = after.checked_sub(1) else {
            let kind = DiskErrorKind::Failed("input/output error".into());
            return Err(DiskError { operation, file: file.into(), kind });
        };
        *after = left;
        Ok(())
    }

    fn find(&self, operation: &'static str, name: &str) -> Result<FileId, DiskError> {
        self.names.get(name).copied().ok_or_else(|| DiskError {
            operation,
            file: name.into(),
            kind: DiskErrorKind::NotFound,
        })
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn list(&self) -> Result<Vec<String>, DiskError> {
        Ok(self.0.borrow().names.keys().cloned().collect())
    }

    fn create(&self, name: &str, length: u64) -> Result<SimFile, DiskError> {
        let state = &mut *self.0.borrow_mut();
        state.claim("create", name, length)?;
        state.work("create", name)?;
        let file = state.names.get(name).copied().unwrap_or_else(|| {
            state.next_file += 1;
            FileId(state.next_file)
        });
        let size = usize::try_from(length).expect("simulated files are small");
        state.files.insert(file, vec![0; size]);
        state.names.insert(name.into(), file);
        state.take(Step::Create { name: name.into(), file, size });
        Ok(SimFile { disk: self.clone(), file, name: name.into() })
    }

    fn open(&self, name: &str) -> Result<SimFile, DiskError> {
        let file = self.0.borrow().find("open", name)?;
        Ok(SimFile { disk: self.clone(), file, name: name.into() })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let state = &mut *self.0.borrow_mut();
        let file = state.find("rename", from)?;
        state.work("rename", from)?;
        state.names.remove(from);
        state.names.insert(to.into(), file);
        state.take(Step::Rename { from: from.into(), to: to.into() });
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let state = &mut *self.0.borrow_mut();
        state.find("remove", name)?;
        state.work("remove", name)?;
        state.names.remove(name);
        state.take(Step::Remove { name: name.into() });
        Ok(())
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        let state = &mut *self.0.borrow_mut();
        if let Err(error) = state.work("sync", ".") {
            let seed = state.random.next_u64();
            state.take(Step::FailedSyncNames { seed });
            return Err(error);
        }
        state.take(Step::SyncNames);
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn length(&self) -> Result<u64, DiskError> {
        let state = self.disk.0.borrow();
        Ok(state.files.get(&self.file).map_or(0, Vec::len) as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let state = self.disk.0.borrow();
        let bytes = state.files.get(&self.file).map_or(&[][..], Vec::as_slice);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let count = buffer.len().min(bytes.len() - offset);
        buffer[..count].copy_from_slice(&bytes[offset..offset + count]);
        Ok(count)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let state = &mut *self.disk.0.borrow_mut();
        let offset = usize::try_from(offset).expect("simulated files are small");
        let end = offset + bytes.len();
        let grows = end.saturating_sub(state.files.get(&self.file).map_or(0, Vec::len));
        state.claim("write", &self.name, grows as u64)?;
        state.work("write", &self.name)?;
        if let Some(content) = state.files.get_mut(&self.file) {
            media::write(content, offset, bytes);
        }
        state.take(Step::Write { file: self.file, offset, bytes: bytes.into() });
        Ok(())
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        let state = &mut *self.disk.0.borrow_mut();
        if let Err(error) = state.work("sync", &self.name) {
            let seed = state.random.next_u64();
            state.take(Step::FailedSync { file: self.file, seed });
            return Err(error);
        }
        state.take(Step::Sync { file: self.file });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
