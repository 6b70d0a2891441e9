use std::collections::VecDeque;

use althing_consensus::Restart;
use althing_core::{Acceptances, Ballot, Configuration, Entry, LogId, Op, Record};

/// A node's disk: what was issued and may be lost, and what is durable.
///
/// Records become durable whole and in order. What a torn write leaves is the log store's matter,
/// not the protocol's.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    issued: VecDeque<(Op, Vec<Record>)>,
    promise: Ballot,
    begin: LogId,
    entries: Vec<Entry>,
    acceptances: Acceptances,
    snapshot: Option<Snapshot>,
}

/// The state machine up to an entry, durable.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) id: LogId,
    pub(super) configuration: Configuration,
    pub(super) bytes: Vec<u8>,
}

impl Disk {
    /// A disk that holds this log, and the promise that goes with it.
    pub(super) fn holding(entries: Vec<Entry>) -> Self {
        let round = entries.last().map_or(0, |entry| entry.id.ballot.round);
        Self { promise: Ballot::unvoted(round), entries, ..Self::default() }
    }

    pub(super) fn issue(&mut self, op: Op, records: Vec<Record>) {
        self.issued.push_back((op, records));
    }

    /// Makes the first `count` writes durable; returns the last of them.
    pub(super) fn persist(&mut self, count: usize) -> Option<Op> {
        let count = count.min(self.issued.len());
        let writes: Vec<(Op, Vec<Record>)> = self.issued.drain(..count).collect();
        let last = writes.last().map(|(op, _)| *op);
        for record in writes.into_iter().flat_map(|(_, records)| records) {
            self.apply(record);
        }
        last
    }

    /// Whether writes are under way.
    pub(super) fn is_busy(&self) -> bool {
        !self.issued.is_empty()
    }

    pub(super) fn save(&mut self, snapshot: Snapshot) {
        self.snapshot = Some(snapshot);
    }

    pub(super) const fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// What was only issued is gone.
    pub(super) fn crash(&mut self) {
        self.issued.clear();
    }

    /// What a replica finds when it starts again. The newest snapshot is where its log begins, also
    /// if the record that says so was not written any more. Without one, the members are those of
    /// the beginning.
    pub(super) fn restart(&mut self, founding: &Configuration) -> Restart {
        if let Some(id) = self.snapshot.as_ref().map(|snapshot| snapshot.id)
            && id.index > self.begin.index
        {
            self.apply(Record::Begin(id));
        }
        let snapshot = self.snapshot.as_ref().map(|snapshot| &snapshot.configuration);
        Restart {
            promise: self.promise,
            configuration: snapshot.unwrap_or(founding).clone(),
            begin: self.begin,
            entries: self.entries.clone(),
            acceptances: self.acceptances.clone(),
        }
    }

    fn apply(&mut self, record: Record) {
        match record {
            Record::Promise(ballot) => {
                assert!(ballot > self.promise, "a promise of {ballot} after {}", self.promise);
                self.promise = ballot;
            }
            Record::Append(entries) => {
                let from = entries[0].id.index;
                self.entries.retain(|entry| entry.id.index < from);
                self.acceptances.truncate_from(from);
                let last = self.entries.last().map_or(self.begin, |entry| entry.id);
                assert_eq!(last.index.next(), from, "a gap on the disk");
                self.entries.extend(entries);
                let newest = self.entries.last().map_or(0, |entry| entry.id.ballot.round);
                assert!(self.promise.round >= newest, "an entry before its term");
            }
            Record::Begin(begin) => {
                let held = self.entries.iter().any(|entry| entry.id == begin);
                self.entries.retain(|entry| held && entry.id.index > begin.index);
                self.acceptances.begin_after(begin.index);
                if !held {
                    self.acceptances.clear();
                }
                self.begin = begin;
            }
            Record::Accept(acceptance) => {
                let last = self.entries.last().map_or(self.begin, |entry| entry.id);
                assert!(acceptance.through <= last.index, "an acceptance of what is not there");
                assert!(acceptance.ballot <= self.promise, "an acceptance before its promise");
                self.acceptances.accept(acceptance);
            }
        }
    }
}
