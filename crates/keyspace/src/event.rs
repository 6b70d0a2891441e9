use crate::changes::Change;
use crate::history::{History, Version};
use crate::keyspace::Keyspace;
use crate::planted::{Bug, has};
use crate::range::{bounds, key_value};
use crate::{Key, KeyValue, Rejection, Value};

/// One thing that happened to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether the key was deleted; written otherwise.
    pub is_delete: bool,
    /// The key as it was written; of a deleted one only the key and the revision.
    pub kv: KeyValue,
    /// The key as it was before, if that was asked for, it existed, and it is still known.
    pub previous: Option<KeyValue>,
}

/// A write that has not been looked at more closely yet.
#[derive(Clone, Copy, Debug)]
pub struct Happened<'a> {
    keyspace: &'a Keyspace,
    change: &'a Change,
}

/// A key or a range of keys, as a watch or a permission names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyRange {
    key: Key,
    /// Empty for the one key, a single zero byte for no end.
    range_end: Key,
}

impl KeyRange {
    /// The range of these two, which mean what they mean in a [`Range`](crate::Range); `None` if no
    /// key can be in it.
    pub fn new(key: Key, range_end: Key) -> Option<Self> {
        let is_single = range_end.is_empty();
        let has_room = is_single || bounds(key.as_bytes(), range_end.as_bytes()).is_some();
        has_room.then_some(Self { key, range_end })
    }

    /// The only key in it, if it is of one key.
    pub fn single(&self) -> Option<&Key> {
        self.range_end.is_empty().then_some(&self.key)
    }

    /// The first key that can be in it.
    pub const fn start(&self) -> &Key {
        &self.key
    }

    /// The first key after it; `None` if it goes on to the last key. Not of a [`Self::single`] one.
    pub fn end(&self) -> Option<&Key> {
        (self.range_end.as_bytes() != [0]).then_some(&self.range_end)
    }

    /// Whether `key` is in it.
    pub fn contains(&self, key: &Key) -> bool {
        match self.single() {
            Some(single) => single == key,
            None => *key >= self.key && self.end().is_none_or(|end| key < end),
        }
    }
}

impl Keyspace {
    /// Everything that was written at `revision` or later, in the order in which it was written.
    ///
    /// # Errors
    /// [`Rejection::Compacted`]: what happened then is not known any more.
    pub fn happened_since(
        &self,
        revision: i64,
    ) -> Result<impl Iterator<Item = Happened<'_>>, Rejection> {
        if revision < self.state.compacted && !has(Bug::WatchesMissCompaction) {
            return Err(Rejection::Compacted);
        }
        let changes = self.changes.since(revision + i64::from(has(Bug::WatchesSkip)));
        Ok(changes.map(|change| Happened { keyspace: self, change }))
    }
}

impl Happened<'_> {
    /// When.
    pub const fn revision(&self) -> i64 {
        self.change.revision
    }

    /// To which key.
    pub const fn key(&self) -> &Key {
        &self.change.key
    }

    /// What. `None` of a write that a later one of the same, now compacted revision has replaced.
    pub fn event(&self, with_previous: bool) -> Option<Event> {
        let Change { revision, sub, key } = self.change;
        let (key, history) = self.keyspace.state.keys.get_key_value(key)?;
        let version = history.written((*revision, *sub))?;
        let kv = match version.is_tombstone() {
            true => KeyValue {
                key: key.clone(),
                create_revision: 0,
                mod_revision: *revision,
                version: 0,
                value: Value::default(),
                lease: 0,
            },
            false => key_value(key, version, false),
        };
        let previous = with_previous.then(|| self.previous(history)).flatten();
        let previous = previous.map(|version| key_value(key, version, false));
        Some(Event { is_delete: version.is_tombstone(), kv, previous })
    }

    /// What the key was at the revision before.
    fn previous<'a>(&self, history: &'a History) -> Option<&'a Version> {
        let before = self.change.revision - 1;
        (before >= self.keyspace.state.compacted).then(|| history.at(before)).flatten()
    }
}
