//! `althing lease` against real servers.

mod support;

use serde_json::{Value, json};
use support::{System, code, systems, wait_until};

fn grant(system: &System, ttl: &str) -> String {
    system.prints(&["lease", "grant", ttl, "-o", "raw"]).trim().to_owned()
}

#[test]
fn a_lease_is_granted_shown_and_revoked_and_takes_its_keys_along() {
    for system in systems("a_lease_is_granted_shown_and_revoked_and_takes_its_keys_along") {
        let granted = system.json(0, &["lease", "grant", "5m", "--id", "0x1F"], b"");
        assert_eq!(granted["id"], json!("000000000000001f"));
        assert_eq!(granted["ttl"], json!(300));
        let other = grant(&system, "100");

        let leases = system.json(0, &["lease", "list"], b"");
        let mut expected = ["000000000000001f", &other];
        expected.sort_unstable();
        assert_eq!(leases["leases"], json!(expected));

        system.prints(&["kv", "put", "--lease", "1f", "held", "value"]);
        system.prints(&["kv", "put", "free", "value"]);
        let pair = &system.json(0, &["kv", "get", "held"], b"")["kvs"][0];
        assert_eq!(pair["lease"], json!("000000000000001f"));
        let free = &system.json(0, &["kv", "get", "free"], b"")["kvs"][0];
        assert_eq!(free["lease"], Value::Null);

        let shown = system.json(0, &["lease", "ttl", "1f", "--keys"], b"");
        assert_eq!((&shown["granted_ttl"], &shown["keys"]), (&json!(300), &json!(["held"])));
        let left = shown["ttl"].as_i64().expect("a number");
        assert!((1..=300).contains(&left), "{left}");
        assert!(system.prints(&["lease", "ttl", "1f", "--keys"]).ends_with("\nheld\n"));

        system.prints(&["lease", "revoke", "1f"]);
        assert_eq!(code(&system.run(&["kv", "get", "held"])), Some(3));
        assert_eq!(system.prints(&["kv", "get", "free"]), "value");
        assert_eq!(system.prints(&["lease", "list"]), format!("{other}\n"));
    }
}

#[test]
fn a_lease_that_is_not_there_is_exit_code_3() {
    for system in systems("a_lease_that_is_not_there_is_exit_code_3") {
        for arguments in [
            &["lease", "revoke", "abc"][..],
            &["lease", "ttl", "abc"],
            &["lease", "keep-alive", "abc"],
            &["lease", "keep-alive", "--once", "abc"],
        ] {
            let told = system.json(3, arguments, b"");
            assert_eq!(told["message"], json!("there is no lease 0000000000000abc"));
        }
        let told = system.json(3, &["kv", "put", "--lease", "abc", "a", "b"], b"");
        assert_eq!(told["message"], json!("there is no such lease"));

        system.prints(&["lease", "grant", "60s", "--id", "abc"]);
        let told = system.json(1, &["lease", "grant", "60s", "--id", "abc"], b"");
        assert!(told["message"].as_str().is_some_and(|m| m.contains("already exists")), "{told}");
        for arguments in [
            &["lease", "grant", "soon"][..],
            &["lease", "grant", "60s", "--id", "0"],
            &["lease", "revoke", "xyz"],
        ] {
            system.json(2, arguments, b"");
        }
    }
}

#[test]
fn a_lease_lives_while_it_is_kept_alive_and_no_longer() {
    for system in systems("a_lease_lives_while_it_is_kept_alive_and_no_longer") {
        let lease = grant(&system, "3s");
        let keeper = system.start(&["lease", "keep-alive", &lease, "-o", "json"]);
        // Renewals come four times as often as the lease is long: this is twice its length.
        for _ in 0..8 {
            assert_eq!(keeper.json(), json!({ "id": lease, "ttl": 3 }));
        }
        system.prints(&["lease", "ttl", &lease]);
        drop(keeper);
        wait_until("the lease ends", || code(&system.run(&["lease", "ttl", &lease])) == Some(3));
    }
}

#[test]
fn who_keeps_a_lease_alive_is_told_when_it_is_gone() {
    for system in systems("who_keeps_a_lease_alive_is_told_when_it_is_gone") {
        let lease = grant(&system, "4s");
        let mut keeper = system.start(&["lease", "keep-alive", &lease]);
        keeper.line();
        system.prints(&["lease", "revoke", &lease]);
        assert_eq!(keeper.ended().0, Some(3));
    }
}

#[test]
fn keeping_alive_survives_a_server_that_is_away_for_a_moment() {
    for mut system in systems("keeping_alive_survives_a_server_that_is_away_for_a_moment") {
        let lease = grant(&system, "20s");
        let once = ["lease", "keep-alive", "--once", &lease];
        system.prints(&once);
        let keeper = system.start(&["lease", "keep-alive", &lease]);
        keeper.line();
        system.kill();
        system.start_again();
        // A lease outlives its server.
        system.prints(&once);
        keeper.line();
    }
}
