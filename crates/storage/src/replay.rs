use althing_core::codec::Reader;
use althing_core::{Acceptance, Acceptances, Ballot, Entry, Index, LogId, Record};

use crate::frame::Kind;
use crate::head::Head;
use crate::planted::{Bug, has};
use crate::wal::COMMIT_SIZE_MAX;

/// What was replayed.
pub(crate) struct Replayed {
    pub(crate) promise: Ballot,
    pub(crate) begin: LogId,
    pub(crate) entries: Vec<Entry>,
    pub(crate) acceptances: Acceptances,
}

/// Turns the frames of a log, from its oldest needed segment on, back into the state they record.
///
/// **Invariant**: `entries` are those from `first` on. While the replay runs, entries between
/// `begin` and `first` may be missing: they stood in segments that were dropped, because a later
/// record moved the begin past them. At the end none may be missing.
pub(crate) struct Replay {
    promise: Ballot,
    begin: LogId,
    first: Index,
    entries: Vec<Entry>,
    acceptances: Acceptances,
    /// The parts so far of a commit that is not complete.
    pending: Option<Vec<u8>>,
    /// The highest index in an append or an acceptance since the caller last took it.
    reach: Index,
}

impl Replay {
    /// From the state that the oldest needed segment restates.
    pub(crate) fn new(head: &Head) -> Self {
        Self {
            promise: head.promise,
            begin: head.begin,
            first: head.last.next(),
            entries: Vec::new(),
            acceptances: Acceptances::default(),
            pending: None,
            reach: Index::ZERO,
        }
    }

    /// Whether a commit was begun and not ended.
    pub(crate) const fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// The highest index appended or accepted since the last call.
    pub(crate) fn take_reach(&mut self) -> Index {
        std::mem::take(&mut self.reach)
    }

    /// Whether a later segment's head says what was replayed up to it.
    pub(crate) fn agrees_with(&self, head: &Head) -> bool {
        self.promise == head.promise && self.begin == head.begin && self.last() == head.last
    }

    /// Takes in the next frame.
    pub(crate) fn frame(&mut self, kind: Kind, body: &[u8]) -> Result<(), &'static str> {
        let Kind::Records { first, last } = kind else { return Ok(()) };
        if first && last {
            // A commit that was begun before and never ended was never acknowledged.
            self.pending = None;
            return self.records(body);
        }
        let mut pending = match (first, self.pending.take()) {
            (true, _) => Vec::new(),
            (false, Some(pending)) => pending,
            (false, None) => return Err("a commit continues here that began nowhere"),
        };
        if pending.len() + body.len() > COMMIT_SIZE_MAX {
            return Err("a commit is longer than any that is written");
        }
        pending.extend_from_slice(body);
        if last {
            return self.records(&pending);
        }
        self.pending = Some(pending);
        Ok(())
    }

    /// The state, if it is whole.
    pub(crate) fn finish(self) -> Result<Replayed, &'static str> {
        if self.first > self.begin.index.next() {
            return Err("entries are needed that stand in no segment");
        }
        let Self { promise, begin, entries, acceptances, .. } = self;
        Ok(Replayed { promise, begin, entries, acceptances })
    }

    fn last(&self) -> Index {
        self.first.previous().plus(self.entries.len() as u64)
    }

    fn records(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        let mut reader = Reader::new(bytes);
        while reader.remaining() > 0 {
            match Record::decode(&mut reader).map_err(|_| "a record is malformed")? {
                Record::Promise(ballot) if ballot < self.promise => {
                    return Err("a promise is taken back");
                }
                Record::Promise(ballot) => self.promise = ballot,
                Record::Append(entries) => self.append(entries)?,
                Record::Accept(acceptance) => self.accept(acceptance)?,
                Record::Begin(id) => {
                    let kept = reader.bool().map_err(|_| "a record is malformed")?;
                    self.begin_after(id, kept)?;
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, entries: Vec<Entry>) -> Result<(), &'static str> {
        let first = entries.first().ok_or("an append is empty")?.id.index;
        if first <= self.begin.index {
            return Err("an append stands before the begin of the log");
        }
        if first > self.last().next() {
            return Err("an append leaves a gap");
        }
        if first < self.first {
            self.entries.clear();
            self.first = first;
        } else {
            let kept =
                usize::try_from(first.since(self.first)).map_err(|_| "an index is too high")?;
            self.entries.truncate(if has(Bug::KeepsOverwritten) { usize::MAX } else { kept });
        }
        self.entries.extend(entries);
        self.acceptances.truncate_from(first);
        self.reach = self.reach.max(self.last());
        Ok(())
    }

    fn accept(&mut self, acceptance: Acceptance) -> Result<(), &'static str> {
        if acceptance.through > self.last() || acceptance.through <= self.begin.index {
            return Err("an acceptance covers what is not in the log");
        }
        if acceptance.ballot > self.promise {
            return Err("an acceptance stands before the promise that goes with it");
        }
        self.acceptances.accept(acceptance);
        self.reach = self.reach.max(acceptance.through);
        Ok(())
    }

    fn begin_after(&mut self, id: LogId, kept: bool) -> Result<(), &'static str> {
        if id.index < self.begin.index {
            return Err("the begin of the log moves back");
        }
        if !kept {
            self.entries.clear();
            self.acceptances.clear();
            self.first = id.index.next();
        } else if id.index > self.last() {
            return Err("the log begins after its end");
        } else if id.index >= self.first {
            let gone = id.index.next().since(self.first);
            self.entries.drain(..usize::try_from(gone).map_err(|_| "an index is too high")?);
            self.first = id.index.next();
        }
        self.acceptances.begin_after(id.index);
        self.begin = id;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::SegmentNumber;
    use althing_core::codec::Writer;
    use althing_core::{NodeId, Payload};

    const WHOLE: Kind = Kind::Records { first: true, last: true };

    fn id(index: u64) -> LogId {
        LogId::new(Ballot::new(1, NodeId::new(1).expect("not zero")), Index(index))
    }

    /// A log that begins at 10 and ends at 20, all of whose entries stood in dropped segments.
    fn replay() -> Replay {
        Replay::new(&Head {
            number: SegmentNumber(3),
            size: 8192,
            oldest: SegmentNumber(3),
            promise: id(0).ballot,
            begin: id(10),
            last: Index(20),
        })
    }

    fn append(index: u64) -> Vec<u8> {
        let record = Record::Append(vec![Entry { id: id(index), payload: Payload::Opening }]);
        let mut bytes = Vec::new();
        record.encode(&mut Writer(&mut bytes));
        bytes
    }

    fn accept(index: u64, round: u64) -> Vec<u8> {
        let ballot = Ballot::new(round, NodeId::new(1).expect("not zero"));
        let mut bytes = Vec::new();
        let acceptance = Acceptance { ballot, through: Index(index) };
        Record::Accept(acceptance).encode(&mut Writer(&mut bytes));
        bytes
    }

    fn begin(index: u64, kept: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        Record::Begin(id(index)).encode(&mut Writer(&mut bytes));
        Writer(&mut bytes).bool(kept);
        bytes
    }

    #[test]
    fn entries_of_dropped_segments_must_not_be_needed_at_the_end() {
        let cases = [
            ("nothing", vec![], None),
            ("the next entry alone", vec![append(21)], None),
            ("not all are covered", vec![append(21), begin(19, true)], None),
            ("all are covered", vec![append(21), begin(20, true)], Some(1)),
            ("all are covered and one more", vec![append(21), begin(21, true)], Some(0)),
            ("all are replaced", vec![append(11)], Some(1)),
            ("all are given up", vec![append(21), begin(15, false)], Some(0)),
        ];
        for (what, records, expected) in cases {
            let mut replay = replay();
            for record in records {
                assert_eq!(replay.frame(WHOLE, &record), Ok(()), "{what}");
            }
            let count = replay.finish().ok().map(|replayed| replayed.entries.len());
            assert_eq!(count, expected, "{what}");
        }
    }

    #[test]
    fn what_cannot_follow_is_refused() {
        let mut promise = Vec::new();
        Record::Promise(Ballot::ZERO).encode(&mut Writer(&mut promise));
        let part = Kind::Records { first: false, last: true };
        let cases = [
            ("a gap", WHOLE, append(22)),
            ("an entry before the begin", WHOLE, append(10)),
            ("a begin beyond the end", WHOLE, begin(21, true)),
            ("a begin further back", WHOLE, begin(9, false)),
            ("a smaller promise", WHOLE, promise),
            ("an acceptance beyond the end", WHOLE, accept(21, 1)),
            ("an acceptance before the begin", WHOLE, accept(10, 1)),
            ("an acceptance above the promise", WHOLE, accept(20, 2)),
            ("the end of a commit that has no start", part, append(21)),
            ("a record cut short", WHOLE, append(21)[..10].to_vec()),
            ("a begin cut short", WHOLE, begin(20, true)[..25].to_vec()),
        ];
        for (what, kind, record) in cases {
            assert!(replay().frame(kind, &record).is_err(), "{what}");
        }
    }
}
