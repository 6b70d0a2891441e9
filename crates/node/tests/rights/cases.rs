//! What can be asked for, and whether the user ann may.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// One thing to ask for.
pub(crate) struct Case {
    /// The service and the call.
    pub(crate) call: &'static str,
    /// Its path in the gateway, if it has one.
    pub(crate) path: Option<&'static str>,
    /// What is asked for.
    pub(crate) asked: String,
    /// Where the operation stands, of those that can stand in several places.
    pub(crate) place: String,
    pub(crate) body: Value,
    /// Whether ann may.
    pub(crate) ann: bool,
}

/// Bytes as the gateway writes them.
pub(crate) fn bytes(text: &str) -> String {
    STANDARD.encode(text)
}

/// All of it.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (operation, asked, body, ann) in operations() {
        in_every_place(&mut cases, operation, asked, &body, ann);
    }
    for (asked, key, end, ann) in [
        ("to compare what may be read", "read", "", true),
        ("to compare what may only be written", "write", "", false),
        ("to compare from a key on that alone may be read", "read", "\0", false),
    ] {
        let compare = json!({ "key": bytes(key), "range_end": bytes(end), "target": "VERSION" });
        let txn = json!({ "compare": [compare] });
        let mut place = |place: String, body: Value| {
            let path = Some("/v3/kv/txn");
            let asked = asked.to_owned();
            cases.push(Case { call: "KV.Txn", path, asked, place, body, ann });
        };
        place("of a transaction".to_owned(), txn.clone());
        for depth in [1, 3] {
            for branch in ["success", "failure"] {
                place(format!("{branch}, {depth} deep"), nested(&txn, depth, branch));
            }
        }
    }
    cases.extend(alone().into_iter().map(|(call, path, asked, body, ann)| Case {
        call,
        path: Some(path).filter(|path| !path.is_empty()),
        asked: asked.to_owned(),
        place: "alone".to_owned(),
        body,
        ann,
    }));
    cases
}

/// An operation that can stand alone, and in transactions to any depth.
fn in_every_place(
    cases: &mut Vec<Case>,
    (call, path, name): (&'static str, &'static str, &str),
    asked: &str,
    body: &Value,
    ann: bool,
) {
    let asked = asked.to_owned();
    let place = "alone".to_owned();
    let (path, body) = (Some(path), body.clone());
    cases.push(Case { call, path, asked: asked.clone(), place, body: body.clone(), ann });
    let operation = json!({ name: body });
    for depth in [0, 1, 3] {
        for branch in ["success", "failure"] {
            let txn = match branch {
                "success" => json!({ "success": [operation] }),
                _ => json!({ "failure": [operation] }),
            };
            cases.push(Case {
                call,
                path: Some("/v3/kv/txn"),
                asked: asked.clone(),
                place: format!("{branch}, {depth} deep"),
                body: nested(&txn, depth, branch),
                ann,
            });
        }
    }
}

fn nested(txn: &Value, depth: usize, branch: &str) -> Value {
    let mut txn = txn.clone();
    for _ in 0..depth {
        txn = match branch {
            "success" => json!({ "success": [{ "request_txn": txn }] }),
            _ => json!({ "failure": [{ "request_txn": txn }] }),
        };
    }
    txn
}

type Operation = (&'static str, &'static str, &'static str);

fn operations() -> Vec<(Operation, &'static str, Value, bool)> {
    const RANGE: Operation = ("KV.Range", "/v3/kv/range", "request_range");
    const PUT: Operation = ("KV.Put", "/v3/kv/put", "request_put");
    const DELETE: Operation = ("KV.DeleteRange", "/v3/kv/deleterange", "request_delete_range");
    let range = |key: &str, end: &str| json!({ "key": bytes(key), "range_end": bytes(end) });
    let put = |key: &str| json!({ "key": bytes(key), "value": bytes("1") });
    let with = |mut body: Value, name: &str, value: Value| {
        body[name] = value;
        body
    };
    let previous = |body: Value| with(body, "prev_kv", json!(true));
    let tied = |lease: &str| with(put("write"), "lease", json!(lease));
    vec![
        (RANGE, "to read what may be read", range("read", ""), true),
        (RANGE, "to read a range that may be read", range("both/", "both0"), true),
        (RANGE, "to read what may only be written", range("write", ""), false),
        (RANGE, "to read what is nobody's", range("other", ""), false),
        (RANGE, "to read a longer range", range("both/", "both1"), false),
        (RANGE, "to read from a key on that alone may be read", range("read", "\0"), false),
        (PUT, "to write what may be written", put("write"), true),
        (PUT, "to write what may only be read", put("read"), false),
        (PUT, "to write and learn what was there", previous(put("both/1")), true),
        (PUT, "to write and learn what may not be read", previous(put("write")), false),
        (PUT, "to tie a key to a lease whose keys may be written", tied("1"), true),
        (PUT, "to tie a key to a lease whose keys may not be written", tied("2"), false),
        (DELETE, "to delete what may be written", range("write", ""), true),
        (DELETE, "to delete what may only be read", range("read", ""), false),
        (DELETE, "to delete a longer range", range("both/", "both1"), false),
        (DELETE, "to delete from a key on that alone may be written", range("write", "\0"), false),
        (DELETE, "to delete and learn what was there", previous(range("both/9", "")), true),
        (DELETE, "to delete and learn what may not be read", previous(range("write", "")), false),
    ]
}

type Alone = (&'static str, &'static str, &'static str, Value, bool);

fn alone() -> Vec<Alone> {
    let watch = |key: &str, end: &str| {
        let (key, range_end) = (bytes(key), bytes(end));
        json!({ "create_request": { "key": key, "range_end": range_end } })
    };
    let mut all = vec![
        ("KV.Compact", "/v3/kv/compaction", "", json!({ "revision": "1" }), false),
        ("Watch.Watch", "/v3/watch", "what may be read", watch("read", ""), true),
        ("Watch.Watch", "/v3/watch", "a range that may be read", watch("both/", "both0"), true),
        ("Watch.Watch", "/v3/watch", "what may only be written", watch("write", ""), false),
        ("Watch.Watch", "/v3/watch", "a longer range", watch("both/", "both1"), false),
        (
            "Watch.Watch",
            "/v3/watch",
            "from a key on that alone may be read",
            { watch("read", "\0") },
            false,
        ),
        ("Watch.Watch", "/v3/watch", "everything", watch("", "\0"), false),
    ];
    all.extend(leases());
    all.extend(lines());
    all.extend(servers());
    all.extend(users());
    all
}

fn leases() -> Vec<Alone> {
    const TIME: &str = "/v3/lease/timetolive";
    let id = |id: &str| json!({ "ID": id });
    let keys = |id: &str| json!({ "ID": id, "keys": true });
    let grant = json!({ "TTL": "60" });
    const MINE: &str = "one whose keys may be written";
    const THEIRS: &str = "one whose keys may not be written";
    vec![
        ("Lease.LeaseGrant", "/v3/lease/grant", "", grant, true),
        ("Lease.LeaseRevoke", "/v3/lease/revoke", MINE, id("1"), true),
        ("Lease.LeaseRevoke", "/v3/lease/revoke", THEIRS, id("2"), false),
        ("Lease.LeaseKeepAlive", "/v3/lease/keepalive", MINE, id("1"), true),
        ("Lease.LeaseKeepAlive", "/v3/lease/keepalive", THEIRS, id("2"), false),
        ("Lease.LeaseTimeToLive", TIME, "any", id("2"), true),
        ("Lease.LeaseTimeToLive", TIME, "with keys that may be read", keys("1"), true),
        ("Lease.LeaseTimeToLive", TIME, "with keys that may not be read", keys("2"), false),
        ("Lease.LeaseLeases", "/v3/lease/leases", "", json!({}), true),
    ]
}

fn lines() -> Vec<Alone> {
    const MINE: &str = "one below what may be read and written";
    const THEIRS: &str = "one below what may not";
    const CAMPAIGN: &str = "/v3/election/campaign";
    const PROCLAIM: &str = "/v3/election/proclaim";
    const OBSERVE: &str = "/v3/election/observe";
    let with_lease = |name: &str| json!({ "name": bytes(name), "lease": "3" });
    let name = |name: &str| json!({ "name": bytes(name) });
    let key = |key: &str| json!({ "key": bytes(key) });
    let leader = |key: &str| json!({ "leader": { "key": bytes(key), "rev": "1", "lease": "3" } });
    vec![
        ("Lock.Lock", "/v3/lock/lock", MINE, with_lease("both/lock"), true),
        ("Lock.Lock", "/v3/lock/lock", THEIRS, with_lease("other"), false),
        ("Lock.Unlock", "/v3/lock/unlock", MINE, key("both/lock/3"), true),
        ("Lock.Unlock", "/v3/lock/unlock", THEIRS, key("other/3"), false),
        ("Election.Campaign", CAMPAIGN, MINE, with_lease("both/election"), true),
        ("Election.Campaign", CAMPAIGN, THEIRS, with_lease("other"), false),
        ("Election.Proclaim", PROCLAIM, MINE, leader("both/election/3"), true),
        ("Election.Proclaim", PROCLAIM, THEIRS, leader("other/3"), false),
        ("Election.Leader", "/v3/election/leader", MINE, name("both/led"), true),
        ("Election.Leader", "/v3/election/leader", THEIRS, name("other"), false),
        ("Election.Observe", OBSERVE, MINE, name("both/led"), true),
        ("Election.Observe", OBSERVE, THEIRS, name("others"), false),
        ("Election.Resign", "/v3/election/resign", MINE, leader("both/election/3"), true),
        ("Election.Resign", "/v3/election/resign", THEIRS, leader("other/3"), false),
    ]
}

fn servers() -> Vec<Alone> {
    const MOVE: &str = "/v3/maintenance/transfer-leadership";
    let (none, id) = (json!({}), json!({ "ID": "404" }));
    let address = json!({ "peerURLs": ["nonsense"] });
    vec![
        ("Cluster.MemberAdd", "/v3/cluster/member/add", "", address, false),
        ("Cluster.MemberRemove", "/v3/cluster/member/remove", "", id.clone(), false),
        ("Cluster.MemberUpdate", "/v3/cluster/member/update", "", id.clone(), false),
        ("Cluster.MemberPromote", "/v3/cluster/member/promote", "", id, false),
        ("Cluster.MemberList", "/v3/cluster/member/list", "", none.clone(), true),
        ("Maintenance.Status", "/v3/maintenance/status", "", none.clone(), true),
        ("Maintenance.Alarm", "/v3/maintenance/alarm", "", none.clone(), false),
        ("Maintenance.Defragment", "/v3/maintenance/defragment", "", none.clone(), false),
        ("Maintenance.Hash", "", "", none.clone(), false),
        ("Maintenance.HashKV", "/v3/maintenance/hash", "", none.clone(), false),
        ("Maintenance.Snapshot", "", "", none.clone(), false),
        ("Maintenance.MoveLeader", MOVE, "", json!({ "targetID": "404" }), false),
        ("Maintenance.Downgrade", "", "", none, false),
    ]
}

fn users() -> Vec<Alone> {
    let none = json!({});
    let name = |name: &str| json!({ "name": name });
    let role = |role: &str| json!({ "role": role });
    let secret = |name: &str, password: &str| json!({ "name": name, "password": password });
    let granted = json!({ "user": "absent", "role": "r" });
    let revoked = json!({ "name": "absent", "role": "r" });
    let right = json!({ "name": "absent", "perm": { "key": bytes("x") } });
    let no_right = json!({ "role": "absent", "key": bytes("x") });
    const CHANGE: &str = "/v3/auth/user/changepw";
    vec![
        ("Auth.Authenticate", "/v3/auth/authenticate", "", secret("ann", "wrong"), true),
        ("Auth.AuthEnable", "/v3/auth/enable", "", none.clone(), false),
        ("Auth.AuthDisable", "/v3/auth/disable", "", none.clone(), false),
        ("Auth.AuthStatus", "/v3/auth/status", "", none.clone(), false),
        ("Auth.UserAdd", "/v3/auth/user/add", "", secret("new", "n"), false),
        ("Auth.UserGet", "/v3/auth/user/get", "oneself", name("ann"), true),
        ("Auth.UserGet", "/v3/auth/user/get", "somebody else", name("root"), false),
        ("Auth.UserList", "/v3/auth/user/list", "", none.clone(), false),
        ("Auth.UserDelete", "/v3/auth/user/delete", "", name("absent"), false),
        ("Auth.UserChangePassword", CHANGE, "of somebody", secret("absent", "n"), false),
        ("Auth.UserGrantRole", "/v3/auth/user/grant", "", granted, false),
        ("Auth.UserRevokeRole", "/v3/auth/user/revoke", "", revoked, false),
        ("Auth.RoleAdd", "/v3/auth/role/add", "", name("r"), false),
        ("Auth.RoleGet", "/v3/auth/role/get", "one's own", role("r"), true),
        ("Auth.RoleGet", "/v3/auth/role/get", "somebody else's", role("root"), false),
        ("Auth.RoleList", "/v3/auth/role/list", "", none, false),
        ("Auth.RoleDelete", "/v3/auth/role/delete", "", role("absent"), false),
        ("Auth.RoleGrantPermission", "/v3/auth/role/grant", "", right, false),
        ("Auth.RoleRevokePermission", "/v3/auth/role/revoke", "", no_right, false),
    ]
}
