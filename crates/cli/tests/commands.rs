//! The commands against a real server of the API: Debian's etcd, one node, on loopback.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A running etcd with a folder of its own; killed and removed at the end of the test.
struct Server {
    process: Child,
    endpoint: String,
    _data: tempfile::TempDir,
}

impl Server {
    /// Starts one, or says to whom it may concern that the test is skipped.
    fn start(test: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
        let Some(etcd) = folders.map(|f| f.join("etcd")).find(|file| file.is_file()) else {
            skip(test, "etcd is not installed (Debian: apt-get install etcd-server)");
            return None;
        };
        let data = tempfile::tempdir().expect("a temporary folder");
        let (client, peer) = (free_address(), free_address());
        let (client_url, peer_url) = (format!("http://{client}"), format!("http://{peer}"));
        let process = Command::new(etcd)
            .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--name", "n1", "--initial-cluster", &format!("n1={peer_url}")])
            .arg("--data-dir")
            .arg(data.path())
            .env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd starts");
        let server = Self { process, endpoint: client, _data: data };
        let start = Instant::now();
        while server.run(&["status"]).status.code() != Some(0) {
            assert!(start.elapsed() < Duration::from_secs(60), "etcd does not become ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        run(&self.endpoint, arguments, b"")
    }

    /// The result of a command as JSON, with the exit code that is expected.
    fn json(&self, code: i32, arguments: &[&str], input: &[u8]) -> Value {
        let output = run(&self.endpoint, &[arguments, &["-o", "json"]].concat(), input);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        serde_json::from_slice(&text).expect("one document of JSON")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already; that is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn skip(test: &str, why: &str) {
    let line = format!("SKIPPED: {test}: {why}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("ALTHING_SKIPPED") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(Path::new(&path));
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("writable");
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

fn run(endpoints: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut process = Command::new(env!("CARGO_BIN_EXE_althing"))
        .args(arguments)
        .args(["--endpoints", endpoints])
        .env_remove("ALTHING_OUTPUT")
        .env_remove("ALTHING_TIMEOUT")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command was built");
    let mut stdin = process.stdin.take().expect("it was asked for");
    // A command that does not read its input closes it, which is its right.
    let _ = stdin.write_all(input);
    drop(stdin);
    process.wait_with_output().expect("it ends")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn keys_are_written_read_and_deleted() {
    let Some(server) = Server::start("keys_are_written_read_and_deleted") else { return };

    let first = server.json(0, &["kv", "put", "a/1", "one"], b"");
    assert_eq!(first["prev_kv"], Value::Null);
    let second = server.json(0, &["kv", "put", "a/1", "-", "--prev"], b"two\n\xff");
    assert_eq!(second["prev_kv"]["value"], json!("one"));
    assert_eq!(second["revision"].as_i64(), first["revision"].as_i64().map(|r| r + 1));

    // Raw is the value, byte for byte.
    assert_eq!(server.run(&["kv", "get", "a/1"]).stdout, b"two\n\xff");
    let pair = &server.json(0, &["kv", "get", "a/1"], b"")["kvs"][0];
    assert_eq!(pair["value"], json!({"b64": "dHdvCv8="}));
    assert_eq!(pair["version"], json!(2));
    let revision = first["revision"].to_string();
    assert_eq!(server.run(&["kv", "get", "a/1", "--revision", &revision]).stdout, b"one");

    for (key, value) in [("a/2", "x"), ("a/3", "w"), ("b", "v")] {
        assert_eq!(code(&server.run(&["kv", "put", key, value])), Some(0));
    }
    for (arguments, expected) in [
        (&["--prefix", "a/", "--keys-only"][..], "a/1\na/2\na/3\n"),
        (&["--prefix", "a/", "--limit", "1", "--keys-only"], "a/1\n"),
        (&["a/2", "b", "--keys-only"], "a/2\na/3\n"),
        (&["--from-key", "a/3"], "a/3\tw\nb\tv\n"),
        (&["--prefix", "", "--count-only"], "4\n"),
        (&["--prefix", "a/", "--keys-only", "--order", "descend"], "a/3\na/2\na/1\n"),
        (&["--from-key", "a/2", "--sort-by", "value", "--keys-only"], "b\na/3\na/2\n"),
        (&["--prefix", "none/", "--serializable"], ""),
    ] {
        let output = server.run(&[&["kv", "get"], arguments].concat());
        assert_eq!(code(&output), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{arguments:?}");
    }
    let table = server.run(&["kv", "get", "--prefix", "a/", "--limit", "2", "-o", "table"]);
    let lines = String::from_utf8(table.stdout).expect("a table is text");
    let words: Vec<Vec<&str>> = lines.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["KEY", "VALUE", "REVISION", "VERSION"]);
    assert_eq!(words[1][..2], ["a/1", "two\\n\\xff"]);
    assert_eq!(table.stderr, b"2 of 3 keys; --limit 0 shows all\n");

    assert_eq!(server.json(0, &["kv", "del", "--prefix", "a/"], b"")["deleted"], json!(3));
    assert_eq!(server.run(&["kv", "del", "a/1"]).stdout, b"0\n");
}

#[test]
fn failures_have_their_own_exit_codes() {
    let Some(server) = Server::start("failures_have_their_own_exit_codes") else { return };

    let missing = server.json(3, &["kv", "get", "nothing"], b"");
    assert_eq!(missing["code"], json!(3));
    assert_eq!(missing["message"], json!("there is no key `nothing`"));
    let text = server.run(&["kv", "get", "nothing"]);
    assert!(text.stdout.is_empty());
    let text = String::from_utf8(text.stderr).expect("text");
    assert!(text.starts_with("error: there is no key `nothing`\ntry:   "), "{text}");

    for arguments in [
        &["kv", "get"][..],
        &["kv", "get", ""],
        &["kv", "get", "a", "--limit", "x"],
        &["kv", "get", "a", "b", "--prefix"],
        &["kv", "put", "", "x"],
        &["frobnicate"],
        &["kv", "get", "a", "--timeout", "soon"],
        &["serve", "--quota", "much"],
    ] {
        assert_eq!(server.json(2, arguments, b"")["code"], json!(2), "{arguments:?}");
    }
    let refused = server.json(1, &["kv", "get", "a", "--revision", "99"], b"");
    assert!(
        refused["message"].as_str().is_some_and(|m| m.contains("future revision")),
        "{refused}"
    );
    let huge = server.json(1, &["kv", "put", "a", "-"], &[b'x'; 1_600_000]);
    assert!(huge["message"].as_str().is_some_and(|m| m.contains("too large")), "{huge}");
}

#[test]
fn a_transaction_takes_one_branch_and_says_which() {
    let Some(server) = Server::start("a_transaction_takes_one_branch_and_says_which") else {
        return;
    };
    let create = b"version(\"job\") = \"0\"\n\nput job \"mine, 1\"\n\nget job\n\n";
    let first = server.json(0, &["kv", "txn"], create);
    assert_eq!(
        (&first["succeeded"], &first["responses"][0]["put"]["prev_kv"]),
        (&json!(true), &Value::Null)
    );
    let second = server.json(4, &["kv", "txn"], create);
    assert_eq!(second["succeeded"], json!(false));
    assert_eq!(second["responses"][0]["get"]["kvs"][0]["value"], json!("mine, 1"));

    let raw = run(&server.endpoint, &["kv", "txn"], create);
    assert_eq!((code(&raw), &raw.stdout[..]), (Some(4), &b"FAILURE\njob\tmine, 1\n"[..]));

    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let nested = json!({"put": {"key": "k", "value": "v"}});
    let swap = json!({
        "compare": [{"key": "job", "target": "value", "op": "=", "value": "mine, 1"}],
        "success": [{"delete": {"key": "job"}}, {"txn": {"success": [nested]}}],
    });
    std::fs::write(file.path(), swap.to_string()).expect("writable");
    let path = file.path().to_str().expect("the path is text");
    let swapped = server.json(0, &["kv", "txn", path], b"");
    assert_eq!(swapped["responses"][0]["delete"]["deleted"], json!(1));
    assert_eq!(swapped["responses"][1]["txn"]["succeeded"], json!(true));

    let wrong = server.json(2, &["kv", "txn"], b"\nfetch job\n");
    assert!(wrong["cause"].as_str().is_some_and(|c| c.starts_with("line 2: ")), "{wrong}");
}

#[test]
fn dead_endpoints_are_passed_over_until_none_is_left() {
    let Some(server) = Server::start("dead_endpoints_are_passed_over_until_none_is_left") else {
        return;
    };
    let (dead, other) = (free_address(), free_address());
    let both = format!("{dead},http://{}", server.endpoint);
    assert_eq!(code(&run(&both, &["kv", "put", "a", "b"], b"")), Some(0));
    assert_eq!(run(&both, &["kv", "get", "a"], b"").stdout, b"b");

    let none = run(&format!("{dead},{other}"), &["kv", "put", "a", "c"], b"");
    assert_eq!(code(&none), Some(5));
    let text = String::from_utf8(none.stderr).expect("text");
    assert!(text.contains(&dead) && text.contains(&other) && text.contains("\ntry:"), "{text}");
}

#[test]
fn a_server_that_does_not_answer_leaves_the_outcome_unknown() {
    // It takes the connection and never says a word.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    for arguments in [&["kv", "put", "a", "b"][..], &["kv", "get", "a"]] {
        let output = run(&address, &[arguments, &["--timeout", "300ms"]].concat(), b"");
        assert_eq!(code(&output), Some(6), "{output:?}");
    }
}

#[test]
fn the_status_shows_every_node() {
    let Some(server) = Server::start("the_status_shows_every_node") else { return };
    let status = server.json(0, &["status"], b"");
    let node = &status["nodes"][0];
    assert_eq!((&node["name"], &node["role"]), (&json!("n1"), &json!("leader")));
    assert_eq!(node["lag"], json!(0));
    assert_eq!(node["address"], json!(server.endpoint));
    let table = server.run(&["status", "-o", "table"]).stdout;
    let table = String::from_utf8(table).expect("a table is text");
    let head: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    let columns = "NODE ROLE TERM COMMIT APPLIED LAG DB SIZE VERSION ADDRESS";
    assert_eq!(head.join(" "), columns);
    assert_eq!(table.lines().count(), 2);
}

#[test]
fn what_needs_no_server_asks_none() {
    let dead = free_address();
    for arguments in
        [&["version"][..], &["completions", "bash"], &["--help"], &["serve", "--check"]]
    {
        let output = run(&dead, arguments, b"");
        assert_eq!(code(&output), Some(0), "{arguments:?}: {output:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
}
