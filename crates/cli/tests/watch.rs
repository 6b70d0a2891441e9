//! `althing watch` against real servers, also against those that die.

mod support;

use althing_etcd_api::etcdserverpb::CompactionRequest;
use althing_etcd_api::etcdserverpb::kv_client::KvClient;
use rustix::process::Signal;
use serde_json::{Value, json};
use support::{Background, System, free_port, systems};

fn put(system: &System, key: &str, value: &str) -> i64 {
    let answer = system.json(0, &["kv", "put", key, value], b"");
    answer["revision"].as_i64().expect("a number")
}

fn compact(system: &System, revision: i64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let request = CompactionRequest { revision, physical: true };
    runtime.expect("a runtime").block_on(async {
        KvClient::new(system.channel()).compact(request).await.expect("it compacts");
    });
}

#[test]
fn changes_are_told_in_each_shape_and_with_each_filter() {
    for system in systems("changes_are_told_in_each_shape_and_with_each_filter") {
        let first = put(&system, "w/a", "1");
        put(&system, "w/b", "two\nlines");
        put(&system, "w/a", "3");
        system.prints(&["kv", "del", "w/a"]);
        put(&system, "x", "outside");
        let from = first.to_string();
        let watch =
            |more: &[&str]| system.prints(&[&["watch", "--revision", &from][..], more].concat());

        assert_eq!(
            watch(&["--prefix", "w/", "--events", "4"]),
            "PUT\nw/a\n1\nPUT\nw/b\ntwo\nlines\nPUT\nw/a\n3\nDELETE\nw/a\n\n"
        );
        assert_eq!(watch(&["w/a", "--no-put", "--events", "1"]), "DELETE\nw/a\n\n");
        assert_eq!(
            watch(&["w/a", "w/c", "--no-delete", "--events", "3"]),
            "PUT\nw/a\n1\nPUT\nw/b\ntwo\nlines\nPUT\nw/a\n3\n"
        );
        assert_eq!(watch(&["--from-key", "w/c", "--events", "1"]), "PUT\nx\noutside\n");

        let json = watch(&["w/a", "--prev-kv", "--events", "3", "-o", "json"]);
        let events: Vec<Value> = json
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line is JSON"))
            .collect();
        assert_eq!(events[0]["previous"], Value::Null);
        assert_eq!(events[1]["previous"]["value"], json!("1"));
        assert_eq!((&events[1]["type"], &events[1]["version"]), (&json!("PUT"), &json!(2)));
        assert_eq!((&events[2]["type"], &events[2]["key"]), (&json!("DELETE"), &json!("w/a")));
        assert_eq!(events[2]["revision"], json!(first + 3));
        assert_eq!(events[2]["previous"]["value"], json!("3"));

        let table = watch(&["--prefix", "w/", "--prev-kv", "--events", "4", "-o", "table"]);
        let rows: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["EVENT", "REVISION", "KEY", "VALUE"]);
        assert_eq!(rows[2][2..], ["w/b", "two\\nlines"]);
        assert_eq!(rows[3][2..], ["w/a", "3", "(was", "1)"]);
        assert_eq!(rows[4][0], "DELETE");
    }
}

#[test]
fn a_change_is_told_at_once() {
    for system in systems("a_change_is_told_at_once") {
        let mut watch = system.start(&["watch", "greeting", "-o", "json"]);
        // It begins with what happens from now on, and when that is it does not say.
        let mut count = 0;
        let first = loop {
            count += 1;
            put(&system, "greeting", &count.to_string());
            if let Some(line) = watch.line_within(std::time::Duration::from_millis(100)) {
                break serde_json::from_str::<Value>(&line).expect("a line of JSON");
            }
        };
        let told: u32 = first["value"].as_str().and_then(|v| v.parse().ok()).expect("a number");
        // From there on nothing is missing.
        for expected in told + 1..=count {
            assert_eq!(watch.json()["value"], json!(expected.to_string()));
        }
        system.prints(&["kv", "del", "greeting"]);
        assert_eq!(watch.json()["type"], json!("DELETE"));
        watch.signal(Signal::TERM);
        // Ended by the signal itself, which a shell shows as 143.
        assert_eq!(watch.ended().0, None);
    }
}

#[test]
fn a_command_is_run_for_each_change() {
    for system in systems("a_command_is_run_for_each_change") {
        let first = put(&system, "c/1", "a b");
        put(&system, "c/2", "*");
        let from = first.to_string();
        let script = "echo \"$ALTHING_WATCH_TYPE $ALTHING_WATCH_KEY=$ALTHING_WATCH_VALUE \
                      $ALTHING_WATCH_REVISION\"";
        let watch = ["watch", "--prefix", "c/", "--revision", &from, "--events", "2", "--"];
        let told = system.prints(&[&watch[..], &["sh", "-c", script]].concat());
        assert_eq!(told, format!("PUT c/1=a b {first}\nPUT c/2=* {}\n", first + 1));

        let failed = system.run(&[&watch[..], &["sh", "-c", "exit 3"]].concat());
        assert_eq!(failed.status.code(), Some(1));
        let told = String::from_utf8_lossy(&failed.stderr);
        assert!(told.contains("ended with 3"), "{told}");
        assert!(told.contains(&format!("--revision {first} ")), "{told}");
    }
}

#[test]
fn a_watch_goes_on_where_it_was_after_its_server_died() {
    for mut system in systems("a_watch_goes_on_where_it_was_after_its_server_died") {
        let first = put(&system, "r/0", "0");
        let dead = format!("127.0.0.1:{}", free_port());
        // The first endpoint is one that nobody is at.
        let endpoints = format!("{dead},{}", system.endpoint);
        let from = (first + 1).to_string();
        let arguments = ["watch", "--prefix", "r/", "--revision", &from, "-o", "json"];
        let watch = Background::start(&endpoints, &arguments);
        let mut number = 0;
        for _ in 0..3 {
            for _ in 0..5 {
                number += 1;
                put(&system, &format!("r/{number}"), "x");
            }
            assert_eq!(watch.json()["key"], json!(format!("r/{}", number - 4)));
            system.kill();
            // The rest was told before it died, or is told after.
            let lost = watch.wait_for_error("goes on from revision");
            assert!(lost.contains(&system.endpoint), "{lost}");
            system.start_again();
            watch.wait_for_error("watches on at");
            for expected in number - 3..=number {
                let event = watch.json();
                assert_eq!(event["key"], json!(format!("r/{expected}")));
                assert_eq!(event["revision"], json!(first + expected));
            }
        }
    }
}

#[test]
fn a_watch_that_has_told_nothing_yet_knows_where_it_was() {
    for mut system in systems("a_watch_that_has_told_nothing_yet_knows_where_it_was") {
        let watch = system.start(&["watch", "quiet", "-o", "table"]);
        assert!(watch.line().starts_with("EVENT"), "the heading says that it has begun");
        watch.signal(Signal::STOP);
        system.kill();
        system.start_again();
        put(&system, "quiet", "missed");
        watch.signal(Signal::CONT);
        watch.wait_for_error("watches on at");
        let told = watch.line();
        assert!(told.starts_with("PUT") && told.ends_with("missed"), "{told}");
    }
}

#[test]
fn forgotten_history_is_told_in_one_sentence() {
    for mut system in systems("forgotten_history_is_told_in_one_sentence") {
        let first = put(&system, "f", "1");
        put(&system, "f", "2");
        let third = put(&system, "f", "3");
        compact(&system, third);
        let from = first.to_string();
        let told = system.json(1, &["watch", "f", "--revision", &from], b"");
        let expected =
            format!("revision {first} is forgotten: the history was compacted up to {third}");
        assert_eq!(told["message"], json!(expected));
        let hint = told["hint"].as_str().expect("a hint");
        assert!(hint.contains(&format!("--revision {third}")), "{hint}");
        // The hint is right.
        let from = third.to_string();
        assert_eq!(
            system.prints(&["watch", "f", "--revision", &from, "--events", "1"]),
            "PUT\nf\n3\n"
        );

        // The same while it is disconnected.
        let from = (third + 1).to_string();
        let mut watch = system.start(&["watch", "f", "--revision", &from]);
        put(&system, "f", "4");
        assert_eq!(watch.line(), "PUT");
        watch.signal(Signal::STOP);
        system.kill();
        system.start_again();
        put(&system, "f", "5");
        let last = put(&system, "f", "6");
        compact(&system, last);
        watch.signal(Signal::CONT);
        let (code, told) = watch.ended();
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(&format!("compacted up to {last}")), "{told}");
    }
}

#[test]
fn a_watch_that_cannot_begin_says_why() {
    let dead = format!("127.0.0.1:{}", free_port());
    let output = support::run(&dead, &["watch", "a"], b"");
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains(&dead), "{told}");
    let output = support::run(&dead, &["watch", "a", "--no-put", "--no-delete"], b"");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
