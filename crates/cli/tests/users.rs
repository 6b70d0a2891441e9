//! Users, roles and rights by the command, against Althing and etcd; and that they last.

mod support;

use std::io::Write as _;
use std::process::Output;

use serde_json::{Value, json};
use support::{Cluster, System, althing, code, feed, systems, wait_until};
use tempfile::NamedTempFile;

/// Runs a command as a user, whose password is in the environment.
fn run_as(endpoints: &str, user: &str, password: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = althing();
    command.args(["--endpoints", endpoints, "-o", "json"]);
    if !user.is_empty() {
        command.args(["--user", user]).env("ALTHING_PASSWORD", password);
    }
    feed(command.args(arguments), input.as_bytes())
}

fn json_of(output: &Output) -> Value {
    let text = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    serde_json::from_slice(text).expect("one document of JSON")
}

/// Runs commands against one cluster, and says what they must end with.
struct Shell<'a> {
    endpoints: &'a str,
}

impl Shell<'_> {
    fn done(&self, user: &str, arguments: &[&str], input: &str) -> Value {
        let output = run_as(self.endpoints, user, user, arguments, input);
        assert_eq!(code(&output), Some(0), "{user} {arguments:?}: {output:?}");
        json_of(&output)
    }

    fn denied(&self, user: &str, arguments: &[&str]) -> Value {
        let output = run_as(self.endpoints, user, user, arguments, "");
        assert_eq!(code(&output), Some(8), "{user} {arguments:?}: {output:?}");
        json_of(&output)
    }

    /// Adds root and ann, each with their name as the password, gives ann the right to read `a/`
    /// and to do all in `b`, and lets users count.
    fn begin(&self) {
        for name in ["root", "ann"] {
            self.done("", &["user", "add", name, "--new-password-file", "-"], &format!("{name}\n"));
        }
        self.done("", &["role", "add", "reader"], "");
        self.done("", &["role", "grant-permission", "reader", "read", "a/", "--prefix"], "");
        self.done("", &["role", "grant-permission", "reader", "readwrite", "b"], "");
        self.done("", &["user", "grant-role", "ann", "reader"], "");
        self.done("", &["user", "grant-role", "root", "root"], "");
        self.done("", &["auth", "enable"], "");
    }
}

#[test]
fn users_do_what_they_have_a_right_to() {
    for system in systems("users_do_what_they_have_a_right_to") {
        let shell = Shell { endpoints: &system.endpoint };
        shell.begin();
        shell.done("root", &["kv", "put", "a/1", "one"], "");
        assert_eq!(shell.done("ann", &["kv", "get", "a/1"], "")["kvs"][0]["value"], json!("one"));
        shell.done("ann", &["kv", "put", "b", "two"], "");
        for arguments in [
            &["kv", "put", "a/1", "two"][..],
            &["kv", "get", "c"],
            &["kv", "get", "", "--prefix"],
            &["kv", "del", "a/1"],
            &["user", "list"],
            &["role", "delete", "reader"],
            &["auth", "disable"],
            &["watch", "c"],
            &["lock", "c", "--", "true"],
        ] {
            let refused = shell.denied("ann", arguments);
            assert_eq!(refused["code"], json!(8), "{arguments:?}");
        }
        let refused = shell.denied("", &["kv", "get", "a/1"]);
        assert!(refused["hint"].as_str().is_some_and(|hint| hint.contains("--user")), "{refused}");
        let wrong = run_as(&system.endpoint, "ann", "wrong", &["kv", "get", "a/1"], "");
        assert_eq!(code(&wrong), Some(8), "{wrong:?}");
        shell.done("", &["health"], "");
        watches_and_locks(&system);
        shell.done("root", &["auth", "disable"], "");
        shell.done("", &["kv", "put", "c", "for everybody"], "");
    }
}

fn watches_and_locks(system: &System) {
    let shell = Shell { endpoints: &system.endpoint };
    let seen = ["watch", "a/", "--prefix", "--revision", "2", "--events", "1"];
    let told = run_as(&system.endpoint, "ann", "ann", &seen, "");
    assert_eq!(code(&told), Some(0), "{told:?}");
    let grant = ["role", "grant-permission", "reader", "readwrite", "lock/", "--prefix"];
    shell.done("root", &grant, "");
    let held = run_as(&system.endpoint, "ann", "ann", &["lock", "lock/x", "--", "true"], "");
    assert_eq!(code(&held), Some(0), "{held:?}");
}

#[test]
fn users_and_roles_are_shown_and_taken_away() {
    for system in systems("users_and_roles_are_shown_and_taken_away") {
        let shell = Shell { endpoints: &system.endpoint };
        shell.begin();
        assert_eq!(shell.done("root", &["user", "list"], ""), json!({ "users": ["ann", "root"] }));
        assert_eq!(shell.done("ann", &["user", "get", "ann"], ""), json!({ "roles": ["reader"] }));
        let role = shell.done("ann", &["role", "get", "reader"], "");
        let rights = json!([
            { "access": "read", "key": "a/", "range_end": "a0" },
            { "access": "readwrite", "key": "b", "range_end": "" },
        ]);
        assert_eq!(role, json!({ "role": "reader", "permissions": rights }));
        let revoke = ["role", "revoke-permission", "reader", "a/", "--prefix"];
        shell.done("root", &revoke, "");
        shell.denied("ann", &["kv", "get", "a/1"]);
        shell.done("root", &["user", "revoke-role", "ann", "reader"], "");
        shell.denied("ann", &["kv", "put", "b", ""]);
        let new = ["user", "passwd", "ann", "--new-password-file", "-"];
        shell.done("root", &new, "another\n");
        shell.denied("ann", &["user", "get", "ann"]);
        shell.done("root", &["user", "delete", "ann"], "");
        shell.done("root", &["role", "delete", "reader"], "");
        let taken = run_as(&system.endpoint, "root", "root", &["user", "delete", "root"], "");
        assert_eq!(code(&taken), Some(1), "{taken:?}");
    }
}

#[test]
fn a_password_comes_from_anywhere_but_the_command_line() {
    let system = System::althing();
    let shell = Shell { endpoints: &system.endpoint };
    shell.begin();
    let mut file = NamedTempFile::new().expect("a temporary file");
    writeln!(file, "ann").expect("it can be written");
    let path = file.path().display().to_string();
    let by_file = ["--user", "ann", "--password-file", &path, "user", "get", "ann"];
    let output = run_as(&system.endpoint, "", "", &by_file, "");
    assert_eq!(code(&output), Some(0), "{output:?}");
    let named = run_as(&system.endpoint, "", "", &["--user", "ann:ann", "user", "list"], "");
    assert_eq!(code(&named), Some(2), "{named:?}");
    let missing = run_as(&system.endpoint, "", "", &["--user", "ann", "user", "list"], "");
    assert_eq!(code(&missing), Some(2), "there is no terminal to ask on: {missing:?}");
    let empty = ["user", "add", "bob", "--new-password-file", "-"];
    assert_eq!(code(&run_as(&system.endpoint, "root", "root", &empty, "\n")), Some(2));
}

#[test]
fn what_users_may_outlives_a_restart_a_change_of_leaders_and_the_log() {
    // So few entries that a node which was away gets a snapshot.
    let mut cluster = Cluster::start(3, &["--snapshot-entries", "20"]);
    let endpoints = cluster.endpoints();
    let all = Shell { endpoints: &endpoints };
    all.begin();
    cluster.servers[2].kill();
    for _ in 0..50 {
        all.done("root", &["kv", "put", "a/1", "one"], "");
    }
    cluster.servers[0].kill();
    cluster.servers[2].start();
    wait_until("the two that run go on", || {
        let rest = cluster.servers[1].endpoint();
        code(&run_as(&rest, "ann", "ann", &["kv", "get", "a/1"], "")) == Some(0)
    });
    cluster.servers[0].start();
    for server in &cluster.servers {
        server.wait_until_ready();
        let endpoint = server.endpoint();
        let one = Shell { endpoints: &endpoint };
        one.done("ann", &["kv", "get", "a/1"], "");
        one.denied("ann", &["kv", "put", "a/1", "two"]);
        one.denied("", &["kv", "get", "a/1"]);
        assert_eq!(one.done("root", &["auth", "status"], "")["enabled"], json!(true));
    }
}
