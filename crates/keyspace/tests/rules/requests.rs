//! What is refused, and what else the log can say.

use althing_core::{Index, NodeId};
use althing_keyspace::{
    Blame, Command, CompareResult, CompareTarget, Keyspace, Member, OPERATIONS_MAX, Operation, Put,
    Range, Reply, Txn, validate,
};

use super::{apply, compact, compare, delete, four_keys, put, txn, write};

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
