use std::cmp::Ordering;
use std::ops::Bound;

use crate::history::{History, Version};
use crate::keyspace::Keyspace;
use crate::{Key, KeyValue, RangeReply, Rejection, Snapshot, Value, prefix_end};

/// A read of a key or a range of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The key, or the first key of the range; not empty.
    pub key: Key,
    /// Empty for the one key; a single zero byte for every key from `key` on; otherwise the first
    /// key after the range. [`prefix_end`] gives the end of a prefix.
    pub range_end: Key,
    /// The most keys to answer with; zero or less for all.
    pub limit: i64,
    /// The revision to read at; zero or less for the present.
    pub revision: i64,
    /// The order of the answer.
    pub sort_order: SortOrder,
    /// What the order goes by. With another target than the key, no order means ascending, but, as
    /// in etcd, the limit then cuts before the sort unless there is a filter.
    pub sort_target: SortTarget,
    /// Whether the node may answer from its own state without asking the cluster. The keyspace
    /// carries this for the server and does not look at it.
    pub serializable: bool,
    /// Leave the values out.
    pub keys_only: bool,
    /// Answer with the count alone.
    pub count_only: bool,
    /// Leave out keys last written before this revision; zero for none.
    pub min_mod_revision: i64,
    /// Leave out keys last written after this revision; zero for none.
    pub max_mod_revision: i64,
    /// Leave out keys created before this revision; zero for none.
    pub min_create_revision: i64,
    /// Leave out keys created after this revision; zero for none.
    pub max_create_revision: i64,
}

/// The order of an answer. Keys that the target does not tell apart stay in ascending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// As the sort target has it.
    #[default]
    None,
    /// Least first.
    Ascend,
    /// Greatest first.
    Descend,
}

/// What an answer is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortTarget {
    /// The key.
    #[default]
    Key,
    /// The number of writes since the key was created.
    Version,
    /// The revision that created the key.
    CreateRevision,
    /// The revision that last wrote the key.
    ModRevision,
    /// The value.
    Value,
}

impl Range {
    /// Reads one key.
    pub fn key(key: impl Into<Key>) -> Self {
        Self { key: key.into(), ..Self::default() }
    }

    /// Reads every key that begins with `prefix`.
    pub fn prefix(prefix: impl Into<Key>) -> Self {
        let mut key = prefix.into();
        let range_end = prefix_end(key.as_bytes());
        if key.is_empty() {
            key = [0_u8].as_slice().into();
        }
        Self { key, range_end, ..Self::default() }
    }

    /// Reads every key.
    pub fn all() -> Self {
        Self::prefix("")
    }

    fn has_filter(&self) -> bool {
        self.min_mod_revision != 0
            || self.max_mod_revision != 0
            || self.min_create_revision != 0
            || self.max_create_revision != 0
    }

    fn passes(&self, version: &Version) -> bool {
        let within = |revision: i64, min: i64, max: i64| {
            (min == 0 || revision >= min) && (max == 0 || revision <= max)
        };
        within(version.mod_revision, self.min_mod_revision, self.max_mod_revision)
            && within(version.create_revision, self.min_create_revision, self.max_create_revision)
    }

    /// How many matches to keep while walking the keys: one over the limit, to know of more. All of
    /// them where they must be sorted first.
    fn keep(&self) -> usize {
        let in_walking_order = match (self.sort_target, self.sort_order) {
            (SortTarget::Key, _) => true,
            // etcd fetches the first keys up to the limit, and then sorts those.
            (_, SortOrder::None) => !self.has_filter(),
            (_, SortOrder::Ascend | SortOrder::Descend) => false,
        };
        match usize::try_from(self.limit) {
            Ok(limit) if limit > 0 && in_walking_order => limit.saturating_add(1),
            _ => usize::MAX,
        }
    }

    fn compare(&self, left: &KeyValue, right: &KeyValue) -> Ordering {
        let ordering = match self.sort_target {
            SortTarget::Key => Ordering::Equal,
            SortTarget::Version => left.version.cmp(&right.version),
            SortTarget::CreateRevision => left.create_revision.cmp(&right.create_revision),
            SortTarget::ModRevision => left.mod_revision.cmp(&right.mod_revision),
            SortTarget::Value => left.value.cmp(&right.value),
        };
        match self.sort_order {
            SortOrder::None | SortOrder::Ascend => ordering,
            SortOrder::Descend => ordering.reverse(),
        }
    }
}

/// Where a walk over the keys begins and ends.
pub(crate) type KeyBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The keys from `key` to `range_end`, as the map's bounds; `None` if there can be none.
/// Not for a `range_end` that is empty, which means the one key.
pub(crate) fn bounds<'a>(key: &'a [u8], range_end: &'a [u8]) -> Option<KeyBounds<'a>> {
    if range_end == [0] {
        return Some((Bound::Included(key), Bound::Unbounded));
    }
    (key < range_end).then_some((Bound::Included(key), Bound::Excluded(range_end)))
}

impl Keyspace {
    /// Reads. The reply shares its keys and values with the store.
    ///
    /// # Errors
    /// The key is empty, or the revision is in the future or was compacted away.
    pub fn range(&self, request: &Range) -> Result<RangeReply, Rejection> {
        self.state.range(request)
    }
}

impl Snapshot {
    /// As [`Keyspace::range`], at the snapshot's moment. A server that must not be held up reads
    /// long ranges from a snapshot on another thread.
    ///
    /// # Errors
    /// As [`Keyspace::range`].
    pub fn range(&self, request: &Range) -> Result<RangeReply, Rejection> {
        crate::validate_range(request)?;
        self.range_at(request, self.revision)
    }

    /// Reads with `current` as the present, which inside a transaction that has written is the
    /// revision it is writing.
    pub(crate) fn range_at(&self, request: &Range, current: i64) -> Result<RangeReply, Rejection> {
        let revision = self.readable(request.revision, current)?;
        if request.range_end.is_empty() {
            return Ok(self.range_key(request, revision, current));
        }
        let mut reply = RangeReply { revision: current, ..RangeReply::default() };
        let Some(bounds) = bounds(request.key.as_bytes(), request.range_end.as_bytes()) else {
            return Ok(reply);
        };
        let keys = self.keys.range::<_, [u8]>(bounds);
        let backwards = request.sort_target == SortTarget::Key
            && request.sort_order == SortOrder::Descend
            && !request.count_only;
        if backwards {
            self.collect(request, revision, keys.rev(), &mut reply);
        } else {
            self.collect(request, revision, keys, &mut reply);
        }
        finish(request, &mut reply);
        Ok(reply)
    }

    fn range_key(&self, request: &Range, revision: i64, current: i64) -> RangeReply {
        let mut reply = RangeReply { revision: current, ..RangeReply::default() };
        let Some((key, history)) = self.keys.get_key_value(&request.key) else {
            return reply;
        };
        if let Some(version) = history.at(revision) {
            reply.count = 1;
            if !request.count_only && request.passes(version) {
                reply.kvs.push(key_value(key, version, request.keys_only));
            }
        }
        reply
    }

    fn collect<'a>(
        &self,
        request: &Range,
        revision: i64,
        keys: impl Iterator<Item = (&'a Key, &'a History)>,
        reply: &mut RangeReply,
    ) {
        let keep = if request.count_only { 0 } else { request.keep() };
        for (key, history) in keys {
            let Some(version) = history.at(revision) else { continue };
            reply.count += 1;
            if reply.kvs.len() < keep && request.passes(version) {
                reply.kvs.push(key_value(key, version, false));
            }
        }
    }

    /// The revision that a read of `revision` reads at.
    pub(crate) fn readable(&self, revision: i64, current: i64) -> Result<i64, Rejection> {
        if revision > current {
            return Err(Rejection::FutureRevision);
        }
        let revision = if revision > 0 { revision } else { current };
        if revision < self.compacted {
            return Err(Rejection::Compacted);
        }
        Ok(revision)
    }
}

/// Sorts what the walk did not, cuts at the limit, and leaves out the values last, because they may
/// have been sorted by.
fn finish(request: &Range, reply: &mut RangeReply) {
    if request.sort_target != SortTarget::Key {
        reply.kvs.sort_by(|left, right| request.compare(left, right));
    }
    if let Ok(limit) = usize::try_from(request.limit)
        && limit > 0
        && reply.kvs.len() > limit
    {
        reply.kvs.truncate(limit);
        reply.more = true;
    }
    if request.keys_only {
        for kv in &mut reply.kvs {
            kv.value = Value::default();
        }
    }
}

pub(crate) fn key_value(key: &Key, version: &Version, key_only: bool) -> KeyValue {
    let value = if key_only { None } else { version.value.clone() };
    KeyValue {
        key: key.clone(),
        create_revision: version.create_revision,
        mod_revision: version.mod_revision,
        version: version.version,
        value: value.unwrap_or_default(),
        lease: version.lease,
    }
}
