//! `althing elect` against real servers.

mod support;

use althing_etcd_api::v3electionpb::LeaderRequest;
use althing_etcd_api::v3electionpb::election_client::ElectionClient;
use rustix::process::Signal;
use serde_json::{Value, json};
use support::{System, code, systems, wait_until};

fn candidates(system: &System) -> usize {
    system.prints(&["kv", "get", "--prefix", "boss/", "--keys-only"]).lines().count()
}

#[test]
fn one_leads_and_when_it_ends_the_next_one_does() {
    for system in systems("one_leads_and_when_it_ends_the_next_one_does") {
        let leader = ["elect", "boss", "--leader"];
        let told = system.json(3, &leader, b"");
        assert_eq!(told["message"], json!("nobody leads the election `boss`"));
        let observer = system.start(&["elect", "boss", "--observe", "-o", "json"]);

        let mut first = system.start(&["elect", "boss", "ann", "-o", "json"]);
        let held = first.json();
        assert_eq!((&held["name"], &held["value"]), (&json!("boss"), &json!("ann")));
        assert_eq!(system.prints(&leader), "ann\n");
        let seen = observer.json();
        assert_eq!((&seen["leader"], &seen["token"]), (&json!("ann"), &held["token"]));

        let script = "trap 'exit 4' TERM; \
                      echo $ALTHING_ELECTION_NAME $ALTHING_ELECTION_VALUE $ALTHING_ELECTION_TOKEN; \
                      i=0; while [ $i -lt 6000 ]; do sleep 0.02; i=$((i + 1)); done";
        let mut second = system.start(&["elect", "boss", "bob", "--", "sh", "-c", script]);
        wait_until("both stand", || candidates(&system) == 2);
        assert_eq!(system.prints(&leader), "ann\n");
        first.signal(Signal::INT);
        assert_eq!(first.ended().0, Some(0));

        let line = second.line();
        let token = line.strip_prefix("boss bob ").and_then(|token| token.parse::<i64>().ok());
        assert!(token > held["token"].as_i64(), "{line}");
        let seen = observer.json();
        assert_eq!((&seen["leader"], &seen["token"]), (&json!("bob"), &json!(token)));
        second.signal(Signal::TERM);
        assert_eq!(second.ended().0, Some(4));
        assert_eq!(observer.json(), json!({ "leader": Value::Null }));
        assert_eq!(code(&system.run(&leader)), Some(3));
    }
}

#[test]
fn a_leader_that_is_deposed_is_told() {
    for system in systems("a_leader_that_is_deposed_is_told") {
        let sleep = ["elect", "boss", "ann", "--", "sh", "-c", "echo up; sleep 100"];
        let mut leader = system.start(&sleep);
        leader.line();
        system.prints(&["kv", "del", "--prefix", "boss/"]);
        let (code, told) = leader.ended();
        assert_eq!(code, Some(9), "{told}");
        assert!(told.contains("the leadership of `boss` was lost"), "{told}");
    }
}

#[test]
fn leaders_are_observed_across_the_death_of_a_server() {
    for mut system in systems("leaders_are_observed_across_the_death_of_a_server") {
        let observer = system.start(&["elect", "boss", "--observe", "-o", "raw"]);
        let leader = system.start(&["elect", "boss", "ann", "--ttl", "60s"]);
        assert_eq!(observer.line(), "ann");
        system.kill();
        observer.wait_for_error("goes on from revision");
        system.start_again();
        leader.signal(Signal::INT);
        assert_eq!(observer.line(), "");
        system.start(&["elect", "boss", "bob"]).line();
        assert_eq!(observer.line(), "bob");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_election_service_sees_the_same_leader() {
    let test = "the_election_service_sees_the_same_leader";
    for system in tokio::task::spawn_blocking(|| systems(test)).await.expect("it works") {
        let leader = system.start(&["elect", "boss", "ann", "-o", "json"]);
        let held = leader.json();
        let mut service = ElectionClient::new(system.channel());
        let request = LeaderRequest { name: b"boss".as_slice().into() };
        let seen = service.leader(request).await.expect("it leads").into_inner().kv;
        let seen = seen.expect("a leader");
        assert_eq!(&seen.value[..], b"ann");
        assert_eq!(json!(seen.create_revision), held["token"]);
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for arguments in [
        &["elect", "boss"][..],
        &["elect", "boss", "ann", "--leader"],
        &["elect", "boss", "--leader", "--observe"],
        &["elect", "", "ann"],
    ] {
        let output = support::run("127.0.0.1:1", arguments, b"");
        assert_eq!(code(&output), Some(2), "{arguments:?}: {output:?}");
    }
}
