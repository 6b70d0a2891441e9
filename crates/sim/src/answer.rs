use althing_keyspace::{KeyValue, OperationReply, Reply as KeyspaceReply};

use crate::linearizability::{Found, Observed};
use crate::shared::Reply;

/// The name of a key in the store.
pub(crate) fn key_name(key: u32) -> String {
    format!("key-{key}")
}

/// The name of the key that is tied to a lease.
pub(crate) fn lease_key(lease: i64) -> String {
    format!("lease-{lease}")
}

/// A value as it stands in the store: the number, and what makes it long.
pub(crate) fn value_text(value: u64, bytes: usize) -> String {
    let mut text = format!("{value} ");
    while text.len() < bytes {
        text.push('.');
    }
    text
}

/// A revision as histories number them.
pub(crate) fn revision(revision: i64) -> u64 {
    u64::try_from(revision).expect("revisions are positive")
}

/// What a read found.
pub(crate) fn found_in(found: &KeyValue) -> Found {
    let text = std::str::from_utf8(found.value.as_bytes()).unwrap_or_default();
    let number = text.split(' ').next().and_then(|number| number.parse().ok());
    Found { value: number.unwrap_or(u64::MAX), written: revision(found.mod_revision) }
}

/// What a client hears of what the keyspace answered.
pub(crate) fn observed(reply: KeyspaceReply) -> Reply {
    match reply {
        KeyspaceReply::Put(put) => Reply::Done(Observed::Put { revision: revision(put.revision) }),
        KeyspaceReply::DeleteRange(delete) => Reply::Done(Observed::Delete {
            revision: revision(delete.revision),
            deleted: delete.deleted > 0,
        }),
        KeyspaceReply::Txn(txn) if txn.succeeded => {
            Reply::Done(Observed::Swapped { revision: revision(txn.revision) })
        }
        KeyspaceReply::Txn(txn) => {
            let found = match txn.replies.first() {
                Some(OperationReply::Range(range)) => range.kvs.first().map(found_in),
                _ => None,
            };
            Reply::Done(Observed::Kept { revision: revision(txn.revision), found })
        }
        KeyspaceReply::Compact { .. }
        | KeyspaceReply::PublishMember
        | KeyspaceReply::LeaseGrant { .. }
        | KeyspaceReply::LeaseRevoke { .. }
        | KeyspaceReply::LeaseExpire { .. }
        | KeyspaceReply::LeaseNote { .. }
        | KeyspaceReply::Auth { .. }
        | KeyspaceReply::SignIn { .. }
        | KeyspaceReply::Alarm { .. } => Reply::DoneUnobserved,
    }
}
