use std::collections::VecDeque;

use althing_core::{Ballot, Entry, Index, LogId};

/// The part of the log that is held in memory: all entries after `begin`.
///
/// # Invariants
/// - Indexes are contiguous, from `begin.index + 1` on.
/// - Ballots never fall from one entry to the next, and none is below `begin.ballot`.
#[derive(Clone, Debug, Default)]
pub struct Log {
    begin: LogId,
    entries: VecDeque<Entry>,
}

impl Log {
    /// A log of `entries` that begins after `begin`.
    ///
    /// # Panics
    /// The entries do not follow one another from `begin` on.
    pub fn new(begin: LogId, entries: Vec<Entry>) -> Self {
        let mut log = Self { begin, entries: VecDeque::with_capacity(entries.len()) };
        for entry in entries {
            log.append(entry);
        }
        log
    }

    /// The entry after which the log begins.
    pub const fn begin(&self) -> LogId {
        self.begin
    }

    /// The last entry, or `begin` when there is none.
    pub fn last(&self) -> LogId {
        self.entries.back().map_or(self.begin, |entry| entry.id)
    }

    /// The ballot at `index`, if the log still knows it.
    pub fn ballot_at(&self, index: Index) -> Option<Ballot> {
        if index == self.begin.index {
            return Some(self.begin.ballot);
        }
        self.entry(index).map(|entry| entry.id.ballot)
    }

    /// The name of the entry at `index`, if the log still knows it.
    pub fn id_at(&self, index: Index) -> Option<LogId> {
        self.ballot_at(index).map(|ballot| LogId { ballot, index })
    }

    /// Whether this very entry is in the log, or is where it begins.
    pub fn contains(&self, id: LogId) -> bool {
        self.ballot_at(id.index) == Some(id.ballot)
    }

    /// The entry at `index`.
    pub fn entry(&self, index: Index) -> Option<&Entry> {
        let position = index.0.checked_sub(self.begin.index.0 + 1)?;
        self.entries.get(usize::try_from(position).ok()?)
    }

    /// The entries from `from` on.
    ///
    /// # Panics
    /// The log begins at `from` or later.
    pub fn entries_from(&self, from: Index) -> impl Iterator<Item = &Entry> {
        assert!(from > self.begin.index, "entry {from} was compacted away");
        let position = usize::try_from(from.0 - self.begin.index.0 - 1).unwrap_or(usize::MAX);
        self.entries.range(position.min(self.entries.len())..)
    }

    /// The last entry that is neither after `id.index` nor of a greater ballot: the best guess at
    /// where two logs may still agree, when `id` is where they do not (the fast back-up of section
    /// 5.3 of the paper).
    pub fn last_at_or_below(&self, id: LogId) -> LogId {
        let within = usize::try_from(id.index.since(self.begin.index))
            .unwrap_or(usize::MAX)
            .min(self.entries.len());
        let (front, back) = self.entries.as_slices();
        let front = &front[..within.min(front.len())];
        let back = &back[..within - front.len()];
        let not_above = |entry: &Entry| entry.id.ballot <= id.ballot;
        let count = front.partition_point(not_above) + back.partition_point(not_above);
        match count {
            0 => self.begin,
            count => self.entries[count - 1].id,
        }
    }

    /// The last entry that is named by a smaller ballot than `ballot` and is not after `index`, or
    /// where the log begins.
    pub fn last_below(&self, ballot: Ballot, index: Index) -> Index {
        let (front, back) = self.entries.as_slices();
        let below = |entry: &Entry| entry.id.ballot < ballot;
        let count = match back.first() {
            Some(first) if below(first) => front.len() + back.partition_point(below),
            Some(_) | None => front.partition_point(below),
        };
        self.begin.index.plus(count as u64).min(index.max(self.begin.index))
    }

    /// Adds an entry at the end.
    ///
    /// # Panics
    /// It does not follow the last one.
    pub fn append(&mut self, entry: Entry) {
        let last = self.last();
        assert_eq!(entry.id.index, last.index.next(), "{} does not follow {last}", entry.id);
        assert!(entry.id.ballot >= last.ballot, "{} is older than {last}", entry.id);
        self.entries.push_back(entry);
    }

    /// Drops the entries from `from` on.
    ///
    /// # Panics
    /// The log begins at `from` or later.
    pub fn truncate_from(&mut self, from: Index) {
        assert!(from > self.begin.index, "entry {from} was compacted away");
        let keep = usize::try_from(from.0 - self.begin.index.0 - 1).unwrap_or(usize::MAX);
        self.entries.truncate(keep);
    }

    /// Lets the log begin after `index`, if it holds that entry.
    pub fn compact_to(&mut self, index: Index) {
        let Some(begin) = self.id_at(index) else { return };
        while self.entries.front().is_some_and(|entry| entry.id.index <= index) {
            self.entries.pop_front();
        }
        self.begin = begin;
    }

    /// Lets the log begin after `begin`; what follows stays only if this very entry was held.
    pub fn begin_at(&mut self, begin: LogId) {
        if self.contains(begin) {
            self.compact_to(begin.index);
        } else {
            self.entries.clear();
            self.begin = begin;
        }
    }
}

#[cfg(test)]
mod tests {
    use althing_core::Payload;

    use super::*;

    fn id(round: u64, index: u64) -> LogId {
        LogId::new(Ballot::unvoted(round), Index(index))
    }

    fn log(begin: LogId, rounds: &[u64]) -> Log {
        let entries = rounds
            .iter()
            .enumerate()
            .map(|(position, round)| Entry {
                id: id(*round, begin.index.0 + 1 + position as u64),
                payload: Payload::Opening,
            })
            .collect();
        Log::new(begin, entries)
    }

    #[test]
    fn the_back_up_point_is_the_last_entry_not_after_and_not_above() {
        let log = log(id(2, 3), &[2, 4, 4, 7]); // 4@2 5@4 6@4 7@7
        for (asked, expected) in [
            (id(9, 9), id(7, 7)),
            (id(7, 7), id(7, 7)),
            (id(6, 7), id(4, 6)),
            (id(4, 5), id(4, 5)),
            (id(3, 6), id(2, 4)),
            (id(1, 6), id(2, 3)),
            (id(9, 2), id(2, 3)),
        ] {
            assert_eq!(log.last_at_or_below(asked), expected, "asked {asked}");
        }
    }

    #[test]
    fn what_a_ballot_did_not_propose_ends_where_its_entries_begin() {
        let mut log = log(id(2, 3), &[2, 4, 4, 7]); // 4@2 5@4 6@4 7@7
        for (round, index, expected) in
            [(7, 9, 6), (7, 5, 5), (8, 9, 7), (4, 7, 4), (2, 7, 3), (7, 1, 3)]
        {
            let below = log.last_below(Ballot::unvoted(round), Index(index));
            assert_eq!(below, Index(expected), "below {round} up to {index}");
        }
        // Also where the ring of entries has gone around its end.
        for index in 8..20 {
            log.compact_to(Index(index - 3));
            log.append(Entry { id: id(index, index), payload: Payload::Opening });
            let below = log.last_below(Ballot::unvoted(index), Index(index));
            assert_eq!(below, Index(index - 1));
        }
    }

    #[test]
    fn beginning_at_an_entry_that_is_held_keeps_what_follows() {
        let mut kept = log(LogId::ZERO, &[1, 1, 2, 2]);
        kept.begin_at(id(2, 3));
        assert_eq!((kept.begin(), kept.last()), (id(2, 3), id(2, 4)));

        let mut replaced = log(LogId::ZERO, &[1, 1, 1, 1]);
        replaced.begin_at(id(2, 3));
        assert_eq!((replaced.begin(), replaced.last()), (id(2, 3), id(2, 3)));
    }

    #[test]
    fn compaction_forgets_the_front_and_remembers_its_name() {
        let mut log = log(LogId::ZERO, &[1, 1, 2, 3]);
        log.compact_to(Index(2));
        assert_eq!(log.begin(), id(1, 2));
        assert_eq!(log.ballot_at(Index(1)), None);
        assert!(log.contains(id(1, 2)));
        assert_eq!(log.entries_from(Index(3)).count(), 2);
        log.truncate_from(Index(4));
        assert_eq!(log.last(), id(2, 3));
    }
}
