//! What a user may do, and that the rights that count are those at the moment of applying.

use althing_keyspace::{
    Access, Ask, AuthChange, Command, CompareResult, CompareTarget, DeleteRange, KeyRange,
    Keyspace, Operation, Principal, Put, Range, Rejection, Txn,
};

use super::users::{add_role, add_user, apply_as, done, enable, grant, grant_role, user};
use super::{apply, between, compare, delete, put, txn};

/// The user ann may read and write `both`, read `read`, and write `write`; there are leases 1, that
/// `both` is tied to, and 2, that `read` is tied to.
fn with_ann() -> (Keyspace, Principal) {
    let mut keyspace = Keyspace::new();
    done(&mut keyspace, [add_user("ann"), add_role("r"), grant_role("ann", "r")]);
    for (key, access) in
        [("both", Access::ReadWrite), ("read", Access::Read), ("write", Access::Write)]
    {
        done(&mut keyspace, [grant("r", key, "", access)]);
    }
    for (id, key) in [(1, "both"), (2, "read")] {
        apply(&mut keyspace, Command::LeaseGrant { id, ttl: 60 }).expect("it is free");
        let tied = Put { lease: id, ..put(key, "1") };
        apply(&mut keyspace, Command::Put(tied)).expect("everybody may");
    }
    enable(&mut keyspace);
    let ann = user(&keyspace, "ann");
    (keyspace, ann)
}

/// What a transaction can hold, each with whether ann may.
fn operations() -> Vec<(Operation, bool)> {
    let write = |key: &str, lease: i64, prev_kv: bool| {
        Operation::Put(Put { lease, prev_kv, ..put(key, "2") })
    };
    let erase = |key: &str, range_end: &str, prev_kv: bool| {
        Operation::DeleteRange(DeleteRange { prev_kv, ..delete(key, range_end) })
    };
    let read = |key: &str, range_end: &str| Operation::Range(between(key, range_end));
    vec![
        (read("read", ""), true),
        (read("write", ""), false),
        (read("read", "\0"), false),
        (read("read", "read\0"), true),
        (write("write", 0, false), true),
        (write("read", 0, false), false),
        (write("write", 0, true), false),
        (write("both", 0, true), true),
        (write("write", 1, false), true),
        (write("write", 2, false), false),
        (write("write", 404, false), true),
        (erase("write", "", false), true),
        (erase("write", "", true), false),
        (erase("both", "", true), true),
        (erase("read", "", false), false),
        (erase("write", "\0", false), false),
    ]
}

fn within(operation: Operation, depth: usize, branch: usize) -> Txn {
    let mut inner = vec![operation];
    for _ in 0..depth {
        inner = vec![Operation::Txn(txn(inner))];
    }
    let (success, failure) = if branch == 0 { (inner, Vec::new()) } else { (Vec::new(), inner) };
    Txn { success, failure, ..Txn::default() }
}

#[test]
fn an_operation_is_judged_alike_however_deep_and_in_whichever_branch_it_stands() {
    let (mut keyspace, ann) = with_ann();
    for (operation, may) in operations() {
        for depth in [0, 1, 2, 127] {
            for branch in 0..2 {
                let command = Command::Txn(within(operation.clone(), depth, branch));
                let judged = keyspace.authorize(&ann, &command).map(|_| ());
                let expected = if may { Ok(()) } else { Err(Rejection::PermissionDenied) };
                assert_eq!(judged, expected, "{operation:?}, {depth} deep, branch {branch}");
                if !may {
                    let (hash, revision) = (keyspace.applied_hash(), keyspace.revision());
                    let applied = apply_as(&mut keyspace, &ann, command);
                    assert_eq!(applied, Err(Rejection::PermissionDenied));
                    assert_eq!((keyspace.applied_hash(), keyspace.revision()), (hash, revision));
                }
            }
        }
    }
}

#[test]
fn what_is_compared_is_read() {
    let (keyspace, ann) = with_ann();
    for (key, range_end, may) in [("read", "", true), ("write", "", false), ("read", "s", false)] {
        let mut compared = compare(key, CompareResult::Equal, CompareTarget::Version(0));
        compared.range_end = range_end.into();
        let reads = Txn { compare: vec![compared], ..Txn::default() };
        let inner = Operation::Txn(reads.clone());
        assert_eq!(keyspace.view(&ann).read_txn(&reads).is_ok(), may, "{key}");
        let nested = Command::Txn(within(inner, 3, 1));
        assert_eq!(keyspace.authorize(&ann, &nested).is_ok(), may, "{key}");
    }
}

#[test]
fn the_right_to_one_key_is_no_right_to_watch_later_ones() {
    let (keyspace, ann) = with_ann();
    let may = |key: &str, range_end: &str| {
        let range = KeyRange::new(key.into(), range_end.into()).expect("it has room");
        keyspace.watched_since(&ann, &range, 1).map(|_| ())
    };
    assert_eq!(may("read", ""), Ok(()));
    for range_end in ["\0", "s", "read\0\0"] {
        assert_eq!(may("read", range_end), Err(Rejection::PermissionDenied), "{range_end:?}");
    }
}

#[test]
fn a_lease_goes_with_the_keys_that_are_tied_to_it() {
    let (keyspace, ann) = with_ann();
    let view = keyspace.view(&ann);
    for (id, writes) in [(1, true), (2, false), (404, true)] {
        let revoke = Command::LeaseRevoke { id };
        assert_eq!(keyspace.authorize(&ann, &revoke).is_ok(), writes, "{id}");
        assert_eq!(view.may(Ask::LeaseRenew { id }).is_ok(), writes, "{id}");
        assert_eq!(view.may(Ask::LeaseTime { id, keys: false }), Ok(()));
    }
    assert!(view.lease_keys(2).is_ok(), "ann may read its key");
    let mut keyspace = keyspace;
    let root = user(&keyspace, "root");
    let tied = Command::Put(Put { lease: 1, ..put("write", "") });
    apply_as(&mut keyspace, &root, tied).expect("root may");
    let keys = keyspace.view(&ann).lease_keys(1);
    assert_eq!(keys, Err(Rejection::PermissionDenied), "the names of keys are for readers");
}

#[test]
fn what_is_for_root_is_for_nobody_else() {
    let (mut keyspace, ann) = with_ann();
    let root = user(&keyspace, "root");
    let commands = [
        Command::Compact { revision: 2 },
        Command::Auth(AuthChange::Enable),
        Command::Auth(add_user("eve")),
        Command::Auth(grant_role("eve", "root")),
        Command::Auth(grant("r", "x", "", Access::ReadWrite)),
        Command::Auth(AuthChange::Disable),
    ];
    for command in commands {
        let denied = apply_as(&mut keyspace, &ann, command.clone());
        assert_eq!(denied, Err(Rejection::PermissionDenied), "{command:?}");
        let nobody = apply_as(&mut keyspace, &Principal::Nobody, command.clone());
        assert_eq!(nobody, Err(Rejection::UserEmpty), "{command:?}");
        apply_as(&mut keyspace, &root, command).expect("root may");
    }
}

#[test]
fn what_is_for_servers_is_for_nobody_else_and_the_reverse() {
    let (keyspace, ann) = with_ann();
    let root = user(&keyspace, "root");
    for principal in [ann, root, Principal::Nobody] {
        for command in
            [Command::LeaseExpire { ids: vec![1] }, Command::LeaseNote { remaining: vec![(1, 1)] }]
        {
            let denied = keyspace.authorize(&principal, &command).map(|_| ());
            assert_eq!(denied, Err(Rejection::PermissionDenied), "{principal:?}");
        }
    }
    let write = keyspace.authorize(&Principal::Server, &Command::Put(put("a", "1"))).map(|_| ());
    assert_eq!(write, Err(Rejection::PermissionDenied));
    assert!(keyspace.view(&Principal::Server).range(&Range::all()).is_err());
}

#[test]
fn the_rights_that_count_are_those_at_the_moment_of_applying() {
    let (mut keyspace, ann) = with_ann();
    let root = user(&keyspace, "root");
    let command = Command::Put(put("both", "2"));
    let authorized = keyspace.authorize(&ann, &command).expect("ann may");
    let mut bytes = Vec::new();
    authorized.encode(&mut bytes);
    let revoke =
        AuthChange::RoleRevoke { name: "r".into(), key: "both".into(), range_end: "".into() };
    apply_as(&mut keyspace, &root, Command::Auth(revoke)).expect("root may");
    let applied = keyspace.apply(keyspace.applied().next(), &bytes);
    assert_eq!(applied, Err(Rejection::PermissionDenied));
}

#[test]
fn a_command_from_before_there_were_users_may_do_nothing_once_there_are() {
    let (mut keyspace, _) = with_ann();
    let old = apply(&mut keyspace, Command::Put(put("both", "2")));
    assert_eq!(old, Err(Rejection::UserEmpty));
    apply(&mut keyspace, Command::LeaseExpire { ids: vec![1] }).expect("only servers end leases");
}
