//! Members compare what they hold: one that holds something else is named by an alarm, which stops
//! all writes.

mod support;

use std::path::Path;

use support::{Cluster, althing, code, http_get, run, wait_until};

const OFTEN: [&str; 2] = ["--corrupt-check-time", "1s"];

fn prints(endpoints: &str, arguments: &[&str]) -> String {
    let output = run(endpoints, arguments, b"");
    assert_eq!(code(&output), Some(0), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The backup of a cluster in which this was written, and nothing else.
fn backup(file: &Path, value: &str) {
    let cluster = Cluster::start(1, &[]);
    prints(&cluster.endpoints(), &["kv", "put", "key", value]);
    prints(&cluster.endpoints(), &["snapshot", "save", &file.display().to_string()]);
}

#[test]
fn a_member_that_holds_something_else_is_named_and_nothing_is_written_any_more() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [right, wrong] = ["right", "wrong"].map(|value| {
        let file = folder.path().join(value);
        backup(&file, value);
        file
    });
    let mut cluster = Cluster::plan(3, &OFTEN);
    for (server, file) in cluster.servers.iter_mut().zip([&right, &wrong, &right]) {
        let restored = althing()
            .args(["snapshot", "restore"])
            .arg(file)
            .args(&server.arguments()[1..])
            .output()
            .expect("the program was built");
        assert_eq!(code(&restored), Some(0), "{restored:?}");
        server.start();
    }
    let endpoints = cluster.endpoints();
    wait_until("writes are refused", || {
        let put = run(&endpoints, &["kv", "put", "another", "value"], b"");
        String::from_utf8_lossy(&put.stderr).contains("corrupt cluster")
    });
    let members = prints(&endpoints, &["member", "list", "-o", "json"]);
    let members: serde_json::Value = serde_json::from_str(&members).expect("JSON");
    let members = members["members"].as_array().expect("a list");
    let deviant = members.iter().find(|member| member["name"] == "n2").expect("it is a member");
    let alarms = prints(&endpoints, &["alarm", "list"]);
    assert_eq!(alarms.lines().count(), 1, "{alarms}");
    let id = deviant["id"].as_str().expect("text");
    assert!(alarms.contains(id) && alarms.to_lowercase().contains("corrupt"), "{id}: {alarms}");
    wait_until("every member is unwell", || {
        let is_unwell = |port| http_get(port, "/health").is_some_and(|(status, _)| status == 503);
        cluster.servers.iter().all(|server| is_unwell(server.client))
    });
}
