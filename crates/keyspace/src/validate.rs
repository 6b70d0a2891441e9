//! What can be said about a request without looking at the state: etcd's checks before it proposes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::{
    Command, DeleteRange, LEASE_SECONDS_MAX, OPERATIONS_MAX, Operation, Put, Range, Rejection, Txn,
};

/// Whether `command` may be proposed. [`crate::Keyspace::apply`] asks again, so that a command that
/// skipped this check is rejected on every node alike.
///
/// # Errors
/// The first rule it breaks, in etcd's order.
pub fn validate(command: &Command) -> Result<(), Rejection> {
    match command {
        Command::Put(put) => validate_put(put),
        Command::DeleteRange(delete) => validate_delete(delete),
        Command::Txn(txn) => validate_txn(txn),
        Command::LeaseGrant { id, ttl } => validate_grant(*id, *ttl),
        Command::Compact { .. }
        | Command::PublishMember(_)
        | Command::LeaseRevoke { .. }
        | Command::LeaseExpire { .. }
        | Command::LeaseNote { .. }
        | Command::Auth(_)
        | Command::SignIn(_)
        | Command::Alarm { .. } => Ok(()),
    }
}

/// Whether a read may be done.
///
/// # Errors
/// The key is empty.
pub fn validate_range(range: &Range) -> Result<(), Rejection> {
    if range.key.is_empty() { Err(Rejection::KeyNotProvided) } else { Ok(()) }
}

/// Whether a transaction may be proposed, or done at once if it only reads.
///
/// # Errors
/// The first rule it breaks, in etcd's order.
pub fn validate_txn(txn: &Txn) -> Result<(), Rejection> {
    validate_operations(txn, OPERATIONS_MAX)?;
    Writes::of(&txn.success)?;
    Writes::of(&txn.failure)?;
    Ok(())
}

fn validate_put(put: &Put) -> Result<(), Rejection> {
    if put.key.is_empty() {
        return Err(Rejection::KeyNotProvided);
    }
    if put.ignore_value && !put.value.is_empty() {
        return Err(Rejection::ValueProvided);
    }
    if put.ignore_lease && put.lease != 0 {
        return Err(Rejection::LeaseProvided);
    }
    Ok(())
}

fn validate_delete(delete: &DeleteRange) -> Result<(), Rejection> {
    if delete.key.is_empty() { Err(Rejection::KeyNotProvided) } else { Ok(()) }
}

fn validate_grant(id: i64, ttl: i64) -> Result<(), Rejection> {
    if id == 0 {
        return Err(Rejection::LeaseNotFound);
    }
    if ttl > LEASE_SECONDS_MAX { Err(Rejection::LeaseTooLong) } else { Ok(()) }
}

/// A transaction spends the longest of its three lists, and leaves the rest to those inside.
fn validate_operations(txn: &Txn, allowed: usize) -> Result<(), Rejection> {
    let spent = txn.compare.len().max(txn.success.len()).max(txn.failure.len());
    let left = allowed.checked_sub(spent).ok_or(Rejection::TooManyOperations)?;
    if txn.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(Rejection::KeyNotProvided);
    }
    for operation in txn.success.iter().chain(&txn.failure) {
        match operation {
            Operation::Range(range) => validate_range(range)?,
            Operation::Put(put) => validate_put(put)?,
            Operation::DeleteRange(delete) => validate_delete(delete)?,
            Operation::Txn(txn) => validate_operations(txn, left)?,
        }
    }
    Ok(())
}

/// What a list of operations may write. No key may be put twice on one way through a transaction,
/// nor put and deleted.
///
/// etcd's check is not complete, and clients may lean on what it lets pass, so this one lets the
/// same pass: a delete inside a later transaction of a key that an earlier one puts, and a delete
/// "from this key on" (its range end is the smallest key, so as a range it looks empty).
#[derive(Default)]
struct Writes<'a> {
    puts: BTreeSet<&'a [u8]>,
    deletes: Spans<'a>,
}

impl<'a> Writes<'a> {
    fn of(operations: &'a [Operation]) -> Result<Self, Rejection> {
        let mut writes = Self::default();
        for operation in operations {
            if let Operation::DeleteRange(delete) = operation {
                writes.deletes.insert_range(delete.key.as_bytes(), delete.range_end.as_bytes());
            }
        }
        for operation in operations {
            if let Operation::Txn(txn) = operation {
                writes.absorb(Self::of(&txn.success)?, Self::of(&txn.failure)?)?;
            }
        }
        for operation in operations {
            if let Operation::Put(put) = operation {
                writes.put(put.key.as_bytes())?;
            }
        }
        Ok(writes)
    }

    /// Takes in the two branches of a transaction inside. Only one of them is done, so the same key
    /// may be in both.
    fn absorb(&mut self, success: Self, failure: Self) -> Result<(), Rejection> {
        for key in &success.puts {
            self.put(key)?;
        }
        for key in failure.puts.difference(&success.puts) {
            self.put(key)?;
        }
        self.deletes.absorb(success.deletes);
        self.deletes.absorb(failure.deletes);
        Ok(())
    }

    fn put(&mut self, key: &'a [u8]) -> Result<(), Rejection> {
        if self.deletes.contains(key) || !self.puts.insert(key) {
            return Err(Rejection::DuplicateKey);
        }
        Ok(())
    }
}

/// Disjoint stretches of keys, each from its start up to but not including its end; where the end
/// is `None`, the stretch is the one key it starts with.
#[derive(Default)]
struct Spans<'a> {
    points: BTreeSet<&'a [u8]>,
    stretches: BTreeMap<&'a [u8], &'a [u8]>,
}

impl<'a> Spans<'a> {
    fn insert_range(&mut self, start: &'a [u8], end: &'a [u8]) {
        if end.is_empty() {
            self.points.insert(start);
        } else {
            self.insert_stretch(start, end);
        }
    }

    /// Joins the new stretch with those it touches, so that a look-up has one to look at, however
    /// many deletes a request holds.
    fn insert_stretch(&mut self, mut start: &'a [u8], mut end: &'a [u8]) {
        if start >= end {
            return;
        }
        while let Some((&other_start, &other_end)) = self.stretches.range(..=end).next_back() {
            if other_end < start {
                break;
            }
            self.stretches.remove(other_start);
            start = start.min(other_start);
            end = end.max(other_end);
        }
        self.stretches.insert(start, end);
    }

    fn absorb(&mut self, other: Self) {
        self.points.extend(other.points);
        for (start, end) in other.stretches {
            self.insert_stretch(start, end);
        }
    }

    fn contains(&self, key: &[u8]) -> bool {
        let up_to_key = (Bound::Unbounded, Bound::Included(key));
        let nearest = self.stretches.range::<[u8], _>(up_to_key).next_back();
        self.points.contains(key) || nearest.is_some_and(|(_, end)| key < *end)
    }
}
