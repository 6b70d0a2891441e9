//! Between etcd's messages and the keyspace's types.
//!
//! What a message leaves open (an operation of no kind, an enum number nobody defined) is refused
//! here, so that a command in the log always means something.

use althing_etcd_api::etcdserverpb as pb;
use althing_etcd_api::mvccpb;
use althing_keyspace::{
    Compare, CompareResult, CompareTarget, DeleteRange, DeleteRangeReply, KeyValue, Operation,
    OperationReply, Put, PutReply, Range, RangeReply, Rejection, SortOrder, SortTarget, Txn,
    TxnReply,
};
use bytes::Bytes;
use pb::compare::TargetUnion;
use pb::request_op::Request;
use pb::response_op::Response;

/// Why a message cannot be turned into a request of the keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The keyspace has a word for it.
    Rejected(Rejection),
    /// A comparison's result or target has a number that means nothing. etcd takes such a
    /// comparison to hold, which nobody can have meant.
    UnknownCompare,
}

/// The read that a message asks for.
///
/// # Errors
/// The sort order or the sort target is none that there is.
pub(super) fn range(message: pb::RangeRequest) -> Result<Range, Refusal> {
    use pb::range_request::{SortOrder as Order, SortTarget as Target};
    let sort_order = match Order::try_from(message.sort_order) {
        Ok(Order::None) => SortOrder::None,
        Ok(Order::Ascend) => SortOrder::Ascend,
        Ok(Order::Descend) => SortOrder::Descend,
        Err(_) => return Err(Refusal::Rejected(Rejection::InvalidSortOption)),
    };
    let sort_target = match Target::try_from(message.sort_target) {
        Ok(Target::Key) => SortTarget::Key,
        Ok(Target::Version) => SortTarget::Version,
        Ok(Target::Create) => SortTarget::CreateRevision,
        Ok(Target::Mod) => SortTarget::ModRevision,
        Ok(Target::Value) => SortTarget::Value,
        Err(_) => return Err(Refusal::Rejected(Rejection::InvalidSortOption)),
    };
    Ok(Range {
        key: message.key.as_ref().into(),
        range_end: message.range_end.as_ref().into(),
        limit: message.limit,
        revision: message.revision,
        sort_order,
        sort_target,
        serializable: message.serializable,
        keys_only: message.keys_only,
        count_only: message.count_only,
        min_mod_revision: message.min_mod_revision,
        max_mod_revision: message.max_mod_revision,
        min_create_revision: message.min_create_revision,
        max_create_revision: message.max_create_revision,
    })
}

/// The write that a message asks for.
pub(super) fn put(message: pb::PutRequest) -> Put {
    Put {
        key: message.key.as_ref().into(),
        value: message.value.as_ref().into(),
        lease: message.lease,
        ignore_value: message.ignore_value,
        ignore_lease: message.ignore_lease,
        prev_kv: message.prev_kv,
    }
}

/// The deletion that a message asks for.
pub(super) fn delete_range(message: pb::DeleteRangeRequest) -> DeleteRange {
    DeleteRange {
        key: message.key.as_ref().into(),
        range_end: message.range_end.as_ref().into(),
        prev_kv: message.prev_kv,
    }
}

/// The transaction that a message asks for.
///
/// # Errors
/// What it holds at any depth is refused: an operation of no kind, a comparison or a sort order that
/// nobody defined.
pub(super) fn txn(message: pb::TxnRequest) -> Result<Txn, Refusal> {
    Ok(Txn {
        compare: message.compare.into_iter().map(compare).collect::<Result<_, _>>()?,
        success: message.success.into_iter().map(operation).collect::<Result<_, _>>()?,
        failure: message.failure.into_iter().map(operation).collect::<Result<_, _>>()?,
    })
}

fn operation(message: pb::RequestOp) -> Result<Operation, Refusal> {
    // etcd's words for an operation of no kind, odd as they are.
    match message.request.ok_or(Refusal::Rejected(Rejection::KeyNotFound))? {
        Request::RequestRange(message) => range(message).map(Operation::Range),
        Request::RequestPut(message) => Ok(Operation::Put(put(message))),
        Request::RequestDeleteRange(message) => Ok(Operation::DeleteRange(delete_range(message))),
        Request::RequestTxn(message) => txn(message).map(Operation::Txn),
    }
}

fn compare(message: pb::Compare) -> Result<Compare, Refusal> {
    use pb::compare::{CompareResult as Relation, CompareTarget as Target};
    let result = match Relation::try_from(message.result) {
        Ok(Relation::Equal) => CompareResult::Equal,
        Ok(Relation::Greater) => CompareResult::Greater,
        Ok(Relation::Less) => CompareResult::Less,
        Ok(Relation::NotEqual) => CompareResult::NotEqual,
        Err(_) => return Err(Refusal::UnknownCompare),
    };
    // The target decides, as in etcd: an operand for another one counts as not given, and one that
    // isn't given is zero or empty.
    let given = message.target_union;
    let target = match (Target::try_from(message.target), given) {
        (Ok(Target::Version), Some(TargetUnion::Version(given))) => CompareTarget::Version(given),
        (Ok(Target::Version), _) => CompareTarget::Version(0),
        (Ok(Target::Create), Some(TargetUnion::CreateRevision(given))) => {
            CompareTarget::CreateRevision(given)
        }
        (Ok(Target::Create), _) => CompareTarget::CreateRevision(0),
        (Ok(Target::Mod), Some(TargetUnion::ModRevision(given))) => {
            CompareTarget::ModRevision(given)
        }
        (Ok(Target::Mod), _) => CompareTarget::ModRevision(0),
        (Ok(Target::Value), Some(TargetUnion::Value(given))) => {
            CompareTarget::Value(given.as_ref().into())
        }
        (Ok(Target::Value), _) => CompareTarget::Value(Default::default()),
        (Ok(Target::Lease), Some(TargetUnion::Lease(given))) => CompareTarget::Lease(given),
        (Ok(Target::Lease), _) => CompareTarget::Lease(0),
        (Err(_), _) => return Err(Refusal::UnknownCompare),
    };
    Ok(Compare {
        key: message.key.as_ref().into(),
        range_end: message.range_end.as_ref().into(),
        result,
        target,
    })
}

/// What a read found, under `header`.
pub(super) fn range_response(reply: RangeReply, header: pb::ResponseHeader) -> pb::RangeResponse {
    pb::RangeResponse {
        header: Some(header),
        kvs: key_values(reply.kvs),
        more: reply.more,
        count: reply.count,
    }
}

/// What a write did, under `header`.
pub(super) fn put_response(reply: PutReply, header: pb::ResponseHeader) -> pb::PutResponse {
    pb::PutResponse { header: Some(header), prev_kv: reply.previous.map(key_value) }
}

/// What a deletion did, under `header`.
pub(super) fn delete_range_response(
    reply: DeleteRangeReply,
    header: pb::ResponseHeader,
) -> pb::DeleteRangeResponse {
    pb::DeleteRangeResponse {
        header: Some(header),
        deleted: reply.deleted,
        prev_kvs: key_values(reply.previous),
    }
}

/// What a transaction did, under `header`.
pub(super) fn txn_response(reply: TxnReply, header: pb::ResponseHeader) -> pb::TxnResponse {
    pb::TxnResponse {
        header: Some(header),
        succeeded: reply.succeeded,
        responses: reply.replies.into_iter().map(operation_response).collect(),
    }
}

fn operation_response(reply: OperationReply) -> pb::ResponseOp {
    let response = match reply {
        OperationReply::Range(reply) => {
            let header = revision_only(reply.revision);
            Response::ResponseRange(range_response(reply, header))
        }
        OperationReply::Put(reply) => {
            let header = revision_only(reply.revision);
            Response::ResponsePut(put_response(reply, header))
        }
        OperationReply::DeleteRange(reply) => {
            let header = revision_only(reply.revision);
            Response::ResponseDeleteRange(delete_range_response(reply, header))
        }
        OperationReply::Txn(reply) => {
            let header = revision_only(reply.revision);
            Response::ResponseTxn(txn_response(reply, header))
        }
    };
    pb::ResponseOp { response: Some(response) }
}

/// The header of an answer inside a transaction's: who answered stands in the outer one.
fn revision_only(revision: i64) -> pb::ResponseHeader {
    pb::ResponseHeader { revision, ..pb::ResponseHeader::default() }
}

fn key_values(kvs: Vec<KeyValue>) -> Vec<mvccpb::KeyValue> {
    kvs.into_iter().map(key_value).collect()
}

fn key_value(kv: KeyValue) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        // The store's own bytes, counted and not copied.
        key: Bytes::from_owner(kv.key),
        value: Bytes::from_owner(kv.value),
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        lease: kv.lease,
    }
}
