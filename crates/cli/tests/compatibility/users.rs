//! Auth, and what the other services say to whom. Last, for it changes who may do what.

use althing_etcd_api::authpb::{Permission, UserAddOptions, permission::Type};
use althing_etcd_api::etcdserverpb as pb;
use pb::auth_client::AuthClient;
use pb::cluster_client::ClusterClient;
use pb::kv_client::KvClient;
use pb::lease_client::LeaseClient;
use pb::maintenance_client::MaintenanceClient;
use pb::request_op::Request as Op;
use pb::watch_client::WatchClient;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::transport::Channel;

use crate::{Notes, in_time};

type Client = AuthClient<Channel>;

/// A request with the token of somebody.
fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        request.metadata_mut().insert("token", token.parse().expect("ASCII"));
    }
    request
}

fn user(name: &str, password: &str) -> pb::AuthUserAddRequest {
    let (name, password) = (name.to_owned(), password.to_owned());
    pb::AuthUserAddRequest { name, password, ..Default::default() }
}

fn granted(user: &str, role: &str) -> pb::AuthUserGrantRoleRequest {
    pb::AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() }
}

fn right(role: &str, kind: Type, key: &str, end: &str) -> pb::AuthRoleGrantPermissionRequest {
    let perm = Permission {
        perm_type: kind.into(),
        key: key.to_owned().into(),
        range_end: end.to_owned().into(),
    };
    pb::AuthRoleGrantPermissionRequest { name: role.to_owned(), perm: Some(perm) }
}

pub(crate) async fn note(notes: &mut Notes) {
    let mut client = AuthClient::new(notes.channel());
    users(notes, &mut client).await;
    roles(notes, &mut client).await;
    enabling(notes, &mut client).await;
    let root = sign_in(&mut client, "root", "r").await;
    let ann = sign_in(&mut client, "ann", "another").await;
    tokens(notes, &root).await;
    management(notes, &mut client, &root, &ann).await;
    keys(notes, &ann).await;
    // From here on etcd 3.4 writes what it should not, and is ahead.
    notes.forgets_revisions = true;
    nested(notes, &ann).await;
    leases(notes, &root, &ann).await;
    watches(notes, &ann).await;
    servers(notes, &ann).await;
    revoked(notes, &mut client, &root, &ann).await;
    let answer = client.auth_disable(by(&root, pb::AuthDisableRequest {})).await;
    notes.answer("Auth.AuthDisable", "by root", answer);
    let answer = client.auth_disable(pb::AuthDisableRequest {}).await;
    notes.answer("Auth.AuthDisable", "again", answer);
}

async fn sign_in(client: &mut Client, name: &str, password: &str) -> String {
    let (name, password) = (name.to_owned(), password.to_owned());
    let answer = client.authenticate(pb::AuthenticateRequest { name, password }).await;
    answer.expect("it is the password").into_inner().token
}

async fn users(notes: &mut Notes, client: &mut Client) {
    let answer = client.user_list(pb::AuthUserListRequest {}).await;
    notes.answer("Auth.UserList", "none", answer);
    for (case, name, password) in [
        ("a new one", "ann", "a"),
        ("one that is there", "ann", "b"),
        ("without a name", "", "b"),
        ("with an empty password", "eve", ""),
    ] {
        notes.answer("Auth.UserAdd", case, client.user_add(user(name, password)).await);
    }
    let options = Some(UserAddOptions { no_password: true });
    let request = pb::AuthUserAddRequest { options, ..user("bob", "") };
    notes.answer("Auth.UserAdd", "without a password", client.user_add(request).await);
    let answer = client.user_list(pb::AuthUserListRequest {}).await;
    notes.answer("Auth.UserList", "some", answer);
    for (case, name) in [("one that is there", "ann"), ("one that is not there", "zoe")] {
        let answer = client.user_get(pb::AuthUserGetRequest { name: name.to_owned() }).await;
        notes.answer("Auth.UserGet", case, answer);
        let (name, password) = (name.to_owned(), "another".to_owned());
        let request = pb::AuthUserChangePasswordRequest { name, password, ..Default::default() };
        notes.answer("Auth.UserChangePassword", case, client.user_change_password(request).await);
    }
    for (case, name) in [("one that is there", "eve"), ("one that is not there", "eve")] {
        let answer = client.user_delete(pb::AuthUserDeleteRequest { name: name.to_owned() }).await;
        notes.answer("Auth.UserDelete", case, answer);
    }
}

async fn roles(notes: &mut Notes, client: &mut Client) {
    const GRANT: &str = "Auth.RoleGrantPermission";
    const REVOKE: &str = "Auth.RoleRevokePermission";
    for (case, name) in [("a new one", "r"), ("one that is there", "r"), ("without a name", "")] {
        let answer = client.role_add(pb::AuthRoleAddRequest { name: name.to_owned() }).await;
        notes.answer("Auth.RoleAdd", case, answer);
    }
    for (case, request) in [
        ("to read a key", right("r", Type::Read, "read", "")),
        ("to write a key", right("r", Type::Write, "write", "")),
        ("to do both in a range", right("r", Type::Readwrite, "both/", "both0")),
        ("the same again", right("r", Type::Readwrite, "both/", "both0")),
        ("more to the same key", right("r", Type::Readwrite, "temporary", "")),
        ("everything from a key on", right("r", Type::Read, "x", "\0")),
        ("to a role that is not there", right("s", Type::Read, "read", "")),
    ] {
        notes.answer(GRANT, case, client.role_grant_permission(request).await);
    }
    for (case, role, key, end) in [
        ("one that is there", "r", "temporary", ""),
        ("one that is not there", "r", "temporary", ""),
        ("a part of a range", "r", "both/a", ""),
        ("of a role that is not there", "s", "read", ""),
    ] {
        let (key, range_end) = (key.to_owned().into(), end.to_owned().into());
        let request = pb::AuthRoleRevokePermissionRequest { role: role.to_owned(), key, range_end };
        notes.answer(REVOKE, case, client.role_revoke_permission(request).await);
    }
    for (case, role) in [("one with rights", "r"), ("one that is not there", "s")] {
        let answer = client.role_get(pb::AuthRoleGetRequest { role: role.to_owned() }).await;
        notes.answer("Auth.RoleGet", case, answer);
    }
    for (case, user, role) in [
        ("a role that is there", "ann", "r"),
        ("the same again", "ann", "r"),
        ("a role that is not there", "ann", "s"),
        ("to a user that is not there", "zoe", "r"),
    ] {
        let answer = client.user_grant_role(granted(user, role)).await;
        notes.answer("Auth.UserGrantRole", case, answer);
    }
    let answer = client.role_list(pb::AuthRoleListRequest {}).await;
    notes.answer("Auth.RoleList", "some", answer);
    client.role_add(pb::AuthRoleAddRequest { name: "gone".into() }).await.expect("it is new");
    client.user_grant_role(granted("ann", "gone")).await.expect("both are there");
    for (case, role) in [("one that a user has", "gone"), ("one that is not there", "gone")] {
        let answer = client.role_delete(pb::AuthRoleDeleteRequest { role: role.to_owned() }).await;
        notes.answer("Auth.RoleDelete", case, answer);
    }
    let answer = client.user_get(pb::AuthUserGetRequest { name: "ann".into() }).await;
    notes.answer("Auth.UserGet", "whose role is gone", answer);
    for (case, name, role) in
        [("a role that it does not have", "ann", "s"), ("of a user that is not there", "zoe", "r")]
    {
        let (name, role) = (name.to_owned(), role.to_owned());
        let answer = client.user_revoke_role(pb::AuthUserRevokeRoleRequest { name, role }).await;
        notes.answer("Auth.UserRevokeRole", case, answer);
    }
}

async fn enabling(notes: &mut Notes, client: &mut Client) {
    const CALL: &str = "Auth.AuthEnable";
    const AUTHENTICATE: &str = "Auth.Authenticate";
    let mut kv = KvClient::new(notes.channel());
    for key in ["read", "write", "both/1", "other", "read\0", "y"] {
        let request = pb::PutRequest { key: key.into(), value: "1".into(), ..Default::default() };
        kv.put(request).await.expect("everybody may");
    }
    let sign_in = |name: &str, password: &str| pb::AuthenticateRequest {
        name: name.to_owned(),
        password: password.to_owned(),
    };
    let answer = client.authenticate(sign_in("ann", "another")).await;
    notes.answer(AUTHENTICATE, "while users don't count", answer);
    let answer = client.auth_enable(pb::AuthEnableRequest {}).await;
    notes.answer(CALL, "without a root", answer);
    client.user_add(user("root", "r")).await.expect("it is new");
    let answer = client.auth_enable(pb::AuthEnableRequest {}).await;
    notes.answer(CALL, "with a root that has no role", answer);
    let answer = client.user_grant_role(granted("root", "root")).await;
    notes.answer("Auth.UserGrantRole", "root to root", answer);
    notes.answer(CALL, "with root", client.auth_enable(pb::AuthEnableRequest {}).await);
    let answer = client.auth_enable(pb::AuthEnableRequest {}).await;
    notes.answer(CALL, "again, by nobody", answer);
    for (case, name, password) in [
        ("a wrong password", "ann", "wrong"),
        ("a user that is not there", "zoe", "a"),
        ("a user without a password", "bob", ""),
        ("nobody", "", ""),
    ] {
        let answer = client.authenticate(sign_in(name, password)).await;
        notes.answer(AUTHENTICATE, case, answer);
    }
    let answer = client.authenticate(sign_in("ann", "another")).await;
    let answer = answer.map(|answer| {
        answer.map(|message| {
            assert!(!message.token.is_empty());
            pb::AuthenticateResponse { token: "some".to_owned(), ..message }
        })
    });
    notes.answer(AUTHENTICATE, "the password", answer);
}

async fn tokens(notes: &mut Notes, root: &str) {
    const CALL: &str = "KV.Range";
    let mut kv = KvClient::new(notes.channel());
    let range = || pb::RangeRequest { key: "read".into(), ..Default::default() };
    notes.answer(CALL, "by nobody", kv.range(range()).await);
    notes.answer(CALL, "by root", kv.range(by(root, range())).await);
    notes.answer(CALL, "with a token of nobody", kv.range(by("nonsense.1", range())).await);
    let mut request = Request::new(range());
    request.metadata_mut().insert("authorization", root.parse().expect("ASCII"));
    notes.answer(CALL, "with the token where the gateway has it", kv.range(request).await);
    let put = || pb::PutRequest { key: "read".into(), value: "1".into(), ..Default::default() };
    notes.answer("KV.Put", "by nobody", kv.put(put()).await);
    notes.answer("KV.Put", "with a token of nobody", kv.put(by("nonsense.1", put())).await);
}

async fn management(notes: &mut Notes, client: &mut Client, root: &str, ann: &str) {
    let name = || "root".to_owned();
    let answer = client.user_delete(by(root, pb::AuthUserDeleteRequest { name: name() })).await;
    notes.answer("Auth.UserDelete", "root", answer);
    let request = pb::AuthUserRevokeRoleRequest { name: name(), role: name() };
    let answer = client.user_revoke_role(by(root, request)).await;
    notes.answer("Auth.UserRevokeRole", "root from root", answer);
    let answer = client.role_delete(by(root, pb::AuthRoleDeleteRequest { role: name() })).await;
    notes.answer("Auth.RoleDelete", "root", answer);
    for (case, token) in [("by nobody", ""), ("by a user", ann)] {
        let answer = client.user_add(by(token, user("eve", "e"))).await;
        notes.answer("Auth.UserAdd", case, answer);
        let answer = client.user_grant_role(by(token, granted("ann", "root"))).await;
        notes.answer("Auth.UserGrantRole", case, answer);
        let answer = client.user_list(by(token, pb::AuthUserListRequest {})).await;
        notes.answer("Auth.UserList", case, answer);
        let answer = client.role_list(by(token, pb::AuthRoleListRequest {})).await;
        notes.answer("Auth.RoleList", case, answer);
        let request = right("r", Type::Read, "more", "");
        let answer = client.role_grant_permission(by(token, request)).await;
        notes.answer("Auth.RoleGrantPermission", case, answer);
        let (name, password) = ("ann".to_owned(), "a".to_owned());
        let request = pb::AuthUserChangePasswordRequest { name, password, ..Default::default() };
        let answer = client.user_change_password(by(token, request)).await;
        notes.answer("Auth.UserChangePassword", case, answer);
        let answer = client.auth_disable(by(token, pb::AuthDisableRequest {})).await;
        notes.answer("Auth.AuthDisable", case, answer);
    }
    for (case, name) in [("oneself", "ann"), ("somebody else", "root")] {
        let request = pb::AuthUserGetRequest { name: name.to_owned() };
        notes.answer("Auth.UserGet", case, client.user_get(by(ann, request)).await);
    }
    for (case, role) in [("one's own", "r"), ("somebody else's", "root")] {
        let request = pb::AuthRoleGetRequest { role: role.to_owned() };
        notes.answer("Auth.RoleGet", case, client.role_get(by(ann, request)).await);
    }
}

async fn keys(notes: &mut Notes, ann: &str) {
    let mut kv = KvClient::new(notes.channel());
    for (case, key, end) in [
        ("what may be read", "read", ""),
        ("what may not be read", "other", ""),
        ("a range that may be read", "both/", "both0"),
        ("more than may be read", "both/", "both1"),
        ("from a key on that may be read", "y", "\0"),
        ("from a key on that may not be read", "read", "\0"),
    ] {
        let (key, range_end) = (key.to_owned().into(), end.to_owned().into());
        let request = pb::RangeRequest { key, range_end, ..Default::default() };
        notes.answer("KV.Range", case, kv.range(by(ann, request)).await);
    }
    for (case, key, prev_kv) in [
        ("what may be written", "write", false),
        ("what may not be written", "read", false),
        ("what may be written and not read, with what was there", "write", true),
        ("what may be both, with what was there", "both/1", true),
    ] {
        let key = key.to_owned().into();
        let request = pb::PutRequest { key, prev_kv, value: "2".into(), ..Default::default() };
        notes.answer("KV.Put", case, kv.put(by(ann, request)).await);
    }
    for (case, key, end, prev_kv) in [
        ("what may not be deleted", "read", "", false),
        ("more than may be deleted", "both/", "both1", false),
        ("what may be deleted and not read, with what was there", "write", "", true),
        ("what may be deleted", "write", "", false),
    ] {
        let (key, range_end) = (key.to_owned().into(), end.to_owned().into());
        let request = pb::DeleteRangeRequest { key, range_end, prev_kv };
        notes.answer("KV.DeleteRange", case, kv.delete_range(by(ann, request)).await);
    }
    let compact = pb::CompactionRequest { revision: 404_404, physical: false };
    notes.answer("KV.Compact", "by a user", kv.compact(by(ann, compact)).await);
    notes.answer("KV.Compact", "by nobody", kv.compact(compact).await);
}

async fn nested(notes: &mut Notes, ann: &str) {
    const CALL: &str = "KV.Txn";
    let mut kv = KvClient::new(notes.channel());
    let read = |key: &str| {
        Op::RequestRange(pb::RangeRequest { key: key.to_owned().into(), ..Default::default() })
    };
    let write = |key: &str, prev_kv| {
        Op::RequestPut(pb::PutRequest { key: key.to_owned().into(), prev_kv, ..Default::default() })
    };
    let txn = |request: Op| pb::TxnRequest {
        success: vec![pb::RequestOp { request: Some(request) }],
        ..Default::default()
    };
    let compared = |key: &str| pb::TxnRequest {
        compare: vec![pb::Compare { key: key.to_owned().into(), ..Default::default() }],
        ..Default::default()
    };
    let otherwise = |request: Op| pb::TxnRequest {
        failure: vec![pb::RequestOp { request: Some(request) }],
        ..Default::default()
    };
    for (case, request) in [
        ("that reads what may be read", txn(read("read"))),
        ("that reads what may not be read", txn(read("other"))),
        ("that writes what may not be written", txn(write("other", false))),
        ("that would write what may not be written", otherwise(write("other", false))),
        ("that compares what may not be read", compared("other")),
        ("that writes what may not be read, with what was there", txn(write("write", true))),
        ("within another, that reads what may not be read", {
            txn(Op::RequestTxn(txn(read("other"))))
        }),
        ("within another, that writes what may not be written", {
            txn(Op::RequestTxn(txn(write("other", false))))
        }),
    ] {
        notes.answer(CALL, case, kv.txn(by(ann, request)).await);
    }
}

async fn leases(notes: &mut Notes, root: &str, ann: &str) {
    let mut client = LeaseClient::new(notes.channel());
    let grant = |id| pb::LeaseGrantRequest { ttl: 1000, id };
    notes.answer("Lease.LeaseGrant", "by nobody", client.lease_grant(grant(202)).await);
    notes.answer("Lease.LeaseGrant", "by a user", client.lease_grant(by(ann, grant(201))).await);
    let mut kv = KvClient::new(notes.channel());
    let put = |key: &str, lease| {
        let key = key.to_owned().into();
        pb::PutRequest { key, lease, value: "1".into(), ..Default::default() }
    };
    let answer = kv.put(by(ann, put("write", 201))).await;
    notes.answer("KV.Put", "to one's own lease", answer);
    kv.put(by(root, put("other", 201))).await.expect("root may");
    let answer = kv.put(by(ann, put("write", 201))).await;
    notes.answer("KV.Put", "to a lease with keys that may not be written", answer);
    let op = pb::RequestOp { request: Some(Op::RequestPut(put("write", 201))) };
    let txn = pb::TxnRequest { success: vec![op], ..Default::default() };
    let answer = kv.txn(by(ann, txn)).await;
    notes.answer("KV.Txn", "a put to a lease with keys that may not be written", answer);
    let time = |id, keys| pb::LeaseTimeToLiveRequest { id, keys };
    let answer = client.lease_time_to_live(by(ann, time(201, true))).await;
    let answer = answer.map(|answer| answer.map(|_| "an answer"));
    notes.answer("Lease.LeaseTimeToLive", "with keys that may not be read", answer);
    let answer = client.lease_time_to_live(time(201, false)).await;
    let answer = answer.map(|answer| answer.map(|_| "an answer"));
    notes.answer("Lease.LeaseTimeToLive", "by nobody", answer);
    let answer = client.lease_leases(by(ann, pb::LeaseLeasesRequest {})).await;
    let answer = answer.map(|answer| answer.map(|_| "an answer"));
    notes.answer("Lease.LeaseLeases", "by a user", answer);
    let answer = client.lease_leases(pb::LeaseLeasesRequest {}).await;
    let answer = answer.map(|answer| answer.map(|_| "an answer"));
    notes.answer("Lease.LeaseLeases", "by nobody", answer);
    let revoke = || pb::LeaseRevokeRequest { id: 201 };
    let answer = client.lease_revoke(revoke()).await;
    notes.answer("Lease.LeaseRevoke", "by nobody", answer);
    let answer = client.lease_revoke(by(ann, revoke())).await;
    notes.answer("Lease.LeaseRevoke", "with keys that may not be written", answer);
    let answer = client.lease_revoke(by(root, revoke())).await;
    notes.answer("Lease.LeaseRevoke", "by root", answer);
}

async fn watches(notes: &mut Notes, ann: &str) {
    const CALL: &str = "Watch.Watch";
    for (case, token, key, end) in [
        ("what may be read", ann, "read", ""),
        ("what may not be read", ann, "other", ""),
        ("from a key on that alone may be read", ann, "read", "\0"),
        ("more than may be read", ann, "both/", "both1"),
        ("by nobody", "", "read", ""),
        ("with a token of nobody", "nonsense.1", "read", ""),
    ] {
        let mut client = WatchClient::new(notes.channel());
        let (requests, stream) = tokio::sync::mpsc::channel(1);
        let create = pb::WatchCreateRequest {
            key: key.to_owned().into(),
            range_end: end.to_owned().into(),
            ..Default::default()
        };
        let union = Some(pb::watch_request::RequestUnion::CreateRequest(create));
        let request = pb::WatchRequest { request_union: union };
        requests.send(request).await.expect("there is room");
        let answer = client.watch(by(token, ReceiverStream::new(stream))).await;
        let answer = match answer {
            Ok(answer) => in_time(answer.into_inner().message()).await,
            Err(status) => Err(status),
        };
        notes.message(CALL, case, answer);
    }
}

async fn servers(notes: &mut Notes, ann: &str) {
    for (case, token) in [("by nobody", ""), ("by a user", ann)] {
        let mut cluster = ClusterClient::new(notes.channel());
        let list = pb::MemberListRequest { linearizable: true };
        let answer = cluster.member_list(by(token, list)).await;
        let answer = answer.map(|answer| answer.map(|_| "an answer"));
        notes.answer("Cluster.MemberList", case, answer);
        let mut server = MaintenanceClient::new(notes.channel());
        let answer = server.status(by(token, pb::StatusRequest {})).await;
        let answer = answer.map(|answer| answer.map(|_| "an answer"));
        notes.answer("Maintenance.Status", case, answer);
        let answer = server.alarm(by(token, pb::AlarmRequest::default())).await;
        let answer = answer.map(|answer| answer.map(|_| "an answer"));
        notes.answer("Maintenance.Alarm", case, answer);
        let answer = server.defragment(by(token, pb::DefragmentRequest {})).await;
        let answer = answer.map(|answer| answer.map(|_| "an answer"));
        notes.answer("Maintenance.Defragment", case, answer);
        let answer = server.hash(by(token, pb::HashRequest {})).await;
        let answer = answer.map(|answer| answer.map(|_| "an answer"));
        notes.answer("Maintenance.Hash", case, answer);
        let answer = server.hash_kv(by(token, pb::HashKvRequest { revision: 0 })).await;
        let answer = answer.map(|answer| answer.map(|_| "an answer"));
        notes.answer("Maintenance.HashKV", case, answer);
    }
}

async fn revoked(notes: &mut Notes, client: &mut Client, root: &str, ann: &str) {
    const CALL: &str = "KV.Range";
    let mut kv = KvClient::new(notes.channel());
    let range = || pb::RangeRequest { key: "read".into(), ..Default::default() };
    let (role, key) = ("r".to_owned(), "read".into());
    let request = pb::AuthRoleRevokePermissionRequest { role, key, range_end: "".into() };
    client.role_revoke_permission(by(root, request)).await.expect("it is there");
    notes.answer(CALL, "what may no longer be read", kv.range(by(ann, range())).await);
    let (name, password) = ("ann".to_owned(), "third".to_owned());
    let request = pb::AuthUserChangePasswordRequest { name, password, ..Default::default() };
    client.user_change_password(by(root, request)).await.expect("it is there");
    notes.answer(CALL, "after the password was changed", kv.range(by(ann, range())).await);
}
