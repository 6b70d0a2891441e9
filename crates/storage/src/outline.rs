use althing_core::{Ballot, Entry, Index, LogId, Record};

/// What the log holds, without what the entries carry: enough to restate it at the head of a
/// segment and to tell whether it holds a certain entry.
///
/// **Invariants**: indexes and ballots of `runs` ascend in index, the first run begins right after
/// `begin`, and there are no runs exactly when `last` is the begin's index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outline {
    promise: Ballot,
    begin: LogId,
    /// From this index on, up to the next run, entries have this ballot.
    runs: Vec<(Index, Ballot)>,
    last: Index,
}

impl Outline {
    /// Of a log that begins after `begin` and holds `entries`.
    pub(crate) fn new(promise: Ballot, begin: LogId, entries: &[Entry]) -> Self {
        let mut outline = Self { promise, begin, runs: Vec::new(), last: begin.index };
        if !entries.is_empty() {
            outline.append(entries);
        }
        outline
    }

    pub(crate) const fn promise(&self) -> Ballot {
        self.promise
    }

    pub(crate) const fn begin(&self) -> LogId {
        self.begin
    }

    pub(crate) const fn last(&self) -> Index {
        self.last
    }

    /// Takes in a record; of a `Begin`, returns whether the entries after it stay.
    ///
    /// # Panics
    /// The record cannot follow what was recorded: a bug of whoever issued it.
    pub(crate) fn record(&mut self, record: &Record) -> bool {
        match record {
            Record::Promise(ballot) => {
                assert!(
                    *ballot >= self.promise,
                    "a promise is never taken back: {} after {}",
                    ballot,
                    self.promise
                );
                self.promise = *ballot;
                false
            }
            Record::Append(entries) => {
                self.append(entries);
                false
            }
            Record::Accept(acceptance) => {
                assert!(
                    acceptance.through > self.begin.index && acceptance.through <= self.last,
                    "an acceptance up to {} in a log from {} to {}",
                    acceptance.through,
                    self.begin,
                    self.last
                );
                false
            }
            Record::Begin(id) => self.begin_after(*id),
        }
    }

    /// Whether the log holds exactly this entry, or begins right after it.
    pub(crate) fn holds(&self, id: LogId) -> bool {
        if id.index <= self.begin.index {
            return id == self.begin;
        }
        let run = self.runs.iter().rev().find(|(from, _)| *from <= id.index);
        id.index <= self.last && run.is_some_and(|(_, ballot)| *ballot == id.ballot)
    }

    fn append(&mut self, entries: &[Entry]) {
        let first = entries.first().expect("an append is never empty").id.index;
        assert!(
            first > self.begin.index && first <= self.last.next(),
            "an append at {first} to a log from {} to {}",
            self.begin,
            self.last
        );
        self.runs.retain(|(from, _)| *from < first);
        self.last = first.previous();
        for entry in entries {
            assert_eq!(entry.id.index, self.last.next(), "entries follow one another");
            if self.runs.last().is_none_or(|(_, ballot)| *ballot != entry.id.ballot) {
                self.runs.push((entry.id.index, entry.id.ballot));
            }
            self.last = entry.id.index;
        }
    }

    fn begin_after(&mut self, id: LogId) -> bool {
        assert!(id.index >= self.begin.index, "the log begins at {}, not {id}", self.begin);
        let kept = self.holds(id);
        if kept {
            let next = id.index.next();
            let covered = self.runs.iter().rposition(|(from, _)| *from <= next).unwrap_or(0);
            self.runs.drain(..covered);
            if self.last == id.index {
                self.runs.clear();
            } else if let Some((from, _)) = self.runs.first_mut() {
                *from = next;
            }
        } else {
            self.runs.clear();
            self.last = id.index;
        }
        self.begin = id;
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use althing_core::{NodeId, Payload, Random};

    fn id(index: u64, round: u64) -> LogId {
        LogId::new(Ballot::new(round, NodeId::new(1).expect("not zero")), Index(index))
    }

    /// Entries from `first` on, one for each round given.
    fn entries(first: u64, rounds: &[u64]) -> Vec<Entry> {
        let name = |(offset, round): (usize, &u64)| id(first + offset as u64, *round);
        let ids = rounds.iter().enumerate().map(name);
        ids.map(|id| Entry { id, payload: Payload::Opening }).collect()
    }

    #[test]
    fn it_knows_what_a_list_of_all_entries_would_know() {
        let mut random = Random::new(11);
        for _ in 0..200 {
            let mut outline = Outline::new(Ballot::ZERO, LogId::ZERO, &[]);
            let mut begin = LogId::ZERO;
            let mut list: Vec<LogId> = Vec::new();
            for _ in 0..30 {
                let last = begin.index.0 + list.len() as u64;
                if random.chance(0.8) {
                    let first = begin.index.0 + 1 + random.below(list.len() as u64 + 1);
                    let mut rounds: Vec<u64> = (0..3).map(|_| random.below(3)).collect();
                    rounds.sort_unstable();
                    let new = entries(first, &rounds);
                    list.truncate((first - begin.index.0 - 1) as usize);
                    list.extend(new.iter().map(|entry| entry.id));
                    outline.record(&Record::Append(new));
                } else {
                    let to =
                        id(begin.index.0 + random.below(last - begin.index.0 + 3), random.below(3));
                    let kept = to == begin || list.contains(&to);
                    if kept {
                        list.retain(|held| held.index > to.index);
                    } else {
                        list.clear();
                    }
                    begin = to;
                    assert_eq!(outline.record(&Record::Begin(to)), kept);
                }
                assert_eq!(outline.last().0, begin.index.0 + list.len() as u64);
                for index in 0..outline.last().0 + 3 {
                    for round in 0..3 {
                        let probe = id(index, round);
                        let held = probe == begin || list.contains(&probe);
                        assert_eq!(outline.holds(probe), held, "{probe} in {begin} {list:?}");
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "an append at 3")]
    fn a_gap_is_a_bug() {
        let mut outline = Outline::new(Ballot::ZERO, LogId::ZERO, &[]);
        outline.record(&Record::Append(entries(3, &[1])));
    }
}
