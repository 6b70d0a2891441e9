//! etcd's own client against each node of a cluster.

mod support;

use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use support::{Cluster, Server, tool, wait_until};

struct Etcdctl<'a> {
    program: &'a std::path::Path,
    endpoint: String,
}

impl Etcdctl<'_> {
    fn run(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write as _;
        let mut process = Command::new(self.program)
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.endpoint])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("etcdctl starts");
        let mut stdin = process.stdin.take().expect("it was asked for");
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        process.wait_with_output().expect("it ends")
    }

    fn prints(&self, arguments: &[&str], expected: &str) {
        let output = self.run(arguments, "");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        assert_eq!(text.trim_end(), expected.trim_end(), "{arguments:?}");
    }

    fn fails(&self, arguments: &[&str], expected: &str) {
        let output = self.run(arguments, "");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?} worked");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["-w", "json"]].concat(), "");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

fn reads_and_writes(ctl: &Etcdctl<'_>) {
    ctl.prints(&["put", "a/1", "one"], "OK");
    ctl.prints(&["put", "a/2", "two"], "OK");
    ctl.prints(&["put", "a/3", "three"], "OK");
    ctl.prints(&["get", "a/1"], "a/1\none");
    ctl.prints(&["get", "a/", "--prefix"], "a/1\none\na/2\ntwo\na/3\nthree");
    ctl.prints(&["get", "a/1", "a/3"], "a/1\none\na/2\ntwo");
    ctl.prints(&["get", "a/", "--prefix", "--limit", "1"], "a/1\none");
    ctl.prints(&["get", "a/", "--prefix", "--keys-only"], "a/1\n\na/2\n\na/3\n");
    ctl.prints(&["get", "a/2", "--from-key", "--print-value-only"], "two\nthree");
    ctl.prints(
        &["get", "a/", "--prefix", "--order", "DESCEND", "--limit", "2"],
        "a/3\nthree\na/2\ntwo",
    );
    ctl.prints(&["put", "a/1", "uno", "--prev-kv"], "OK\na/1\none");
}

fn history(ctl: &Etcdctl<'_>) {
    let revision = ctl.json(&["get", "a/1"])["header"]["revision"].as_i64().expect("a number");
    ctl.prints(&["put", "a/1", "eins"], "OK");
    ctl.prints(&["get", "a/1", "--rev", &revision.to_string()], "a/1\nuno");
    ctl.prints(&["get", "a/1"], "a/1\neins");
    ctl.fails(&["get", "a/1", "--rev", "1000000"], "required revision is a future revision");
    ctl.prints(
        &["compaction", &(revision + 1).to_string()],
        &format!("compacted revision {}", revision + 1),
    );
    ctl.fails(
        &["get", "a/1", "--rev", &revision.to_string()],
        "required revision has been compacted",
    );
    ctl.prints(&["get", "a/1"], "a/1\neins");
}

fn transactions(ctl: &Etcdctl<'_>) {
    let swap = "value(\"a/1\") = \"eins\"\n\nput a/1 yksi\nget a/1\n\nget a/2\n\n";
    let taken = ctl.run(&["txn"], swap);
    assert_eq!(String::from_utf8_lossy(&taken.stdout), "SUCCESS\n\nOK\n\na/1\nyksi\n", "{taken:?}");
    let refused = ctl.run(&["txn"], swap);
    assert_eq!(String::from_utf8_lossy(&refused.stdout), "FAILURE\n\na/2\ntwo\n", "{refused:?}");
}

fn deletes(ctl: &Etcdctl<'_>) {
    ctl.prints(&["del", "a/3", "--prev-kv"], "1\na/3\nthree");
    ctl.prints(&["del", "a/3"], "0");
    ctl.prints(&["del", "a/", "--prefix"], "2");
    ctl.prints(&["get", "a/", "--prefix"], "");
}

fn tells_about_itself(ctl: &Etcdctl<'_>, server: &Server) {
    let status = &ctl.json(&["endpoint", "status"])[0];
    assert_eq!(status["Endpoint"].as_str(), Some(server.endpoint().as_str()));
    assert_ne!(status["Status"]["leader"].as_u64(), Some(0));
    let members = ctl.json(&["member", "list"]);
    let members = members["members"].as_array().expect("members");
    let names: Vec<&str> = members.iter().filter_map(|member| member["name"].as_str()).collect();
    assert_eq!(members.len(), 3);
    assert!(["n1", "n2", "n3"].iter().all(|name| names.contains(name)), "{names:?}");
    let urls: Vec<&str> = members.iter().filter_map(|m| m["clientURLs"][0].as_str()).collect();
    assert!(urls.contains(&format!("http://{}", server.endpoint()).as_str()), "{urls:?}");
    let healthy = ctl.run(&["endpoint", "health"], "");
    assert!(healthy.status.success(), "{healthy:?}");
}

#[test]
fn etcdctl_works_against_each_of_three_nodes() {
    let test = "etcdctl_works_against_each_of_three_nodes";
    let Some(program) = tool(test, "etcdctl", "etcd-client") else { return };
    let cluster = Cluster::start(3, &[]);
    for server in &cluster.servers {
        let ctl = Etcdctl { program: &program, endpoint: server.endpoint() };
        reads_and_writes(&ctl);
        history(&ctl);
        transactions(&ctl);
        deletes(&ctl);
        tells_about_itself(&ctl, server);
    }
}

fn looks_after_users(ctl: &Etcdctl<'_>) {
    ctl.prints(&["user", "add", "root:r"], "User root created");
    ctl.prints(&["user", "add", "ann:a"], "User ann created");
    ctl.prints(&["role", "add", "reader"], "Role reader created");
    ctl.prints(
        &["role", "grant-permission", "reader", "read", "a/", "--prefix"],
        "Role reader updated",
    );
    ctl.prints(&["user", "grant-role", "ann", "reader"], "Role reader is granted to user ann");
    ctl.prints(&["user", "grant-role", "root", "root"], "Role root is granted to user root");
    ctl.prints(&["auth", "enable"], "Authentication Enabled");
}

fn asks_as_users(ctl: &Etcdctl<'_>) {
    let (root, ann) = (["--user", "root:r"], ["--user", "ann:a"]);
    let by = |user: [&'static str; 2], rest: &[&'static str]| [&user[..], rest].concat();
    ctl.prints(&by(root, &["put", "a/1", "one"]), "OK");
    ctl.prints(&by(ann, &["get", "a/1"]), "a/1\none");
    ctl.fails(&by(ann, &["put", "a/1", "two"]), "permission denied");
    ctl.fails(&by(ann, &["get", "b"]), "permission denied");
    ctl.fails(&["get", "a/1"], "user name is empty");
    ctl.fails(&["--user", "ann:wrong", "get", "a/1"], "authentication failed");
    ctl.prints(&by(root, &["user", "list"]), "ann\nroot");
    ctl.prints(&by(root, &["role", "list"]), "reader");
    ctl.prints(&by(ann, &["user", "get", "ann"]), "User: ann\nRoles: reader");
    let role = "Role reader\nKV Read:\n\t[a/, a0) (prefix a/)\nKV Write:";
    ctl.prints(&by(ann, &["role", "get", "reader"]), role);
}

#[test]
fn etcdctl_looks_after_users_and_asks_as_them_at_each_of_three_nodes() {
    let test = "etcdctl_looks_after_users_and_asks_as_them_at_each_of_three_nodes";
    let Some(program) = tool(test, "etcdctl", "etcd-client") else { return };
    let cluster = Cluster::start(3, &[]);
    let ctl = |server: &Server| Etcdctl { program: &program, endpoint: server.endpoint() };
    looks_after_users(&ctl(&cluster.servers[0]));
    for server in &cluster.servers {
        asks_as_users(&ctl(server));
    }
    let first = ctl(&cluster.servers[0]);
    let root = ["--user", "root:r"];
    for (rest, printed) in [
        (
            &["role", "revoke-permission", "reader", "a/", "a0"][..],
            "Permission of range [a/, a0) is revoked from role reader",
        ),
        (&["user", "revoke-role", "ann", "reader"], "Role reader is revoked from user ann"),
        (&["role", "delete", "reader"], "Role reader deleted"),
        (&["user", "delete", "ann"], "User ann deleted"),
        (&["auth", "disable"], "Authentication Disabled"),
    ] {
        first.prints(&[&root[..], rest].concat(), printed);
    }
    first.prints(&["get", "a/1"], "a/1\none");
}

#[test]
fn etcdctl_adds_promotes_moves_and_removes_members() {
    let test = "etcdctl_adds_promotes_moves_and_removes_members";
    let Some(program) = tool(test, "etcdctl", "etcd-client") else { return };
    let mut cluster = Cluster::start(1, &[]);
    let newcomer = cluster.plan_newcomer("n2", &[]);
    let url = format!("http://127.0.0.1:{}", cluster.servers[newcomer].peer);
    let first = Etcdctl { program: &program, endpoint: cluster.servers[0].endpoint() };
    let added = first.run(&["member", "add", "n2", "--learner", "--peer-urls", &url], "");
    let told = String::from_utf8_lossy(&added.stdout).into_owned();
    assert!(added.status.success() && told.contains("ETCD_INITIAL_CLUSTER="), "{added:?}");
    let members = first.json(&["member", "list"]);
    let learner = &members["members"].as_array().expect("members")[..];
    let learner = learner.iter().find(|member| member["isLearner"] == true).expect("it is there");
    let id = format!("{:x}", learner["ID"].as_u64().expect("a number"));
    first.fails(&["member", "promote", &id], "in sync with leader");
    let member = |what: &[&str]| {
        let output = first.run(&[&["member"], what].concat(), "");
        assert!(output.status.success(), "{what:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let told = member(&["update", &id, "--peer-urls", &url]);
    assert!(told.contains(&format!("{id} updated in cluster")), "{told}");

    cluster.servers[newcomer].start();
    cluster.servers[newcomer].wait_until_ready();
    let start = std::time::Instant::now();
    while !first.run(&["member", "promote", &id], "").status.success() {
        assert!(start.elapsed() < support::PATIENCE, "it is not promoted");
    }
    let told = first.run(&["move-leader", &id], "");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("transferred from") && told.contains(&id), "{told}");
    first.prints(&["put", "a", "b"], "OK");
    let told = member(&["remove", &id]);
    assert!(told.contains(&format!("{id} removed from cluster")), "{told}");
    first.fails(&["member", "remove", &id], "member not found");
    first.prints(&["get", "a"], "a\nb");
}

#[test]
fn etcdctl_mirrors_what_is_there_and_what_comes() {
    let test = "etcdctl_mirrors_what_is_there_and_what_comes";
    let Some(program) = tool(test, "etcdctl", "etcd-client") else { return };
    let clusters = [Cluster::start(3, &[]), Cluster::start(1, &[])];
    let [source, copy] = clusters
        .each_ref()
        .map(|cluster| Etcdctl { program: &program, endpoint: cluster.servers[0].endpoint() });
    source.prints(&["put", "a/1", "one"], "OK");
    source.prints(&["put", "a/2", "two"], "OK");
    let mirroring = Command::new(&program)
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", &source.endpoint, "make-mirror", "--prefix", "a/", &copy.endpoint])
        .stdout(Stdio::null())
        .spawn();
    let _mirror = Mirror(mirroring.expect("etcdctl starts"));
    let shows = |expected: &str| {
        wait_until(expected, || {
            let output = copy.run(&["get", "a/", "--prefix"], "");
            String::from_utf8_lossy(&output.stdout).trim_end() == expected
        });
    };
    shows("a/1\none\na/2\ntwo");
    source.prints(&["del", "a/1"], "1");
    source.prints(&["put", "a/3", "three"], "OK");
    shows("a/2\ntwo\na/3\nthree");
}

/// A client that goes on until the test ends.
struct Mirror(Child);

impl Drop for Mirror {
    fn drop(&mut self) {
        // It may be gone already; that is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
