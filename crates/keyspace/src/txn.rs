use std::cmp::Ordering;

use crate::history::Version;
use crate::keyspace::Keyspace;
use crate::planted::{Bug, has};
use crate::range::{bounds, key_value};
use crate::{
    Compare, CompareResult, CompareTarget, DeleteRange, DeleteRangeReply, Key, KeyValue, Operation,
    OperationReply, Put, PutReply, Range, Rejection, Snapshot, Txn, TxnReply, Value, validate_txn,
};

/// Writes that belong to one revision. Either all of them stay, or none.
pub(crate) struct Transaction<'a> {
    keyspace: &'a mut Keyspace,
    /// The running hash before the first write, to go back to.
    hash_before: u64,
    /// How many writes were done.
    writes: u32,
}

/// Which branch each transaction takes, the outermost first and the others in the order in which
/// they are met. Known before the first write.
type Path = std::vec::IntoIter<bool>;

impl Keyspace {
    /// Does a transaction that only reads.
    ///
    /// # Errors
    /// The transaction breaks a rule, or reads a revision that is compacted or in the future.
    ///
    /// # Panics
    /// The transaction [may write](Txn::is_read_only).
    pub fn read_txn(&self, txn: &Txn) -> Result<TxnReply, Rejection> {
        self.state.read_txn(txn)
    }
}

impl Snapshot {
    /// As [`Keyspace::read_txn`], at the snapshot's moment.
    ///
    /// # Errors
    /// As [`Keyspace::read_txn`].
    ///
    /// # Panics
    /// As [`Keyspace::read_txn`].
    pub fn read_txn(&self, txn: &Txn) -> Result<TxnReply, Rejection> {
        assert!(txn.is_read_only(), "a transaction that writes goes through the log");
        validate_txn(txn)?;
        let (succeeded, operations) = self.branch(txn);
        let ranges = operations.iter().filter_map(|operation| match operation {
            Operation::Range(range) => Some(range),
            Operation::Put(_) | Operation::DeleteRange(_) | Operation::Txn(_) => None,
        });
        for range in ranges.clone() {
            self.check_range(range)?;
        }
        let replies = ranges
            .map(|range| self.range_at(range, self.revision).map(OperationReply::Range))
            .collect::<Result<_, _>>()?;
        Ok(TxnReply { revision: self.revision, succeeded, replies })
    }

    fn branch<'a>(&self, txn: &'a Txn) -> (bool, &'a [Operation]) {
        let holds = |compare| self.holds(compare) || has(Bug::ComparesNothing);
        let succeeded = txn.compare.iter().all(holds);
        (succeeded, if succeeded { &txn.success } else { &txn.failure })
    }

    fn holds(&self, compare: &Compare) -> bool {
        if compare.range_end.is_empty() {
            let found = self.latest(&compare.key);
            if found.is_none() && has(Bug::MissesAbsence) {
                return false;
            }
            return compare.holds(found.map(|(_, version)| version));
        }
        let Some(bounds) = bounds(compare.key.as_bytes(), compare.range_end.as_bytes()) else {
            return compare.holds(None);
        };
        let keys = self.keys.range::<_, [u8]>(bounds);
        let mut found = keys.filter_map(|(_, history)| history.latest().live()).peekable();
        if found.peek().is_none() {
            return compare.holds(None);
        }
        found.all(|version| compare.holds(Some(version)))
    }

    /// What etcd asks of a read in a transaction before it starts. Other than outside of one, a
    /// revision below zero is compacted, not the present.
    fn check_range(&self, range: &Range) -> Result<(), Rejection> {
        if range.revision > self.revision {
            return Err(Rejection::FutureRevision);
        }
        if range.revision != 0 && range.revision < self.compacted {
            return Err(Rejection::Compacted);
        }
        Ok(())
    }

    /// What etcd asks of a put in a transaction before it starts.
    fn check_put(&self, put: &Put) -> Result<(), Rejection> {
        let keeps = put.ignore_value || put.ignore_lease;
        if keeps && self.latest(&put.key).is_none() {
            return Err(Rejection::KeyNotFound);
        }
        self.check_lease(put)
    }

    /// The version of `key` that the last write left, if the key exists.
    fn latest(&self, key: &Key) -> Option<(&Key, &Version)> {
        let (key, history) = self.keys.get_key_value(key)?;
        Some((key, history.latest().live()?))
    }

    fn check_lease(&self, put: &Put) -> Result<(), Rejection> {
        let exists = put.lease == 0 || self.leases.contains_key(&put.lease);
        if exists { Ok(()) } else { Err(Rejection::LeaseNotFound) }
    }
}

impl Compare {
    fn holds(&self, found: Option<&Version>) -> bool {
        let number = |field: fn(&Version) -> i64, given: i64| found.map_or(0, field).cmp(&given);
        let ordering = match &self.target {
            CompareTarget::Version(given) => number(|found| found.version, *given),
            CompareTarget::CreateRevision(given) => number(|found| found.create_revision, *given),
            CompareTarget::ModRevision(given) => number(|found| found.mod_revision, *given),
            CompareTarget::Lease(given) => number(|found| found.lease, *given),
            CompareTarget::Value(given) => {
                let Some(value) = found.and_then(|found| found.value.as_ref()) else {
                    return false;
                };
                value.cmp(given)
            }
        };
        match self.result {
            CompareResult::Equal => ordering == Ordering::Equal,
            CompareResult::Greater => ordering == Ordering::Greater,
            CompareResult::Less => ordering == Ordering::Less,
            CompareResult::NotEqual => ordering != Ordering::Equal,
        }
    }
}

impl<'a> Transaction<'a> {
    fn begin(keyspace: &'a mut Keyspace) -> Self {
        Self { hash_before: keyspace.state.applied_hash, keyspace, writes: 0 }
    }

    /// A put that is a command by itself.
    pub(crate) fn put_alone(keyspace: &'a mut Keyspace, put: Put) -> Result<PutReply, Rejection> {
        keyspace.state.check_lease(&put)?;
        let mut transaction = Self::begin(keyspace);
        let reply = transaction.put(put)?;
        transaction.commit();
        Ok(reply)
    }

    /// A delete that is a command by itself.
    pub(crate) fn delete_alone(
        keyspace: &'a mut Keyspace,
        delete: &DeleteRange,
    ) -> DeleteRangeReply {
        let mut transaction = Self::begin(keyspace);
        let reply = transaction.delete(delete);
        transaction.commit();
        reply
    }

    /// Deletes keys that are all there, in the order given.
    pub(crate) fn delete_all(keyspace: &'a mut Keyspace, keys: impl IntoIterator<Item = Key>) {
        let mut transaction = Self::begin(keyspace);
        for key in keys {
            transaction.write(key, None, 0);
        }
        transaction.commit();
    }

    /// A transaction that is a command by itself.
    pub(crate) fn run(keyspace: &'a mut Keyspace, txn: Txn) -> Result<TxnReply, Rejection> {
        let mut path = Vec::new();
        choose(&keyspace.state, &txn, &mut path);
        let check = |check: &dyn Fn(&Operation) -> Result<(), Rejection>| {
            check_chosen(&txn, &mut path.iter().copied(), check)
        };
        // All puts before all reads: etcd's order, which decides what a request that breaks two
        // rules is told.
        check(&|operation| match operation {
            Operation::Put(put) => keyspace.state.check_put(put),
            Operation::Range(_) | Operation::DeleteRange(_) | Operation::Txn(_) => Ok(()),
        })?;
        check(&|operation| match operation {
            Operation::Range(range) => keyspace.state.check_range(range),
            Operation::Put(_) | Operation::DeleteRange(_) | Operation::Txn(_) => Ok(()),
        })?;

        let mut transaction = Self::begin(keyspace);
        match transaction.perform(txn, &mut path.into_iter()) {
            Ok(mut reply) => {
                reply.revision = transaction.current();
                transaction.commit();
                Ok(reply)
            }
            Err(rejection) => {
                transaction.undo();
                Err(rejection)
            }
        }
    }

    fn perform(&mut self, txn: Txn, path: &mut Path) -> Result<TxnReply, Rejection> {
        let succeeded = path.next().expect("a branch was chosen for every transaction");
        let operations = if succeeded { txn.success } else { txn.failure };
        let mut replies = Vec::with_capacity(operations.len());
        for operation in operations {
            replies.push(match operation {
                Operation::Range(range) => {
                    OperationReply::Range(self.keyspace.state.range_at(&range, self.current())?)
                }
                Operation::Put(put) => OperationReply::Put(self.put(put)?),
                Operation::DeleteRange(delete) => OperationReply::DeleteRange(self.delete(&delete)),
                Operation::Txn(txn) => OperationReply::Txn(self.perform(txn, path)?),
            });
        }
        Ok(TxnReply { revision: 0, succeeded, replies })
    }

    /// The revision that a read sees: the one being written, once something was.
    fn current(&self) -> i64 {
        self.keyspace.state.revision + i64::from(self.writes > 0)
    }

    /// # Errors
    /// The put keeps the value or the lease of a key that is not there. In a transaction that was
    /// checked before, and yet a delete before this put can take the key away (etcd 3.4 crashes).
    fn put(&mut self, put: Put) -> Result<PutReply, Rejection> {
        let Put { key, mut value, mut lease, ignore_value, ignore_lease, prev_kv } = put;
        let mut previous = None;
        if ignore_value || ignore_lease || prev_kv {
            let latest = self.keyspace.state.latest(&key);
            if (ignore_value || ignore_lease) && latest.is_none() {
                return Err(Rejection::KeyNotFound);
            }
            previous = latest.map(|(key, version)| key_value(key, version, false));
        }
        if let Some(previous) = &previous {
            if ignore_value {
                value = previous.value.clone();
            }
            if ignore_lease {
                lease = previous.lease;
            }
        }
        let previous = previous.filter(|_| prev_kv);
        self.write(key, Some(value), lease);
        Ok(PutReply { revision: self.current(), previous })
    }

    fn delete(&mut self, delete: &DeleteRange) -> DeleteRangeReply {
        let mut reply = DeleteRangeReply::default();
        for (key, previous) in self.existing(delete) {
            reply.deleted += 1;
            reply.previous.extend(previous);
            if !has(Bug::DeletesNothing) {
                self.write(key, None, 0);
            }
        }
        reply.revision = self.current();
        reply
    }

    /// The keys to delete, each with what it holds if that is asked for.
    fn existing(&self, delete: &DeleteRange) -> Vec<(Key, Option<KeyValue>)> {
        let (key, range_end) = (delete.key.as_bytes(), delete.range_end.as_bytes());
        let found = |key: &Key, version: &Version| {
            (key.clone(), delete.prev_kv.then(|| key_value(key, version, false)))
        };
        if range_end.is_empty() {
            let latest = self.keyspace.state.latest(&delete.key);
            return latest.map(|(key, version)| found(key, version)).into_iter().collect();
        }
        let Some(bounds) = bounds(key, range_end) else { return Vec::new() };
        let keys = self.keyspace.state.keys.range::<_, [u8]>(bounds);
        keys.filter_map(|(key, history)| Some(found(key, history.latest().live()?))).collect()
    }

    fn write(&mut self, key: Key, value: Option<Value>, lease: i64) {
        let revision = self.keyspace.state.revision + 1;
        let version = match value {
            // What it is if the key is new; writing corrects it if not.
            value @ Some(_) => Version {
                mod_revision: revision,
                create_revision: revision,
                version: 1,
                lease,
                value,
                sub: self.writes,
            },
            None => Version::tombstone(revision, self.writes),
        };
        self.keyspace.write(key, version);
        self.writes += 1;
    }

    fn commit(self) {
        if has(Bug::FreezesRevision) {
            return;
        }
        self.keyspace.state.revision = self.current();
    }

    fn undo(self) {
        for _ in 0..self.writes {
            self.keyspace.unwrite();
        }
        self.keyspace.state.applied_hash = self.hash_before;
    }
}

fn choose(state: &Snapshot, txn: &Txn, path: &mut Vec<bool>) {
    let (succeeded, operations) = state.branch(txn);
    path.push(succeeded);
    for operation in operations {
        if let Operation::Txn(txn) = operation {
            choose(state, txn, path);
        }
    }
}

fn check_chosen(
    txn: &Txn,
    path: &mut dyn Iterator<Item = bool>,
    check: &dyn Fn(&Operation) -> Result<(), Rejection>,
) -> Result<(), Rejection> {
    let succeeded = path.next().expect("a branch was chosen for every transaction");
    for operation in if succeeded { &txn.success } else { &txn.failure } {
        match operation {
            Operation::Txn(txn) => check_chosen(txn, path, check)?,
            Operation::Range(_) | Operation::Put(_) | Operation::DeleteRange(_) => {
                check(operation)?;
            }
        }
    }
    Ok(())
}
