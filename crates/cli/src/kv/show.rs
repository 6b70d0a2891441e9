//! Answers about keys, in each of the output's shapes.

use althing_etcd_api::etcdserverpb::response_op::Response;
use althing_etcd_api::etcdserverpb::{
    DeleteRangeResponse, PutResponse, RangeResponse, ResponseHeader, TxnResponse,
};
use althing_etcd_api::mvccpb::KeyValue;
use serde_json::{Value, json};

use crate::lease;
use crate::output::{self, json_bytes, printable_cut};

/// Columns of a value in a table; `-o raw` shows all of it.
pub(crate) const VALUE_COLUMNS_MAX: usize = 60;
/// Columns of a key in a table.
pub(crate) const KEY_COLUMNS_MAX: usize = 80;

/// The store's revision at the time of the answer.
pub(crate) fn revision(header: Option<&ResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}

/// One pair as JSON.
pub(crate) fn pair_json(pair: &KeyValue) -> Value {
    json!({
        "key": json_bytes(&pair.key),
        "value": json_bytes(&pair.value),
        "create_revision": pair.create_revision,
        "mod_revision": pair.mod_revision,
        "version": pair.version,
        "lease": lease::id::json(pair.lease),
    })
}

/// Pairs as a table; without their values where those were not asked for.
pub(crate) fn pairs_table(pairs: &[KeyValue], keys_only: bool) -> String {
    let headings = ["key", "value", "revision", "version"];
    let mut table = if keys_only {
        output::table(&[headings[0], headings[2], headings[3]])
    } else {
        output::table(&headings)
    };
    for pair in pairs {
        let mut row = vec![printable_cut(&pair.key, KEY_COLUMNS_MAX)];
        if !keys_only {
            row.push(printable_cut(&pair.value, VALUE_COLUMNS_MAX));
        }
        row.extend([pair.mod_revision.to_string(), pair.version.to_string()]);
        table.add_row(row);
    }
    output::table_text(&table)
}

/// Pairs as bytes: a line each with a tab between key and value, nothing escaped.
pub(crate) fn pairs_raw(pairs: &[KeyValue], keys_only: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for pair in pairs {
        out.extend_from_slice(&pair.key);
        if !keys_only {
            out.push(b'\t');
            out.extend_from_slice(&pair.value);
        }
        out.push(b'\n');
    }
    out
}

/// The answer to a read as JSON.
pub(crate) fn range_json(response: &RangeResponse) -> Value {
    json!({
        "revision": revision(response.header.as_ref()),
        "count": response.count,
        "more": response.more,
        "kvs": response.kvs.iter().map(pair_json).collect::<Vec<_>>(),
    })
}

/// The answer to a write as JSON.
pub(crate) fn put_json(response: &PutResponse) -> Value {
    json!({
        "revision": revision(response.header.as_ref()),
        "prev_kv": response.prev_kv.as_ref().map(pair_json),
    })
}

/// The answer to a deletion as JSON.
pub(crate) fn delete_json(response: &DeleteRangeResponse) -> Value {
    json!({
        "revision": revision(response.header.as_ref()),
        "deleted": response.deleted,
        "prev_kvs": response.prev_kvs.iter().map(pair_json).collect::<Vec<_>>(),
    })
}

/// The answer to a transaction as JSON.
pub(crate) fn txn_json(response: &TxnResponse) -> Value {
    let responses = response.responses.iter().filter_map(|one| one.response.as_ref());
    let responses = responses.map(|response| match response {
        Response::ResponseRange(range) => json!({ "get": range_json(range) }),
        Response::ResponsePut(put) => json!({ "put": put_json(put) }),
        Response::ResponseDeleteRange(delete) => json!({ "delete": delete_json(delete) }),
        Response::ResponseTxn(txn) => json!({ "txn": txn_json(txn) }),
    });
    json!({
        "revision": revision(response.header.as_ref()),
        "succeeded": response.succeeded,
        "responses": responses.collect::<Vec<_>>(),
    })
}

/// The answer to a transaction as lines: which branch was taken, then each operation's answer.
pub(crate) fn txn_text(response: &TxnResponse, is_table: bool) -> Vec<u8> {
    let branch = if response.succeeded { "SUCCESS" } else { "FAILURE" };
    let mut out = format!("{branch}\n").into_bytes();
    for response in response.responses.iter().filter_map(|one| one.response.as_ref()) {
        match response {
            Response::ResponseRange(range) if is_table => {
                out.extend(pairs_table(&range.kvs, false).into_bytes());
            }
            Response::ResponseRange(range) => out.extend(pairs_raw(&range.kvs, false)),
            Response::ResponsePut(_) => out.extend(b"OK\n"),
            Response::ResponseDeleteRange(delete) => {
                out.extend(format!("{}\n", delete.deleted).into_bytes());
            }
            Response::ResponseTxn(txn) => out.extend(txn_text(txn, is_table)),
        }
    }
    out
}
