//! What transactions compare, see and leave.

use althing_keyspace::{
    Compare, CompareResult, CompareTarget, DeleteRange, Keyspace, NESTING_MAX, Operation,
    OperationReply, Put, Range, Rejection, Txn, validate_txn,
};

use super::{compare, delete, found, four_keys, put, run, txn};

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
fn the_deepest_transaction_that_is_valid_is_also_read_and_done() {
    let nest = |levels: usize| {
        (1..levels).fold(Txn::default(), |inner, _| txn(vec![Operation::Txn(inner)]))
    };
    let deepest = nest(NESTING_MAX);
    assert_eq!(validate_txn(&deepest), Ok(()));
    assert_eq!(run(&mut Keyspace::new(), deepest).map(|reply| reply.succeeded), Ok(true));
    let deeper = nest(NESTING_MAX + 1);
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
