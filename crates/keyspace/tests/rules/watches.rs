//! What a watch is told.

use althing_keyspace::{Command, Key, KeyRange, Keyspace, Operation, Put, Rejection};

use super::{apply, compact, erase, put, run, txn, write};

/// Each event in a word: its revision, its key, and what the key was and became.
fn told(keyspace: &Keyspace, revision: i64) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let happened = keyspace.happened_since(revision).expect("it is known");
    happened
        .filter_map(|happened| {
            let event = happened.event(true)?;
            let before = event.previous.map_or_else(|| "-".into(), |kv| text(kv.value.as_bytes()));
            let after = if event.is_delete { "-".into() } else { text(event.kv.value.as_bytes()) };
            let key = text(happened.key().as_bytes());
            Some(format!("{} {key} {before}>{after}", happened.revision()))
        })
        .collect()
}

fn range(key: &str, range_end: &str) -> Option<KeyRange> {
    KeyRange::new(key.into(), range_end.into())
}

#[test]
fn everything_is_told_once_and_in_order() {
    let mut keyspace = Keyspace::new();
    write(&mut keyspace, "a", "1");
    write(&mut keyspace, "b", "1");
    run(&mut keyspace, txn(vec![Operation::Put(put("b", "2")), Operation::Put(put("a", "2"))]))
        .expect("nothing is wrong with it");
    erase(&mut keyspace, "a", "c");
    let all = ["2 a ->1", "3 b ->1", "4 b 1>2", "4 a 1>2", "5 a 2>-", "5 b 2>-"];
    assert_eq!(told(&keyspace, 0), all);
    assert_eq!(told(&keyspace, 4), all[2..]);
    assert_eq!(told(&keyspace, 6), [""; 0]);
}

#[test]
fn a_watch_may_begin_at_the_compacted_revision_but_not_before() {
    let mut keyspace = Keyspace::new();
    write(&mut keyspace, "a", "1");
    write(&mut keyspace, "a", "2");
    erase(&mut keyspace, "a", "");
    write(&mut keyspace, "a", "3");
    compact(&mut keyspace, 4).expect("it is in the past");
    while keyspace.sweep(1) {}
    let refused = keyspace.happened_since(3).map(|_| ());
    assert_eq!(refused, Err(Rejection::Compacted));
    assert_eq!(told(&keyspace, 4), ["4 a ->-", "5 a ->3"]);
    compact(&mut keyspace, 5).expect("it is in the past");
    while keyspace.sweep(1) {}
    assert_eq!(told(&keyspace, 5), ["5 a ->3"]);
}

#[test]
fn keys_that_die_with_their_lease_are_told_of() {
    let mut keyspace = Keyspace::new();
    apply(&mut keyspace, Command::LeaseGrant { id: 1, ttl: 5 }).expect("it is new");
    for key in ["b", "a"] {
        let put = Put { lease: 1, ..put(key, "1") };
        apply(&mut keyspace, Command::Put(put)).expect("the lease is there");
    }
    apply(&mut keyspace, Command::LeaseExpire { ids: vec![1] }).expect("it is there");
    assert_eq!(told(&keyspace, 4), ["4 a 1>-", "4 b 1>-"]);
}

#[test]
fn a_range_holds_what_a_read_of_it_would() {
    let (one, some, rest) = (range("b", ""), range("b", "d"), range("b", "\0"));
    for (key, expected) in [
        ("a", [false, false, false]),
        ("b", [true, true, true]),
        ("b\0", [false, true, true]),
        ("d", [false, false, true]),
        ("\u{7f}", [false, false, true]),
    ] {
        let holds = |range: &Option<KeyRange>| {
            range.as_ref().expect("it has room").contains(&Key::from(key))
        };
        assert_eq!([holds(&one), holds(&some), holds(&rest)], expected, "{key}");
    }
    assert_eq!((range("b", "b"), range("b", "a")), (None, None), "no key can be in it");
}
