//! What writes make of revisions, and what compaction leaves.

use althing_keyspace::{Keyspace, Operation, Range, Rejection, Reply};

use super::{compact, delete, erase, found, four_keys, put, run, txn, write};

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
