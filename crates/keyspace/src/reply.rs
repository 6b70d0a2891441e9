use crate::{Key, SignIn, Value};

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Of a put.
    Put(PutReply),
    /// Of a delete.
    DeleteRange(DeleteRangeReply),
    /// Of a transaction.
    Txn(TxnReply),
    /// Of a compaction.
    Compact {
        /// The keyspace's revision, which compacting does not change.
        revision: i64,
    },
    /// The member is known now.
    PublishMember,
    /// The lease has begun.
    LeaseGrant {
        /// Its number.
        id: i64,
        /// How long it lasts, in seconds.
        ttl: i64,
        /// The keyspace's revision, which granting does not change.
        revision: i64,
    },
    /// The lease has ended.
    LeaseRevoke {
        /// Its number.
        id: i64,
        /// The keyspace's revision afterwards, which only grew if a key died with the lease.
        revision: i64,
    },
    /// These leases are over, whether or not they were before.
    LeaseExpire {
        /// Their numbers.
        ids: Vec<i64>,
    },
    /// The time that these leases have was noted, of those that are still there.
    LeaseNote {
        /// Each lease's number and what it has, in seconds.
        remaining: Vec<(i64, i64)>,
    },
    /// Users and roles are now as asked.
    Auth {
        /// The keyspace's revision, which this does not change.
        revision: i64,
    },
    /// The alarm is now as asked.
    Alarm {
        /// Whether it was not before.
        is_changed: bool,
        /// The keyspace's revision, which this does not change.
        revision: i64,
    },
    /// The password that was checked is still the user's.
    SignIn {
        /// What was asked.
        sign_in: SignIn,
        /// The keyspace's revision, which this does not change.
        revision: i64,
    },
}

/// A key as it stands at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Key,
    /// The revision that created it, or created it anew after a delete.
    pub create_revision: i64,
    /// The revision that wrote this version.
    pub mod_revision: i64,
    /// The number of writes since it was created, this one included.
    pub version: i64,
    /// The value; empty where only keys were asked for.
    pub value: Value,
    /// The lease it dies with; zero for none.
    pub lease: i64,
}

/// What a range read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeReply {
    /// The keyspace's revision, not the one that was read at.
    pub revision: i64,
    /// What was found, in the order asked for.
    pub kvs: Vec<KeyValue>,
    /// Whether the limit cut something off.
    pub more: bool,
    /// How many keys the range holds at the revision read, before limit and filters.
    pub count: i64,
}

/// What a put did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutReply {
    /// The revision of the write.
    pub revision: i64,
    /// What the key was before, if that was asked for and it existed.
    pub previous: Option<KeyValue>,
}

/// What a delete did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteRangeReply {
    /// The keyspace's revision afterwards, which only grew if something was deleted.
    pub revision: i64,
    /// How many keys were deleted.
    pub deleted: i64,
    /// What was deleted, in the order of the keys, if that was asked for.
    pub previous: Vec<KeyValue>,
}

/// What a transaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxnReply {
    /// The keyspace's revision afterwards. Zero for a transaction inside another one, as in etcd.
    pub revision: i64,
    /// Whether every comparison held.
    pub succeeded: bool,
    /// One reply for each operation of the branch that was taken.
    pub replies: Vec<OperationReply>,
}

/// What one operation of a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationReply {
    /// Of a range.
    Range(RangeReply),
    /// Of a put.
    Put(PutReply),
    /// Of a delete.
    DeleteRange(DeleteRangeReply),
    /// Of a transaction inside.
    Txn(TxnReply),
}
