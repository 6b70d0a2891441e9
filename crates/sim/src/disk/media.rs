use std::collections::BTreeMap;

use althing_core::Random;

/// What a disk writes or leaves whole, in bytes.
const SECTOR: usize = 512;

/// A file, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(pub(super) u64);

/// One thing that was done to the disk.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Create {
        name: String,
        file: FileId,
        size: usize,
    },
    Write {
        file: FileId,
        offset: usize,
        bytes: Box<[u8]>,
    },
    Sync {
        file: FileId,
    },
    /// A sync that failed: the system forgets that the pages were dirty, so a later sync that
    /// succeeds does not write them. Readers go on to see them.
    FailedSync {
        file: FileId,
        seed: u64,
    },
    Rename {
        from: String,
        to: String,
    },
    Remove {
        name: String,
    },
    SyncNames,
    FailedSyncNames {
        seed: u64,
    },
}

impl Step {
    /// The file whose content it changes or syncs.
    pub(super) const fn file(&self) -> Option<FileId> {
        match self {
            Self::Create { file, .. }
            | Self::Write { file, .. }
            | Self::Sync { file }
            | Self::FailedSync { file, .. } => Some(*file),
            Self::Rename { .. } | Self::Remove { .. } | Self::SyncNames => None,
            Self::FailedSyncNames { .. } => None,
        }
    }
}

/// What survives: the durable content and names, and what was written behind them and not synced.
#[derive(Debug, Default)]
pub(super) struct Media {
    files: BTreeMap<FileId, Content>,
    names: BTreeMap<String, FileId>,
    names_unsynced: Vec<Renaming>,
    /// Whether single sectors survive the loss of power.
    tears: bool,
}

#[derive(Debug, Default)]
struct Content {
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// Where the last write began that was synced.
    last_synced: usize,
    /// What readers see instead of `durable` since a failed sync dropped pages, until the power
    /// goes.
    cached: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Change {
    /// Emptied, then filled with this many zeros.
    Resize(usize),
    Write {
        offset: usize,
        bytes: Box<[u8]>,
    },
}

#[derive(Clone, Debug)]
enum Renaming {
    Link { name: String, file: FileId },
    Rename { from: String, to: String },
    Unlink { name: String },
}

impl Media {
    pub(super) fn new(tears: bool) -> Self {
        Self { tears, ..Self::default() }
    }

    /// One more step was really taken.
    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Create { name, file, size } => {
                self.files.entry(file).or_default().unsynced.push(Change::Resize(size));
                self.names_unsynced.push(Renaming::Link { name, file });
            }
            Step::Write { file, offset, bytes } => {
                let content = self.files.entry(file).or_default();
                content.unsynced.push(Change::Write { offset, bytes });
            }
            Step::Sync { file } => self.files.entry(file).or_default().sync(),
            Step::FailedSync { file, seed } => {
                let content = self.files.entry(file).or_default();
                content.fail_to_sync(&mut Random::new(seed));
            }
            Step::Rename { from, to } => self.names_unsynced.push(Renaming::Rename { from, to }),
            Step::Remove { name } => self.names_unsynced.push(Renaming::Unlink { name }),
            Step::SyncNames => {
                for renaming in self.names_unsynced.drain(..) {
                    rename(&mut self.names, renaming);
                }
                self.forget_unnamed();
            }
            Step::FailedSyncNames { seed } => self.lose_names(&mut Random::new(seed)),
        }
    }

    /// What is durable: by durable name, the file, its length, and where the last write began that
    /// was synced.
    pub(super) fn durable(&self) -> impl Iterator<Item = (&String, FileId, usize, usize)> {
        self.names.iter().filter_map(|(name, file)| {
            let content = self.files.get(file)?;
            Some((name, *file, content.durable.len(), content.last_synced))
        })
    }

    /// Changes what is durable of a file, behind everybody's back.
    pub(super) fn alter(&mut self, file: FileId, change: &mut impl FnMut(&mut Vec<u8>)) {
        let Some(content) = self.files.get_mut(&file) else { return };
        change(&mut content.durable);
        if let Some(cached) = &mut content.cached {
            change(cached);
        }
    }

    /// This name is no more.
    pub(super) fn forget(&mut self, name: &str) {
        self.names.remove(name);
    }

    /// Nothing is there any more.
    pub(super) fn wipe(&mut self) {
        self.files.clear();
        self.names.clear();
        self.names_unsynced.clear();
    }

    /// What was not synced is lost, or kept, or kept in part. Returns whether something was torn.
    pub(super) fn lose_power(&mut self, random: &mut Random) -> bool {
        let mut torn = false;
        for content in self.files.values_mut() {
            torn |= content.lose_power(random, self.tears);
        }
        self.lose_names(random);
        self.forget_unnamed();
        torn
    }

    /// The names that a process sees which starts now.
    pub(super) fn names(&self) -> BTreeMap<String, FileId> {
        let mut names = self.names.clone();
        for renaming in &self.names_unsynced {
            rename(&mut names, renaming.clone());
        }
        names
    }

    /// Whether readers see of this file what is durable, and the loss of power changes nothing.
    pub(super) fn is_synced(&self, file: FileId) -> bool {
        let is_synced = |content: &Content| content.unsynced.is_empty() && content.cached.is_none();
        self.files.get(&file).is_some_and(is_synced)
    }

    /// The content that a process sees which starts now.
    pub(super) fn read(&self, file: FileId) -> Vec<u8> {
        let Some(content) = self.files.get(&file) else { return Vec::new() };
        let mut bytes = content.cached.as_ref().unwrap_or(&content.durable).clone();
        for change in &content.unsynced {
            change.apply(&mut bytes);
        }
        bytes
    }

    /// Of the changes of names, the first few survive; or, on a disk that orders nothing, any.
    fn lose_names(&mut self, random: &mut Random) {
        let count = self.names_unsynced.len();
        let in_order = random.chance(0.5);
        let prefix = random.below(count as u64 + 1) as usize;
        for (position, renaming) in self.names_unsynced.drain(..).enumerate() {
            let survives = if in_order { position < prefix } else { random.chance(0.5) };
            if survives {
                rename(&mut self.names, renaming);
            }
        }
    }

    fn forget_unnamed(&mut self) {
        if self.files.len() > self.names.len() + self.names_unsynced.len() {
            let named = |file: &FileId| {
                let waits = |renaming: &Renaming| match renaming {
                    Renaming::Link { file: linked, .. } => linked == file,
                    Renaming::Rename { .. } | Renaming::Unlink { .. } => false,
                };
                self.names.values().any(|other| other == file)
                    || self.names_unsynced.iter().any(waits)
            };
            let unnamed: Vec<FileId> =
                self.files.keys().copied().filter(|file| !named(file)).collect();
            for file in unnamed {
                self.files.remove(&file);
            }
        }
    }
}

impl Content {
    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            if let Change::Write { offset, .. } = &change {
                self.last_synced = *offset;
            }
            change.apply(&mut self.durable);
            if let Some(cached) = &mut self.cached {
                change.apply(cached);
            }
        }
    }

    fn fail_to_sync(&mut self, random: &mut Random) {
        let survives = survival(random);
        let cached = self.cached.get_or_insert_with(|| self.durable.clone());
        for change in self.unsynced.drain(..) {
            change.apply(cached);
            match change {
                // Lengths are kept in the journal of the file system, which does not forget them.
                Change::Resize(_) => change.apply(&mut self.durable),
                Change::Write { .. } => {
                    change.apply_in_part(&mut self.durable, survives, random);
                }
            }
        }
    }

    fn lose_power(&mut self, random: &mut Random, tears: bool) -> bool {
        self.cached = None;
        if self.unsynced.is_empty() {
            return false;
        }
        let survives = if tears { survival(random) } else { 0.0 };
        let mut sectors = Sectors::default();
        for change in self.unsynced.drain(..) {
            sectors.add(change.apply_in_part(&mut self.durable, survives, random));
        }
        sectors.kept > 0 && sectors.lost > 0
    }
}

/// How likely each sector is to survive.
fn survival(random: &mut Random) -> f64 {
    [0.0, 0.1, 0.5, 0.9, 1.0][random.below(5) as usize]
}

#[derive(Clone, Copy, Debug, Default)]
struct Sectors {
    kept: u64,
    lost: u64,
}

impl Sectors {
    const fn add(&mut self, other: Self) {
        self.kept += other.kept;
        self.lost += other.lost;
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Resize(size) => {
                content.clear();
                content.resize(*size, 0);
            }
            Self::Write { offset, bytes } => write(content, *offset, bytes),
        }
    }

    fn apply_in_part(&self, content: &mut Vec<u8>, survives: f64, random: &mut Random) -> Sectors {
        let mut sectors = Sectors::default();
        let mut survives = || {
            let kept = random.chance(survives);
            sectors.add(Sectors { kept: u64::from(kept), lost: u64::from(!kept) });
            kept
        };
        match self {
            Self::Resize(_) => {
                if survives() {
                    self.apply(content);
                }
            }
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                let mut from = *offset;
                while from < end {
                    let to = (from / SECTOR * SECTOR + SECTOR).min(end);
                    if survives() {
                        write(content, from, &bytes[from - offset..to - offset]);
                    }
                    from = to;
                }
            }
        }
        sectors
    }
}

/// Writes into a file that grows where it must.
pub(super) fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

fn rename(names: &mut BTreeMap<String, FileId>, renaming: Renaming) {
    match renaming {
        Renaming::Link { name, file } => {
            names.insert(name, file);
        }
        Renaming::Rename { from, to } => {
            // The link it builds on may be among what was lost.
            if let Some(file) = names.remove(&from) {
                names.insert(to, file);
            }
        }
        Renaming::Unlink { name } => {
            names.remove(&name);
        }
    }
}
