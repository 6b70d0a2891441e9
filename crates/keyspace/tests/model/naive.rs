use std::collections::{BTreeMap, BTreeSet};

use althing_keyspace::{
    Command, Compare, CompareResult, CompareTarget, DeleteRange, DeleteRangeReply, Key, KeyValue,
    LEASE_SECONDS_MAX, OPERATIONS_MAX, Operation, OperationReply, Put, PutReply, Range, RangeReply,
    Rejection, Reply, SortOrder, SortTarget, Txn, TxnReply, Value,
};

type Keys = BTreeMap<Vec<u8>, KeyValue>;

/// Of one key at one revision: the revision, the key, what it was before if that is known, what it
/// was afterwards.
pub(crate) type Change = (i64, Vec<u8>, Option<KeyValue>, Option<KeyValue>);

/// A copy of all keys for every revision from the first.
pub(crate) struct Naive {
    revisions: Vec<Keys>,
    pub(crate) compacted: i64,
    /// The whole time and the time noted of each lease.
    leases: BTreeMap<i64, (i64, i64)>,
}

impl Default for Naive {
    fn default() -> Self {
        Self { revisions: vec![Keys::new()], compacted: -1, leases: BTreeMap::new() }
    }
}

/// A revision being written.
struct Writing {
    keys: Keys,
    revision: i64,
    wrote: bool,
}

impl Writing {
    fn current(&self) -> i64 {
        self.revision - i64::from(!self.wrote)
    }

    fn put(&mut self, put: &Put) -> Result<PutReply, Rejection> {
        let previous = self.keys.get(put.key.as_bytes()).cloned();
        if (put.ignore_value || put.ignore_lease) && previous.is_none() {
            return Err(Rejection::KeyNotFound);
        }
        let kept = previous.clone().filter(|_| put.ignore_value);
        self.keys.insert(
            put.key.as_bytes().to_vec(),
            KeyValue {
                key: put.key.clone(),
                create_revision: previous.as_ref().map_or(self.revision, |kv| kv.create_revision),
                mod_revision: self.revision,
                version: previous.as_ref().map_or(1, |kv| kv.version + 1),
                value: kept.map_or_else(|| put.value.clone(), |kv| kv.value),
                lease: previous
                    .as_ref()
                    .filter(|_| put.ignore_lease)
                    .map_or(put.lease, |kv| kv.lease),
            },
        );
        self.wrote = true;
        let previous = previous.filter(|_| put.prev_kv);
        Ok(PutReply { revision: self.revision, previous })
    }

    fn delete(&mut self, delete: &DeleteRange) -> DeleteRangeReply {
        let found = in_range(&self.keys, delete.key.as_bytes(), delete.range_end.as_bytes());
        for kv in &found {
            self.keys.remove(kv.key.as_bytes());
            self.wrote = true;
        }
        DeleteRangeReply {
            revision: self.current(),
            deleted: found.len() as i64,
            previous: if delete.prev_kv { found } else { Vec::new() },
        }
    }
}

impl Naive {
    pub(crate) fn revision(&self) -> i64 {
        self.revisions.len() as i64
    }

    pub(crate) fn present(&self) -> &Keys {
        self.revisions.last().expect("there is a first revision")
    }

    pub(crate) fn apply(&mut self, command: &Command) -> Result<Reply, Rejection> {
        match command {
            Command::Put(put) => {
                check_put(put)?;
                self.check_lease(put)?;
                let mut writing = self.begin();
                let reply = writing.put(put)?;
                self.commit(writing);
                Ok(Reply::Put(reply))
            }
            Command::DeleteRange(delete) => {
                check_key(delete.key.as_bytes())?;
                let mut writing = self.begin();
                let reply = writing.delete(delete);
                self.commit(writing);
                Ok(Reply::DeleteRange(reply))
            }
            Command::Txn(txn) => {
                let mut writing = self.begin();
                let reply = self.txn_in(txn, &mut writing)?;
                self.commit(writing);
                Ok(Reply::Txn(reply))
            }
            Command::Compact { revision } => {
                if *revision <= self.compacted {
                    return Err(Rejection::Compacted);
                }
                if *revision > self.revision() {
                    return Err(Rejection::FutureRevision);
                }
                self.compacted = *revision;
                Ok(Reply::Compact { revision: self.revision() })
            }
            Command::PublishMember(_) => Ok(Reply::PublishMember),
            Command::LeaseGrant { id, ttl } => {
                if *id == 0 {
                    return Err(Rejection::LeaseNotFound);
                }
                if *ttl > LEASE_SECONDS_MAX {
                    return Err(Rejection::LeaseTooLong);
                }
                if self.leases.contains_key(id) {
                    return Err(Rejection::LeaseExists);
                }
                let ttl = (*ttl).max(1);
                self.leases.insert(*id, (ttl, ttl));
                Ok(Reply::LeaseGrant { id: *id, ttl, revision: self.revision() })
            }
            Command::LeaseRevoke { id } => {
                self.end_lease(*id).ok_or(Rejection::LeaseNotFound)?;
                Ok(Reply::LeaseRevoke { id: *id, revision: self.revision() })
            }
            Command::LeaseExpire { ids } => {
                for id in ids {
                    // One that has ended is passed over.
                    let _ = self.end_lease(*id);
                }
                Ok(Reply::LeaseExpire { ids: ids.clone() })
            }
            Command::LeaseNote { remaining } => {
                for (id, seconds) in remaining {
                    if let Some((ttl, noted)) = self.leases.get_mut(id) {
                        *noted = (*seconds).clamp(1, *ttl);
                    }
                }
                Ok(Reply::LeaseNote { remaining: remaining.clone() })
            }
            Command::Auth(_) | Command::SignIn(_) | Command::Alarm { .. } => {
                unreachable!("the model has no users and no alarms")
            }
        }
    }

    /// Each lease with its whole time, the time noted, and its keys.
    pub(crate) fn leases(&self) -> Vec<(i64, i64, i64, Vec<Key>)> {
        let keys = |id: i64| {
            let tied = self.present().values().filter(move |kv| kv.lease == id);
            tied.map(|kv| kv.key.clone()).collect()
        };
        self.leases.iter().map(|(id, (ttl, noted))| (*id, *ttl, *noted, keys(*id))).collect()
    }

    /// What became of each key at each revision from this one on: the key as it was before and as
    /// it was afterwards.
    pub(crate) fn happened_since(&self, revision: i64) -> Result<Vec<Change>, Rejection> {
        if revision < self.compacted {
            return Err(Rejection::Compacted);
        }
        let mut changes = Vec::new();
        for at in revision.max(2)..=self.revision() {
            let (before, after) =
                (&self.revisions[at as usize - 2], &self.revisions[at as usize - 1]);
            let keys: BTreeSet<&Vec<u8>> = before.keys().chain(after.keys()).collect();
            for key in keys.into_iter().filter(|key| before.get(*key) != after.get(*key)) {
                let previous = before.get(key).filter(|_| at > self.compacted).cloned();
                changes.push((at, key.clone(), previous, after.get(key).cloned()));
            }
        }
        Ok(changes)
    }

    /// Whether `key` existed at the revision before this one.
    pub(crate) fn existed_before(&self, revision: i64, key: &[u8]) -> bool {
        self.revisions[revision as usize - 2].contains_key(key)
    }

    fn end_lease(&mut self, id: i64) -> Option<()> {
        self.leases.remove(&id)?;
        let mut writing = self.begin();
        let count = writing.keys.len();
        writing.keys.retain(|_, kv| kv.lease != id);
        writing.wrote = writing.keys.len() < count;
        self.commit(writing);
        Some(())
    }

    fn check_lease(&self, put: &Put) -> Result<(), Rejection> {
        let exists = put.lease == 0 || self.leases.contains_key(&put.lease);
        if exists { Ok(()) } else { Err(Rejection::LeaseNotFound) }
    }

    pub(crate) fn range(&self, range: &Range) -> Result<RangeReply, Rejection> {
        check_key(range.key.as_bytes())?;
        self.read(range, &self.begin())
    }

    pub(crate) fn txn(&self, txn: &Txn) -> Result<TxnReply, Rejection> {
        self.txn_in(txn, &mut self.begin())
    }

    fn begin(&self) -> Writing {
        Writing { keys: self.present().clone(), revision: self.revision() + 1, wrote: false }
    }

    fn commit(&mut self, writing: Writing) {
        if writing.wrote {
            self.revisions.push(writing.keys);
        }
    }

    fn txn_in(&self, txn: &Txn, writing: &mut Writing) -> Result<TxnReply, Rejection> {
        validate_txn(txn)?;
        self.check(txn, &|operation| match operation {
            Operation::Put(put) => {
                let keeps = put.ignore_value || put.ignore_lease;
                if keeps && !self.present().contains_key(put.key.as_bytes()) {
                    return Err(Rejection::KeyNotFound);
                }
                self.check_lease(put)
            }
            _ => Ok(()),
        })?;
        self.check(txn, &|operation| match operation {
            Operation::Range(range) if range.revision > self.revision() => {
                Err(Rejection::FutureRevision)
            }
            Operation::Range(range) if range.revision != 0 && range.revision < self.compacted => {
                Err(Rejection::Compacted)
            }
            _ => Ok(()),
        })?;
        let mut reply = self.perform(txn, writing)?;
        reply.revision = writing.current();
        Ok(reply)
    }

    fn chosen<'a>(&self, txn: &'a Txn) -> (bool, &'a [Operation]) {
        let holds = txn.compare.iter().all(|compare| holds(compare, self.present()));
        (holds, if holds { &txn.success } else { &txn.failure })
    }

    fn check(
        &self,
        txn: &Txn,
        check: &dyn Fn(&Operation) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        for operation in self.chosen(txn).1 {
            match operation {
                Operation::Txn(txn) => self.check(txn, check)?,
                _ => check(operation)?,
            }
        }
        Ok(())
    }

    fn perform(&self, txn: &Txn, writing: &mut Writing) -> Result<TxnReply, Rejection> {
        let (succeeded, operations) = self.chosen(txn);
        let mut replies = Vec::new();
        for operation in operations {
            replies.push(match operation {
                Operation::Range(range) => OperationReply::Range(self.read(range, writing)?),
                Operation::Put(put) => OperationReply::Put(writing.put(put)?),
                Operation::DeleteRange(delete) => {
                    OperationReply::DeleteRange(writing.delete(delete))
                }
                Operation::Txn(txn) => OperationReply::Txn(self.perform(txn, writing)?),
            });
        }
        Ok(TxnReply { revision: 0, succeeded, replies })
    }

    /// etcd's steps: fetch up to one over the limit, unless there is an order or a filter; filter;
    /// sort; cut.
    fn read(&self, range: &Range, writing: &Writing) -> Result<RangeReply, Rejection> {
        let current = writing.current();
        if range.revision > current {
            return Err(Rejection::FutureRevision);
        }
        let revision = if range.revision <= 0 { current } else { range.revision };
        if revision < self.compacted {
            return Err(Rejection::Compacted);
        }
        let keys = match self.revisions.get(revision as usize - 1) {
            Some(keys) if revision < current || !writing.wrote => keys,
            _ => &writing.keys,
        };
        let mut kvs = in_range(keys, range.key.as_bytes(), range.range_end.as_bytes());
        let count = kvs.len() as i64;
        if range.count_only {
            kvs.clear();
        }
        let filters = [
            range.min_mod_revision,
            range.max_mod_revision,
            range.min_create_revision,
            range.max_create_revision,
        ];
        let limit = if range.limit > 0 { range.limit as usize } else { usize::MAX - 1 };
        if range.sort_order == SortOrder::None && filters == [0; 4] {
            kvs.truncate(limit + 1);
        }
        kvs.retain(|kv| range.max_mod_revision == 0 || kv.mod_revision <= range.max_mod_revision);
        kvs.retain(|kv| range.min_mod_revision == 0 || kv.mod_revision >= range.min_mod_revision);
        let (min, max) = (range.min_create_revision, range.max_create_revision);
        kvs.retain(|kv| max == 0 || kv.create_revision <= max);
        kvs.retain(|kv| min == 0 || kv.create_revision >= min);
        let order = |one: &KeyValue, other: &KeyValue| match range.sort_target {
            SortTarget::Key => one.key.cmp(&other.key),
            SortTarget::Version => one.version.cmp(&other.version),
            SortTarget::CreateRevision => one.create_revision.cmp(&other.create_revision),
            SortTarget::ModRevision => one.mod_revision.cmp(&other.mod_revision),
            SortTarget::Value => one.value.cmp(&other.value),
        };
        match range.sort_order {
            SortOrder::Descend => kvs.sort_by(|one, other| order(other, one)),
            SortOrder::None | SortOrder::Ascend => kvs.sort_by(order),
        }
        let more = kvs.len() > limit;
        kvs.truncate(limit);
        if range.keys_only {
            kvs.iter_mut().for_each(|kv| kv.value = Value::default());
        }
        Ok(RangeReply { revision: current, kvs, more, count })
    }
}

fn in_range(keys: &Keys, key: &[u8], range_end: &[u8]) -> Vec<KeyValue> {
    let within = |found: &[u8]| match range_end {
        [] => found == key,
        [0] => found >= key,
        _ => found >= key && found < range_end,
    };
    keys.values().filter(|kv| within(kv.key.as_bytes())).cloned().collect()
}

fn holds(compare: &Compare, keys: &Keys) -> bool {
    let mut found = in_range(keys, compare.key.as_bytes(), compare.range_end.as_bytes());
    if found.is_empty() {
        if matches!(compare.target, CompareTarget::Value(_)) {
            return false;
        }
        found.push(KeyValue {
            key: compare.key.clone(),
            create_revision: 0,
            mod_revision: 0,
            version: 0,
            value: Value::default(),
            lease: 0,
        });
    }
    found.iter().all(|kv| {
        let ordering = match &compare.target {
            CompareTarget::Version(given) => kv.version.cmp(given),
            CompareTarget::CreateRevision(given) => kv.create_revision.cmp(given),
            CompareTarget::ModRevision(given) => kv.mod_revision.cmp(given),
            CompareTarget::Lease(given) => kv.lease.cmp(given),
            CompareTarget::Value(given) => kv.value.cmp(given),
        };
        match compare.result {
            CompareResult::Equal => ordering.is_eq(),
            CompareResult::NotEqual => ordering.is_ne(),
            CompareResult::Greater => ordering.is_gt(),
            CompareResult::Less => ordering.is_lt(),
        }
    })
}

fn check_key(key: &[u8]) -> Result<(), Rejection> {
    if key.is_empty() { Err(Rejection::KeyNotProvided) } else { Ok(()) }
}

fn check_put(put: &Put) -> Result<(), Rejection> {
    check_key(put.key.as_bytes())?;
    if put.ignore_value && !put.value.is_empty() {
        return Err(Rejection::ValueProvided);
    }
    if put.ignore_lease && put.lease != 0 {
        return Err(Rejection::LeaseProvided);
    }
    Ok(())
}

pub(crate) fn validate_txn(txn: &Txn) -> Result<(), Rejection> {
    check_operations(txn, OPERATIONS_MAX as i64)?;
    writes(&txn.success)?;
    writes(&txn.failure)?;
    Ok(())
}

fn check_operations(txn: &Txn, allowed: i64) -> Result<(), Rejection> {
    let lists = [txn.compare.len(), txn.success.len(), txn.failure.len()];
    let left = allowed - lists.into_iter().max().expect("three") as i64;
    if left < 0 {
        return Err(Rejection::TooManyOperations);
    }
    for compare in &txn.compare {
        check_key(compare.key.as_bytes())?;
    }
    for operation in txn.success.iter().chain(&txn.failure) {
        match operation {
            Operation::Range(range) => check_key(range.key.as_bytes())?,
            Operation::Put(put) => check_put(put)?,
            Operation::DeleteRange(delete) => check_key(delete.key.as_bytes())?,
            Operation::Txn(txn) => check_operations(txn, left)?,
        }
    }
    Ok(())
}

type Puts = BTreeSet<Vec<u8>>;
type Deletes = Vec<(Vec<u8>, Vec<u8>)>;

/// etcd's check of overlapping writes, holes and all: deletes of this level first, then the
/// transactions inside in their order, then the puts of this level.
fn writes(operations: &[Operation]) -> Result<(Puts, Deletes), Rejection> {
    let covers = |deletes: &Deletes, key: &[u8]| {
        deletes.iter().any(|(start, end)| key >= start.as_slice() && key < end.as_slice())
    };
    let mut puts = Puts::new();
    let mut deletes = Deletes::new();
    for operation in operations {
        if let Operation::DeleteRange(delete) = operation {
            let start = delete.key.as_bytes().to_vec();
            let mut end = delete.range_end.as_bytes().to_vec();
            if end.is_empty() {
                end = [start.as_slice(), &[0]].concat();
            }
            deletes.push((start, end));
        }
    }
    for operation in operations {
        let Operation::Txn(txn) = operation else { continue };
        let (puts_then, deletes_then) = writes(&txn.success)?;
        let (puts_else, deletes_else) = writes(&txn.failure)?;
        for key in &puts_then {
            if puts.contains(key) || covers(&deletes, key) {
                return Err(Rejection::DuplicateKey);
            }
            puts.insert(key.clone());
        }
        for key in &puts_else {
            if puts.contains(key) && !puts_then.contains(key) || covers(&deletes, key) {
                return Err(Rejection::DuplicateKey);
            }
            puts.insert(key.clone());
        }
        deletes.extend(deletes_then);
        deletes.extend(deletes_else);
    }
    for operation in operations {
        let Operation::Put(put) = operation else { continue };
        let key = put.key.as_bytes();
        if puts.contains(key) || covers(&deletes, key) {
            return Err(Rejection::DuplicateKey);
        }
        puts.insert(key.to_vec());
    }
    Ok((puts, deletes))
}
