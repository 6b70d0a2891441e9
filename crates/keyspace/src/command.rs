//! What the log can tell a keyspace to do.

mod codec;

pub(crate) use codec::{decode_alarm, decode_member, encode_alarm, encode_member};

use althing_core::NodeId;

use crate::{Alarm, AuthChange, Key, Range, SignIn, Value};

/// The most operations that one branch of a transaction may hold, and the most comparisons; what an
/// outer transaction uses up is taken from the transactions inside it. etcd's `--max-txn-ops`.
pub const OPERATIONS_MAX: usize = 128;

/// How deep transactions may stand inside one another, the outermost included. It follows from
/// [`OPERATIONS_MAX`]: each level but the innermost spends at least one operation.
pub const NESTING_MAX: usize = OPERATIONS_MAX + 1;

/// A change of the keyspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Writes one key.
    Put(Put),
    /// Deletes a key or a range of keys.
    DeleteRange(DeleteRange),
    /// Compares, then does one of two lists of operations, all of it at one revision.
    Txn(Txn),
    /// Forgets versions that were superseded at or before a revision.
    Compact {
        /// The oldest revision that stays readable.
        revision: i64,
    },
    /// Tells the cluster how a member is called and where clients find it.
    PublishMember(Member),
    /// Begins a lease.
    LeaseGrant {
        /// Its number; not zero.
        id: i64,
        /// How long it lasts if nobody keeps it alive, in seconds; less than 1 counts as 1, more
        /// than [`LEASE_SECONDS_MAX`](crate::LEASE_SECONDS_MAX) is refused.
        ttl: i64,
    },
    /// Ends a lease because its holder says so, and deletes its keys, all at one revision.
    LeaseRevoke {
        /// Its number.
        id: i64,
    },
    /// Ends leases whose time is over by the clock of the leader, each at a revision of its own.
    /// Those that have ended meanwhile are passed over. Only a [`Lessor`](crate::Lessor) asks this.
    LeaseExpire {
        /// Their numbers; at most [`LEASES_MAX`](crate::LEASES_MAX).
        ids: Vec<i64>,
    },
    /// Notes how much time leases still have, so that the next leader knows. Those that have ended
    /// meanwhile are passed over.
    LeaseNote {
        /// Each lease's number and what it still has, in seconds; at most
        /// [`LEASES_MAX`](crate::LEASES_MAX).
        remaining: Vec<(i64, i64)>,
    },
    /// Changes users and roles.
    Auth(AuthChange),
    /// Notes that somebody has proved to be a user. Changes nothing: which tokens there are is
    /// known to each server for itself. Only a server asks this, once it has checked the password.
    SignIn(SignIn),
    /// Raises an alarm, or clears it; what is raised already is raised still.
    Alarm {
        /// The alarm.
        alarm: Alarm,
        /// Whether it is to be raised.
        is_raised: bool,
    },
}

/// Writes one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// The key; not empty.
    pub key: Key,
    /// The value; empty if `ignore_value` is set.
    pub value: Value,
    /// The lease that the key shall die with; zero for none.
    pub lease: i64,
    /// Keep the present value. The key must exist.
    pub ignore_value: bool,
    /// Keep the present lease. The key must exist.
    pub ignore_lease: bool,
    /// Answer with what the key was before.
    pub prev_kv: bool,
}

impl Put {
    /// Writes `value` to `key`.
    pub fn new(key: impl Into<Key>, value: impl Into<Value>) -> Self {
        Self { key: key.into(), value: value.into(), ..Self::default() }
    }
}

/// Deletes a key or a range of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRange {
    /// The key, or the first key of the range; not empty.
    pub key: Key,
    /// As [`Range::range_end`].
    pub range_end: Key,
    /// Answer with what was deleted.
    pub prev_kv: bool,
}

impl DeleteRange {
    /// Deletes one key.
    pub fn key(key: impl Into<Key>) -> Self {
        Self { key: key.into(), ..Self::default() }
    }
}

/// Compares, then does one of two lists of operations.
///
/// All comparisons, those of transactions inside this one too, look at the state before the first
/// write. Operations are done in their order and see the writes before them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// What must hold, all of it.
    pub compare: Vec<Compare>,
    /// Done if every comparison holds.
    pub success: Vec<Operation>,
    /// Done otherwise.
    pub failure: Vec<Operation>,
}

impl Txn {
    /// Whether it can only read, so that it needs no place in the log. A transaction inside counts
    /// as a write, whatever it holds, as in etcd.
    pub fn is_read_only(&self) -> bool {
        self.operations().all(|operation| matches!(operation, Operation::Range(_)))
    }

    /// Whether every read in it is content with this node's own state.
    pub fn is_serializable(&self) -> bool {
        self.operations().all(|operation| match operation {
            Operation::Range(range) => range.serializable,
            Operation::Put(_) | Operation::DeleteRange(_) | Operation::Txn(_) => true,
        })
    }

    fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.success.iter().chain(&self.failure)
    }
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reads.
    Range(Range),
    /// Writes one key.
    Put(Put),
    /// Deletes a key or a range of keys.
    DeleteRange(DeleteRange),
    /// Another transaction, at the same revision.
    Txn(Txn),
}

/// A comparison of one key, or of every key in a range.
///
/// Where there is no key, the revisions, the version and the lease are zero, and a comparison of
/// the value fails, whatever it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The key, or the first key of the range; not empty.
    pub key: Key,
    /// As [`Range::range_end`].
    pub range_end: Key,
    /// How what is found must relate to what is given.
    pub result: CompareResult,
    /// What is compared, and with what.
    pub target: CompareTarget,
}

/// How what is found must relate to what is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareResult {
    /// The same.
    Equal,
    /// What is found is greater.
    Greater,
    /// What is found is less.
    Less,
    /// Not the same.
    NotEqual,
}

/// What is compared, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompareTarget {
    /// The number of writes since the key was created.
    Version(i64),
    /// The revision that created the key.
    CreateRevision(i64),
    /// The revision that last wrote the key.
    ModRevision(i64),
    /// The value, byte by byte.
    Value(Value),
    /// The key's lease.
    Lease(i64),
}

/// How a member of the cluster is called and where it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub id: NodeId,
    /// Its name, for people.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
}
