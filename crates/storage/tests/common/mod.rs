//! A disk in memory that can stop at any call, lose what was not synced, and run full; and a model
//! of what a log must hold.
#![allow(dead_code, reason = "every test file uses another part of it")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use althing_core::{
    Acceptances, Ballot, ClusterId, Configuration, Disk, DiskError, DiskErrorKind, DiskFile, Entry,
    Index, LogId, NodeId, Payload, Random, Record,
};
use althing_storage::{Identity, OpenError, Opened, Options, Recovered, Store};

/// The most that a disk writes whole when the power goes.
const SECTOR: usize = 512;

/// What happens at the call that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The power goes before anything is done.
    PowerLoss,
    /// The power goes after this many bytes of the write.
    TornWrite(usize),
    /// No space is left, for this call and all writes and creations after it.
    Full,
    /// The disk fails this call; a sync drops what it should have made durable.
    Failure,
}

/// What survives of writes and names that were not synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Survival {
    Nothing,
    Everything,
    /// The process died and the power never went: what it wrote is there, and still not durable.
    Process,
    /// Any sectors, and the names up to any point.
    Some(u64),
}

#[derive(Clone, Default)]
pub(crate) struct MemoryDisk(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    files: Vec<Bytes>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Names as they were after each change that was not synced.
    unsynced_names: Vec<BTreeMap<String, usize>>,
    /// Calls that change something, so far.
    calls: u64,
    fault: Option<(u64, Fault)>,
    is_off: bool,
    is_full: bool,
}

#[derive(Clone, Default)]
struct Bytes {
    now: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

pub(crate) struct MemoryFile {
    disk: MemoryDisk,
    file: usize,
}

impl MemoryDisk {
    /// Lets the fault happen at the `call`th changing call from now on.
    pub(crate) fn plan(&self, call: u64, fault: Fault) {
        let mut state = self.0.borrow_mut();
        state.fault = Some((state.calls + call, fault));
    }

    /// Calls so far that change something.
    pub(crate) fn calls(&self) -> u64 {
        self.0.borrow().calls
    }

    /// The disk after the power came back.
    pub(crate) fn restart(&self, survival: Survival) -> Self {
        let state = self.0.borrow();
        if matches!(survival, Survival::Process) {
            return Self(Rc::new(RefCell::new(State {
                files: state.files.clone(),
                names: state.names.clone(),
                durable_names: state.durable_names.clone(),
                unsynced_names: state.unsynced_names.clone(),
                ..State::default()
            })));
        }
        let mut random = match survival {
            Survival::Some(seed) => Some(Random::new(seed)),
            Survival::Nothing | Survival::Everything | Survival::Process => None,
        };
        let names = match (survival, &mut random) {
            (Survival::Everything, _) => state.names.clone(),
            (_, Some(random)) => {
                let kept = random.below(state.unsynced_names.len() as u64 + 1) as usize;
                let names = kept.checked_sub(1).map(|last| &state.unsynced_names[last]);
                names.unwrap_or(&state.durable_names).clone()
            }
            _ => state.durable_names.clone(),
        };
        let mut files = Vec::new();
        let kept: BTreeSet<usize> = names.values().copied().collect();
        for (number, file) in state.files.iter().enumerate() {
            if !kept.contains(&number) {
                files.push(Bytes::default());
                continue;
            }
            let now = match (survival, &mut random) {
                (Survival::Everything, _) => file.now.clone(),
                (_, Some(random)) => file.survivor(random),
                _ => file.durable.clone(),
            };
            files.push(Bytes { durable: now.clone(), now, dirty: BTreeSet::new() });
        }
        let durable_names = names.clone();
        Self(Rc::new(RefCell::new(State { files, names, durable_names, ..State::default() })))
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.0.borrow();
        state.files[state.names[name]].now.clone()
    }

    /// Replaces the content of a file, durably.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.0.borrow_mut();
        let number = state.files.len();
        state.files.push(Bytes { now: bytes.clone(), durable: bytes, dirty: BTreeSet::new() });
        state.names.insert(name.into(), number);
        state.durable_names.insert(name.into(), number);
    }

    fn error<T>(operation: &'static str, file: &str, kind: DiskErrorKind) -> Result<T, DiskError> {
        Err(DiskError { operation, file: file.into(), kind })
    }

    /// Counts a call and lets the planned fault happen.
    fn change(&self, operation: &'static str, file: &str) -> Result<Option<Fault>, DiskError> {
        let mut state = self.0.borrow_mut();
        if state.is_off {
            return Self::error(operation, file, DiskErrorKind::Failed("the power is off".into()));
        }
        let call = state.calls;
        state.calls += 1;
        let due = state.fault.filter(|(at, _)| *at == call).map(|(_, fault)| fault);
        match due {
            Some(Fault::PowerLoss | Fault::TornWrite(_)) => state.is_off = true,
            Some(Fault::Full) => state.is_full = true,
            Some(Fault::Failure) | None => {}
        }
        if state.is_full && ["create", "write"].contains(&operation) {
            return Self::error(operation, file, DiskErrorKind::Full);
        }
        match due {
            Some(Fault::Full) => Ok(None),
            Some(Fault::TornWrite(_)) if operation == "write" => Ok(due),
            Some(Fault::Failure) if operation == "sync" => Ok(due),
            Some(_) => Self::error(operation, file, DiskErrorKind::Failed("planned".into())),
            None => Ok(None),
        }
    }

    fn check_power(&self, operation: &'static str, file: &str) -> Result<(), DiskError> {
        if self.0.borrow().is_off {
            return Self::error(operation, file, DiskErrorKind::Failed("the power is off".into()));
        }
        Ok(())
    }
}

impl Bytes {
    fn survivor(&self, random: &mut Random) -> Vec<u8> {
        let long = random.chance(0.5);
        let length = if long { self.now.len() } else { self.durable.len() };
        let mut bytes = self.durable.clone();
        bytes.resize(length, 0);
        for sector in &self.dirty {
            let from = sector * SECTOR;
            let to = (from + SECTOR).min(length).min(self.now.len());
            if random.chance(0.5) && from < to {
                bytes[from..to].copy_from_slice(&self.now[from..to]);
            }
        }
        bytes
    }
}

impl State {
    fn renamed(&mut self) {
        self.unsynced_names.push(self.names.clone());
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn list(&self) -> Result<Vec<String>, DiskError> {
        self.check_power("list", "")?;
        Ok(self.0.borrow().names.keys().cloned().collect())
    }

    fn create(&self, name: &str, length: u64) -> Result<MemoryFile, DiskError> {
        self.change("create", name)?;
        let mut state = self.0.borrow_mut();
        let file = state.files.len();
        let dirty = (0..(length as usize).div_ceil(SECTOR)).collect();
        let durable = Vec::new();
        state.files.push(Bytes { now: vec![0; length as usize], durable, dirty });
        state.names.insert(name.into(), file);
        state.renamed();
        Ok(MemoryFile { disk: self.clone(), file })
    }

    fn open(&self, name: &str) -> Result<MemoryFile, DiskError> {
        self.check_power("open", name)?;
        match self.0.borrow().names.get(name) {
            Some(file) => Ok(MemoryFile { disk: self.clone(), file: *file }),
            None => Self::error("open", name, DiskErrorKind::NotFound),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.change("rename", from)?;
        let mut state = self.0.borrow_mut();
        let Some(file) = state.names.remove(from) else {
            return Self::error("rename", from, DiskErrorKind::NotFound);
        };
        state.names.insert(to.into(), file);
        state.renamed();
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.change("remove", name)?;
        let mut state = self.0.borrow_mut();
        if state.names.remove(name).is_none() {
            return Self::error("remove", name, DiskErrorKind::NotFound);
        }
        state.renamed();
        Ok(())
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        if self.change("sync", "the folder")?.is_some() {
            return Self::error("sync", "the folder", DiskErrorKind::Failed("planned".into()));
        }
        let mut state = self.0.borrow_mut();
        state.durable_names = state.names.clone();
        state.unsynced_names.clear();
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn length(&self) -> Result<u64, DiskError> {
        self.disk.check_power("measure", "")?;
        Ok(self.disk.0.borrow().files[self.file].now.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.disk.check_power("read", "")?;
        let state = self.disk.0.borrow();
        let rest = state.files[self.file].now.get(offset as usize..).unwrap_or(&[]);
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let fault = self.disk.change("write", "a file")?;
        let bytes = match fault {
            Some(Fault::TornWrite(count)) => &bytes[..count.min(bytes.len())],
            _ => bytes,
        };
        let mut state = self.disk.0.borrow_mut();
        let file = &mut state.files[self.file];
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        if file.now.len() < to {
            file.now.resize(to, 0);
        }
        file.now[from..to].copy_from_slice(bytes);
        file.dirty.extend(from / SECTOR..to.div_ceil(SECTOR));
        match fault {
            None => Ok(()),
            Some(_) => MemoryDisk::error("write", "", DiskErrorKind::Failed("torn".into())),
        }
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        let fault = self.disk.change("sync", "a file")?;
        let mut state = self.disk.0.borrow_mut();
        let file = &mut state.files[self.file];
        // A sync that failed leaves the pages in memory, marked as if they had been written.
        let dirty = std::mem::take(&mut file.dirty);
        if fault.is_none() {
            file.durable.resize(file.now.len(), 0);
            for sector in dirty {
                let to = (sector * SECTOR + SECTOR).min(file.now.len());
                let bytes = sector * SECTOR..to;
                file.durable[bytes.clone()].copy_from_slice(&file.now[bytes]);
            }
        }
        match fault {
            None => Ok(()),
            Some(_) => MemoryDisk::error("sync", "", DiskErrorKind::Failed("planned".into())),
        }
    }
}

/// What a log must hold after some records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) promise: Ballot,
    pub(crate) begin: LogId,
    pub(crate) entries: Vec<Entry>,
    pub(crate) acceptances: Acceptances,
}

impl Model {
    pub(crate) fn last(&self) -> Index {
        self.begin.index.plus(self.entries.len() as u64)
    }

    pub(crate) fn record(&mut self, record: &Record) {
        match record {
            Record::Promise(ballot) => self.promise = *ballot,
            Record::Append(entries) => {
                let kept = entries[0].id.index.since(self.begin.index.next());
                self.entries.truncate(kept as usize);
                self.entries.extend(entries.iter().cloned());
                self.acceptances.truncate_from(entries[0].id.index);
            }
            Record::Begin(id) => {
                let is_held = *id == self.begin || self.entries.iter().any(|entry| entry.id == *id);
                self.entries.retain(|entry| is_held && entry.id.index > id.index);
                self.begin = *id;
                self.acceptances.begin_after(id.index);
                if !is_held {
                    self.acceptances.clear();
                }
            }
            Record::Accept(acceptance) => self.acceptances.accept(*acceptance),
        }
    }

    pub(crate) fn with(&self, records: &[Record]) -> Self {
        let mut model = self.clone();
        for record in records {
            model.record(record);
        }
        model
    }

    pub(crate) fn of(recovered: &Recovered) -> Self {
        let Recovered { promise, begin, entries, acceptances, .. } = recovered.clone();
        Self { promise, begin, entries, acceptances }
    }
}

pub(crate) fn node(number: u64) -> NodeId {
    NodeId::new(number).expect("not zero")
}

/// A group of one.
pub(crate) fn members() -> Configuration {
    Configuration::of([node(1)])
}

pub(crate) fn identity() -> Identity {
    Identity { cluster: ClusterId(0xa1), node: node(1), protocol: "raft".into() }
}

pub(crate) fn id(index: u64, round: u64) -> LogId {
    LogId::new(Ballot::new(round, node(1)), Index(index))
}

/// Entries from `first` on, each with this many bytes.
pub(crate) fn entries(first: u64, count: u64, round: u64, size: usize) -> Vec<Entry> {
    let entry = |index: u64| {
        let bytes: Vec<u8> = (0..size).map(|byte| (byte as u64 * 31 + index) as u8).collect();
        Entry { id: id(index, round), payload: Payload::Command(Arc::from(bytes)) }
    };
    (first..first + count).map(entry).collect()
}

pub(crate) const SMALL: Options = Options { segment_size: 32 << 10, first_segment_size: 16 << 10 };

pub(crate) fn open(disk: &MemoryDisk, seed: u64) -> Result<Opened<MemoryDisk>, OpenError> {
    Store::open(disk.clone(), identity(), SMALL, seed)
}
