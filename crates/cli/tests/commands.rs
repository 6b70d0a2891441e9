//! The commands against a real server of the API on loopback: Althing, and Debian's etcd, from
//! which they must see no difference.

mod support;

use std::net::TcpListener;

use serde_json::{Value, json};
use support::{code, free_port, run, systems};

/// Where nobody listens.
fn dead_address() -> String {
    format!("127.0.0.1:{}", free_port())
}

#[test]
fn keys_are_written_read_and_deleted() {
    for server in systems("keys_are_written_read_and_deleted") {
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
}

#[test]
fn failures_have_their_own_exit_codes() {
    for server in systems("failures_have_their_own_exit_codes") {
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
}

#[test]
fn a_transaction_takes_one_branch_and_says_which() {
    for server in systems("a_transaction_takes_one_branch_and_says_which") {
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
}

#[test]
fn dead_endpoints_are_passed_over_until_none_is_left() {
    for server in systems("dead_endpoints_are_passed_over_until_none_is_left") {
        let (dead, other) = (dead_address(), dead_address());
        let both = format!("{dead},http://{}", server.endpoint);
        assert_eq!(code(&run(&both, &["kv", "put", "a", "b"], b"")), Some(0));
        assert_eq!(run(&both, &["kv", "get", "a"], b"").stdout, b"b");

        let none = run(&format!("{dead},{other}"), &["kv", "put", "a", "c"], b"");
        assert_eq!(code(&none), Some(5));
        let text = String::from_utf8(none.stderr).expect("text");
        assert!(text.contains(&dead) && text.contains(&other) && text.contains("\ntry:"), "{text}");
    }
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
    for server in systems("the_status_shows_every_node") {
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
}

#[test]
fn what_needs_no_server_asks_none() {
    let dead = dead_address();
    for arguments in
        [&["version"][..], &["completions", "bash"], &["--help"], &["serve", "--check"]]
    {
        let output = run(&dead, arguments, b"");
        assert_eq!(code(&output), Some(0), "{arguments:?}: {output:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
}
