//! Between etcd's messages and the keyspace's types.
//!
//! What a message leaves open (an operation of no kind, an enum number nobody defined) is refused
//! here, so that a command in the log always means something.

use althing_etcd_api::etcdserverpb as pb;
use althing_etcd_api::mvccpb;
use althing_keyspace::{
    Compare, CompareResult, CompareTarget, DeleteRange, DeleteRangeReply, Event, Key, KeyValue,
    Operation, OperationReply, Put, PutReply, Range, RangeReply, Rejection, SortOrder, SortTarget,
    Txn, TxnReply,
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
/// What it holds at any depth is refused: an operation of no kind, a comparison or a sort order
/// that nobody defined.
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

/// What happened to a key.
pub(super) fn event(event: Event) -> mvccpb::Event {
    use mvccpb::event::EventType;
    let kind = if event.is_delete { EventType::Delete } else { EventType::Put };
    mvccpb::Event {
        r#type: kind.into(),
        kv: Some(key_value(event.kv)),
        prev_kv: event.previous.map(key_value),
    }
}

/// A key, counted and not copied.
pub(super) fn bytes(key: &Key) -> Bytes {
    Bytes::from_owner(key.clone())
}

pub(super) fn key_value(kv: KeyValue) -> mvccpb::KeyValue {
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

#[cfg(test)]
mod tests {
    use pb::compare::{CompareResult as Relation, CompareTarget as Target};

    use super::*;

    fn compare_message(target: i32, operand: Option<TargetUnion>) -> pb::Compare {
        pb::Compare {
            result: Relation::Greater.into(),
            target,
            key: "a".into(),
            target_union: operand,
            range_end: "b".into(),
        }
    }

    #[test]
    fn every_field_of_a_read_arrives() {
        let message = pb::RangeRequest {
            key: "a".into(),
            range_end: "b".into(),
            limit: 1,
            revision: 2,
            sort_order: 2,
            sort_target: 3,
            serializable: true,
            keys_only: true,
            count_only: true,
            min_mod_revision: 3,
            max_mod_revision: 4,
            min_create_revision: 5,
            max_create_revision: 6,
        };
        let wanted = Range {
            key: "a".into(),
            range_end: "b".into(),
            limit: 1,
            revision: 2,
            sort_order: SortOrder::Descend,
            sort_target: SortTarget::ModRevision,
            serializable: true,
            keys_only: true,
            count_only: true,
            min_mod_revision: 3,
            max_mod_revision: 4,
            min_create_revision: 5,
            max_create_revision: 6,
        };
        assert_eq!(range(message), Ok(wanted));
    }

    #[test]
    fn every_field_of_a_write_and_of_a_deletion_arrives() {
        let message = pb::PutRequest {
            key: "a".into(),
            value: "b".into(),
            lease: 1,
            prev_kv: true,
            ignore_value: true,
            ignore_lease: true,
        };
        let wanted = Put {
            key: "a".into(),
            value: "b".into(),
            lease: 1,
            ignore_value: true,
            ignore_lease: true,
            prev_kv: true,
        };
        assert_eq!(put(message), wanted);
        let message =
            pb::DeleteRangeRequest { key: "a".into(), range_end: "b".into(), prev_kv: true };
        let wanted = DeleteRange { key: "a".into(), range_end: "b".into(), prev_kv: true };
        assert_eq!(delete_range(message), wanted);
    }

    #[test]
    fn the_target_of_a_comparison_decides_what_its_operand_is() {
        let cases = [
            (Target::Version, TargetUnion::Version(7), CompareTarget::Version(7)),
            (Target::Create, TargetUnion::CreateRevision(7), CompareTarget::CreateRevision(7)),
            (Target::Mod, TargetUnion::ModRevision(7), CompareTarget::ModRevision(7)),
            (Target::Value, TargetUnion::Value("v".into()), CompareTarget::Value("v".into())),
            (Target::Lease, TargetUnion::Lease(7), CompareTarget::Lease(7)),
            // An operand for another target counts as not given.
            (Target::Version, TargetUnion::Lease(7), CompareTarget::Version(0)),
            (Target::Value, TargetUnion::Version(7), CompareTarget::Value("".into())),
        ];
        for (target, operand, wanted) in cases {
            let message = compare_message(target.into(), Some(operand));
            let found = compare(message).expect("a legal comparison");
            assert_eq!(found.target, wanted);
            assert_eq!(found.result, CompareResult::Greater);
            assert_eq!((found.key.as_bytes(), found.range_end.as_bytes()), (&b"a"[..], &b"b"[..]));
        }
        let nothing_given = compare(compare_message(Target::Mod.into(), None));
        assert_eq!(nothing_given.map(|it| it.target), Ok(CompareTarget::ModRevision(0)));
    }

    #[test]
    fn what_means_nothing_is_refused_at_any_depth() {
        let unsorted = |sort_order, sort_target| pb::RangeRequest {
            sort_order,
            sort_target,
            ..pb::RangeRequest::default()
        };
        let invalid_sort = Refusal::Rejected(Rejection::InvalidSortOption);
        assert_eq!(range(unsorted(3, 0)), Err(invalid_sort));
        assert_eq!(range(unsorted(0, -1)), Err(invalid_sort));
        assert_eq!(compare(compare_message(5, None)), Err(Refusal::UnknownCompare));

        let inside = |operation: pb::RequestOp| {
            let inner = pb::TxnRequest { failure: vec![operation], ..Default::default() };
            let request = Some(Request::RequestTxn(inner));
            txn(pb::TxnRequest { success: vec![pb::RequestOp { request }], ..Default::default() })
        };
        let nothing = pb::RequestOp { request: None };
        assert_eq!(inside(nothing), Err(Refusal::Rejected(Rejection::KeyNotFound)));
        let request = Some(Request::RequestRange(unsorted(9, 0)));
        assert_eq!(inside(pb::RequestOp { request }), Err(invalid_sort));
    }

    #[test]
    fn a_transaction_is_answered_operation_by_operation() {
        let kv = KeyValue {
            key: "a".into(),
            create_revision: 2,
            mod_revision: 3,
            version: 2,
            value: "v".into(),
            lease: 4,
        };
        let found = RangeReply { revision: 5, kvs: vec![kv.clone()], more: true, count: 9 };
        let deleted = DeleteRangeReply { revision: 5, deleted: 1, previous: vec![kv.clone()] };
        let reply = TxnReply {
            revision: 5,
            succeeded: true,
            replies: vec![
                OperationReply::Range(found),
                OperationReply::Put(PutReply { revision: 5, previous: Some(kv) }),
                OperationReply::DeleteRange(deleted),
                OperationReply::Txn(TxnReply::default()),
            ],
        };
        let header = pb::ResponseHeader { cluster_id: 1, member_id: 2, revision: 5, raft_term: 3 };
        let answer = txn_response(reply, header);
        assert_eq!((answer.header, answer.succeeded), (Some(header), true));

        let pair = mvccpb::KeyValue {
            key: "a".into(),
            create_revision: 2,
            mod_revision: 3,
            version: 2,
            value: "v".into(),
            lease: 4,
        };
        let inner = Some(revision_only(5));
        let wanted = [
            Response::ResponseRange(pb::RangeResponse {
                header: inner,
                kvs: vec![pair.clone()],
                more: true,
                count: 9,
            }),
            Response::ResponsePut(pb::PutResponse { header: inner, prev_kv: Some(pair.clone()) }),
            Response::ResponseDeleteRange(pb::DeleteRangeResponse {
                header: inner,
                deleted: 1,
                prev_kvs: vec![pair],
            }),
            Response::ResponseTxn(pb::TxnResponse {
                header: Some(pb::ResponseHeader::default()),
                succeeded: false,
                responses: Vec::new(),
            }),
        ];
        let found: Vec<_> = answer.responses.into_iter().filter_map(|it| it.response).collect();
        assert_eq!(found, wanted);
    }
}
