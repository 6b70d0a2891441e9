//! A cluster agrees by one protocol: what was written under one is not opened under the other, and
//! nodes that speak different ones refuse each other.

mod support;

use std::process::Output;

use support::{Cluster, Server, althing, code, wait_until};

/// Both, each with the other one.
const PAIRS: [[&str; 2]; 2] = [["raft", "paxos"], ["paxos", "raft"]];

/// The end of a start that fails, which must name both protocols and say what to do.
fn assert_refused(output: &Output, protocols: [&str; 2], what_to_do: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(code(output), Some(1), "{told}");
    for part in [protocols[0], protocols[1], what_to_do] {
        assert!(told.contains(part), "{part} is missing: {told}");
    }
}

fn start_and_stop(server: &mut Server) {
    server.start();
    server.wait_until_ready();
    server.kill();
}

#[test]
fn a_folder_of_the_other_protocol_is_not_opened() {
    for [ours, theirs] in PAIRS {
        let mut cluster = Cluster::plan(1, &["--consensus", ours]);
        let server = &mut cluster.servers[0];
        start_and_stop(server);
        server.set("--consensus", theirs.to_owned());
        let what_to_do = format!("go on with --consensus {ours}");
        assert_refused(&server.run_to_the_end(), [ours, theirs], &what_to_do);
        server.set("--consensus", ours.to_owned());
        start_and_stop(server);
    }
}

#[test]
fn who_speaks_another_protocol_than_the_others_does_not_found_with_them() {
    for [ours, theirs] in PAIRS {
        let mut cluster = Cluster::plan(3, &["--consensus", ours]);
        cluster.servers[0].start();
        cluster.servers[1].start();
        cluster.servers[0].wait_until_ready();
        cluster.servers[2].set("--consensus", theirs.to_owned());
        let refused = cluster.servers[2].run_to_the_end();
        let [ours, theirs] = [format!("the other one {ours}/"), format!("speaks {theirs}/")];
        assert_refused(&refused, [&ours, &theirs], "the cluster's --consensus");
    }
}

#[test]
fn who_speaks_another_protocol_than_the_cluster_does_not_join_it() {
    for [ours, theirs] in PAIRS {
        let mut cluster = Cluster::start(1, &["--consensus", ours]);
        let newcomer = cluster.plan_newcomer("n2", &["--consensus", theirs]);
        let refused = cluster.servers[newcomer].run_to_the_end();
        let [ours, theirs] = [format!("the other one {ours}/"), format!("speaks {theirs}/")];
        assert_refused(&refused, [&ours, &theirs], "the cluster's --consensus");
    }
}

#[test]
fn members_that_lost_one_another_s_language_say_so() {
    // Each holds data of its own, so that both run, and each is dialled by the other.
    let mut cluster = Cluster::plan(2, &[]);
    let mut alone = Vec::new();
    for (server, protocol) in cluster.servers.iter_mut().zip(["raft", "paxos"]) {
        server.also(&["--consensus", protocol]);
        alone.push(format!("{}=127.0.0.1:{}", server.name, server.peer));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let backup = folder.path().join("backup").display().to_string();
    let source = Cluster::start(1, &[]);
    let saved = support::run(&source.endpoints(), &["snapshot", "save", &backup], b"");
    assert_eq!(code(&saved), Some(0), "{saved:?}");
    for server in &mut cluster.servers {
        let restored = althing()
            .args(["snapshot", "restore", &backup])
            .args(&server.arguments()[1..])
            .output()
            .expect("the program was built");
        assert_eq!(code(&restored), Some(0), "{restored:?}");
        server.start();
    }
    for (server, (ours, theirs)) in
        cluster.servers.iter().zip([("raft/", "paxos/"), ("paxos/", "raft/")])
    {
        let word = |log: &str| {
            log.lines().any(|line| {
                line.contains(&format!("speaks {ours}"))
                    && line.contains(&format!("the other one {theirs}"))
            })
        };
        wait_until("it says who speaks what", || word(&server.log()));
    }
}

#[test]
fn a_backup_can_be_restored_for_either_protocol() {
    for [ours, theirs] in PAIRS {
        let source = Cluster::start(1, &["--consensus", ours]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let backup = folder.path().join("backup").display().to_string();
        let put = support::run(&source.endpoints(), &["kv", "put", "key", "value"], b"");
        assert_eq!(code(&put), Some(0), "{put:?}");
        let saved = support::run(&source.endpoints(), &["snapshot", "save", &backup], b"");
        assert_eq!(code(&saved), Some(0), "{saved:?}");
        let mut cluster = Cluster::plan(3, &["--consensus", theirs]);
        for server in &mut cluster.servers {
            let restored = althing()
                .args(["snapshot", "restore", &backup])
                .args(&server.arguments()[1..])
                .output()
                .expect("the program was built");
            assert_eq!(code(&restored), Some(0), "{restored:?}");
            server.start();
        }
        for server in &cluster.servers {
            server.wait_until_ready();
        }
        let read = support::run(&cluster.endpoints(), &["kv", "get", "key"], b"");
        assert_eq!(read.stdout, b"value", "{read:?}");
    }
}
