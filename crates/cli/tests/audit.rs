//! What a node writes down for who looks after it, and how much of it.

mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use support::{Cluster, althing, code, run, wait_until};

/// The lines that were written for a call.
fn lines(file: &Path, call: &str) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("the file is there");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON"));
    lines.filter(|line: &Value| line["call"] == call).collect()
}

fn run_as(endpoint: &str, user: &str, password: &str, arguments: &[&str]) -> Output {
    let mut command = althing();
    command.env("ALTHING_USER", user).env("ALTHING_PASSWORD", password);
    command.args(["--endpoints", endpoint]).args(arguments);
    command.output().expect("the program was built")
}

#[test]
fn administrative_calls_and_refusals_are_written_down_and_nothing_else() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("audit.jsonl");
    let password = folder.path().join("password");
    fs::write(&password, "secret\n").expect("writable");
    let (log, first) = (file.display().to_string(), password.display().to_string());
    let cluster = Cluster::plan(1, &["--audit-log", &log, "--root-password-file", &first]);
    let mut cluster = cluster;
    cluster.servers[0].start();
    cluster.servers[0].wait_until_ready();
    let endpoint = cluster.servers[0].endpoint();

    for arguments in [
        &["user", "add", "ann", "--no-password"][..],
        &["kv", "put", "a", "b"],
        &["kv", "get", "a"],
        &["compact", "2"],
    ] {
        let output = run_as(&endpoint, "root", "secret", arguments);
        assert_eq!(code(&output), Some(0), "{arguments:?}: {output:?}");
    }
    assert_eq!(code(&run_as(&endpoint, "root", "wrong", &["kv", "get", "a"])), Some(8));
    assert_eq!(code(&run(&endpoint, &["kv", "get", "a"], b"")), Some(8));

    let added = lines(&file, "UserAdd");
    assert_eq!(added.len(), 1, "{added:?}");
    assert_eq!(added[0]["user"], "root");
    assert_eq!((&added[0]["outcome"], &added[0]["level"]), (&"ok".into(), &"INFO".into()));
    assert_eq!(lines(&file, "Compact").len(), 1);
    assert!(lines(&file, "Put").is_empty(), "what users do every day is not written down");
    let sign_ins = lines(&file, "Authenticate");
    let refused: Vec<_> = sign_ins.iter().filter(|line| line["outcome"] != "ok").collect();
    assert_eq!(refused.len(), 1, "{sign_ins:?}");
    assert_eq!((&refused[0]["user"], &refused[0]["level"]), (&"root".into(), &"WARN".into()));
    assert_eq!(lines(&file, "Range").len(), 1, "nobody was refused to read");
    let text = fs::read_to_string(&file).expect("readable");
    assert!(!text.contains("secret"), "{text}");
    assert!(text.lines().all(|line| line.contains("\"timestamp\"")), "{text}");
    let mode = fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_crowd_of_refusals_does_not_fill_the_disk() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("audit.jsonl");
    let password = folder.path().join("password");
    fs::write(&password, "secret\n").expect("writable");
    let (log, first) = (file.display().to_string(), password.display().to_string());
    let mut cluster = Cluster::plan(1, &["--audit-log", &log, "--root-password-file", &first]);
    cluster.servers[0].start();
    cluster.servers[0].wait_until_ready();
    let port = cluster.servers[0].client;
    let refused = || {
        let answer = support::http(port, "POST", "/v3/kv/range", r#"{"key": "YQ=="}"#);
        assert!(answer.is_some_and(|(status, _)| status != 200));
    };
    let count = 6000;
    let start = std::time::Instant::now();
    (0..count).for_each(|_| refused());
    let most = 1000 + 100 * (start.elapsed().as_secs() as usize + 1);
    let written = lines(&file, "Range").len();
    assert!(written <= most.min(count), "{written} lines of {count}, at most {most}");
    wait_until("it is told that some were left out", || {
        refused();
        fs::read_to_string(&file).expect("readable").contains("left_out")
    });
}
