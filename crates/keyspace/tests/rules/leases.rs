//! What leases do to keys.

use althing_keyspace::{
    Command, Keyspace, LEASE_SECONDS_MAX, Operation, Put, Range, Rejection, Reply,
};

use super::{apply, erase, found, put, run, txn, write};

fn grant(keyspace: &mut Keyspace, id: i64, ttl: i64) -> Result<Reply, Rejection> {
    apply(keyspace, Command::LeaseGrant { id, ttl })
}

fn revoke(keyspace: &mut Keyspace, id: i64) -> Result<Reply, Rejection> {
    apply(keyspace, Command::LeaseRevoke { id })
}

fn tied(key: &str, lease: i64) -> Put {
    Put { lease, ..put(key, "tied") }
}

fn keys_of(keyspace: &Keyspace, id: i64) -> Vec<String> {
    let lease = keyspace.lease(id).expect("it was granted");
    lease.keys().map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned()).collect()
}

/// Leases 1 and 2; a and b are tied to the first, c to the second, d to none.
fn two_leases() -> Keyspace {
    let mut keyspace = Keyspace::new();
    for id in [1, 2] {
        grant(&mut keyspace, id, 10).expect("it is new");
    }
    for (key, lease) in [("a", 1), ("b", 1), ("c", 2), ("d", 0)] {
        apply(&mut keyspace, Command::Put(tied(key, lease))).expect("the lease is there");
    }
    keyspace
}

#[test]
fn granting_and_noting_write_no_revision() {
    let mut keyspace = Keyspace::new();
    let granted = grant(&mut keyspace, 7, 60);
    assert_eq!(granted, Ok(Reply::LeaseGrant { id: 7, ttl: 60, revision: 1 }));
    let remaining = vec![(7, 30), (8, 30)];
    apply(&mut keyspace, Command::LeaseNote { remaining }).expect("one of them is there");
    let lease = keyspace.lease(7).expect("it was granted");
    assert_eq!((lease.ttl(), lease.remaining(), keyspace.revision()), (60, 30, 1));
}

#[test]
fn a_lease_has_a_number_of_its_own_and_a_bounded_time() {
    let mut keyspace = Keyspace::new();
    assert_eq!(grant(&mut keyspace, 0, 5), Err(Rejection::LeaseNotFound));
    assert_eq!(grant(&mut keyspace, 1, LEASE_SECONDS_MAX + 1), Err(Rejection::LeaseTooLong));
    assert!(grant(&mut keyspace, 1, LEASE_SECONDS_MAX).is_ok());
    assert_eq!(grant(&mut keyspace, 1, 5), Err(Rejection::LeaseExists));
    assert_eq!(grant(&mut keyspace, 2, -3), Ok(Reply::LeaseGrant { id: 2, ttl: 1, revision: 1 }));
}

#[test]
fn all_keys_of_a_lease_go_at_one_revision() {
    let mut keyspace = two_leases();
    assert_eq!(keyspace.revision(), 5);
    assert_eq!(revoke(&mut keyspace, 1), Ok(Reply::LeaseRevoke { id: 1, revision: 6 }));
    assert_eq!(found(&keyspace, &Range::all()), ["c=tied 4/4/1", "d=tied 5/5/1"]);
    assert_eq!(revoke(&mut keyspace, 1), Err(Rejection::LeaseNotFound));
    let put = Command::Put(tied("e", 1));
    assert_eq!(apply(&mut keyspace, put), Err(Rejection::LeaseNotFound));
}

#[test]
fn leases_whose_time_is_over_end_each_at_a_revision_of_its_own() {
    let mut keyspace = two_leases();
    let expire = |ids: &[i64]| Command::LeaseExpire { ids: ids.to_vec() };
    apply(&mut keyspace, expire(&[2, 9, 1])).expect("those that are gone are passed over");
    assert_eq!((keyspace.revision(), keyspace.key_count(), keyspace.leases().len()), (7, 1, 0));
    apply(&mut keyspace, expire(&[1, 2])).expect("both are passed over");
    assert_eq!(keyspace.revision(), 7);
}

#[test]
fn a_lease_without_keys_leaves_no_revision_behind() {
    let mut keyspace = Keyspace::new();
    grant(&mut keyspace, 1, 5).expect("it is new");
    assert_eq!(revoke(&mut keyspace, 1), Ok(Reply::LeaseRevoke { id: 1, revision: 1 }));
}

#[test]
fn a_key_is_tied_to_what_last_wrote_it() {
    let mut keyspace = two_leases();
    apply(&mut keyspace, Command::Put(tied("a", 2))).expect("the lease is there");
    assert_eq!(
        (keys_of(&keyspace, 1), keys_of(&keyspace, 2)),
        (vec!["b".into()], ["a", "c"].map(Into::into).to_vec())
    );
    write(&mut keyspace, "b", "free");
    erase(&mut keyspace, "c", "");
    assert_eq!(keys_of(&keyspace, 1), [""; 0]);
    assert_eq!(keys_of(&keyspace, 2), ["a"]);
    let keeps = Put { ignore_lease: true, ..put("a", "still tied") };
    apply(&mut keyspace, Command::Put(keeps)).expect("the key is there");
    assert_eq!(keys_of(&keyspace, 2), ["a"]);
}

#[test]
fn a_transaction_that_is_undone_ties_nothing() {
    let mut keyspace = two_leases();
    let (before, size) = (keyspace.hash(), keyspace.size_bytes());
    let fails_late = Put { ignore_value: true, ..put("d", "") };
    let operations = vec![
        Operation::Put(tied("a", 2)),
        Operation::Put(tied("new", 1)),
        Operation::DeleteRange(super::delete("c", "e")),
        Operation::Txn(txn(vec![Operation::Put(fails_late)])),
    ];
    let outcome = run(&mut keyspace, txn(operations));
    assert_eq!(outcome, Err(Rejection::DuplicateKey), "it is not even begun");
    let deletes = Operation::DeleteRange(super::delete("d", "\0"));
    let operations = vec![
        Operation::Put(tied("a", 2)),
        Operation::Put(tied("new", 1)),
        Operation::Txn(txn(vec![deletes])),
        Operation::Txn(txn(vec![Operation::Put(Put { ignore_value: true, ..put("d", "") })])),
    ];
    assert_eq!(run(&mut keyspace, txn(operations)), Err(Rejection::KeyNotFound));
    assert_eq!(keys_of(&keyspace, 1), ["a", "b"]);
    assert_eq!(keys_of(&keyspace, 2), ["c"]);
    assert_eq!(keyspace.size_bytes(), size);
    keyspace.pass(keyspace.applied().next());
    assert_ne!(keyspace.hash(), before, "the applied index counts");
}

#[test]
fn the_memory_of_leases_is_counted_and_given_back() {
    let mut keyspace = Keyspace::new();
    let empty = keyspace.size_bytes();
    grant(&mut keyspace, 1, 5).expect("it is new");
    let granted = keyspace.size_bytes();
    assert!(granted > empty);
    write(&mut keyspace, "a", "tied");
    let written = keyspace.size_bytes();
    apply(&mut keyspace, Command::Put(tied("a", 1))).expect("the lease is there");
    erase(&mut keyspace, "a", "");
    write(&mut keyspace, "a", "");
    let revision = keyspace.revision();
    assert!(apply(&mut keyspace, Command::Compact { revision }).is_ok());
    while keyspace.sweep(100) {}
    assert!(keyspace.size_bytes() <= written);
    revoke(&mut keyspace, 1).expect("it is there");
    assert_eq!(written - granted + empty, keyspace.size_bytes() + "tied".len() as u64);
}
