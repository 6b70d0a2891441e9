//! People standing in line: the recipe behind locks and elections.
//!
//! A place in a line is a key below the line's name, tied to the lease of whoever stands there. Who
//! created theirs first is first; the others each wait for the one before them to go, so that one
//! that goes wakes one (ZooKeeper's recipe for locks, which etcd's own follows). The revision that
//! created the key is the fencing token: it is greater for each who gets there later.

use std::sync::Arc;

use althing_keyspace::{
    Command, Compare, CompareResult, CompareTarget, DeleteRange, Key, KeyRange, KeyValue,
    Operation, OperationReply, Principal, Put, Range, Reply, SortOrder, SortTarget, Txn, TxnReply,
    Value,
};
use tokio::sync::oneshot;
use tonic::Status;

use super::Api;
use crate::watches::{Interest, Mailbox};

/// How long a lease lasts that a request did not bring along, in seconds; etcd's.
const LEASE_SECONDS: i64 = 60;

/// A place in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) key: Key,
    /// The revision that created the key.
    pub(super) created: i64,
    /// The lease it is tied to.
    pub(super) lease: i64,
}

/// The keys of the line of this name begin with this.
pub(super) fn prefix(name: &[u8]) -> Vec<u8> {
    [name, b"/"].concat()
}

fn in_line(prefix: &[u8]) -> Range {
    Range { limit: 1, sort_target: SortTarget::CreateRevision, ..Range::prefix(prefix) }
}

impl Api {
    /// Who is first in the line, as far as this node has come.
    pub(super) async fn first(
        &self,
        caller: &Principal,
        prefix: &[u8],
    ) -> Result<Option<KeyValue>, Status> {
        let range = Range { sort_order: SortOrder::Ascend, ..in_line(prefix) };
        Ok(self.door.read(caller, range).await?.kvs.into_iter().next())
    }

    /// The one right before the place created at `created`.
    async fn before(
        &self,
        caller: &Principal,
        prefix: &[u8],
        created: i64,
    ) -> Result<Option<KeyValue>, Status> {
        let (sort_order, max_create_revision) = (SortOrder::Descend, created - 1);
        let range = Range { sort_order, max_create_revision, ..in_line(prefix) };
        Ok(self.door.read(caller, range).await?.kvs.into_iter().next())
    }

    /// Takes a place in the line, or the place that this lease has there already. With `lease` zero
    /// the place lasts for a minute.
    ///
    /// Once it is asked for it is taken, also if the caller gives up meanwhile; then it is given up
    /// again.
    pub(super) async fn take_place(
        &self,
        caller: &Principal,
        name: &[u8],
        lease: i64,
        value: Value,
    ) -> Result<Standing, Status> {
        let (api, caller, name) = (self.clone(), caller.clone(), name.to_vec());
        let (respond, taken) = oneshot::channel();
        tokio::spawn(async move {
            let placed = api.put_place(&caller, &name, lease, value).await;
            let stand = |place| Standing { api, caller, name, place: Some(place) };
            // A caller that is gone drops what it was sent, and so the place.
            let _ = respond.send(placed.map(stand));
        });
        taken.await.unwrap_or_else(|_| Err(Status::unavailable("etcdserver: server stopped")))
    }

    async fn put_place(
        &self,
        caller: &Principal,
        name: &[u8],
        lease: i64,
        value: Value,
    ) -> Result<Place, Status> {
        let lease = if lease == 0 { self.grant_any(caller, LEASE_SECONDS).await? } else { lease };
        let key = Key::from([name, format!("/{}", hex(lease)).as_bytes()].concat());
        let is_new = compare(&key, CompareTarget::CreateRevision(0));
        // It is written also if it is there: whoever gave up on it a moment ago must not delete it.
        let put = Put { lease, ..Put::new(key.clone(), value) };
        let find = Operation::Range(Range::key(key.clone()));
        let txn = Txn {
            compare: vec![is_new],
            success: vec![Operation::Put(put.clone())],
            failure: vec![find, Operation::Put(put)],
        };
        let reply = self.transact(caller, txn).await?;
        let created = match reply.replies.first() {
            Some(OperationReply::Range(found)) => {
                found.kvs.first().map_or(reply.revision, |kv| kv.create_revision)
            }
            _ => reply.revision,
        };
        Ok(Place { key, created, lease })
    }

    async fn turn(&self, caller: &Principal, prefix: &[u8], place: &Place) -> Result<i64, Status> {
        let mailbox = Arc::new(Mailbox::default());
        let _own = self.watch_key(&place.key, &mailbox);
        loop {
            let Some(ahead) = self.before(caller, prefix, place.created).await? else {
                // Nobody is ahead, and nobody can get ahead any more; but is the place still there?
                // Only the cluster knows.
                self.door.linearizable().await?;
                let (created, revision) = self.created(caller, &place.key)?;
                return if created == Some(place.created) { Ok(revision) } else { Err(gone()) };
            };
            let _ahead = self.watch_key(&ahead.key, &mailbox);
            // It may have gone before we watched.
            let is_taken = self.created(caller, &place.key)?.0 == Some(place.created);
            let is_behind = self.created(caller, &ahead.key)?.0 == Some(ahead.create_revision);
            if is_behind && is_taken {
                tokio::select! {
                    () = mailbox.filled() => drop(mailbox.take()),
                    () = self.door.stopping() => {
                        return Err(Status::unavailable("etcdserver: server stopped"));
                    }
                }
            } else if !is_taken {
                return Err(gone());
            }
        }
    }

    /// The revision that created the key, if it is there, and the present one.
    fn created(&self, caller: &Principal, key: &Key) -> Result<(Option<i64>, i64), Status> {
        let found = self.door.look(caller, |view| view.range(&Range::key(key.clone())))?;
        Ok((found.kvs.first().map(|kv| kv.create_revision), found.revision))
    }

    fn watch_key(&self, key: &Key, mailbox: &Arc<Mailbox>) -> Interest {
        let range = KeyRange::new(key.clone(), Key::default()).expect("a key is in its own range");
        self.door.watches().begin(&range, 0, mailbox)
    }

    /// Does `operations` if the place is still the one that was created at `created`; `None` if
    /// not.
    pub(super) async fn while_placed(
        &self,
        caller: &Principal,
        key: &[u8],
        created: i64,
        operations: Vec<Operation>,
    ) -> Result<Option<TxnReply>, Status> {
        let is_ours = compare(&key.into(), CompareTarget::CreateRevision(created));
        let txn = Txn { compare: vec![is_ours], success: operations, failure: Vec::new() };
        let reply = self.transact(caller, txn).await?;
        Ok(reply.succeeded.then_some(reply))
    }

    async fn transact(&self, caller: &Principal, txn: Txn) -> Result<TxnReply, Status> {
        let applied = self.door.propose(caller, Command::Txn(txn)).await?;
        let Reply::Txn(reply) = applied.reply else {
            unreachable!("a transaction is answered with what a transaction did");
        };
        Ok(reply)
    }
}

/// As etcd's own client writes the number of a lease.
fn hex(lease: i64) -> String {
    let sign = if lease < 0 { "-" } else { "" };
    format!("{sign}{:x}", lease.unsigned_abs())
}

fn gone() -> Status {
    Status::failed_precondition(
        "etcdserver: the lease ended or the key was deleted while it waited for its turn",
    )
}

fn compare(key: &Key, target: CompareTarget) -> Compare {
    Compare { key: key.clone(), range_end: Key::default(), result: CompareResult::Equal, target }
}

/// Somebody in a line, who leaves it when this is dropped before their turn.
pub(super) struct Standing {
    api: Api,
    caller: Principal,
    name: Vec<u8>,
    place: Option<Place>,
}

impl Standing {
    /// Waits until the place is the first in its line; returns it, and the revision at which it
    /// was. If the caller gives up before, or there is an error, the place is given up too.
    ///
    /// # Errors
    /// The place is gone: its lease has ended, or somebody deleted it. Nobody leads, or the node
    /// stops.
    pub(super) async fn turn(mut self) -> Result<(Place, i64), Status> {
        let place = self.place.clone().expect("it is there until here");
        let revision = self.api.turn(&self.caller, &prefix(&self.name), &place).await?;
        self.place = None;
        Ok((place, revision))
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        let Some(Place { key, created, .. }) = self.place.take() else { return };
        let (api, caller) = (self.api.clone(), self.caller.clone());
        tokio::spawn(async move {
            // Not if another request with the same lease has taken it since, or had it before: that
            // one may hold it.
            let is_ours = compare(&key, CompareTarget::ModRevision(created));
            let delete = Operation::DeleteRange(DeleteRange::key(key));
            let txn = Txn { compare: vec![is_ours], success: vec![delete], failure: Vec::new() };
            // If this fails, the place ends with its lease.
            let _ = api.transact(&caller, txn).await;
        });
    }
}
