//! Users and roles: what can be done to them, and what is refused.

use althing_keyspace::{
    Access, Ask, AuthChange, Command, Grant, Keyspace, PasswordHash, Principal, Rejection, Reply,
    SignIn,
};

use super::{apply, put};

pub(crate) fn change(keyspace: &mut Keyspace, change: AuthChange) -> Result<(), Rejection> {
    apply(keyspace, Command::Auth(change)).map(|reply| assert!(matches!(reply, Reply::Auth { .. })))
}

pub(crate) fn add_user(name: &str) -> AuthChange {
    AuthChange::UserAdd { name: name.into(), password: Some(PasswordHash::new("hash")) }
}

pub(crate) fn add_role(name: &str) -> AuthChange {
    AuthChange::RoleAdd { name: name.into() }
}

pub(crate) fn grant_role(name: &str, role: &str) -> AuthChange {
    AuthChange::UserGrantRole { name: name.into(), role: role.into() }
}

fn revoke_role(name: &str, role: &str) -> AuthChange {
    AuthChange::UserRevokeRole { name: name.into(), role: role.into() }
}

pub(crate) fn grant(name: &str, key: &str, range_end: &str, access: Access) -> AuthChange {
    let grant = Grant { key: key.into(), range_end: range_end.into(), access };
    AuthChange::RoleGrant { name: name.into(), grant }
}

fn revoke(name: &str, key: &str, range_end: &str) -> AuthChange {
    AuthChange::RoleRevoke { name: name.into(), key: key.into(), range_end: range_end.into() }
}

/// Does what must work.
pub(crate) fn done(keyspace: &mut Keyspace, changes: impl IntoIterator<Item = AuthChange>) {
    for one in changes {
        change(keyspace, one.clone()).unwrap_or_else(|why| panic!("{one:?}: {why}"));
    }
}

/// A keyspace in which users count, with the user root. Nobody may change it any more.
pub(crate) fn enable(keyspace: &mut Keyspace) {
    done(keyspace, [add_user("root"), grant_role("root", "root"), AuthChange::Enable]);
}

/// The user as its present credentials make it known.
pub(crate) fn user(keyspace: &Keyspace, name: &str) -> Principal {
    Principal::user(name, keyspace.auth().user(name).expect("it is there").since())
}

/// Proposes on behalf of somebody, and applies at once.
pub(crate) fn apply_as(
    keyspace: &mut Keyspace,
    principal: &Principal,
    command: Command,
) -> Result<Reply, Rejection> {
    let authorized = keyspace.authorize(principal, &command)?;
    let mut bytes = Vec::new();
    authorized.encode(&mut bytes);
    keyspace.apply(keyspace.applied().next(), &bytes)
}

#[test]
fn users_and_roles_are_changed_as_in_etcd() {
    let mut keyspace = Keyspace::new();
    let cases = [
        (add_user(""), Err(Rejection::UserEmpty)),
        (add_user("ann"), Ok(())),
        (add_user("ann"), Err(Rejection::UserExists)),
        (grant_role("ann", "reader"), Err(Rejection::RoleNotFound)),
        (grant_role("bob", "reader"), Err(Rejection::UserNotFound)),
        (add_role(""), Err(Rejection::RoleEmpty)),
        (add_role("reader"), Ok(())),
        (add_role("reader"), Err(Rejection::RoleExists)),
        (grant_role("ann", "reader"), Ok(())),
        (revoke_role("ann", "writer"), Err(Rejection::RoleNotGranted)),
        (revoke_role("bob", "reader"), Err(Rejection::UserNotFound)),
        (grant("reader", "a", "", Access::Read), Ok(())),
        (grant("writer", "a", "", Access::Read), Err(Rejection::RoleNotFound)),
        (revoke("reader", "a", "b"), Err(Rejection::PermissionNotGranted)),
        (revoke("writer", "a", ""), Err(Rejection::RoleNotFound)),
        (revoke("reader", "a", ""), Ok(())),
        (AuthChange::UserDelete { name: "bob".into() }, Err(Rejection::UserNotFound)),
        (AuthChange::RoleDelete { name: "writer".into() }, Err(Rejection::RoleNotFound)),
        (AuthChange::RoleDelete { name: "reader".into() }, Ok(())),
    ];
    for (one, expected) in cases {
        let (before, text) = (keyspace.auth().clone(), format!("{one:?}"));
        assert_eq!(change(&mut keyspace, one), expected, "{text}");
        match expected {
            Ok(()) => assert_eq!(keyspace.auth().revision(), before.revision() + 1, "{text}"),
            Err(_) => assert_eq!(*keyspace.auth(), before, "{text}"),
        }
    }
    let ann = keyspace.auth().user("ann").expect("it was added");
    assert_eq!(ann.roles().len(), 0, "who had the role has it no more");
    assert_eq!(keyspace.revision(), 1, "the keys know nothing of all this");
}

#[test]
fn what_is_so_already_is_no_change() {
    let mut keyspace = Keyspace::new();
    enable(&mut keyspace);
    let (auth, hash) = (keyspace.auth().clone(), keyspace.applied_hash());
    let root = user(&keyspace, "root");
    for one in [AuthChange::Enable, grant_role("root", "root")] {
        apply_as(&mut keyspace, &root, Command::Auth(one)).expect("it is allowed");
    }
    assert_eq!((keyspace.auth().clone(), keyspace.applied_hash()), (auth, hash));
}

#[test]
fn users_are_not_enabled_without_a_root_and_root_then_stays() {
    let mut keyspace = Keyspace::new();
    assert_eq!(change(&mut keyspace, AuthChange::Enable), Err(Rejection::RootUserMissing));
    done(&mut keyspace, [add_user("root"), add_role("root")]);
    assert_eq!(change(&mut keyspace, AuthChange::Enable), Err(Rejection::RootRoleMissing));
    done(&mut keyspace, [grant_role("root", "root"), AuthChange::Enable]);
    let root = user(&keyspace, "root");
    for one in [
        AuthChange::UserDelete { name: "root".into() },
        AuthChange::RoleDelete { name: "root".into() },
        revoke_role("root", "root"),
    ] {
        let refused = apply_as(&mut keyspace, &root, Command::Auth(one));
        assert_eq!(refused, Err(Rejection::InvalidAuthManagement));
    }
    apply_as(&mut keyspace, &root, Command::Auth(AuthChange::Disable)).expect("root may");
    let delete = AuthChange::UserDelete { name: "root".into() };
    assert_eq!(change(&mut keyspace, delete), Ok(()), "nobody counts any more");
}

#[test]
fn users_and_roles_have_a_limit() {
    let mut keyspace = Keyspace::new();
    let long = "x".repeat(1 << 20);
    assert_eq!(change(&mut keyspace, add_user(&long)), Err(Rejection::NoSpace));
    assert_eq!(change(&mut keyspace, add_role(&long)), Err(Rejection::NoSpace));
    let shorter = |at: usize| format!("{at}{}", "x".repeat(1 << 19));
    let refused = (0..64).map(|at| change(&mut keyspace, add_role(&shorter(at))));
    assert_eq!(refused.collect::<Vec<_>>().iter().filter(|it| it.is_ok()).count(), 31);
}

#[test]
fn nobody_signs_in_with_a_password_that_was_changed_meanwhile() {
    let mut keyspace = Keyspace::new();
    enable(&mut keyspace);
    let since = |keyspace: &Keyspace| keyspace.auth().user("root").expect("it is there").since();
    let sign_in = |since| {
        let (token_digest, issued_seconds) = ([7; 32], 1_700_000_000);
        Command::SignIn(SignIn { name: "root".into(), since, token_digest, issued_seconds })
    };
    let checked = since(&keyspace);
    let signed = apply_as(&mut keyspace, &Principal::Server, sign_in(checked));
    assert!(matches!(signed, Ok(Reply::SignIn { .. })), "{signed:?}");
    let root = user(&keyspace, "root");
    let password = PasswordHash::new("another");
    let another = AuthChange::UserPassword { name: "root".into(), password };
    apply_as(&mut keyspace, &root, Command::Auth(another)).expect("root may");
    let late = apply_as(&mut keyspace, &Principal::Server, sign_in(checked));
    assert_eq!(late, Err(Rejection::AuthFailed));
    let refused = keyspace.view(&root).may(Ask::Known);
    assert_eq!(refused, Err(Rejection::InvalidAuthToken), "who was signed in is not any more");
    let command = Command::Put(put("a", "1"));
    assert_eq!(apply_as(&mut keyspace, &root, command), Err(Rejection::InvalidAuthToken));
}

#[test]
fn a_user_that_was_added_anew_is_another_one() {
    let mut keyspace = Keyspace::new();
    done(&mut keyspace, [add_user("ann")]);
    let before = user(&keyspace, "ann");
    done(&mut keyspace, [AuthChange::UserDelete { name: "ann".into() }, add_user("ann")]);
    enable(&mut keyspace);
    assert_eq!(keyspace.view(&before).may(Ask::Known), Err(Rejection::InvalidAuthToken));
    assert_eq!(keyspace.view(&user(&keyspace, "ann")).may(Ask::Known), Ok(()));
}

#[test]
fn who_has_a_certificate_is_its_user_whatever_became_of_the_password() {
    let mut keyspace = Keyspace::new();
    done(&mut keyspace, [AuthChange::UserAdd { name: "ann".into(), password: None }]);
    enable(&mut keyspace);
    let certified = |keyspace: &Keyspace, name: &str| {
        keyspace.view(&Principal::certified(name)).may(Ask::Known)
    };
    assert_eq!(certified(&keyspace, "ann"), Ok(()));
    assert_eq!(certified(&keyspace, "zoe"), Err(Rejection::PermissionDenied));
    let root = user(&keyspace, "root");
    let password = PasswordHash::new("another");
    let another = AuthChange::UserPassword { name: "ann".into(), password };
    apply_as(&mut keyspace, &root, Command::Auth(another)).expect("root may");
    assert_eq!(certified(&keyspace, "ann"), Ok(()));
}

#[test]
fn a_password_is_never_shown() {
    let mut keyspace = Keyspace::new();
    let secret = AuthChange::UserAdd {
        name: "ann".into(),
        password: Some(PasswordHash::new("an open secret")),
    };
    assert!(!format!("{secret:?}").contains("an open secret"));
    done(&mut keyspace, [secret]);
    assert!(!format!("{:?}", keyspace.auth()).contains("an open secret"));
}
