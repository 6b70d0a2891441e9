//! The calls of the client API, whichever way they came in: gRPC and the JSON gateway both end
//! here.

use std::future::Future;
use std::sync::Arc;

use althing_core::NodeId;
use althing_etcd_api::etcdserverpb as pb;
use althing_keyspace::{
    Command, HashOfKeys, Range, RangeReply, Rejection, Reply, Snapshot, Txn, TxnReply, validate,
    validate_range, validate_txn,
};
use prost::Message;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use super::{Limits, REQUEST_BYTES_MAX, VERSION_OF_ETCD, convert, status};
use crate::handle::{Applied, Handle};
use crate::metrics::Method;

/// Reads of ranges leave the runtime's thread when the keyspace holds more keys than this: so many
/// are read in less time than it takes to move the work.
const KEYS_READ_IN_PLACE: usize = 1000;

/// How many reads may run beside the runtime at once; others wait their turn.
const READS_BESIDE: usize = 4;

/// With less space than this left, a write of common size is refused, so the store counts as full.
const SPACE_OF_A_WRITE: u64 = 1024;

/// The calls of the client API. A clone is the same API.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) handle: Handle,
    pub(super) limits: Arc<Limits>,
    reads_beside: Arc<Semaphore>,
}

impl Api {
    pub(super) fn new(handle: Handle, limits: &Limits) -> Self {
        let limits = Arc::new(limits.clone());
        Self { handle, limits, reads_beside: Arc::new(Semaphore::new(READS_BESIDE)) }
    }

    pub(super) async fn range(
        &self,
        message: pb::RangeRequest,
    ) -> Result<pb::RangeResponse, Status> {
        self.counted(Method::Range, async {
            let range = convert::range(message).map_err(status::refused)?;
            validate_range(&range).map_err(status::rejected)?;
            if !range.serializable {
                self.handle.linearizable().await.map_err(status::failed)?;
            }
            let reply = self.read(range).await?;
            let header = self.header(reply.revision, self.handle.term());
            Ok(convert::range_response(reply, header))
        })
        .await
    }

    pub(super) async fn put(&self, message: pb::PutRequest) -> Result<pb::PutResponse, Status> {
        self.counted(Method::Put, async {
            within_limit(&message)?;
            let applied = self.propose(Command::Put(convert::put(message))).await?;
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
        message: pb::DeleteRangeRequest,
    ) -> Result<pb::DeleteRangeResponse, Status> {
        self.counted(Method::DeleteRange, async {
            within_limit(&message)?;
            let applied =
                self.propose(Command::DeleteRange(convert::delete_range(message))).await?;
            let Reply::DeleteRange(reply) = applied.reply else {
                unreachable!("a deletion is answered with what a deletion did");
            };
            let header = self.header(reply.revision, applied.term);
            Ok(convert::delete_range_response(reply, header))
        })
        .await
    }

    pub(super) async fn txn(&self, message: pb::TxnRequest) -> Result<pb::TxnResponse, Status> {
        self.counted(Method::Txn, async {
            within_limit(&message)?;
            let txn = convert::txn(message).map_err(status::refused)?;
            let (reply, term) = if txn.is_read_only() {
                (self.read_txn(txn).await?, self.handle.term())
            } else {
                let applied = self.propose(Command::Txn(txn)).await?;
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
        message: pb::CompactionRequest,
    ) -> Result<pb::CompactionResponse, Status> {
        self.counted(Method::Compact, async {
            let revision = message.revision;
            let applied = self.propose(Command::Compact { revision }).await?;
            let Reply::Compact { revision } = applied.reply else {
                unreachable!("a compaction is answered with what a compaction did");
            };
            Ok(pb::CompactionResponse { header: Some(self.header(revision, applied.term)) })
        })
        .await
    }

    pub(super) async fn member_list(
        &self,
        message: pb::MemberListRequest,
    ) -> Result<pb::MemberListResponse, Status> {
        self.counted(Method::MemberList, async {
            if message.linearizable {
                self.handle.linearizable().await.map_err(status::failed)?;
            }
            let status = self.handle.status();
            let members = status.members.into_iter().map(|member| pb::Member {
                id: member.id.number(),
                name: member.name,
                peer_ur_ls: member.peer_urls,
                client_ur_ls: member.client_urls,
                is_learner: false,
            });
            let members = members.collect();
            // etcd leaves the revision out here: it says nothing about members.
            Ok(pb::MemberListResponse { header: Some(self.header(0, status.term)), members })
        })
        .await
    }

    pub(super) async fn status(&self, _: pb::StatusRequest) -> Result<pb::StatusResponse, Status> {
        self.counted(Method::Status, async {
            let status = self.handle.status();
            let mut errors = Vec::new();
            errors.extend(status.storage_failed);
            if status.leader.is_none() {
                errors.push("etcdserver: no leader".to_owned());
            }
            if self.is_out_of_space() {
                errors.push(format!("memberID:{} alarm:NOSPACE ", self.handle.node().number()));
            }
            let revision = self.handle.keyspace().revision();
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
                is_learner: false,
            })
        })
        .await
    }

    /// Lists alarms. The one there can be, for lack of space, comes and goes by itself.
    pub(super) async fn alarm(
        &self,
        message: pb::AlarmRequest,
    ) -> Result<pb::AlarmResponse, Status> {
        self.counted(Method::Alarm, async {
            if message.action() != pb::alarm_request::AlarmAction::Get {
                return Err(Status::unimplemented(
                    "althing raises and clears the alarm for space by itself; \
                     compact the history or raise the quota",
                ));
            }
            let asked = [pb::AlarmType::None, pb::AlarmType::Nospace].contains(&message.alarm())
                && [0, self.handle.node().number()].contains(&message.member_id);
            let alarms = if asked && self.is_out_of_space() {
                let alarm = pb::AlarmType::Nospace.into();
                vec![pb::AlarmMember { member_id: self.handle.node().number(), alarm }]
            } else {
                Vec::new()
            };
            let revision = self.handle.keyspace().revision();
            Ok(pb::AlarmResponse {
                header: Some(self.header(revision, self.handle.term())),
                alarms,
            })
        })
        .await
    }

    /// Keys are kept in memory and there is no file that could have holes: what compaction left is
    /// given back as time goes by, and there is nothing to wait for.
    pub(super) async fn defragment(
        &self,
        _: pb::DefragmentRequest,
    ) -> Result<pb::DefragmentResponse, Status> {
        self.counted(Method::Defragment, async {
            let revision = self.handle.keyspace().revision();
            let header = Some(self.header(revision, self.handle.term()));
            Ok(pb::DefragmentResponse { header })
        })
        .await
    }

    /// The hash of everything that this node holds, the place in the log included: only nodes that
    /// have come equally far have the same.
    pub(super) async fn hash(&self, _: pb::HashRequest) -> Result<pb::HashResponse, Status> {
        self.counted(Method::Hash, async {
            let (revision, hash) =
                self.beside(|snapshot| Ok((snapshot.revision(), snapshot.hash()))).await?;
            let header = Some(self.header(revision, self.handle.term()));
            Ok(pb::HashResponse { header, hash: folded(hash) })
        })
        .await
    }

    /// The hash of the keys up to a revision, the same on every node that has come that far and was
    /// compacted as far.
    pub(super) async fn hash_kv(
        &self,
        message: pb::HashKvRequest,
    ) -> Result<pb::HashKvResponse, Status> {
        self.counted(Method::HashKv, async {
            let (present, hash) = self
                .beside(move |snapshot| {
                    Ok((snapshot.revision(), snapshot.hash_of_keys(message.revision)?))
                })
                .await?;
            let header = Some(self.header(present, self.handle.term()));
            let HashOfKeys { hash, compacted } = hash;
            Ok(pb::HashKvResponse { header, hash: folded(hash), compact_revision: compacted })
        })
        .await
    }

    /// Whether writes are refused for lack of space.
    pub(super) fn is_out_of_space(&self) -> bool {
        let status = self.handle.status();
        status.database_bytes.saturating_add(SPACE_OF_A_WRITE) > status.quota_bytes
    }

    pub(super) async fn propose(&self, command: Command) -> Result<Applied, Status> {
        validate(&command).map_err(status::rejected)?;
        self.handle.propose(&command).await.map_err(status::failed)
    }

    pub(super) async fn read(&self, range: Range) -> Result<RangeReply, Status> {
        if range.range_end.is_empty() || self.is_small() {
            return self.handle.keyspace().range(&range).map_err(status::rejected);
        }
        self.beside(move |snapshot| snapshot.range(&range)).await
    }

    async fn read_txn(&self, txn: Txn) -> Result<TxnReply, Status> {
        validate_txn(&txn).map_err(status::rejected)?;
        // One that reads nothing still compares, and nobody said that it may compare with the past.
        let reads_nothing = txn.success.is_empty() && txn.failure.is_empty();
        if reads_nothing || !txn.is_serializable() {
            self.handle.linearizable().await.map_err(status::failed)?;
        }
        if self.is_small() {
            return self.handle.keyspace().read_txn(&txn).map_err(status::rejected);
        }
        self.beside(move |snapshot| snapshot.read_txn(&txn)).await
    }

    /// Whether any read is over in no time.
    fn is_small(&self) -> bool {
        self.handle.keyspace().key_count() <= KEYS_READ_IN_PLACE
    }

    /// Reads the keyspace as it is now, on a thread where that may take its time; writes go on.
    async fn beside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Snapshot) -> Result<T, Rejection> + Send + 'static,
    ) -> Result<T, Status> {
        let Ok(_turn) = self.reads_beside.acquire().await else {
            unreachable!("the semaphore is never closed");
        };
        let snapshot = self.handle.keyspace().snapshot();
        match tokio::task::spawn_blocking(move || read(&snapshot)).await {
            Ok(reply) => reply.map_err(status::rejected),
            Err(_) => Err(Status::unavailable("etcdserver: server stopped")),
        }
    }

    pub(super) fn header(&self, revision: i64, raft_term: u64) -> pb::ResponseHeader {
        pb::ResponseHeader {
            cluster_id: self.handle.cluster().0,
            member_id: self.handle.node().number(),
            revision,
            raft_term,
        }
    }

    pub(super) async fn counted<T>(
        &self,
        method: Method,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let answer = call.await;
        let code = answer.as_ref().err().map_or(Code::Ok, Status::code);
        self.handle.metrics().requests.answered(method, code);
        answer
    }
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
