use std::collections::VecDeque;

use althing_core::{Acceptance, Ballot, Entry, Index, LogId, Op, Record, Time};

use crate::Log;

/// What this server writes, and how far it is durable.
///
/// # Invariants
/// - Records leave in the order in which they came: a promise before any entry of that
///   epoch.
/// - `durable` never covers an entry that a later write, not yet durable, first cut away.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    next: Op,
    pending: Vec<Record>,
    in_flight: VecDeque<Write>,
    durable: Index,
    /// The last write that cut entries away; what was durable before it may be gone after it.
    cut: Op,
    /// The write that carries the current promise, or the last word about what is accepted under
    /// it; `None` since the start.
    promised: Option<Op>,
}

/// A write on its way.
#[derive(Clone, Copy, Debug)]
struct Write {
    op: Op,
    /// The log's last entry when it was issued.
    last: LogId,
    issued_at: Time,
}

impl Journal {
    /// A journal that starts with a log that is durable up to `durable`.
    pub(super) fn new(durable: Index) -> Self {
        Self { next: Op(1), durable, ..Self::default() }
    }

    /// Our own log is durable up to here.
    pub(super) const fn durable(&self) -> Index {
        self.durable
    }

    /// The write that covers everything recorded so far; `None` when all of it is durable.
    pub(crate) fn latest(&self) -> Option<Op> {
        if self.pending.is_empty() {
            self.in_flight.back().map(|write| write.op)
        } else {
            Some(self.next)
        }
    }

    /// The write after which the current promise, and what is accepted under it, are durable;
    /// `None` if they are what the server started with.
    pub(crate) const fn promised(&self) -> Option<Op> {
        self.promised
    }

    pub(crate) fn promise(&mut self, ballot: Ballot) {
        self.promised = Some(self.next);
        self.pending.push(Record::Promise(ballot));
    }

    pub(crate) fn accept(&mut self, acceptance: Acceptance) {
        self.promised = Some(self.next);
        self.pending.push(Record::Accept(acceptance));
    }

    pub(super) fn begin(&mut self, begin: LogId) {
        self.pending.push(Record::Begin(begin));
    }

    /// The log was replaced by a snapshot. Until the record that says so is written, a restart
    /// finds the old log, which is known to be right up to `agreed` only.
    pub(super) fn replaced(&mut self, agreed: Index) {
        self.cut = self.next;
        self.durable = self.durable.min(agreed);
    }

    pub(super) fn append(&mut self, entry: Entry) {
        if let Some(Record::Append(entries)) = self.pending.last_mut()
            && entries.last().is_some_and(|last| last.id.index.next() == entry.id.index)
        {
            entries.push(entry);
        } else {
            self.pending.push(Record::Append(vec![entry]));
        }
    }

    /// The next entry appended replaces what stood from `from` on.
    pub(super) fn truncate_from(&mut self, from: Index) {
        self.cut = self.next;
        self.durable = self.durable.min(from.previous());
    }

    /// Since when the disk owes an answer; `None` when it owes none.
    pub(super) fn waits_since(&self) -> Option<Time> {
        self.in_flight.front().map(|write| write.issued_at)
    }

    /// Takes what is to be written now.
    pub(super) fn issue(&mut self, now: Time, log: &Log) -> Option<(Op, Vec<Record>)> {
        if self.pending.is_empty() {
            return None;
        }
        let op = self.next;
        self.next = Op(op.0 + 1);
        self.in_flight.push_back(Write { op, last: log.last(), issued_at: now });
        Some((op, std::mem::take(&mut self.pending)))
    }

    /// Everything up to `op` is durable.
    pub(super) fn persisted(&mut self, op: Op, log: &Log) {
        while let Some(done) = self.in_flight.pop_front_if(|write| write.op <= op) {
            if done.op >= self.cut && log.contains(done.last) {
                self.durable = self.durable.max(done.last.index);
            }
        }
    }
}
