//! Who founds a cluster: a majority that holds nothing, all at once or one after the other, and
//! nobody who was part of one that lives.

mod support;

use std::path::Path;

use support::{Cluster, Server, code, wait_until};

/// Whether the folder was made a node's memory.
fn is_claimed(data: &Path) -> bool {
    data.join("identity").exists()
}

fn lose_data(server: &Server) {
    std::fs::remove_dir_all(&server.data).expect("its process is gone");
}

fn prints(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = support::run(&cluster.endpoints(), arguments, b"");
    assert_eq!(code(&output), Some(0), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until the node says this.
fn wait_for_word(server: &Server, word: &str) {
    wait_until(word, || server.log().contains(word));
}

/// Waits until the node ends, which it must do by itself.
fn wait_for_end(server: &mut Server) {
    wait_until("it ends", || server.process().try_wait().expect("a child").is_some());
    server.kill_if_running();
}

#[test]
fn a_majority_founds_the_cluster_and_the_last_one_may_come_later() {
    let mut cluster = Cluster::plan(3, &[]);
    cluster.servers[0].start();
    wait_for_word(&cluster.servers[0], "waits to found the cluster");
    assert!(!is_claimed(&cluster.servers[0].data), "one of three founds nothing");
    cluster.servers[1].start();
    cluster.servers[0].wait_until_ready();
    cluster.servers[1].wait_until_ready();
    prints(&cluster, &["kv", "put", "early", "bird"]);
    cluster.servers[2].start();
    cluster.servers[2].wait_until_ready();
    assert!(prints(&cluster, &["kv", "get", "early"]).contains("bird"));
}

#[test]
fn a_member_that_lost_its_data_does_not_found_again_and_comes_back_as_a_new_one() {
    let mut cluster = Cluster::start(3, &[]);
    prints(&cluster, &["kv", "put", "key", "value"]);
    cluster.servers[2].kill();
    lose_data(&cluster.servers[2]);
    let refused = cluster.servers[2].run_to_the_end();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(code(&refused), Some(1), "{told}");
    for part in ["lost its data", "has started before", "member remove", "member add", "--join"] {
        assert!(told.contains(part), "{part} is missing: {told}");
    }
    assert!(!is_claimed(&cluster.servers[2].data));

    prints(&cluster, &["member", "remove", "n3"]);
    let removed = cluster.servers[2].run_to_the_end();
    assert_eq!(code(&removed), Some(11), "{removed:?}");
    let newcomer = cluster.plan_newcomer("n3", &[]);
    let peer = format!("127.0.0.1:{}", cluster.servers[newcomer].peer);
    prints(&cluster, &["member", "add", "n3", "--peer", &peer]);
    cluster.servers[newcomer].start();
    cluster.servers[newcomer].wait_until_ready();
    assert!(prints(&cluster, &["kv", "get", "key"]).contains("value"));
}

#[test]
fn a_member_without_data_waits_until_somebody_can_tell_whether_it_had_some() {
    let mut cluster = Cluster::start(3, &[]);
    prints(&cluster, &["kv", "put", "key", "value"]);
    for server in &mut cluster.servers {
        server.kill();
    }
    lose_data(&cluster.servers[2]);
    // With a vote of this member the other could lead, and might lack what the third one holds.
    cluster.servers[1].start();
    cluster.servers[2].start();
    wait_for_word(&cluster.servers[2], "cannot tell yet whether this member is new");
    assert!(!is_claimed(&cluster.servers[2].data));
    cluster.servers[0].start();
    cluster.servers[0].wait_until_ready();
    cluster.servers[1].wait_until_ready();
    wait_for_end(&mut cluster.servers[2]);
    wait_for_word(&cluster.servers[2], "lost its data");
    assert!(prints(&cluster, &["kv", "get", "key"]).contains("value"));
}
