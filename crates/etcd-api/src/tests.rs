//! The JSON shapes, as etcd's gateway reads and writes them.

use bytes::Bytes;
use serde_json::{Value, from_value, json, to_value};

use crate::authpb::Permission;
use crate::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::etcdserverpb::request_op::Request;
use crate::etcdserverpb::{
    AlarmMember, AlarmType, AuthRoleGetResponse, AuthUserAddRequest, AuthenticateRequest,
    AuthenticateResponse, CompactionRequest, Compare, Member, PutRequest, RangeRequest,
    RangeResponse, RequestOp, ResponseHeader, ResponseOp, StatusResponse, TxnRequest, TxnResponse,
    response_op,
};
use crate::mvccpb::KeyValue;

fn written(message: &impl serde::Serialize) -> Value {
    to_value(message).expect("every message has a JSON form")
}

#[test]
fn answers_are_written_as_the_gateway_writes_them() {
    let header =
        ResponseHeader { cluster_id: u64::MAX, member_id: 7, revision: i64::MAX, raft_term: 2 };
    let pair = KeyValue {
        key: Bytes::from_static(b"foo"),
        value: Bytes::from_static(&[0xff, 0xfe, 0]),
        create_revision: 2,
        mod_revision: 3,
        version: 1,
        lease: 0,
    };
    let answer = RangeResponse { header: Some(header), kvs: vec![pair], more: true, count: 9 };
    assert_eq!(
        written(&answer),
        json!({
            "header": {
                "cluster_id": "18446744073709551615",
                "member_id": "7",
                "revision": "9223372036854775807",
                "raft_term": "2",
            },
            "kvs": [{
                "key": "Zm9v",
                "value": "//4A",
                "create_revision": "2",
                "mod_revision": "3",
                "version": "1",
            }],
            "more": true,
            "count": "9",
        })
    );
}

#[test]
fn defaults_are_left_out_and_a_chosen_alternative_is_not() {
    assert_eq!(written(&RangeResponse::default()), json!({}));
    assert_eq!(written(&Compare::default()), json!({}));
    let compare =
        Compare { target_union: Some(TargetUnion::CreateRevision(0)), ..Compare::default() };
    assert_eq!(written(&compare), json!({ "create_revision": "0" }));
    let answer = TxnResponse {
        responses: vec![ResponseOp {
            response: Some(response_op::Response::ResponseRange(RangeResponse::default())),
        }],
        ..TxnResponse::default()
    };
    assert_eq!(written(&answer), json!({ "responses": [{ "response_range": {} }] }));
}

#[test]
fn names_keep_the_capitals_of_the_protocol_file() {
    let member = Member {
        id: 5,
        name: "a".to_owned(),
        peer_ur_ls: vec!["http://p".to_owned()],
        client_ur_ls: vec!["http://c".to_owned()],
        is_learner: true,
    };
    assert_eq!(
        written(&member),
        json!({
            "ID": "5",
            "name": "a",
            "peerURLs": ["http://p"],
            "clientURLs": ["http://c"],
            "isLearner": true,
        })
    );
    let status =
        StatusResponse { db_size: 1, raft_applied_index: 2, raft_term: 3, ..Default::default() };
    assert_eq!(
        written(&status),
        json!({ "dbSize": "1", "raftAppliedIndex": "2", "raftTerm": "3" })
    );
}

#[test]
fn integers_are_read_from_strings_and_from_numbers() {
    for revision in [json!("42"), json!(42)] {
        let request: CompactionRequest =
            from_value(json!({ "revision": revision })).expect("both forms are legal");
        assert_eq!(request, CompactionRequest { revision: 42, physical: false });
    }
    assert!(from_value::<CompactionRequest>(json!({ "revision": "many" })).is_err());
    assert!(from_value::<CompactionRequest>(json!({ "revision": "9223372036854775808" })).is_err());
}

#[test]
fn both_spellings_of_a_name_are_read() {
    let wanted = RangeRequest {
        key: Bytes::from_static(b"a"),
        range_end: Bytes::from_static(b"\0"),
        count_only: true,
        ..RangeRequest::default()
    };
    for request in [
        json!({ "key": "YQ==", "range_end": "AA==", "count_only": true }),
        json!({ "key": "YQ==", "rangeEnd": "AA==", "countOnly": true }),
    ] {
        assert_eq!(from_value::<RangeRequest>(request).expect("both are legal"), wanted);
    }
}

#[test]
fn enums_are_read_from_names_and_from_numbers_and_written_as_names() {
    for target in [json!("CREATE"), json!(1)] {
        let compare: Compare = from_value(json!({
            "result": "NOT_EQUAL", "target": target, "key": "YQ==", "create_revision": "0",
        }))
        .expect("both forms are legal");
        assert_eq!(compare.target(), CompareTarget::Create);
        assert_eq!(compare.result(), CompareResult::NotEqual);
        assert_eq!(compare.target_union, Some(TargetUnion::CreateRevision(0)));
    }
    assert!(from_value::<Compare>(json!({ "target": "COLOUR" })).is_err());
    let alarm = AlarmMember { member_id: 1, alarm: AlarmType::Nospace.into() };
    assert_eq!(written(&alarm), json!({ "memberID": "1", "alarm": "NOSPACE" }));
}

#[test]
fn a_transaction_is_read_with_nested_operations() {
    let request: TxnRequest = from_value(json!({
        "compare": [{ "target": "VALUE", "key": "YQ==", "value": "Yg==" }],
        "success": [
            { "requestPut": { "key": "YQ==", "value": "Yw==", "prevKv": true } },
            { "request_txn": { "failure": [{ "request_range": { "key": "YQ==" } }] } },
        ],
    }))
    .expect("a legal transaction");
    let put = PutRequest {
        key: Bytes::from_static(b"a"),
        value: Bytes::from_static(b"c"),
        prev_kv: true,
        ..PutRequest::default()
    };
    assert_eq!(request.success[0], RequestOp { request: Some(Request::RequestPut(put)) });
    let Some(Request::RequestTxn(inner)) = &request.success[1].request else {
        panic!("the second operation is a transaction: {request:?}");
    };
    assert_eq!(inner.failure.len(), 1);
}

#[test]
fn base64_is_read_in_both_alphabets_and_without_padding() {
    for key in ["//4A", "__4A"] {
        let request: PutRequest = from_value(json!({ "key": key })).expect("legal base64");
        assert_eq!(&request.key[..], [0xff, 0xfe, 0]);
    }
    let request: PutRequest = from_value(json!({ "key": "YQ" })).expect("padding may be missing");
    assert_eq!(&request.key[..], b"a");
    assert!(from_value::<PutRequest>(json!({ "key": "not base64!" })).is_err());
}

#[test]
fn an_unknown_name_is_passed_over() {
    let request: PutRequest =
        from_value(json!({ "key": "YQ==", "colour": { "of": ["the", "sky"] } }))
            .expect("etcd's gateway reads this too");
    assert_eq!(&request.key[..], b"a");
}

#[test]
fn the_first_kind_of_a_right_is_left_out_as_other_defaults() {
    let right = |perm_type| Permission { perm_type, key: "a".into(), range_end: "b".into() };
    let answer = AuthRoleGetResponse { header: None, perm: vec![right(0), right(2)] };
    assert_eq!(
        written(&answer),
        json!({ "perm": [
            { "key": "YQ==", "range_end": "Yg==" },
            { "permType": "READWRITE", "key": "YQ==", "range_end": "Yg==" },
        ] })
    );
}

#[test]
fn what_is_secret_is_not_shown() {
    let (name, password) = ("ann".to_owned(), "open sesame".to_owned());
    let asked = AuthenticateRequest { name: name.clone(), password: password.clone() };
    let added = AuthUserAddRequest { name, password, ..Default::default() };
    let answer = AuthenticateResponse { header: None, token: "open sesame".to_owned() };
    let shown = format!("{asked:?} {added:?} {answer:?}");
    assert!(shown.contains("ann") && !shown.contains("sesame"), "{shown}");
}
