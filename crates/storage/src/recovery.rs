use std::collections::VecDeque;

use althing_core::{Acceptances, Ballot, Disk, DiskFile, Entry, Index, LogId};

use crate::OpenError;
use crate::frame::{BLOCK, Kind};
use crate::head::SegmentNumber;
use crate::planted::{Bug, has};
use crate::replay::{Replay, Replayed};
use crate::scan::Scan;

/// What the log held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The replica never again acts under a smaller ballot than this.
    pub promise: Ballot,
    /// The entry after which the log begins; [`LogId::ZERO`] if it was never shortened.
    pub begin: LogId,
    /// The entries after it, without a gap.
    pub entries: Vec<Entry>,
    /// Under which ballots they were accepted, where those do not name them.
    pub acceptances: Acceptances,
    /// What was cut off the end because its write was never completed.
    pub torn: Option<TornTail>,
}

/// Where a write began that the node did not live to see completed. It was never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub file: String,
    /// Where in it, in bytes from its start.
    pub offset: u64,
}

/// A segment before the one that is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retired {
    pub(crate) number: SegmentNumber,
    /// In bytes.
    pub(crate) size: u64,
    /// The highest index in a commit that ends in it.
    pub(crate) reach: Index,
    /// A commit begins in it and ends in a later one, so it is needed as long as that one is.
    pub(crate) spills: bool,
}

/// All that a log needs to go on where it stopped.
pub(crate) struct Recovery<F> {
    pub(crate) recovered: Recovered,
    /// Oldest first.
    pub(crate) retired: VecDeque<Retired>,
    /// The segment that is written, as it will be once it retires.
    pub(crate) current: Retired,
    pub(crate) file: F,
    pub(crate) salt: u64,
    pub(crate) offset: u64,
    pub(crate) sequence: u64,
    /// The last frame is durable now, and nothing shows it yet.
    pub(crate) needs_mark: bool,
    /// Segments that were dropped before, whose files came back or never went.
    pub(crate) leftovers: Vec<SegmentNumber>,
}

/// Reads the log back and cuts a torn tail.
pub(crate) fn recover<D: Disk>(disk: &D) -> Result<Recovery<D::File>, OpenError> {
    let names = disk.list()?;
    let mut numbers: Vec<SegmentNumber> =
        names.iter().filter_map(|name| SegmentNumber::of_file(name)).collect();
    numbers.sort_unstable();
    let newest = *numbers.last().ok_or_else(|| missing(SegmentNumber::FIRST))?;
    let last = Scan::read(disk, newest)?;
    if !has(Bug::CutsDamage) {
        last.check_nothing_follows()?;
    }
    let oldest = oldest_needed(&last)?;
    let needed = numbers.split_off(numbers.partition_point(|number| *number < oldest));
    let mut expected = oldest;
    for number in &needed {
        if *number != expected {
            return Err(missing(expected));
        }
        expected = expected.next();
    }

    let mut history = History::new();
    for number in &needed[..needed.len() - 1] {
        history.segment(&Scan::read(disk, *number)?)?;
    }
    history.segment(&last)?;
    let (replay, mut retired, pending) = (history.replay, history.retired, history.pending);
    let current = retired.pop_back().expect("the newest segment was just taken in");
    let replay = replay.expect("the newest segment was just taken in");
    let Replayed { promise, begin, entries, acceptances } = replay
        .finish()
        .map_err(|why| OpenError::Damaged { file: needed[0].file(), offset: 0, why })?;
    let torn = last.torn().map(|offset| TornTail { file: last.file.clone(), offset });
    let mut file = disk.open(&last.file)?;
    settle(&mut file, &last)?;
    Ok(Recovery {
        recovered: Recovered { promise, begin, entries, acceptances, torn: pending.or(torn) },
        retired,
        current,
        file,
        salt: last.salt,
        offset: last.end as u64,
        sequence: last.next_sequence(),
        needs_mark: last.places.last().is_some_and(|place| place.kind != Kind::Mark),
        leftovers: numbers,
    })
}

fn missing(number: SegmentNumber) -> OpenError {
    OpenError::Damaged { file: number.file(), offset: 0, why: "the file is missing" }
}

/// The first segment that the newest one says is needed.
fn oldest_needed(last: &Scan) -> Result<SegmentNumber, OpenError> {
    let mut oldest = last.head.oldest;
    for place in last.places.iter().filter(|place| place.kind == Kind::Purge) {
        let number =
            last.body(place).try_into().map(|bytes| SegmentNumber(u64::from_le_bytes(bytes)));
        match number {
            Ok(number) if number >= oldest && number <= last.head.number => oldest = number,
            _ => {
                let offset = place.offset as u64;
                let why = "it names an impossible segment as the oldest";
                return Err(OpenError::Damaged { file: last.file.clone(), offset, why });
            }
        }
    }
    Ok(oldest)
}

/// Makes the end of the log certain before anything is built on it.
///
/// The last frame may stand in the memory of the operating system only: a process that died, or
/// whose sync failed, left it there unsynced. It is written again, byte for byte, and synced. Of a
/// torn frame the first block is emptied; what is left of it can never check, because it stands
/// where no frame with its sequence number is looked for and because later frames overwrite it in
/// order.
fn settle<F: DiskFile>(file: &mut F, last: &Scan) -> Result<(), OpenError> {
    if has(Bug::SkipsSettling) {
        return Ok(());
    }
    if let Some((offset, bytes)) = last.last_frame() {
        file.write_at(offset, bytes)?;
    }
    if let Some(offset) = last.torn() {
        file.write_at(offset, &[0; BLOCK])?;
    }
    file.sync()?;
    Ok(())
}

/// The segments taken in so far, in order.
struct History {
    replay: Option<Replay>,
    retired: VecDeque<Retired>,
    /// The file, its end, and the sequence number expected next.
    before: Option<(String, u64, u64)>,
    /// Where the commit began that has not ended.
    pending: Option<TornTail>,
}

impl History {
    const fn new() -> Self {
        Self { replay: None, retired: VecDeque::new(), before: None, pending: None }
    }

    fn segment(&mut self, scan: &Scan) -> Result<(), OpenError> {
        if let Some((file, offset, expected)) = self.before.take()
            && scan.sequence != expected
        {
            let why = "a frame here does not check, although a later segment was written after it";
            return Err(OpenError::Damaged { file, offset, why });
        }
        let replay = self.replay.get_or_insert_with(|| Replay::new(&scan.head));
        let damaged = |offset: usize, why| {
            let (file, offset) = (scan.file.clone(), offset as u64);
            OpenError::Damaged { file, offset, why }
        };
        if !replay.agrees_with(&scan.head) {
            return Err(damaged(0, "its head contradicts the segments before it"));
        }
        for place in &scan.places {
            if matches!(place.kind, Kind::Records { first: true, .. }) {
                let (file, offset) = (scan.file.clone(), place.offset as u64);
                self.pending = Some(TornTail { file, offset });
            }
            replay.frame(place.kind, scan.body(place)).map_err(|why| damaged(place.offset, why))?;
            if !replay.is_pending() {
                self.pending = None;
            }
        }
        self.before = Some((scan.file.clone(), scan.end as u64, scan.next_sequence()));
        self.retired.push_back(Retired {
            number: scan.head.number,
            size: scan.head.size,
            reach: replay.take_reach(),
            spills: replay.is_pending(),
        });
        Ok(())
    }
}
