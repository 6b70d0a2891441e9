//! Crowds and giants: what clients can do at worst leaves the node's memory under a bound, and the
//! others served.

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use althing_etcd_api::etcdserverpb as pb;
use pb::watch_client::WatchClient;
use pb::watch_request::RequestUnion;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Cluster, PATIENCE, Server, http, skip};
use tokio_stream::StreamExt as _;

/// What a node may take at most through all of this, in bytes.
const MEMORY_MAX: u64 = 512 << 20;

/// The memory that a node takes now.
fn memory(server: &mut Server) -> u64 {
    let path = format!("/proc/{}/status", server.process().id());
    let status = std::fs::read_to_string(path).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux says it");
    let kibibytes = line.split_whitespace().nth(1).expect("a number");
    kibibytes.parse::<u64>().expect("a number") << 10
}

fn assert_bounded(server: &mut Server, when: &str) {
    let memory = memory(server);
    println!("{when}: {} MiB", memory >> 20);
    assert!(memory < MEMORY_MAX, "{when}: {} MiB", memory >> 20);
}

/// A put and a read by somebody who comes now.
fn assert_served(server: &Server, when: &str) {
    let put = http(server.client, "POST", "/v3/kv/put", r#"{"key": "YQ==", "value": "Yg=="}"#);
    assert!(matches!(put, Some((200, _))), "{when}: {put:?}");
}

/// As many connections as asked for, or the test has no room for them.
fn room_for(test: &str, connections: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let has_room = setrlimit(Resource::Nofile, raised).is_ok()
        && limit.maximum.is_none_or(|files| files > connections + 500);
    if !has_room {
        skip(test, "this process may not open so many files (ulimit -Hn)");
    }
    has_room
}

fn connect(server: &Server, said: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.client)).expect("it listens");
    stream.write_all(said).expect("it takes a few bytes");
    stream
}

/// An HTTP/2 client that has said hello, and nothing after it.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[test]
fn ten_thousand_idle_connections_are_borne() {
    const COUNT: usize = 10_000;
    if !room_for("ten_thousand_idle_connections_are_borne", COUNT as u64) {
        return;
    }
    let mut cluster = Cluster::start(1, &[]);
    let server = &mut cluster.servers[0];
    let heads = [&b""[..], b"GET /version HTTP/1.1\r\n", HELLO];
    let crowd: Vec<TcpStream> = (0..COUNT).map(|n| connect(server, heads[n % 3])).collect();
    assert_served(server, "among 10,000 idle connections");
    assert_bounded(server, "with 10,000 idle connections");
    drop(crowd);
}

#[test]
fn a_crowd_that_takes_every_place_keeps_nobody_out() {
    const COUNT: usize = 3000;
    let mut cluster = Cluster::plan(1, &[]);
    // The places follow from how many files the node may open.
    cluster.servers[0].start_limited(1000);
    cluster.servers[0].wait_until_ready();
    let server = &mut cluster.servers[0];
    let mut crowd = Vec::new();
    for _ in 0..COUNT {
        crowd.push(connect(server, HELLO));
    }
    // Those who came last keep their place for a second.
    let start = std::time::Instant::now();
    while http(server.client, "GET", "/version", "").is_none_or(|(status, _)| status != 200) {
        assert!(start.elapsed() < PATIENCE, "the crowd keeps the others out");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_bounded(server, "with every place taken");
}

#[test]
fn bodies_that_never_end_are_bounded_together() {
    const COUNT: usize = 300;
    let mut cluster = Cluster::start(1, &[]);
    let server = &mut cluster.servers[0];
    let body = vec![b'a'; 3 << 20];
    let head = format!(
        "POST /v3/kv/put HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        body.len() + 1
    );
    let mut crowd = Vec::new();
    for _ in 0..COUNT {
        let mut stream = connect(server, head.as_bytes());
        stream.set_write_timeout(Some(PATIENCE)).expect("a limit");
        // Whoever is refused is hung up on in the middle.
        let _ = stream.write_all(&body);
        crowd.push(stream);
    }
    assert_bounded(server, "with 900 MiB of unfinished bodies");
    let mut refused = 0;
    for stream in &mut crowd {
        stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a limit");
        let mut answer = [0; 12];
        let told = stream.read(&mut answer).is_ok_and(|count| count > 0);
        refused += usize::from(told && answer.ends_with(b"429"));
    }
    assert!(refused > 0, "some were told that there is no room");
    drop(crowd);
    let start = std::time::Instant::now();
    while http(server.client, "POST", "/v3/kv/put", r#"{"key": "YQ=="}"#)
        .is_none_or(|(status, _)| status != 200)
    {
        assert!(start.elapsed() < PATIENCE, "the room is not given back");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn nesting_without_end_is_refused() {
    let mut cluster = Cluster::start(1, &[]);
    let server = &mut cluster.servers[0];
    let depth = 100_000;
    let text = "{\"success\":[{\"request_txn\":".repeat(depth) + "{}" + &"}]}".repeat(depth);
    let (status, answer) = http(server.client, "POST", "/v3/kv/txn", &text).expect("an answer");
    assert_eq!(status, 400, "{answer}");

    // The same in protobuf: a transaction in an operation in a transaction.
    let mut message: Vec<u8> = Vec::new();
    for _ in 0..2000 {
        for tag in [0x22, 0x12] {
            let mut outer = vec![tag];
            let mut length = message.len();
            while length >= 0x80 {
                outer.push(length as u8 | 0x80);
                length >>= 7;
            }
            outer.push(length as u8);
            outer.append(&mut message);
            message = outer;
        }
    }
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.append(&mut message);
    let mut stream = connect(
        server,
        format!(
            "POST /etcdserverpb.KV/Txn HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
             content-type: application/grpc\r\ncontent-length: {}\r\n\r\n",
            framed.len()
        )
        .as_bytes(),
    );
    stream.write_all(&framed).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains("recursion%20limit"), "{answer}");
    assert_served(server, "after bottomless requests");
}

/// Requests that are taken back as soon as they were made, which costs the client nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_taken_back_at_once_are_borne() {
    const CONNECTIONS: usize = 4;
    const REQUESTS: usize = 5000;
    let mut cluster = Cluster::start(1, &[]);
    let server = &mut cluster.servers[0];
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let kv = server.kv();
        crowd.spawn(async move {
            let mut left = 0;
            for _ in 0..REQUESTS {
                let mut kv = kv.clone();
                let request = pb::PutRequest { key: b"a".to_vec().into(), ..Default::default() };
                let asked = tokio::spawn(async move { kv.put(request).await.is_ok() });
                tokio::task::yield_now().await;
                asked.abort();
                left += usize::from(asked.await.is_err());
            }
            left
        });
    }
    let left: usize = crowd.join_all().await.into_iter().sum();
    assert!(left > REQUESTS, "only {left} were taken back");
    assert_bounded(server, "after requests that were taken back");
    assert_served(server, "after requests that were taken back");
}

/// Watchers that never read, and so much told to each that together it is a gibibyte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_that_no_watcher_reads_costs_no_memory() {
    const WATCHERS: usize = 32;
    const PUTS: usize = 64;
    const VALUE: usize = 512 << 10;
    let mut cluster = Cluster::start(1, &["--retention", "all"]);
    let server = &mut cluster.servers[0];
    let mut streams = Vec::new();
    for _ in 0..WATCHERS {
        let create = pb::WatchCreateRequest { key: b"big".to_vec().into(), ..Default::default() };
        let request = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let requests = tokio_stream::iter([request]).chain(tokio_stream::pending());
        let mut client = WatchClient::new(server.channel()).max_decoding_message_size(64 << 20);
        let mut stream = client.watch(requests).await.expect("it watches").into_inner();
        stream.message().await.expect("it goes on").expect("it was created");
        streams.push(stream);
    }
    let before = memory(server);
    let mut kv = server.kv();
    for put in 0..PUTS {
        let value = vec![put as u8; VALUE].into();
        let request = pb::PutRequest { key: b"big".to_vec().into(), value, ..Default::default() };
        kv.put(request).await.expect("it is put");
    }
    let grown = memory(server).saturating_sub(before);
    println!("{} MiB told, {} MiB grown", (WATCHERS * PUTS * VALUE) >> 20, grown >> 20);
    assert!(grown < MEMORY_MAX, "it grew by {} MiB", grown >> 20);
    // The first of them reads after all, and nothing is missing.
    let mut seen = 0;
    while seen < PUTS {
        let answer = streams[0].message().await.expect("it goes on").expect("an event");
        for event in answer.events {
            let value = event.kv.expect("a put").value;
            assert!(value.len() == VALUE && value[0] as usize == seen, "event {seen}");
            seen += 1;
        }
    }
}
