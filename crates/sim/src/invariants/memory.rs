use std::collections::VecDeque;
use std::sync::Arc;

use althing_core::codec::Writer;
use althing_core::{
    Acceptance, Acceptances, Ballot, Configuration, Entry, Index, LogId, Payload, Record,
};

use crate::fold::Fold;

/// What a replica remembers according to the records it issued: the checker's own reading of them,
/// which shares no code with the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) promise: Ballot,
    pub(super) begin: LogId,
    entries: VecDeque<Noted>,
    /// For each of them, the greatest ballot under which it was accepted.
    accepted: VecDeque<Ballot>,
    /// The configurations among them, with their places.
    configurations: Vec<(Index, Arc<Configuration>)>,
}

/// An entry without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) ballot: Ballot,
    /// Of the payload.
    pub(super) hash: u64,
}

impl Noted {
    pub(super) fn of(entry: &Entry) -> Self {
        let hash = match &entry.payload {
            Payload::Opening => 0,
            Payload::Command(bytes) => Fold::of(bytes),
            Payload::Configuration(configuration) => {
                let mut bytes = Vec::new();
                configuration.encode(&mut Writer(&mut bytes));
                Fold::of(&bytes)
            }
        };
        Self { ballot: entry.id.ballot, hash }
    }
}

impl Memory {
    pub(super) fn new(
        promise: Ballot,
        begin: LogId,
        entries: &[Entry],
        acceptances: &Acceptances,
    ) -> Self {
        let mut memory = Self { promise, begin, ..Self::default() };
        memory.extend(entries);
        acceptances.iter().for_each(|acceptance| memory.accept(acceptance));
        memory
    }

    fn accept(&mut self, Acceptance { ballot, through }: Acceptance) {
        let covered = usize::try_from(through.since(self.begin.index)).unwrap_or(usize::MAX);
        for accepted in self.accepted.iter_mut().take(covered) {
            *accepted = ballot.max(*accepted);
        }
    }

    /// Under which ballot the entry at `index` was accepted last.
    pub(super) fn accepted_at(&self, index: Index) -> Option<Ballot> {
        let position = index.0.checked_sub(self.begin.index.0 + 1)?;
        self.accepted.get(usize::try_from(position).ok()?).copied()
    }

    fn extend(&mut self, entries: &[Entry]) {
        self.entries.extend(entries.iter().map(Noted::of));
        self.accepted.extend(entries.iter().map(|entry| entry.id.ballot));
        self.configurations.extend(entries.iter().filter_map(configuration_of));
    }

    /// The last configuration among the entries before `index`.
    pub(super) fn configuration_before(
        &self,
        index: Index,
    ) -> Option<&(Index, Arc<Configuration>)> {
        self.configurations.iter().rev().find(|(at, _)| *at < index)
    }

    /// The last configuration among the entries.
    pub(super) fn configuration(&self) -> Option<&(Index, Arc<Configuration>)> {
        self.configurations.last()
    }

    pub(super) fn last(&self) -> LogId {
        let ballot = self.entries.back().map_or(self.begin.ballot, |noted| noted.ballot);
        LogId::new(ballot, self.begin.index.plus(self.entries.len() as u64))
    }

    pub(super) fn at(&self, index: Index) -> Option<Noted> {
        let position = index.0.checked_sub(self.begin.index.0 + 1)?;
        self.entries.get(usize::try_from(position).ok()?).copied()
    }

    /// Whether this very entry is held, or the log begins after it.
    pub(super) fn holds(&self, id: LogId) -> bool {
        id == self.begin || self.at(id.index).is_some_and(|noted| noted.ballot == id.ballot)
    }

    pub(super) fn take(&mut self, record: &Record) {
        match record {
            Record::Promise(ballot) => self.promise = *ballot,
            Record::Append(entries) => {
                let Some(first) = entries.first() else { return };
                self.truncate(first.id.index);
                self.extend(entries);
            }
            Record::Begin(id) => self.begin_at(*id),
            Record::Accept(acceptance) => self.accept(*acceptance),
        }
    }

    /// Entries from `from` on are no more.
    fn truncate(&mut self, from: Index) {
        let keep = from.0.saturating_sub(self.begin.index.0 + 1);
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        self.entries.truncate(keep);
        self.accepted.truncate(keep);
        self.configurations.retain(|(index, _)| *index < from);
    }

    pub(super) fn begin_at(&mut self, id: LogId) {
        if id.index <= self.begin.index {
            return;
        }
        if self.holds(id) {
            let count = usize::try_from(id.index.since(self.begin.index)).unwrap_or(usize::MAX);
            self.entries.drain(..count);
            self.accepted.drain(..count);
            self.configurations.retain(|(index, _)| *index > id.index);
        } else {
            self.entries.clear();
            self.accepted.clear();
            self.configurations.clear();
        }
        self.begin = id;
    }

    /// Whether `other` is this, seen from a beginning at or after this one's.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let mut moved = self.clone();
        moved.begin_at(other.begin);
        moved == *other
    }
}

/// The configuration in this entry, with its place.
pub(super) fn configuration_of(entry: &Entry) -> Option<(Index, Arc<Configuration>)> {
    match &entry.payload {
        Payload::Configuration(configuration) => Some((entry.id.index, Arc::clone(configuration))),
        Payload::Opening | Payload::Command(_) => None,
    }
}
