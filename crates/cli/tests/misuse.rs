//! Bad input, bad neighbours and bad disks: each gets a clear answer and harms nobody.

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use althing_etcd_api::etcdserverpb as pb;
use support::{Cluster, PATIENCE, Server, althing, http, skip};
use tonic::Code;

fn put(key: &str, bytes: usize) -> pb::PutRequest {
    pb::PutRequest {
        key: key.as_bytes().to_vec().into(),
        value: vec![b'x'; bytes].into(),
        ..pb::PutRequest::default()
    }
}

fn operation(put: pb::PutRequest) -> pb::RequestOp {
    pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put)) }
}

/// The node still does its work.
async fn assert_serves(server: &Server) {
    server.kv().put(put("still", 1)).await.expect("the node still writes");
}

#[tokio::test]
async fn requests_over_the_limits_are_refused_in_etcds_words() {
    let cluster = Cluster::start(1, &[]);
    let server = &cluster.servers[0];
    let mut kv = server.kv();

    let large = kv.put(put("large", 3 << 19)).await.expect_err("1.5 MiB and the key");
    assert_eq!(large.code(), Code::InvalidArgument);
    assert_eq!(large.message(), "etcdserver: request is too large");
    kv.put(put("fits", (3 << 19) - 512)).await.expect("just below the limit");

    let monstrous = kv.put(put("monstrous", 8 << 20)).await.expect_err("far over the limit");
    assert_eq!(monstrous.code(), Code::ResourceExhausted);

    let many = (0..129).map(|number| operation(put(&format!("k{number}"), 1))).collect();
    let txn = pb::TxnRequest { success: many, ..pb::TxnRequest::default() };
    let refused = kv.txn(txn).await.expect_err("129 operations");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "etcdserver: too many operations in txn request");

    let nothing = kv.put(put("", 1)).await.expect_err("no key");
    assert_eq!(nothing.message(), "etcdserver: key is not provided");

    let (status, body) = http(server.client, "POST", "/v3/kv/put", "{\"key\": 7").expect("answer");
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("\"error\""), "{body}");
    assert_serves(server).await;
}

#[tokio::test]
async fn a_garbage_peer_and_half_open_connections_harm_nobody() {
    let cluster = Cluster::start(3, &[]);
    for server in &cluster.servers {
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], &[0; 4096]] {
            let mut stream = TcpStream::connect(("127.0.0.1", server.peer)).expect("it listens");
            // The node may close the door before all of it is through.
            let _ = stream.write_all(garbage);
            stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(answer.is_empty(), "garbage is not answered: {answer:?}");
        }
    }
    // Connections that say nothing, or half of something, to both ports of every node.
    let mut silent = Vec::new();
    for server in &cluster.servers {
        for port in [server.client, server.peer] {
            for half in [&b""[..], b"PRI * HTTP/2.0\r\n", b"POST /v3/kv/put HTTP/1.1\r\n"] {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
                stream.write_all(half).expect("it takes a few bytes");
                silent.push(stream);
            }
        }
    }
    for server in &cluster.servers {
        assert_serves(server).await;
    }
    drop(silent);
}

#[test]
fn a_folder_in_use_or_of_another_cluster_is_refused() {
    let mut cluster = Cluster::start(1, &[]);
    let folder = cluster.servers[0].data.display().to_string();
    let start_beside = |token: &str, name: &str| {
        let (client, peer) = (support::free_port(), support::free_port());
        let output = althing()
            .args(["serve", "--name", name, "--data", &folder, "--cluster-token", token])
            .args(["--listen-client", &format!("127.0.0.1:{client}")])
            .args(["--listen-peer", &format!("127.0.0.1:{peer}")])
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let in_use = start_beside("althing-cluster", "n1");
    assert!(in_use.contains("cause:") && in_use.contains("process "), "{in_use}");

    cluster.servers[0].kill();
    let other_cluster = start_beside("another", "n1");
    assert!(other_cluster.contains("the data folder belongs to cluster"), "{other_cluster}");

    cluster.servers[0].start();
    cluster.servers[0].wait_until_ready();
}

#[test]
fn a_folder_of_another_node_is_refused() {
    let mut cluster = Cluster::plan(3, &[]);
    cluster.servers[0].start();
    cluster.servers[2].start();
    let folder = cluster.servers[0].data.clone();
    cluster.servers[0].wait_until_ready();
    cluster.servers[0].kill();
    cluster.servers[1].move_data(folder);
    let output = cluster.servers[1].run_to_the_end();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("the data folder belongs to node"), "{told}");
}

#[test]
fn damage_in_the_log_stops_the_node_and_names_the_place() {
    let mut cluster = Cluster::start(1, &[]);
    let server = &mut cluster.servers[0];
    for number in 0..20 {
        let body = format!("{{\"key\": \"YQ==\", \"value\": \"{number:04}\"}}");
        assert_eq!(http(server.client, "POST", "/v3/kv/put", &body).map(|a| a.0), Some(200));
    }
    server.kill();
    let segment = std::fs::read_dir(&server.data)
        .expect("the data folder")
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("log-")))
        .expect("a log segment");
    let mut bytes = std::fs::read(&segment).expect("readable");
    // In the third block: an acknowledged commit, with others behind it.
    bytes[3 * 4096 + 60] ^= 1;
    std::fs::write(&segment, bytes).expect("writable");

    let output = server.run_to_the_end();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let name = segment.file_name().expect("it has one").to_string_lossy().into_owned();
    assert!(told.contains(&name), "the file is not named: {told}");
    assert!(told.contains("at byte 12288"), "nor the offset: {told}");
}

/// A small file system that goes away with the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(test: &str, size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        skip(test, "mounting a tmpfs takes root");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A lazy unmount cannot fail for being busy; what is left goes with the machine.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_stops_one_node_and_loses_nothing() {
    let test = "a_full_disk_stops_one_node_and_loses_nothing";
    let Some(disk) = SmallDisk::mount(test, "48m") else { return };
    let mut cluster = Cluster::plan(3, &[]);
    let data = disk.0.path().join("n3");
    cluster.servers[2].move_data(data);
    for server in &mut cluster.servers {
        server.start();
    }
    for server in &cluster.servers {
        server.wait_until_ready();
    }

    let mut kv = cluster.servers[0].kv();
    let start = Instant::now();
    let mut written = 0;
    while cluster.servers[2].is_alive() {
        assert!(start.elapsed() < PATIENCE * 2, "the disk does not fill up");
        if kv.put(put(&format!("fill/{written:06}"), 256 << 10)).await.is_ok() {
            written += 1;
        }
    }
    let told = cluster.servers[2].log();
    assert!(told.contains("no space left"), "{told}");
    assert!(told.contains("try:"), "no next step: {told}");

    // The others go on, and what was acknowledged is there.
    assert_serves(&cluster.servers[0]).await;
    let count = pb::RangeRequest {
        key: b"fill/".to_vec().into(),
        range_end: b"fill0".to_vec().into(),
        count_only: true,
        ..pb::RangeRequest::default()
    };
    let counted = cluster.servers[1].kv().range(count).await.expect("it serves").into_inner();
    assert!(counted.count >= written, "{} of {written}", counted.count);
}

#[test]
fn a_bad_flag_is_told_with_what_would_be_right() {
    for (arguments, expected) in [
        (&["serve", "--listen-client", "nowhere"][..], "host:port"),
        (&["serve", "--name", "x", "--initial-cluster", "y=127.0.0.1:1"], "initial cluster"),
        (&["serve", "--election-timeout", "100ms"], "too short"),
        (&["serve", "--nmae", "n1"], "--name"),
        (&["dev", "--nodes", "2"], "1, 3, 5"),
        (&["dev", "--ports", "99999"], "random"),
    ] {
        let output = althing().args(arguments).output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(expected), "{arguments:?}: {told}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port();
    let output = althing().args(["dev", "--ports", &port.to_string()]).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&port.to_string()) && told.contains("--ports random"), "{told}");
}

/// Waits between looks at a process.
const LOOK: Duration = Duration::from_millis(20);

impl Server {
    /// Whether the process has not ended by itself.
    fn is_alive(&mut self) -> bool {
        std::thread::sleep(LOOK);
        self.process().try_wait().expect("it was started here").is_none()
    }
}
