use althing_core::Random;

use super::SimDisk;
use super::media::FileId;

/// What a write leaves whole or takes, in bytes.
const BLOCK: usize = 4096;

/// What becomes of something that was durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// A few bits change.
    Bits,
    /// A block went over another one, and is not where it should be.
    Misdirected,
    /// A block is as if it had never been written.
    Stale,
    /// A file is shorter, or has no name any more.
    Lost,
}

/// A stretch of a file that may be damaged.
#[derive(Clone, Debug)]
struct Stretch {
    name: String,
    file: FileId,
    length: usize,
}

impl SimDisk {
    /// Damages something that is durable. Returns what, or `None` if there is nothing.
    ///
    /// Spared is the last thing that was synced to the last segment of the log: there no log can
    /// tell damage from a write that never was completed. Nor does the last segment lose its name,
    /// for what nothing refers to, nobody misses.
    pub(crate) fn damage(&self, damage: Damage, random: &mut Random) -> Option<String> {
        match damage {
            Damage::Bits => self.flip(random),
            Damage::Misdirected => self.misdirect(random),
            Damage::Stale => self.put_back(random),
            Damage::Lost => self.lose(random),
        }
    }

    /// Everything on it is gone.
    pub(crate) fn wipe(&self) {
        let state = &mut *self.0.borrow_mut();
        state.files.clear();
        state.names.clear();
        state.steps.clear();
        state.media.wipe();
    }

    /// What may be damaged: durable content under a durable name that matters.
    fn stretches(&self) -> Vec<Stretch> {
        let state = self.0.borrow();
        let durable = || state.media.durable();
        let is_log = |name: &str| name.starts_with("log-");
        let newest = durable().filter(|(name, ..)| is_log(name)).map(|(name, ..)| name).max();
        let matters = |name: &str| !name.starts_with("spare-") && !name.starts_with("partial-");
        // Whoever renames a file has not lost it, though its new name is not durable yet.
        let stays = |(name, file, ..): &(&String, FileId, usize, usize)| {
            matters(name) && state.names.get(*name) == Some(file)
        };
        let stretches = durable().filter(stays);
        let stretches = stretches.map(|(name, file, length, last_synced)| Stretch {
            name: name.clone(),
            file,
            length: if Some(name) == newest { last_synced.min(length) } else { length },
        });
        stretches.filter(|stretch| stretch.length > 0).collect()
    }

    fn flip(&self, random: &mut Random) -> Option<String> {
        let mut stretches = self.stretches();
        // What is sent to others deserves more than its share.
        let is_snapshot = |stretch: &Stretch| stretch.name.starts_with("snapshot-");
        if random.chance(0.5) && stretches.iter().any(is_snapshot) {
            stretches.retain(is_snapshot);
        }
        let Stretch { name, file, length } = one_of(random, &stretches)?;
        for _ in 0..=random.below(3) {
            let at = random.below(length as u64) as usize;
            let bit = 1 << random.below(8);
            self.alter(file, |content| {
                if let Some(byte) = content.get_mut(at) {
                    *byte ^= bit;
                }
            });
        }
        Some(format!("bits of {name} change"))
    }

    fn misdirect(&self, random: &mut Random) -> Option<String> {
        let stretches = self.stretches();
        let (from, to) = (one_of(random, &stretches)?, one_of(random, &stretches)?);
        let (source, target) = (block_of(&from, random), block_of(&to, random));
        let mut block = Vec::new();
        self.alter(from.file, |content| {
            let end = content.len().min(source + BLOCK).min(from.length);
            block = content.get(source..end).unwrap_or_default().to_vec();
            if let Some(place) = content.get_mut(source..end) {
                place.fill(0);
            }
        });
        self.alter(to.file, |content| {
            let end = content.len().min(target + block.len()).min(to.length);
            if let Some(place) = content.get_mut(target..end) {
                let count = place.len();
                place.copy_from_slice(&block[..count]);
            }
        });
        Some(format!("the block at {source} of {} is at {target} of {}", from.name, to.name))
    }

    fn put_back(&self, random: &mut Random) -> Option<String> {
        let stretch = one_of(random, &self.stretches())?;
        let at = block_of(&stretch, random);
        self.alter(stretch.file, |content| {
            let end = content.len().min(at + BLOCK).min(stretch.length);
            if let Some(place) = content.get_mut(at..end) {
                place.fill(0);
            }
        });
        Some(format!("the block at {at} of {} was never written", stretch.name))
    }

    fn lose(&self, random: &mut Random) -> Option<String> {
        let stretches = self.stretches();
        let newest = stretches.iter().filter(|it| it.name.starts_with("log-")).map(|it| &it.name);
        let newest = newest.max().cloned();
        let Stretch { name, file, length } = one_of(random, &stretches)?;
        if random.chance(0.5) && Some(&name) != newest.as_ref() {
            let state = &mut *self.0.borrow_mut();
            state.names.remove(&name);
            state.media.forget(&name);
            return Some(format!("{name} is gone"));
        }
        let left = random.below(length as u64) as usize;
        self.alter(file, |content| content.truncate(left));
        Some(format!("{name} is cut to {left} bytes"))
    }

    /// Changes what is durable, and what readers see.
    fn alter(&self, file: FileId, mut change: impl FnMut(&mut Vec<u8>)) {
        let state = &mut *self.0.borrow_mut();
        state.media.alter(file, &mut change);
        if let Some(content) = state.files.get_mut(&file) {
            change(content);
        }
    }
}

fn one_of(random: &mut Random, stretches: &[Stretch]) -> Option<Stretch> {
    let count = stretches.len() as u64;
    (count > 0).then(|| stretches[random.below(count) as usize].clone())
}

/// Where one of its blocks begins.
fn block_of(stretch: &Stretch, random: &mut Random) -> usize {
    random.below(stretch.length.div_ceil(BLOCK) as u64) as usize * BLOCK
}
