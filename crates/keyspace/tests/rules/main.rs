//! The rules one by one. What is expected here was compared with etcd 3.4.23, request by request.

mod alarms;
mod hashes;
mod leases;
mod ranges;
mod refounding;
mod requests;
mod revisions;
mod rights;
mod txns;
mod users;
mod watches;

use althing_keyspace::{
    Command, Compare, CompareResult, CompareTarget, DeleteRange, KeyValue, Keyspace, Operation,
    Put, Range, Rejection, Reply, Txn, TxnReply,
};

fn apply(keyspace: &mut Keyspace, command: Command) -> Result<Reply, Rejection> {
    let mut bytes = Vec::new();
    command.encode(&mut bytes);
    keyspace.apply(keyspace.applied().next(), &bytes)
}

fn put(key: &str, value: &str) -> Put {
    Put::new(key, value)
}

fn write(keyspace: &mut Keyspace, key: &str, value: &str) -> i64 {
    match apply(keyspace, Command::Put(put(key, value))) {
        Ok(Reply::Put(reply)) => reply.revision,
        other => panic!("a plain put was answered with {other:?}"),
    }
}

fn delete(key: &str, range_end: &str) -> DeleteRange {
    DeleteRange { key: key.into(), range_end: range_end.into(), prev_kv: true }
}

fn erase(keyspace: &mut Keyspace, key: &str, range_end: &str) -> (i64, i64) {
    match apply(keyspace, Command::DeleteRange(delete(key, range_end))) {
        Ok(Reply::DeleteRange(reply)) => (reply.deleted, reply.revision),
        other => panic!("a delete was answered with {other:?}"),
    }
}

fn compact(keyspace: &mut Keyspace, revision: i64) -> Result<Reply, Rejection> {
    apply(keyspace, Command::Compact { revision })
}

fn txn(success: Vec<Operation>) -> Txn {
    Txn { success, ..Txn::default() }
}

fn run(keyspace: &mut Keyspace, txn: Txn) -> Result<TxnReply, Rejection> {
    match apply(keyspace, Command::Txn(txn))? {
        Reply::Txn(reply) => Ok(reply),
        other => panic!("a transaction was answered with {other:?}"),
    }
}

fn compare(key: &str, result: CompareResult, target: CompareTarget) -> Compare {
    Compare { key: key.into(), range_end: "".into(), result, target }
}

fn between(key: &str, range_end: &str) -> Range {
    Range { key: key.into(), range_end: range_end.into(), ..Range::default() }
}

fn found(keyspace: &Keyspace, range: &Range) -> Vec<String> {
    let reply = keyspace.range(range).expect("it is readable");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    reply
        .kvs
        .iter()
        .map(|kv| {
            let KeyValue { create_revision, mod_revision, version, .. } = kv;
            let (key, value) = (text(kv.key.as_bytes()), text(kv.value.as_bytes()));
            format!("{key}={value} {create_revision}/{mod_revision}/{version}")
        })
        .collect()
}

/// a=3, b=2 (written three times), c=1, d=0, at revisions 2 to 7.
fn four_keys() -> Keyspace {
    let mut keyspace = Keyspace::new();
    for (key, value) in [("a", "3"), ("b", "2"), ("c", "1"), ("d", "0"), ("b", "2"), ("b", "2")] {
        write(&mut keyspace, key, value);
    }
    keyspace
}
