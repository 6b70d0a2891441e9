//! What the hashes tell apart.

use std::collections::BTreeMap;

use althing_core::NodeId;
use althing_keyspace::{
    Access, AuthChange, Command, DeleteRange, Grant, Keyspace, Member, Operation, PasswordHash,
    Put, Rejection,
};

use super::{apply, put, txn};

#[test]
fn states_that_differ_in_anything_have_different_hashes() {
    let write = |key: &str, value: &str| Command::Put(put(key, value));
    let erase = |key: &str| Command::DeleteRange(DeleteRange::key(key));
    let compact = |revision| Command::Compact { revision };
    let both =
        |one: Put, other: Put| Command::Txn(txn(vec![Operation::Put(one), Operation::Put(other)]));
    let member = |name: &str| {
        Command::PublishMember(Member {
            id: NodeId::new(1).expect("not zero"),
            name: name.into(),
            peer_urls: Vec::new(),
            client_urls: Vec::new(),
        })
    };
    let grant = |ttl| Command::LeaseGrant { id: 1, ttl };
    let note = |seconds| Command::LeaseNote { remaining: vec![(1, seconds)] };
    let tied = Command::Put(Put { lease: 1, ..put("a", "1") });
    let user = |password: &str| {
        let password = Some(PasswordHash::new(password));
        Command::Auth(AuthChange::UserAdd { name: "a".into(), password })
    };
    let role = |name: &str| Command::Auth(AuthChange::RoleAdd { name: name.into() });
    let right = |access| {
        let grant = Grant { key: "a".into(), range_end: "".into(), access };
        Command::Auth(AuthChange::RoleGrant { name: "r".into(), grant })
    };
    let given = Command::Auth(AuthChange::UserGrantRole { name: "a".into(), role: "r".into() });
    let lives = [
        vec![user("1")],
        vec![user("2")],
        vec![role("r")],
        vec![role("s")],
        vec![role("r"), right(Access::Read)],
        vec![role("r"), right(Access::Write)],
        vec![user("1"), role("r")],
        vec![role("r"), user("1")],
        vec![user("1"), role("r"), given],
        vec![],
        vec![write("a", "1")],
        vec![write("a", "2")],
        vec![write("a", "")],
        vec![write("aa", "1")],
        vec![write("a", "a1")],
        vec![write("a", "1"), write("a", "1")],
        vec![write("a", "1"), write("a", "2")],
        vec![write("a", "1"), erase("a")],
        vec![write("a", "1"), erase("a"), write("a", "1")],
        vec![write("a", "1"), compact(1)],
        vec![write("a", "1"), compact(2)],
        vec![grant(5)],
        vec![grant(6)],
        vec![grant(5), note(4)],
        vec![grant(5), write("a", "1")],
        vec![grant(5), tied.clone()],
        vec![grant(5), tied, Command::LeaseRevoke { id: 1 }],
        vec![write("a", "1"), member("x")],
        vec![write("a", "1"), member("y")],
        vec![write("a", "1"), write("b", "1")],
        vec![write("b", "1"), write("a", "1")],
        vec![both(put("a", "1"), put("b", "1"))],
        vec![both(put("b", "1"), put("a", "1"))],
    ];
    let mut hashes = BTreeMap::new();
    let mut applied_hashes = BTreeMap::new();
    for life in &lives {
        let mut keyspace = Keyspace::new();
        for command in life {
            apply(&mut keyspace, command.clone()).expect("none of these is rejected");
        }
        // The index alone must not be what tells them apart.
        while keyspace.applied().0 < 10 {
            keyspace.pass(keyspace.applied().next());
        }
        let same = hashes.insert(keyspace.hash(), life);
        assert_eq!(same, None, "{life:?} has the same hash");
        let same = applied_hashes.insert(keyspace.applied_hash(), life);
        assert_eq!(same, None, "{life:?} has the same running hash");
    }
}

#[test]
fn the_hash_of_keys_is_of_a_revision_whatever_came_after() {
    let mut keyspace = Keyspace::new();
    for value in ["1", "2", "3", "4"] {
        apply(&mut keyspace, Command::Put(put("a", value))).expect("a plain put");
    }
    let at = |keyspace: &Keyspace, revision| keyspace.snapshot().hash_of_keys(revision);
    let [third, last] = [at(&keyspace, 3), at(&keyspace, 0)];
    assert_ne!(third, last);
    assert_eq!(at(&keyspace, 5), last);
    apply(&mut keyspace, Command::DeleteRange(DeleteRange::key("a"))).expect("it is there");
    assert_eq!((at(&keyspace, 3), at(&keyspace, 5)), (third, last));
    apply(&mut keyspace, Command::Compact { revision: 4 }).expect("it is in the past");
    assert_eq!(at(&keyspace, 3), Err(Rejection::Compacted));
    assert_eq!(at(&keyspace, 7), Err(Rejection::FutureRevision));
    let unswept = at(&keyspace, 5);
    assert_ne!(unswept, last, "it depends on the compaction");
    while keyspace.sweep(1) {}
    assert_eq!(at(&keyspace, 5), unswept);
}

#[test]
fn the_applied_index_is_part_of_the_hash() {
    let mut keyspace = Keyspace::new();
    let (hash, applied_hash) = (keyspace.hash(), keyspace.applied_hash());
    keyspace.pass(keyspace.applied().next());
    assert_ne!(keyspace.hash(), hash);
    assert_eq!(keyspace.applied_hash(), applied_hash);
}
