//! The calls of the client API, whichever way they came in: gRPC and the JSON gateway both end
//! here.

use std::future::Future;
use std::sync::Arc;

use althing_core::NodeId;
use althing_etcd_api::etcdserverpb as pb;
use althing_keyspace::{Ask, Command, HashOfKeys, Principal, Rejection, Reply, validate_range};
use prost::Message;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use super::audit::Audit;
use super::auth::{Guard, TokenSettings};
use super::credentials::Credentials;
use super::door::Door;
use super::throttle::Throttle;
use super::{Limits, REQUEST_BYTES_MAX, VERSION_OF_ETCD, convert, status};
use crate::handle::Handle;
use crate::metrics::Method;

/// With less space than this left, a write of common size is refused, so the store counts as full.
const SPACE_OF_A_WRITE: u64 = 1024;

/// The calls of the client API. A clone is the same API.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) door: Door,
    pub(super) limits: Arc<Limits>,
    pub(super) guard: Arc<Guard>,
    pub(super) throttle: Arc<Throttle>,
    pub(super) audit: Arc<Audit>,
    /// How many more backups may be sent at the same time.
    pub(super) backups: Arc<Semaphore>,
}

/// Each holds on to a state that the others leave behind.
const BACKUPS_AT_ONCE: usize = 2;

impl Api {
    pub(super) fn new(handle: Handle, limits: &Limits, tokens: &TokenSettings) -> Self {
        let guard = Guard::new(tokens);
        let door = Door::new(handle, guard.jwt().cloned());
        let backups = Arc::new(Semaphore::new(BACKUPS_AT_ONCE));
        Self {
            door,
            limits: Arc::new(limits.clone()),
            guard: Arc::new(guard),
            throttle: Arc::new(Throttle::new(limits.requests_per_user)),
            audit: Arc::default(),
            backups,
        }
    }

    pub(super) async fn range(
        &self,
        credentials: Credentials,
        message: pb::RangeRequest,
    ) -> Result<pb::RangeResponse, Status> {
        self.admitted(Method::Range, &credentials, |caller| async move {
            let range = convert::range(message).map_err(status::refused)?;
            validate_range(&range).map_err(status::rejected)?;
            if !range.serializable {
                self.door.linearizable().await?;
            }
            let reply = self.door.read(&caller, range).await?;
            let header = self.header(reply.revision, self.door.term());
            Ok(convert::range_response(reply, header))
        })
        .await
    }

    pub(super) async fn put(
        &self,
        credentials: Credentials,
        message: pb::PutRequest,
    ) -> Result<pb::PutResponse, Status> {
        self.admitted(Method::Put, &credentials, |caller| async move {
            within_limit(&message)?;
            let applied = self.door.propose(&caller, Command::Put(convert::put(message))).await?;
            let Reply::Put(reply) = applied.reply else {
                unreachable!("a put is answered with what a put did");
            };
            let header = self.header(reply.revision, applied.term);
            Ok(convert::put_response(reply, header))
        })
        .await
    }

    pub(super) async fn delete_range(
        &self,
        credentials: Credentials,
        message: pb::DeleteRangeRequest,
    ) -> Result<pb::DeleteRangeResponse, Status> {
        self.admitted(Method::DeleteRange, &credentials, |caller| async move {
            within_limit(&message)?;
            let applied = self
                .door
                .propose(&caller, Command::DeleteRange(convert::delete_range(message)))
                .await?;
            let Reply::DeleteRange(reply) = applied.reply else {
                unreachable!("a deletion is answered with what a deletion did");
            };
            let header = self.header(reply.revision, applied.term);
            Ok(convert::delete_range_response(reply, header))
        })
        .await
    }

    pub(super) async fn txn(
        &self,
        credentials: Credentials,
        message: pb::TxnRequest,
    ) -> Result<pb::TxnResponse, Status> {
        self.admitted(Method::Txn, &credentials, |caller| async move {
            within_limit(&message)?;
            let txn = convert::txn(message).map_err(status::refused)?;
            let (reply, term) = if txn.is_read_only() {
                (self.door.read_txn(&caller, txn).await?, self.door.term())
            } else {
                let applied = self.door.propose(&caller, Command::Txn(txn)).await?;
                let Reply::Txn(reply) = applied.reply else {
                    unreachable!("a transaction is answered with what a transaction did");
                };
                (reply, applied.term)
            };
            let header = self.header(reply.revision, term);
            Ok(convert::txn_response(reply, header))
        })
        .await
    }

    /// The history is gone for readers when this answers, on every node that applied it; the memory
    /// it took is freed afterwards, whether or not `physical` asked to wait for that.
    pub(super) async fn compact(
        &self,
        credentials: Credentials,
        message: pb::CompactionRequest,
    ) -> Result<pb::CompactionResponse, Status> {
        self.admitted(Method::Compact, &credentials, |caller| async move {
            let revision = message.revision;
            let applied = self.door.propose(&caller, Command::Compact { revision }).await?;
            let Reply::Compact { revision } = applied.reply else {
                unreachable!("a compaction is answered with what a compaction did");
            };
            Ok(pb::CompactionResponse { header: Some(self.header(revision, applied.term)) })
        })
        .await
    }

    pub(super) async fn status(
        &self,
        credentials: Credentials,
        _: pb::StatusRequest,
    ) -> Result<pb::StatusResponse, Status> {
        self.admitted(Method::Status, &credentials, |caller| async move {
            self.door.may(&caller, Ask::Known).await?;
            let status = self.door.status();
            let mut errors = Vec::new();
            errors.extend(status.storage_failed);
            if status.leader.is_none() {
                errors.push("etcdserver: no leader".to_owned());
            }
            if self.is_out_of_space() {
                errors.push(format!("memberID:{} alarm:NOSPACE ", self.door.node().number()));
            }
            let revision = self.door.revision();
            let bytes = i64::try_from(status.database_bytes).unwrap_or(i64::MAX);
            Ok(pb::StatusResponse {
                header: Some(self.header(revision, status.term)),
                version: VERSION_OF_ETCD.to_owned(),
                db_size: bytes,
                db_size_in_use: bytes,
                leader: status.leader.map_or(0, NodeId::number),
                raft_index: status.commit.0,
                raft_applied_index: status.applied.0,
                raft_term: status.term,
                errors,
                is_learner: status.is_learner,
                consensus: status.consensus.name().to_owned(),
            })
        })
        .await
    }

    /// Lists alarms. The one there can be, for lack of space, comes and goes by itself.
    /// Keys are kept in memory and there is no file that could have holes: what compaction left is
    /// given back as time goes by, and there is nothing to wait for.
    pub(super) async fn defragment(
        &self,
        credentials: Credentials,
        _: pb::DefragmentRequest,
    ) -> Result<pb::DefragmentResponse, Status> {
        self.admitted(Method::Defragment, &credentials, |caller| async move {
            self.door.may(&caller, Ask::Administer).await?;
            let revision = self.door.revision();
            let header = Some(self.header(revision, self.door.term()));
            Ok(pb::DefragmentResponse { header })
        })
        .await
    }

    /// The hash of everything that this node holds, the place in the log included: only nodes that
    /// have come equally far have the same.
    pub(super) async fn hash(
        &self,
        credentials: Credentials,
        _: pb::HashRequest,
    ) -> Result<pb::HashResponse, Status> {
        self.admitted(Method::Hash, &credentials, |caller| async move {
            self.door.may(&caller, Ask::Administer).await?;
            let (revision, hash) = self
                .door
                .hash(&caller, |snapshot| Ok((snapshot.revision(), snapshot.hash())))
                .await?;
            let header = Some(self.header(revision, self.door.term()));
            Ok(pb::HashResponse { header, hash: folded(hash) })
        })
        .await
    }

    /// The hash of the keys up to a revision, the same on every node that has come that far and was
    /// compacted as far.
    pub(super) async fn hash_kv(
        &self,
        credentials: Credentials,
        message: pb::HashKvRequest,
    ) -> Result<pb::HashKvResponse, Status> {
        self.admitted(Method::HashKv, &credentials, |caller| async move {
            self.door.may(&caller, Ask::Administer).await?;
            let (present, hash) = self
                .door
                .hash(&caller, move |snapshot| {
                    Ok((snapshot.revision(), snapshot.hash_of_keys(message.revision)?))
                })
                .await?;
            let header = Some(self.header(present, self.door.term()));
            let HashOfKeys { hash, compacted } = hash;
            Ok(pb::HashKvResponse { header, hash: folded(hash), compact_revision: compacted })
        })
        .await
    }

    /// Whether writes are refused for lack of space.
    pub(super) fn is_out_of_space(&self) -> bool {
        let status = self.door.status();
        status.database_bytes.saturating_add(SPACE_OF_A_WRITE) > status.quota_bytes
    }

    pub(super) fn header(&self, revision: i64, raft_term: u64) -> pb::ResponseHeader {
        pb::ResponseHeader {
            cluster_id: self.door.cluster().0,
            member_id: self.door.node().number(),
            revision,
            raft_term,
        }
    }

    /// Finds out who calls, makes the call on its behalf, and counts how it ended.
    pub(super) async fn admitted<T, F>(
        &self,
        method: Method,
        credentials: &Credentials,
        call: impl FnOnce(Principal) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut who = None;
        let answer = self
            .counted(method, async {
                let caller = self.door.identify(credentials).await?;
                if let Principal::User { name, .. } = &caller {
                    who = Some(Arc::clone(name));
                }
                self.throttle.admit(&caller).map_err(status::rejected)?;
                call(caller).await
            })
            .await;
        self.audit.ended(method, who.as_deref(), answer.as_ref().err());
        answer
    }

    pub(super) async fn counted<T>(
        &self,
        method: Method,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let answer = call.await;
        self.door.metrics().requests.answered(method, code(&answer));
        answer
    }
}

fn code<T>(answer: &Result<T, Status>) -> Code {
    answer.as_ref().err().map_or(Code::Ok, Status::code)
}

/// What the protocol has room for.
const fn folded(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

/// etcd limits what goes into its log; reads may be larger.
fn within_limit(message: &impl Message) -> Result<(), Status> {
    if message.encoded_len() > REQUEST_BYTES_MAX {
        return Err(status::rejected(Rejection::RequestTooLarge));
    }
    Ok(())
}
