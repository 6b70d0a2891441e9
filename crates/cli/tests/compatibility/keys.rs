//! KV.

use althing_etcd_api::etcdserverpb as pb;
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::kv_client::KvClient;
use pb::request_op::Request;

use crate::Notes;

fn put(key: &str, value: &str) -> pb::PutRequest {
    pb::PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        ..Default::default()
    }
}

fn range(key: &str, range_end: &str) -> pb::RangeRequest {
    pb::RangeRequest {
        key: key.to_owned().into(),
        range_end: range_end.to_owned().into(),
        ..Default::default()
    }
}

fn operation(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

pub(crate) async fn note(notes: &mut Notes) {
    let mut kv = KvClient::new(notes.channel());
    puts(notes, &mut kv).await;
    ranges(notes, &mut kv).await;
    deletes(notes, &mut kv).await;
    txns(notes, &mut kv).await;
    compactions(notes, &mut kv).await;
}

async fn puts(notes: &mut Notes, kv: &mut KvClient<tonic::transport::Channel>) {
    const CALL: &str = "KV.Put";
    notes.answer(CALL, "a new key", kv.put(put("a", "1")).await);
    let request = pb::PutRequest { prev_kv: true, ..put("a", "2") };
    notes.answer(CALL, "with what was there before", kv.put(request).await);
    notes.answer(CALL, "no key", kv.put(put("", "1")).await);
    let request = pb::PutRequest { ignore_value: true, ..put("a", "") };
    notes.answer(CALL, "keeping the value", kv.put(request).await);
    let request = pb::PutRequest { ignore_value: true, ..put("a", "3") };
    notes.answer(CALL, "keeping the value and giving one", kv.put(request).await);
    let request = pb::PutRequest { ignore_value: true, ..put("absent", "") };
    notes.answer(CALL, "keeping the value of no key", kv.put(request).await);
    let request = pb::PutRequest { ignore_lease: true, lease: 1, ..put("a", "3") };
    notes.answer(CALL, "keeping the lease and giving one", kv.put(request).await);
    let request = pb::PutRequest { lease: 404, ..put("a", "3") };
    notes.answer(CALL, "a lease that is not there", kv.put(request).await);
    let request = put("large", &"x".repeat(1_600_000));
    notes.answer(CALL, "larger than a request may be", kv.put(request).await);
    for key in ["b", "c", "d"] {
        notes.answer(CALL, "some more", kv.put(put(key, key)).await);
    }
}

async fn ranges(notes: &mut Notes, kv: &mut KvClient<tonic::transport::Channel>) {
    use pb::range_request::{SortOrder, SortTarget};
    const CALL: &str = "KV.Range";
    let mut note = async |case, request| notes.answer(CALL, case, kv.range(request).await);
    note("one key", range("a", "")).await;
    note("a key that is not there", range("absent", "")).await;
    note("no key", range("", "")).await;
    note("a range", range("a", "c")).await;
    note("everything from a key on", range("b", "\0")).await;
    note("a range that ends before it begins", range("c", "a")).await;
    note("a limit", pb::RangeRequest { limit: 2, ..range("a", "\0") }).await;
    note("a limit of less than none", pb::RangeRequest { limit: -1, ..range("a", "\0") }).await;
    note("keys only", pb::RangeRequest { keys_only: true, ..range("a", "\0") }).await;
    note("the count only", pb::RangeRequest { count_only: true, ..range("a", "\0") }).await;
    note("the past", pb::RangeRequest { revision: 2, ..range("a", "\0") }).await;
    note("the future", pb::RangeRequest { revision: 1000, ..range("a", "\0") }).await;
    let (sort_order, sort_target) = (SortOrder::Descend.into(), SortTarget::Mod.into());
    note("sorted", pb::RangeRequest { sort_order, sort_target, ..range("a", "\0") }).await;
    note("bounds", pb::RangeRequest { min_mod_revision: 5, ..range("a", "\0") }).await;
    note("serializable", pb::RangeRequest { serializable: true, ..range("a", "") }).await;
}

async fn deletes(notes: &mut Notes, kv: &mut KvClient<tonic::transport::Channel>) {
    const CALL: &str = "KV.DeleteRange";
    let delete = |key: &str, range_end: &str| pb::DeleteRangeRequest {
        key: key.to_owned().into(),
        range_end: range_end.to_owned().into(),
        prev_kv: true,
    };
    let mut note = async |case, request| notes.answer(CALL, case, kv.delete_range(request).await);
    note("a key that is not there", delete("absent", "")).await;
    note("no key", delete("", "")).await;
    note("one key", delete("d", "")).await;
    note("a range", delete("b", "d")).await;
}

async fn txns(notes: &mut Notes, kv: &mut KvClient<tonic::transport::Channel>) {
    const CALL: &str = "KV.Txn";
    let holds = pb::Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Value.into(),
        key: "a".into(),
        target_union: Some(TargetUnion::Value("2".into())),
        ..Default::default()
    };
    let write = |key: &str| operation(Request::RequestPut(put(key, "t")));
    let read = |key: &str| operation(Request::RequestRange(range(key, "")));
    let mut note = async |case, request| notes.answer(CALL, case, kv.txn(request).await);
    let both = pb::TxnRequest {
        compare: vec![holds.clone()],
        success: vec![write("x"), read("x"), read("a")],
        failure: vec![read("a")],
    };
    note("a comparison that holds", both.clone()).await;
    let inner = operation(Request::RequestTxn(both.clone()));
    let nested = pb::TxnRequest { success: vec![inner, read("x")], ..Default::default() };
    note("one within another", nested).await;
    let fails = pb::Compare { result: CompareResult::NotEqual.into(), ..holds };
    note("a comparison that fails", pb::TxnRequest { compare: vec![fails], ..both }).await;
    let twice = pb::TxnRequest { success: vec![write("x"), write("x")], ..Default::default() };
    note("a key written twice", twice).await;
    let many = pb::TxnRequest { success: vec![read("a"); 129], ..Default::default() };
    note("too many operations", many).await;
    let nothing = pb::RequestOp { request: None };
    note(
        "an operation of no kind",
        pb::TxnRequest { success: vec![nothing], ..Default::default() },
    )
    .await;
    note("nothing at all", pb::TxnRequest::default()).await;
    let lost = operation(Request::RequestPut(pb::PutRequest { lease: 404, ..put("x", "") }));
    note("a lease that is not there", pb::TxnRequest { success: vec![lost], ..Default::default() })
        .await;
}

async fn compactions(notes: &mut Notes, kv: &mut KvClient<tonic::transport::Channel>) {
    const CALL: &str = "KV.Compact";
    let mut compact =
        async |revision| kv.compact(pb::CompactionRequest { revision, physical: true }).await;
    let (past, again, future) = (compact(5).await, compact(5).await, compact(1000).await);
    notes.answer(CALL, "the past", past);
    notes.answer(CALL, "the same again", again);
    notes.answer(CALL, "the future", future);
    let request = pb::RangeRequest { revision: 4, ..range("a", "") };
    notes.answer("KV.Range", "what was compacted away", kv.range(request).await);
}
