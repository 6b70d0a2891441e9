//! The replicated state machine: keys with many versions, revisions, transactions and compaction,
//! with the semantics of etcd v3 (3.4).
//!
//! A [`Keyspace`] is a function of the log: [`Keyspace::apply`] takes the entry at the next index
//! and returns a reply, and every node that applied the same entries holds the same state, which
//! [`Keyspace::hash`] lets them compare. It has no clock, no thread and no file. What it is not: it
//! speaks no wire protocol (the server translates) and decides no order (consensus does).
//!
//! ```
//! use althing_core::Index;
//! use althing_keyspace::{Command, Keyspace, Put, Range, Reply};
//!
//! let mut keyspace = Keyspace::new();
//! let mut entry = Vec::new();
//! Command::Put(Put::new("greeting", "hello")).encode(&mut entry);
//! let reply = keyspace.apply(Index(1), &entry).expect("a plain put is not rejected");
//! assert!(matches!(reply, Reply::Put(reply) if reply.revision == 2));
//!
//! let found = keyspace.range(&Range::key("greeting")).expect("a read of the present");
//! assert_eq!(found.kvs[0].value.as_bytes(), b"hello");
//! ```
//!
//! How the server uses it: [`validate()`] and [`Keyspace::would_exceed`] before a command is
//! proposed, [`Keyspace::apply`] for every committed command and [`Keyspace::pass`] for committed
//! entries that carry none, [`Keyspace::range`] and [`Keyspace::read_txn`] for reads,
//! [`Keyspace::sweep`] when it has nothing better to do, and [`Keyspace::snapshot`] with
//! [`Snapshot::write`] on another thread while writes go on.
//!
//! [`Keyspace::happened_since`] is what watches are made of, and a [`Lessor`], which the leader
//! runs, is the clock of the leases. Users and their rights are part of the state: a server
//! proposes an [`Authorized`] command, which only [`Keyspace::authorize`] makes, and answers reads
//! from a [`View`].

mod alarms;
mod auth;
mod bytes;
mod changes;
mod command;
mod compact;
mod digest;
mod event;
mod history;
mod keyspace;
mod lease;
mod leases;
mod lessor;
pub mod planted;
mod range;
mod refound;
mod rejection;
mod reply;
mod restore;
mod snapshot;
mod txn;
mod validate;

pub use alarms::{Alarm, AlarmKind};
pub use auth::{
    Access, Ask, AuthChange, AuthState, Authorized, Grant, PasswordHash, Principal, ROOT, Role,
    SignIn, User, View,
};
pub use bytes::{Key, Value, prefix_end};
pub use command::{
    Command, Compare, CompareResult, CompareTarget, DeleteRange, Member, NESTING_MAX,
    OPERATIONS_MAX, Operation, Put, Txn,
};
pub use event::{Event, Happened, KeyRange};
pub use keyspace::{Keyspace, Members};
pub use lease::{LEASE_SECONDS_MAX, LEASES_MAX, Lease};
pub use lessor::{Lessor, Timed};
pub use range::{Range, SortOrder, SortTarget};
pub use rejection::{Blame, Rejection};
pub use reply::{
    DeleteRangeReply, KeyValue, OperationReply, PutReply, RangeReply, Reply, TxnReply,
};
pub use restore::{Restore, RestoreError};
pub use snapshot::{BLOCK_SIZE_MAX, HashOfKeys, Snapshot};
pub use validate::{validate, validate_range, validate_txn};
