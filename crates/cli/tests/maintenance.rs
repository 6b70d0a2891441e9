//! Commands for who looks after a cluster, against real servers.

mod support;

use serde_json::json;
use support::{Cluster, code, run, systems};

#[test]
fn what_was_before_a_compaction_is_forgotten_and_what_is_stays() {
    for system in systems("what_was_before_a_compaction_is_forgotten_and_what_is_stays") {
        for value in ["one", "two", "three"] {
            system.prints(&["kv", "put", "a", value]);
        }
        let compacted = system.json(0, &["compact", "3"], b"");
        assert_eq!(compacted, json!({ "compacted_revision": 3 }));
        assert_eq!(code(&system.run(&["kv", "get", "a", "--revision", "2"])), Some(1));
        assert_eq!(system.prints(&["kv", "get", "a", "--revision", "3"]), "two");
        assert_eq!(code(&system.run(&["compact", "3"])), Some(1), "it was compacted already");

        assert_eq!(system.prints(&["compact", "--keep", "0"]), "4\n");
        assert_eq!(system.prints(&["kv", "get", "a"]), "three");
        assert_eq!(system.prints(&["compact", "--keep", "1000"]), "0\n", "it is not so old");
        for wrong in [&["compact"][..], &["compact", "0"], &["compact", "5", "--keep", "1"]] {
            assert_eq!(code(&system.run(wrong)), Some(2), "{wrong:?}");
        }
    }
}

#[test]
fn every_endpoint_says_how_it_is() {
    for mut system in systems("every_endpoint_says_how_it_is") {
        let health = system.json(0, &["health"], b"");
        assert_eq!(health["endpoints"][0]["healthy"], json!(true), "{health}");
        let nobody = format!("{},127.0.0.1:1", system.endpoint);
        let output = run(&nobody, &["health", "-o", "raw"], b"");
        assert_eq!(code(&output), Some(1), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains("\thealthy\t") && text.contains("127.0.0.1:1\tunhealthy\t"),
            "{text}"
        );
        system.kill();
        assert_eq!(code(&system.run(&["health"])), Some(5));
    }
}

#[test]
fn an_alarm_stops_writes_until_it_is_cleared() {
    for system in systems("an_alarm_stops_writes_until_it_is_cleared") {
        assert_eq!(system.prints(&["alarm", "list"]), "");
        for (kind, name) in [("nospace", "NOSPACE"), ("corrupt", "CORRUPT")] {
            let raised = system.json(0, &["alarm", "raise", kind, "--member", "2a"], b"");
            assert_eq!(raised, json!({ "alarms": [{ "kind": kind, "member": "2a" }] }));
            assert_eq!(system.json(0, &["alarm", "list"], b""), raised);
            assert_eq!(code(&system.run(&["kv", "put", "a", "b"])), Some(1));
            let health = system.run(&["health"]);
            assert_eq!(code(&health), Some(1), "{health:?}");
            assert!(String::from_utf8_lossy(&health.stdout).contains(name), "{health:?}");
            assert_eq!(system.json(0, &["alarm", "clear", kind, "--member", "2a"], b""), raised);
            system.prints(&["kv", "put", "a", "b"]);
            assert_eq!(system.prints(&["alarm", "list"]), "");
        }
        assert_eq!(code(&system.run(&["health"])), Some(0));
        assert_eq!(code(&system.run(&["alarm", "raise", "smoke"])), Some(2));
    }
}

#[test]
fn an_alarm_is_seen_by_probes_and_disarmed_by_etcdctl() {
    let test = "an_alarm_is_seen_by_probes_and_disarmed_by_etcdctl";
    let Some(etcdctl) = support::tool(test, "etcdctl", "etcd-client") else { return };
    let cluster = Cluster::start(3, &[]);
    let endpoints = cluster.endpoints();
    assert_eq!(code(&run(&endpoints, &["alarm", "raise", "corrupt"], b"")), Some(0));
    for server in &cluster.servers {
        support::wait_until("every node knows", || {
            let (status, page) = support::http_get(server.client, "/health").expect("an answer");
            status == 503 && page.contains("ALARM CORRUPT")
        });
        let (status, page) =
            support::http_get(server.client, "/readyz?verbose").expect("an answer");
        assert!(status == 503 && page.contains("[-]data_corruption"), "{page}");
        let (status, _) = support::http_get(server.client, "/livez").expect("an answer");
        assert_eq!(status, 200, "a restart would not help");
    }
    let output = std::process::Command::new(etcdctl)
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", &endpoints, "alarm", "disarm"])
        .output()
        .expect("etcdctl runs");
    assert!(output.status.success(), "{output:?}");
    for server in &cluster.servers {
        server.wait_until_ready();
    }
}

#[test]
fn a_node_without_a_leader_is_not_healthy() {
    let mut cluster = Cluster::start(3, &[]);
    cluster.servers[1].kill();
    cluster.servers[2].kill();
    let endpoint = cluster.servers[0].endpoint();
    support::wait_until("the node has noticed", || {
        code(&run(&endpoint, &["health", "--timeout", "500ms"], b"")) == Some(1)
    });
}
