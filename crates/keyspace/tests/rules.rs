//! The rules one by one. What is expected here was compared with etcd 3.4.23, request by request.

use althing_core::{Index, NodeId};
use althing_keyspace::{
    Blame, Command, Compare, CompareResult, CompareTarget, DeleteRange, Key, KeyValue, Keyspace,
    Member, OPERATIONS_MAX, Operation, OperationReply, Put, Range, Rejection, Reply, SortOrder,
    SortTarget, Txn, TxnReply, prefix_end, validate, validate_range, validate_txn,
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

#[test]
fn only_what_writes_makes_a_revision() {
    let mut keyspace = Keyspace::new();
    assert_eq!(keyspace.revision(), 1);
    assert_eq!(keyspace.range(&Range::all()).expect("an empty store is readable").revision, 1);
    assert_eq!(erase(&mut keyspace, "a", ""), (0, 1));
    assert_eq!(write(&mut keyspace, "a", "1"), 2);
    assert_eq!(write(&mut keyspace, "b", "1"), 3);
    assert_eq!(erase(&mut keyspace, "a", "z"), (2, 4));
    assert_eq!(erase(&mut keyspace, "a", "z"), (0, 4));

    let reads = txn(vec![
        Operation::Range(Range::key("a")),
        Operation::DeleteRange(delete("nothing", "")),
        Operation::Txn(txn(vec![])),
    ]);
    assert_eq!(run(&mut keyspace, reads).map(|reply| reply.revision), Ok(4));
    let writes = txn(vec![
        Operation::Put(put("a", "1")),
        Operation::Put(put("b", "1")),
        Operation::Txn(txn(vec![Operation::Put(put("c", "1"))])),
    ]);
    assert_eq!(run(&mut keyspace, writes).map(|reply| reply.revision), Ok(5));
    assert_eq!(compact(&mut keyspace, 4), Ok(Reply::Compact { revision: 5 }));
    assert_eq!((keyspace.revision(), keyspace.key_count()), (5, 3));
}

#[test]
fn a_key_that_is_born_again_counts_from_one() {
    let mut keyspace = Keyspace::new();
    write(&mut keyspace, "a", "1");
    write(&mut keyspace, "a", "2");
    erase(&mut keyspace, "a", "");
    write(&mut keyspace, "a", "3");
    let history = [
        (1, vec![]),
        (2, vec!["a=1 2/2/1"]),
        (3, vec!["a=2 2/3/2"]),
        (4, vec![]),
        (5, vec!["a=3 5/5/1"]),
    ];
    for (revision, expected) in history {
        let range = Range { revision, ..Range::key("a") };
        assert_eq!(found(&keyspace, &range), expected, "at {revision}");
    }
}

#[test]
fn a_range_ends_where_etcds_does() {
    let keyspace = four_keys();
    let cases = [
        (between("a", ""), "a", 1),
        (between("aa", ""), "", 0),
        (between("a", "c"), "ab", 2),
        (between("b", "\0"), "bcd", 3),
        (between("\0", "\0"), "abcd", 4),
        (between("c", "a"), "", 0),
        (between("c", "c"), "", 0),
        (Range::prefix("b"), "b", 1),
        (Range::prefix(""), "abcd", 4),
        (Range { limit: 2, ..Range::all() }, "ab+", 4),
        (Range { limit: 4, ..Range::all() }, "abcd", 4),
        (Range { limit: -1, ..Range::all() }, "abcd", 4),
        (Range { limit: 2, count_only: true, ..Range::all() }, "", 4),
        (Range { min_mod_revision: 5, ..Range::all() }, "bd", 4),
        (Range { max_mod_revision: 4, ..Range::all() }, "ac", 4),
        (Range { min_create_revision: 4, limit: 1, ..Range::all() }, "c+", 4),
        (Range { max_create_revision: 3, ..Range::all() }, "ab", 4),
        (Range { min_mod_revision: 99, ..Range::key("a") }, "", 1),
    ];
    for (range, expected, count) in cases {
        let reply = keyspace.range(&range).expect("it is readable");
        let mut keys: String =
            reply.kvs.iter().map(|kv| String::from_utf8_lossy(kv.key.as_bytes())).collect();
        if reply.more {
            keys.push('+');
        }
        assert_eq!((keys.as_str(), reply.count), (expected, count), "{range:?}");
        assert_eq!(reply.revision, 7);
    }
}

#[test]
fn a_range_is_sorted_as_etcd_sorts() {
    use SortOrder::{Ascend, Descend};
    use SortTarget::{CreateRevision, ModRevision, Value, Version};
    let keyspace = four_keys();
    let cases = [
        (SortOrder::None, SortTarget::Key, 0, "abcd"),
        (Ascend, SortTarget::Key, 2, "ab+"),
        (Descend, SortTarget::Key, 2, "dc+"),
        (Descend, SortTarget::Key, 0, "dcba"),
        (Ascend, Value, 0, "dcba"),
        (Ascend, Value, 2, "dc+"),
        (Descend, Value, 3, "abc+"),
        (Descend, CreateRevision, 0, "dcba"),
        (Ascend, ModRevision, 0, "acdb"),
        (Descend, Version, 0, "bacd"),
        (SortOrder::None, Value, 0, "dcba"),
        // Without an order the limit comes first: three of four are fetched, then sorted.
        (SortOrder::None, Value, 2, "cb+"),
    ];
    for (sort_order, sort_target, limit, expected) in cases {
        for keys_only in [false, true] {
            let range = Range { sort_order, sort_target, limit, keys_only, ..Range::all() };
            let reply = keyspace.range(&range).expect("it is readable");
            let mut keys: String =
                reply.kvs.iter().map(|kv| String::from_utf8_lossy(kv.key.as_bytes())).collect();
            if reply.more {
                keys.push('+');
            }
            assert_eq!(keys, expected, "{range:?}");
            assert!(reply.kvs.iter().all(|kv| kv.value.is_empty() == keys_only));
        }
    }
}

#[test]
fn compaction_keeps_what_the_compacted_revision_shows() {
    let mut keyspace = Keyspace::new();
    for value in ["0", "1", "2", "3"] {
        write(&mut keyspace, "a", value);
    }
    erase(&mut keyspace, "a", "");
    write(&mut keyspace, "a", "re");
    write(&mut keyspace, "b", "x");
    assert_eq!(compact(&mut keyspace, 6), Ok(Reply::Compact { revision: 8 }));
    let at = |revision| Range { revision, ..Range::all() };
    for revision in 1..=5 {
        assert_eq!(keyspace.range(&at(revision)), Err(Rejection::Compacted));
    }
    assert_eq!(found(&keyspace, &at(6)), Vec::<String>::new());
    assert_eq!(found(&keyspace, &at(7)), ["a=re 7/7/1"]);
    assert_eq!(found(&keyspace, &at(8)), ["a=re 7/7/1", "b=x 8/8/1"]);
    assert_eq!(keyspace.range(&at(9)), Err(Rejection::FutureRevision));
    // Below one is the present, even if that was compacted to.
    assert_eq!(compact(&mut keyspace, 8), Ok(Reply::Compact { revision: 8 }));
    assert_eq!(found(&keyspace, &at(-3)).len(), 2);
}

#[test]
fn a_compaction_goes_forward_and_not_past_the_present() {
    let mut keyspace = Keyspace::new();
    let cases = [
        (-1, Err(Rejection::Compacted)),
        (0, Ok(Reply::Compact { revision: 1 })),
        (0, Err(Rejection::Compacted)),
        (5, Err(Rejection::FutureRevision)),
        (1, Ok(Reply::Compact { revision: 1 })),
        (1, Err(Rejection::Compacted)),
    ];
    for (revision, expected) in cases {
        assert_eq!(compact(&mut keyspace, revision), expected, "to {revision}");
    }
    assert_eq!(keyspace.compacted_revision(), 1);
}

#[test]
fn memory_comes_back_with_compaction() {
    let mut keyspace = Keyspace::new();
    write(&mut keyspace, "kept", "value");
    compact(&mut keyspace, 2).expect("the present can be compacted to");
    let one_key = keyspace.size_bytes();
    for round in 0..5_000 {
        write(&mut keyspace, "kept", &round.to_string());
        write(&mut keyspace, &format!("gone/{round}"), "value");
    }
    erase(&mut keyspace, "gone/", "gone0");
    write(&mut keyspace, "kept", "value");
    assert!(keyspace.size_bytes() > 10_000 * one_key / 10);
    let hash_before = keyspace.snapshot().hash();
    let revision = keyspace.revision();
    compact(&mut keyspace, revision).expect("the present can be compacted to");
    assert_ne!(keyspace.hash(), hash_before);
    let unswept = keyspace.hash();
    while keyspace.sweep(100) {}
    assert_eq!(keyspace.size_bytes(), one_key);
    assert_eq!(keyspace.hash(), unswept);
}

#[test]
fn a_comparison_with_nothing_is_one_with_zeros_but_never_holds_for_a_value() {
    use CompareResult::{Equal, Greater, Less, NotEqual};
    let mut keyspace = four_keys();
    let one = |result, target| compare("missing", result, target);
    let many = |range_end: &str, result, target| Compare {
        range_end: range_end.into(),
        ..compare("a", result, target)
    };
    let cases = [
        (one(Equal, CompareTarget::Value("".into())), false),
        (one(NotEqual, CompareTarget::Value("x".into())), false),
        (one(Less, CompareTarget::Version(1)), true),
        (one(Equal, CompareTarget::Lease(0)), true),
        (one(Greater, CompareTarget::CreateRevision(-1)), true),
        (one(NotEqual, CompareTarget::ModRevision(0)), false),
        (compare("b", Equal, CompareTarget::Version(3)), true),
        (compare("b", Equal, CompareTarget::CreateRevision(3)), true),
        (compare("b", Greater, CompareTarget::ModRevision(6)), true),
        (compare("b", Less, CompareTarget::Value("20".into())), true),
        (many("e", Equal, CompareTarget::Version(1)), false),
        (many("b", Equal, CompareTarget::Version(1)), true),
        (many("e", Greater, CompareTarget::CreateRevision(0)), true),
        (many("\0", Greater, CompareTarget::CreateRevision(0)), true),
        (many("A", Equal, CompareTarget::Version(0)), true),
    ];
    for (compare, expected) in cases {
        let txn = Txn { compare: vec![compare.clone()], ..Txn::default() };
        assert_eq!(keyspace.read_txn(&txn).map(|reply| reply.succeeded), Ok(expected));
        let reply = run(&mut keyspace, txn).map(|reply| reply.succeeded);
        assert_eq!(reply, Ok(expected), "{compare:?}");
    }
}

#[test]
fn a_transaction_reads_what_it_wrote_but_compares_what_was_before() {
    let mut keyspace = four_keys();
    let unborn = compare("x", CompareResult::Equal, CompareTarget::Version(0));
    let reply = run(
        &mut keyspace,
        txn(vec![
            Operation::DeleteRange(delete("nothing", "")),
            Operation::Range(Range::key("x")),
            Operation::Put(Put { prev_kv: true, ..put("x", "1") }),
            Operation::Range(Range::key("x")),
            Operation::Range(Range { revision: 7, ..Range::key("x") }),
            Operation::Txn(Txn {
                compare: vec![unborn],
                success: vec![Operation::Put(put("y", "then"))],
                failure: vec![Operation::Put(put("y", "else"))],
            }),
            Operation::DeleteRange(delete("a", "c")),
        ]),
    )
    .expect("nothing is wrong with it");
    assert_eq!((reply.revision, reply.succeeded), (8, true));
    let seen: Vec<(i64, usize)> = reply
        .replies
        .iter()
        .map(|reply| match reply {
            OperationReply::Range(reply) => (reply.revision, reply.kvs.len()),
            OperationReply::Put(reply) => (reply.revision, usize::from(reply.previous.is_some())),
            OperationReply::DeleteRange(reply) => (reply.revision, reply.previous.len()),
            OperationReply::Txn(reply) => (reply.revision, reply.replies.len()),
        })
        .collect();
    // Before the first write the revision is the old one; a transaction inside has none.
    assert_eq!(seen, [(7, 0), (7, 0), (8, 0), (8, 1), (8, 0), (0, 1), (8, 2)]);
    let left = ["c=1 4/4/1", "d=0 5/5/1", "x=1 8/8/1", "y=then 8/8/1"];
    assert_eq!(found(&keyspace, &Range::all()), left);
}

#[test]
fn writes_of_one_key_in_one_transaction_are_what_etcd_lets_pass() {
    let nested = |operation| Operation::Txn(txn(vec![operation]));
    let put_n = || Operation::Put(put("n", "1"));
    let delete_n = |range_end: &str| Operation::DeleteRange(delete("n", range_end));
    let either = |success, failure| Operation::Txn(Txn { compare: vec![], success, failure });
    let cases = [
        (vec![put_n(), put_n()], false),
        (vec![delete_n(""), put_n()], false),
        (vec![delete_n("z"), put_n()], false),
        (vec![delete_n("\0"), put_n()], true),
        (vec![put_n(), delete_n("\0")], true),
        (vec![delete_n("a"), put_n()], true),
        (vec![nested(put_n()), put_n()], false),
        (vec![nested(put_n()), nested(put_n())], false),
        (vec![nested(put_n()), nested(delete_n(""))], true),
        (vec![nested(delete_n("")), nested(put_n())], false),
        (vec![either(vec![put_n()], vec![put_n()])], true),
        (vec![either(vec![put_n()], vec![put_n()]), put_n()], false),
        (vec![either(vec![delete_n("")], vec![put_n()])], true),
        (vec![either(vec![], vec![delete_n("")]), nested(put_n())], false),
        (vec![delete_n("z"), delete_n("x"), delete_n("")], true),
    ];
    for (operations, passes) in cases {
        let expected = if passes { Ok(()) } else { Err(Rejection::DuplicateKey) };
        let taken = txn(operations.clone());
        assert_eq!(validate_txn(&taken), expected, "{taken:?}");
        let not_taken = Txn { failure: operations, ..Txn::default() };
        assert_eq!(validate_txn(&not_taken), expected, "{not_taken:?}");
        // The keyspace asks too, for a command that came past the server.
        assert_eq!(run(&mut Keyspace::new(), taken).map(drop), expected);
    }
}

#[test]
fn a_key_deleted_and_written_in_one_transaction_is_new() {
    let mut keyspace = four_keys();
    let renew =
        txn(vec![Operation::DeleteRange(delete("a", "\0")), Operation::Put(put("b", "new"))]);
    run(&mut keyspace, renew).expect("etcd lets it pass");
    assert_eq!(found(&keyspace, &Range::all()), ["b=new 8/8/1"]);
    assert_eq!(keyspace.key_count(), 1);
    compact(&mut keyspace, 8).expect("the present can be compacted to");
    while keyspace.sweep(100) {}
    let range = Range { revision: 8, ..Range::all() };
    assert_eq!(found(&keyspace, &range), ["b=new 8/8/1"]);
}

#[test]
fn a_transaction_that_fails_half_way_leaves_nothing() {
    // etcd 3.4 crashes on this one: the delete takes away the key whose value the put wants.
    let mut keyspace = four_keys();
    let before = (keyspace.hash(), keyspace.size_bytes(), keyspace.applied_hash());
    let index = keyspace.applied();
    let mut untouched = keyspace.snapshot();
    let half_way = txn(vec![
        Operation::Put(put("0", "a new key")),
        Operation::DeleteRange(delete("b", "\0")),
        Operation::Put(Put { ignore_value: true, ..put("b", "") }),
    ]);
    assert_eq!(run(&mut keyspace, half_way), Err(Rejection::KeyNotFound));
    assert_eq!(keyspace.applied(), index.next());
    assert_eq!((keyspace.size_bytes(), keyspace.applied_hash()), (before.1, before.2));
    assert_eq!((keyspace.revision(), keyspace.key_count()), (7, 4));
    // But for the applied index, the state is the one before.
    assert_eq!(untouched.hash(), before.0);
    untouched = keyspace.snapshot();
    let mut other = four_keys();
    other.pass(index.next());
    assert_eq!(untouched.hash(), other.hash());
}

#[test]
fn the_first_broken_rule_is_told_in_etcds_words() {
    let ignore_value = |value: &str| Put { ignore_value: true, ..put("missing", value) };
    let ignore_lease = |lease| Put { ignore_lease: true, lease, ..put("a", "1") };
    let leased = |put| Put { lease: 5, ..put };
    let in_txn = |put| Command::Txn(txn(vec![Operation::Put(put)]));
    let read = |revision| {
        let range = Operation::Range(Range { revision, ..Range::key("a") });
        Command::Txn(txn(vec![Operation::Put(put("q", "1")), range]))
    };
    let reads = |count| vec![Operation::Range(Range::key("a")); count];
    let too_many = |count: usize, inside: usize| {
        let mut operations = reads(count);
        operations.push(Operation::Txn(txn(reads(inside))));
        Command::Txn(txn(operations))
    };
    let no_key = compare("", CompareResult::Equal, CompareTarget::Version(0));
    let cases = [
        (Command::Put(put("", "")), "etcdserver: key is not provided"),
        (Command::DeleteRange(delete("", "")), "etcdserver: key is not provided"),
        (in_txn(put("", "")), "etcdserver: key is not provided"),
        (
            Command::Txn(Txn { compare: vec![no_key], ..Txn::default() }),
            "etcdserver: key is not provided",
        ),
        (Command::Put(ignore_value("x")), "etcdserver: value is provided"),
        (Command::Put(ignore_lease(5)), "etcdserver: lease is provided"),
        (Command::Put(ignore_value("")), "etcdserver: key not found"),
        (in_txn(ignore_value("")), "etcdserver: key not found"),
        (Command::Put(leased(put("a", "1"))), "etcdserver: requested lease not found"),
        (in_txn(leased(put("a", "1"))), "etcdserver: requested lease not found"),
        // Alone the lease is asked for first, in a transaction the key.
        (Command::Put(leased(ignore_value(""))), "etcdserver: requested lease not found"),
        (in_txn(leased(ignore_value(""))), "etcdserver: key not found"),
        (in_txn(Put::new("q", "1")), ""),
        (read(99), "etcdserver: mvcc: required revision is a future revision"),
        // Not even the revision that this very transaction makes.
        (read(9), "etcdserver: mvcc: required revision is a future revision"),
        (read(2), "etcdserver: mvcc: required revision has been compacted"),
        (read(-1), "etcdserver: mvcc: required revision has been compacted"),
        (
            Command::Compact { revision: 3 },
            "etcdserver: mvcc: required revision has been compacted",
        ),
        (too_many(OPERATIONS_MAX - 1, 0), ""),
        (too_many(OPERATIONS_MAX, 0), "etcdserver: too many operations in txn request"),
        (too_many(OPERATIONS_MAX - 2, 1), ""),
        (too_many(OPERATIONS_MAX - 2, 2), "etcdserver: too many operations in txn request"),
    ];
    let mut keyspace = four_keys();
    compact(&mut keyspace, 5).expect("it is not the future");
    for (at, (command, expected)) in cases.into_iter().enumerate() {
        let before = (keyspace.applied_hash(), keyspace.size_bytes(), keyspace.revision());
        let index = keyspace.applied();
        let told = match keyspace.apply_command(index.next(), command) {
            Ok(_) => String::new(),
            Err(rejection) => {
                let after = (keyspace.applied_hash(), keyspace.size_bytes(), keyspace.revision());
                assert_eq!(before, after, "case {at} changed something");
                rejection.to_string()
            }
        };
        assert_eq!(told, expected, "case {at}");
        assert_eq!(keyspace.applied(), index.next());
    }
}

#[test]
fn the_deepest_transaction_that_is_valid_is_also_read_and_done() {
    let nest = |levels: usize| {
        (1..levels).fold(Txn::default(), |inner, _| txn(vec![Operation::Txn(inner)]))
    };
    let deepest = nest(althing_keyspace::NESTING_MAX);
    assert_eq!(validate_txn(&deepest), Ok(()));
    assert_eq!(run(&mut Keyspace::new(), deepest).map(|reply| reply.succeeded), Ok(true));
    let deeper = nest(althing_keyspace::NESTING_MAX + 1);
    assert_eq!(validate_txn(&deeper), Err(Rejection::TooManyOperations));
    assert!(matches!(run(&mut Keyspace::new(), deeper), Err(Rejection::Malformed(_))));
}

#[test]
fn a_large_request_is_judged_in_time_that_fits_its_size() {
    // As many overlapping deletes and puts as the limits allow in about a megabyte: pairs of them
    // would be in the billions.
    let leaf = |from: usize| {
        txn((from..from + 40)
            .map(|number| {
                let key = format!("{number:08}");
                if number % 2 == 0 {
                    Operation::DeleteRange(DeleteRange {
                        range_end: format!("{number:08}\0").as_str().into(),
                        ..DeleteRange::key(key.as_str())
                    })
                } else {
                    Operation::Put(put(&key, ""))
                }
            })
            .collect())
    };
    let group = |from: usize| txn((0..40).map(|at| Operation::Txn(leaf(from + at * 40))).collect());
    let large = txn((0..40).map(|at| Operation::Txn(group(at * 1600))).collect());
    assert_eq!(validate_txn(&large), Ok(()));
    assert_eq!(run(&mut Keyspace::new(), large).map(|reply| reply.revision), Ok(2));
}

#[test]
fn a_malformed_entry_is_rejected_and_counts_as_applied() {
    let mut keyspace = Keyspace::new();
    for (index, bytes) in [(1, &b""[..]), (2, &[9, 9, 9]), (5, &[1, 77])] {
        let rejection = keyspace.apply(Index(index), bytes).expect_err("that is no command");
        assert_eq!(rejection.blame(), Blame::Log);
        assert_eq!((keyspace.applied(), keyspace.revision()), (Index(index), 1));
    }
}

#[test]
#[should_panic(expected = "entry 3 comes after 3 was applied")]
fn an_entry_is_applied_once() {
    let mut keyspace = Keyspace::new();
    keyspace.pass(Index(3));
    keyspace.pass(Index(3));
}

#[test]
fn members_are_known_by_what_they_last_said() {
    let mut keyspace = Keyspace::new();
    let member = |id, name: &str| Member {
        id: NodeId::new(id).expect("not zero"),
        name: name.into(),
        peer_urls: vec!["http://127.0.0.1:2380".into()],
        client_urls: vec!["http://127.0.0.1:2379".into()],
    };
    let empty = keyspace.hash();
    for said in [member(2, "b"), member(1, "a"), member(2, "c")] {
        assert_eq!(apply(&mut keyspace, Command::PublishMember(said)), Ok(Reply::PublishMember));
    }
    let names: Vec<&str> = keyspace.members().values().map(|member| member.name.as_str()).collect();
    assert_eq!((names, keyspace.revision()), (vec!["a", "c"], 1));
    assert_ne!(keyspace.hash(), empty);
}

#[test]
fn a_quota_stops_what_adds_and_nothing_else() {
    let mut keyspace = four_keys();
    let quota = keyspace.size_bytes() + 300;
    let small = || put("k", "value");
    let large = || Put::new("k", vec![0; 64]);
    let in_txn = |success: Vec<Put>, failure: Vec<Put>| {
        let operations = |puts: Vec<Put>| puts.into_iter().map(Operation::Put).collect();
        Command::Txn(Txn {
            compare: Vec::new(),
            success: operations(success),
            failure: operations(failure),
        })
    };
    let cases = [
        (Command::Put(small()), false),
        (Command::Put(large()), true),
        (in_txn(vec![small()], vec![small()]), false),
        (in_txn(vec![small(), small()], vec![]), true),
        (in_txn(vec![], vec![large()]), true),
        (in_txn(vec![], vec![]), false),
        (Command::DeleteRange(delete("a", "\0")), false),
        (Command::Compact { revision: 3 }, false),
    ];
    for (command, exceeds) in cases {
        assert_eq!(keyspace.would_exceed(&command, quota), exceeds, "{command:?}");
    }
    // Over it already, what frees space still passes.
    write(&mut keyspace, "big", &"x".repeat(1000));
    assert!(keyspace.would_exceed(&Command::Put(small()), quota));
    assert!(!keyspace.would_exceed(&Command::DeleteRange(delete("big", "")), quota));
    assert_eq!(validate(&Command::Put(small())), Ok(()));
}

#[test]
fn a_prefix_ends_at_the_next_key_that_does_not_have_it() {
    let cases: [(&[u8], &[u8]); 6] = [
        (b"a", b"b"),
        (b"a/", b"a0"),
        (b"a\xff", b"b"),
        (b"\xff", b"\0"),
        (b"\xff\xff", b"\0"),
        (b"", b"\0"),
    ];
    for (prefix, end) in cases {
        assert_eq!(prefix_end(prefix).as_bytes(), end, "{prefix:?}");
    }
    assert_eq!(validate_range(&Range::prefix("")), Ok(()));
    assert_eq!(validate_range(&Range::key("")), Err(Rejection::KeyNotProvided));
}

#[test]
fn keys_are_ordered_as_bytes_wherever_they_are_kept() {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    for length in [0, 1, 2, 15, 16, 17, 29, 30, 31, 40] {
        for last in [0_u8, 1, 0x7f, 0xff] {
            for fill in [0_u8, b'k', 0xff] {
                let mut key = vec![fill; length];
                if let Some(byte) = key.last_mut() {
                    *byte = last;
                }
                keys.push(key);
            }
        }
    }
    for one in &keys {
        for other in &keys {
            let ordering = Key::from(one.as_slice()).cmp(&Key::from(other.as_slice()));
            assert_eq!(ordering, one.cmp(other), "{one:?} and {other:?}");
        }
    }
}
