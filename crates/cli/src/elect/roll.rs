//! Who leads, derived from what happens to the keys of an election.

use std::collections::BTreeMap;

use althing_etcd_api::mvccpb::event::EventType;
use althing_etcd_api::mvccpb::{Event, KeyValue};

/// The candidates of an election, in the order in which they came. The first one leads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Roll {
    candidates: BTreeMap<i64, KeyValue>,
}

impl Roll {
    /// The candidates that there are.
    pub(crate) fn new(candidates: impl IntoIterator<Item = KeyValue>) -> Self {
        let with_place = candidates.into_iter().map(|pair| (pair.create_revision, pair));
        Self { candidates: with_place.collect() }
    }

    /// Who leads.
    pub(crate) fn leader(&self) -> Option<&KeyValue> {
        self.candidates.values().next()
    }

    /// Takes in what happened to one key.
    pub(crate) fn apply(&mut self, event: &Event) {
        let Some(pair) = &event.kv else { return };
        match event.r#type() {
            EventType::Put => {
                self.candidates.insert(pair.create_revision, pair.clone());
            }
            EventType::Delete => self.candidates.retain(|_, candidate| candidate.key != pair.key),
        }
    }

    /// Takes in what happened, in order, and gives back who led after each revision in which that
    /// changed: who it is, or what they say about themselves.
    pub(crate) fn changes(&mut self, events: &[Event]) -> Vec<Option<KeyValue>> {
        let revision = |event: &Event| event.kv.as_ref().map_or(0, |pair| pair.mod_revision);
        let mut changes = Vec::new();
        for same in events.chunk_by(|a, b| revision(a) == revision(b)) {
            let before = self.leader().cloned();
            same.iter().for_each(|event| self.apply(event));
            if self.leader() != before.as_ref() {
                changes.push(self.leader().cloned());
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &'static str, value: &'static str, created: i64, revision: i64) -> Event {
        let pair = KeyValue {
            key: key.into(),
            value: value.into(),
            create_revision: created,
            mod_revision: revision,
            ..KeyValue::default()
        };
        Event { r#type: EventType::Put.into(), kv: Some(pair), prev_kv: None }
    }

    fn delete(key: &'static str, revision: i64) -> Event {
        Event { r#type: EventType::Delete.into(), ..put(key, "", 0, revision) }
    }

    fn told(roll: &mut Roll, events: &[Event]) -> Vec<String> {
        let name = |leader: Option<KeyValue>| {
            leader.map_or_else(|| "-".to_owned(), |l| String::from_utf8_lossy(&l.value).into())
        };
        roll.changes(events).into_iter().map(name).collect()
    }

    #[test]
    fn who_came_first_leads_until_it_leaves() {
        let mut roll = Roll::default();
        assert_eq!(told(&mut roll, &[put("e/1", "a", 5, 5), put("e/2", "b", 6, 6)]), ["a"]);
        // A proclamation of the leader is told, one of another candidate is not.
        assert_eq!(told(&mut roll, &[put("e/2", "b2", 6, 7), put("e/1", "a2", 5, 8)]), ["a2"]);
        assert_eq!(told(&mut roll, &[delete("e/1", 9)]), ["b2"]);
        assert_eq!(told(&mut roll, &[delete("e/2", 10)]), ["-"]);
        assert_eq!(told(&mut roll, &[put("e/1", "c", 11, 11)]), ["c"]);
    }

    #[test]
    fn nobody_is_skipped_and_one_revision_is_one_step() {
        let mut roll = Roll::default();
        let events = [
            put("e/1", "a", 5, 5),
            delete("e/1", 6),
            put("e/2", "b", 7, 7),
            // In one revision: the lease of b ends, and c comes.
            delete("e/2", 8),
            put("e/3", "c", 8, 8),
        ];
        assert_eq!(told(&mut roll, &events), ["a", "-", "b", "c"]);
    }
}
