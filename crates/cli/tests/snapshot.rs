//! Backups of real clusters, and real clusters founded on them.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::{Cluster, System, althing, code, http, run, tool};

fn prints(endpoint: &str, arguments: &[&str]) -> String {
    let output = run(endpoint, arguments, b"");
    assert_eq!(code(&output), Some(0), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn snapshot(arguments: &[&str]) -> Output {
    althing().arg("snapshot").args(arguments).output().expect("the program was built")
}

fn status(file: &Path) -> Value {
    let output = snapshot(&["status", &file.display().to_string(), "-o", "json"]);
    assert_eq!(code(&output), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Makes a backup the memory of every node of a cluster that was not started yet.
fn restore(cluster: &Cluster, file: &Path, more: &[&str]) -> Vec<Output> {
    let servers = cluster.servers.iter();
    let restored = servers.map(|server| {
        let mut command = althing();
        command.args(["snapshot", "restore"]).arg(file).args(more);
        // Everything that `serve` is told.
        command.args(&server.arguments()[1..]);
        command.output().expect("the program was built")
    });
    restored.collect()
}

#[test]
fn a_cluster_is_founded_on_the_backup_of_another() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("backup");
    let path = file.display().to_string();
    let former = Cluster::start(3, &[]);
    let endpoints = former.endpoints();
    for value in ["one", "two", "three"] {
        prints(&endpoints, &["kv", "put", "kept", value]);
    }
    prints(&endpoints, &["lease", "grant", "10m", "--id", "7"]);
    prints(&endpoints, &["kv", "put", "tied", "to it", "--lease", "7"]);
    let saved = prints(&endpoints, &["snapshot", "save", &path, "-o", "json"]);
    let saved: Value = serde_json::from_str(&saved).expect("JSON");
    assert_eq!(saved, status(&file));
    assert_eq!((&saved["keys"], &saved["leases"]), (&json!(2), &json!(1)));
    let revision = saved["revision"].as_i64().expect("a number");
    prints(&endpoints, &["kv", "put", "kept", "after the backup"]);
    drop(former);

    let mut cluster = Cluster::plan(3, &[]);
    for output in restore(&cluster, &file, &[]) {
        assert_eq!(code(&output), Some(0), "{output:?}");
    }
    for output in restore(&cluster, &file, &[]) {
        assert_eq!(code(&output), Some(1), "the folders are in use: {output:?}");
    }
    for server in &mut cluster.servers {
        server.start();
    }
    for server in &cluster.servers {
        server.wait_until_ready();
    }
    let endpoints = cluster.endpoints();
    let kept: Value =
        serde_json::from_str(&prints(&endpoints, &["kv", "get", "kept", "-o", "json"]))
            .expect("JSON");
    assert_eq!(kept["kvs"][0]["value"], "three");
    assert_eq!(kept["kvs"][0]["version"], json!(3));
    let put: Value =
        serde_json::from_str(&prints(&endpoints, &["kv", "put", "kept", "new", "-o", "json"]))
            .expect("JSON");
    assert_eq!(put["revision"], json!(revision + 1_000_000_001), "{put}");
    let left = prints(&endpoints, &["lease", "ttl", "7", "--keys", "-o", "raw"]);
    assert!(left.contains("tied"), "{left}");
    let watched = run(
        &endpoints,
        &["watch", "kept", "--revision", &(revision + 1).to_string(), "--events", "1"],
        b"",
    );
    assert_ne!(code(&watched), Some(0), "a watch of the former cluster is told: {watched:?}");
    let members = prints(&endpoints, &["status", "-o", "raw"]);
    assert_eq!(members.lines().count(), 3, "{members}");
}

#[test]
fn a_backup_can_be_restored_as_it_was() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("backup");
    let former = Cluster::start(1, &[]);
    let endpoint = former.servers[0].endpoint();
    prints(&endpoint, &["kv", "put", "a", "1"]);
    prints(&endpoint, &["kv", "put", "a", "2"]);
    for arguments in [
        &["user", "add", "root", "--new-password-file", "-"][..],
        &["user", "grant-role", "root", "root"],
        &["auth", "enable"],
    ] {
        let output = run(&endpoint, arguments, b"secret\n");
        assert_eq!(code(&output), Some(0), "{output:?}");
    }
    let path = file.display().to_string();
    let refused = run(&endpoint, &["snapshot", "save", &path], b"");
    assert_eq!(code(&refused), Some(8), "{refused:?}");
    assert!(!file.exists() && fs::read_dir(folder.path()).expect("ours").next().is_none());
    let as_root = |endpoint: &str, arguments: &[&str]| {
        let mut command = althing();
        command.env("ALTHING_USER", "root").env("ALTHING_PASSWORD", "secret");
        command.args(["--endpoints", endpoint]).args(arguments);
        command.output().expect("the program was built")
    };
    let saved = as_root(&endpoint, &["snapshot", "save", &path]);
    assert_eq!(code(&saved), Some(0), "{saved:?}");
    assert_eq!(status(&file)["users_count"], json!(true));

    let mut cluster = Cluster::plan(1, &[]);
    for output in restore(&cluster, &file, &["--bump-revision", "0"]) {
        assert_eq!(code(&output), Some(0), "{output:?}");
    }
    cluster.servers[0].start();
    cluster.servers[0].wait_until_ready();
    let endpoint = cluster.servers[0].endpoint();
    assert_eq!(code(&run(&endpoint, &["kv", "get", "a"], b"")), Some(8), "users still count");
    let got = as_root(&endpoint, &["kv", "get", "a", "--revision", "2", "-o", "raw"]);
    assert_eq!(got.stdout, b"1", "{got:?}");
    // What a restart finds is what was restored, and what came after.
    assert_eq!(code(&as_root(&endpoint, &["kv", "put", "a", "3"])), Some(0));
    cluster.servers[0].kill();
    cluster.servers[0].start();
    cluster.servers[0].wait_until_ready();
    assert_eq!(as_root(&endpoint, &["kv", "get", "a", "-o", "raw"]).stdout, b"3");
}

#[test]
fn what_is_no_whole_backup_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("backup");
    let cluster = Cluster::start(1, &[]);
    let endpoint = cluster.servers[0].endpoint();
    prints(&endpoint, &["kv", "put", "a", "value"]);
    prints(&endpoint, &["snapshot", "save", &file.display().to_string()]);
    let whole = fs::read(&file).expect("readable");
    let wrong = folder.path().join("wrong");
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 1;
        fs::write(&wrong, &bytes).expect("writable");
        // One process for each would take long: most are looked at by the library's own test.
        if position.is_multiple_of(100) {
            let output = snapshot(&["status", &wrong.display().to_string()]);
            assert_eq!(code(&output), Some(1), "byte {position}: {output:?}");
            assert!(told(&output).contains("is no backup"), "{output:?}");
        }
    }
    for length in [0, 10, 31, 32, 33, whole.len() - 1] {
        fs::write(&wrong, &whole[..length]).expect("writable");
        let output = snapshot(&["status", &wrong.display().to_string()]);
        assert_eq!(code(&output), Some(1), "{length} bytes: {output:?}");
        let plan = Cluster::plan(1, &[]);
        for output in restore(&plan, &wrong, &[]) {
            assert_eq!(code(&output), Some(1), "{length} bytes: {output:?}");
        }
        assert!(!plan.servers[0].data.exists(), "nothing is left behind");
    }
    let nowhere = snapshot(&["status", "/no/such/file"]);
    assert_eq!(code(&nowhere), Some(1), "{nowhere:?}");
}

#[test]
fn etcdctl_and_the_gateway_save_the_same_backup() {
    let test = "etcdctl_and_the_gateway_save_the_same_backup";
    let Some(etcdctl) = tool(test, "etcdctl", "etcd-client") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cluster = Cluster::start(1, &[]);
    let server = &cluster.servers[0];
    // More than one message.
    let value = "x".repeat(400_000);
    for key in ["a", "b", "c"] {
        let output = run(&server.endpoint(), &["kv", "put", key, "-"], value.as_bytes());
        assert_eq!(code(&output), Some(0), "{output:?}");
    }
    let by_etcdctl = folder.path().join("etcdctl");
    let output = Command::new(etcdctl)
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", &server.endpoint(), "snapshot", "save"])
        .arg(&by_etcdctl)
        .output()
        .expect("etcdctl runs");
    assert!(output.status.success(), "{output:?}");
    let ours = folder.path().join("ours");
    prints(&server.endpoint(), &["snapshot", "save", &ours.display().to_string()]);
    assert_eq!(fs::read(&by_etcdctl).expect("readable"), fs::read(&ours).expect("readable"));
    assert_eq!(status(&by_etcdctl)["keys"], json!(3));

    let (code, lines) =
        http(server.client, "POST", "/v3/maintenance/snapshot", "{}").expect("an answer");
    assert_eq!(code, 200);
    assert!(lines.lines().filter(|line| line.contains("\"blob\"")).count() >= 3, "too few blobs");
}

#[test]
fn the_backup_of_another_program_is_told_apart() {
    let Some(etcd) = System::etcd("the_backup_of_another_program_is_told_apart") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("backup");
    let output = etcd.run(&["snapshot", "save", &file.display().to_string()]);
    assert_eq!(code(&output), Some(1), "{output:?}");
    assert!(told(&output).contains("not a backup that this build can read"), "{output:?}");
    assert!(fs::read_dir(folder.path()).expect("ours").next().is_none(), "nothing is left behind");
}
