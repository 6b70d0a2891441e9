//! The whole client half over real sockets on loopback, with a driver that is a stand-in: it
//! applies what is proposed at once, or holds its answers back while a test wants it to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use althing_core::{ClusterId, Index, NodeId};
use althing_keyspace::Keyspace;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::*;
use crate::envelope::Envelope;
use crate::handle::{Applied, Facts, Request as Asked, RequestError, RequestLimits, Shared};

/// A server under test.
struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// What the stand-in was asked: `propose` or `read`.
    asked: mpsc::UnboundedReceiver<&'static str>,
    /// Whether the stand-in answers.
    answering: watch::Sender<bool>,
    /// Whoever holds it says when the node stops, which it never does here.
    _stop: watch::Sender<bool>,
    shutdown: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let node = NodeId::new(2).expect("not zero");
        let name = "only".to_owned();
        let keyspace = Keyspace::new();
        let facts = Facts {
            consensus: crate::Consensus::Raft,
            cluster: ClusterId(1),
            node,
            name,
            founding: BTreeMap::new(),
            quota_bytes: 1 << 20,
            limits: RequestLimits {
                timeout: Duration::from_secs(5),
                lease_seconds_min: 2,
                token_time: Duration::from_secs(300),
            },
        };
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared::new(facts, 0, stopping, keyspace));
        let (requests, inbox) = mpsc::channel(16);
        let (note, asked) = mpsc::unbounded_channel();
        let (answering, is_answering) = watch::channel(true);
        tokio::spawn(stand_in(Arc::clone(&shared), inbox, note, is_answering));

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (shutdown, told) = oneshot::channel::<()>();
        let services = Services::new(
            Handle::new(Arc::clone(&shared), requests),
            &limits,
            &TokenSettings::default(),
        );
        let serving = tokio::spawn(serve(listener, None, services, limits, async {
            // A test that ends without a word also ends the server.
            let _ = told.await;
        }));
        Self { address, shared, asked, answering, _stop: stop, shutdown: Some(shutdown), serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the server listens")
    }

    /// Posts JSON on a connection of its own; the whole answer, head and body.
    async fn post(&self, path: &str, body: &str) -> String {
        let mut stream = self.connect().await;
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        read_to_end(stream).await
    }

    async fn get(&self, path: &str) -> String {
        let mut stream = self.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        read_to_end(stream).await
    }

    fn shut_down(&mut self) {
        let shutdown = self.shutdown.take().expect("shut down once");
        shutdown.send(()).expect("the server waits for this");
    }
}

async fn stand_in(
    shared: Arc<Shared>,
    mut inbox: mpsc::Receiver<Asked>,
    note: mpsc::UnboundedSender<&'static str>,
    mut answering: watch::Receiver<bool>,
) {
    let mut index = Index::ZERO;
    while let Some(request) = inbox.recv().await {
        // Nobody may be looking.
        let _ = note.send(if matches!(request, Asked::Read { .. }) { "read" } else { "propose" });
        let _ = answering.wait_for(|answering| *answering).await;
        match request {
            Asked::Read { respond } => drop(respond.send(Ok(()))),
            // The time of leases is tested with a driver that has a clock.
            Asked::Lease { respond, .. } => drop(respond.send(Err(RequestError::Stopped))),
            // So are changes of members, with real nodes.
            Asked::Members { respond, .. } => drop(respond.send(Err(RequestError::Stopped))),
            Asked::Transfer { respond, .. } => {
                let _ = respond.send(Err(RequestError::Stopped.into()));
            }
            Asked::Propose { envelope, respond, .. } => {
                index = index.next();
                let command = Envelope::open(&envelope).expect("just sealed").command;
                let applied = shared.keyspace_mut().apply(index, command);
                let applied = applied.map(|reply| Applied { reply, term: 3, index });
                drop(respond.send(applied.map_err(Into::into)));
            }
        }
    }
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn a_write_and_a_read_go_round() {
    let mut server = Server::start(Limits::default()).await;
    let answer = server.post("/v3/kv/put", r#"{"key":"YQ==","value":"Yg=="}"#).await;
    let header = r#"{"header":{"cluster_id":"1","member_id":"2","revision":"2","raft_term":"3"}}"#;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(header), "{answer}");
    let answer = server.post("/v3/kv/range", r#"{"key":"YQ=="}"#).await;
    assert!(answer.contains(r#""value":"Yg==""#), "{answer}");
    assert_eq!(server.asked.try_recv(), Ok("propose"));
    assert_eq!(server.asked.try_recv(), Ok("read"));
    let puts = server.shared.metrics.requests.get(crate::metrics::Method::Put, Code::Ok);
    assert_eq!(puts, 1);
}

#[tokio::test]
async fn only_what_may_be_stale_skips_the_question_to_the_cluster() {
    let mut server = Server::start(Limits::default()).await;
    let range = r#"{"key":"YQ==","serializable":true}"#;
    server.post("/v3/kv/range", range).await;
    server.post("/v3/kv/txn", &format!(r#"{{"success":[{{"request_range":{range}}}]}}"#)).await;
    assert!(server.asked.try_recv().is_err(), "a serializable read asks nobody");
    for txn in [
        r#"{"success":[{"request_range":{"key":"YQ=="}}]}"#,
        // It reads nothing, but it compares.
        r#"{"compare":[{"key":"YQ==","create_revision":"0","target":"CREATE"}]}"#,
    ] {
        server.post("/v3/kv/txn", txn).await;
        assert_eq!(server.asked.try_recv(), Ok("read"), "{txn}");
    }
    server.post("/v3/kv/txn", r#"{"failure":[{"request_delete_range":{"key":"YQ=="}}]}"#).await;
    assert_eq!(server.asked.try_recv(), Ok("propose"), "either branch may write");
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_before_anybody_is_asked() {
    let mut server = Server::start(Limits::default()).await;
    let value = "AAAA".repeat(REQUEST_BYTES_MAX / 3);
    let answer = server.post("/v3/kv/put", &format!(r#"{{"key":"YQ==","value":"{value}"}}"#)).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("etcdserver: request is too large"), "{answer}");
    let many = vec![r#"{"request_put":{"key":"YQ=="}}"#; 129].join(",");
    let answer = server.post("/v3/kv/txn", &format!(r#"{{"success":[{many}]}}"#)).await;
    assert!(answer.contains("etcdserver: too many operations in txn request"), "{answer}");
    assert!(server.asked.try_recv().is_err());
}

#[tokio::test]
async fn a_full_store_is_not_ready_and_says_why() {
    let server = Server::start(Limits::default()).await;
    assert!(server.get("/health").await.contains("RAFT NO LEADER"), "the stand-in names none");
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 200"));
    // The quota is a mebibyte.
    let value = "AAAA".repeat((1 << 20) / 3 - 500);
    server.post("/v3/kv/put", &format!(r#"{{"key":"YQ==","value":"{value}"}}"#)).await;
    let answer = server.post("/v3/kv/put", r#"{"key":"YQ==","value":"YQ=="}"#).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "there is still room for a little: {answer}");
    while server.post("/v3/kv/put", r#"{"key":"YQ=="}"#).await.starts_with("HTTP/1.1 200") {}
    let answer = server.get("/readyz?verbose").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("[-]space failed: ") && answer.contains("[+]storage ok"), "{answer}");
    assert!(server.get("/health").await.contains("ALARM NOSPACE"));
    assert!(server.post("/v3/maintenance/alarm", "{}").await.contains("NOSPACE"));
    assert!(server.get("/livez").await.starts_with("HTTP/1.1 200"), "a restart would not help");
}

#[tokio::test]
async fn one_port_speaks_both_protocols() {
    let server = Server::start(Limits::default()).await;
    assert!(server.get("/version").await.contains(r#""etcdserver":"3.5.0""#));
    let mut stream = server.connect().await;
    stream.write_all(PREFACE).await.expect("the server reads");
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.expect("the server's settings");
    assert_eq!(frame[3], 4, "the first frame of HTTP/2 has the type of settings");
}

#[tokio::test]
async fn what_is_not_served_says_so_in_the_askers_protocol() {
    let server = Server::start(Limits::default()).await;
    let answer = server.post("/v3/maintenance/later", "{}").await;
    assert!(answer.starts_with("HTTP/1.1 501") && answer.contains("\"code\":12"), "{answer}");
    assert!(server.post("/v3/nothing", "{}").await.starts_with("HTTP/1.1 404"));
    assert!(server.get("/nothing").await.starts_with("HTTP/1.1 404"));
    let mut stream = server.connect().await;
    let request = "POST /etcdserverpb.Moon/Land HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
        Content-Type: application/grpc\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let answer = read_to_end(stream).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("grpc-status: 12"), "{answer}");
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_the_others_live() {
    let server = Server::start(Limits { connections: 2, ..Limits::default() }).await;
    let mut first = server.connect().await;
    let second = server.connect().await;
    assert_eq!(read_to_end(server.connect().await).await, "", "there is no third place");
    first.write_all(b"GET /version HTTP/1.0\r\n\r\n").await.expect("the server reads");
    assert!(read_to_end(first).await.contains("200 OK"));
    drop(second);
    // A place is free again once the server has seen the end of a connection.
    while !server.get("/version").await.contains("200 OK") {}
    assert!(server.shared.metrics.client_connections_refused.get() >= 1);
}

#[tokio::test]
async fn silence_and_half_a_preface_and_garbage_are_hung_up_on() {
    let limits = Limits { first_bytes_timeout: Duration::from_millis(50), ..Limits::default() };
    let server = Server::start(limits).await;
    for said in [&b""[..], b"PRI * HT", &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]] {
        let mut stream = server.connect().await;
        stream.write_all(said).await.expect("the server reads");
        let answer = read_to_end(stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let mut silent = server.connect().await;
    assert_eq!(silent.read(&mut [0; 1]).await.expect("an orderly end"), 0);
    assert!(server.get("/version").await.contains("200 OK"));
}

#[tokio::test]
async fn a_shutdown_lets_requests_in_flight_end() {
    let mut server = Server::start(Limits::default()).await;
    server.answering.send_replace(false);
    let mut stream = server.connect().await;
    let request = "POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    stream.write_all(br#"{"key":"YQ=="}"#).await.expect("the server reads");
    assert_eq!(server.asked.recv().await, Some("propose"));
    server.shut_down();
    while TcpStream::connect(server.address).await.is_ok() {}
    assert!(!server.serving.is_finished(), "the request is still in flight");
    server.answering.send_replace(true);
    assert!(read_to_end(stream).await.contains(r#""revision":"2""#));
    server.serving.await.expect("it ends without a panic");
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let limits = Limits { shutdown_grace: Duration::from_millis(50), ..Limits::default() };
    let mut server = Server::start(limits).await;
    let mut deaf = server.connect().await;
    deaf.write_all(PREFACE).await.expect("the server reads");
    let mut frame = [0; 9];
    deaf.read_exact(&mut frame).await.expect("the server's settings");
    // It never acknowledges anything from here on.
    server.shut_down();
    server.serving.await.expect("it ends without a panic");
}

#[test]
fn a_message_over_the_limit_is_a_resource_exhausted() {
    let code = |answer: &Response<Body>| {
        Status::from_header_map(answer.headers()).map(|status| status.code())
    };
    let by_tonic = Status::out_of_range(
        "Error, decoded message length too large: found 9 bytes, the limit is: 1 bytes",
    );
    let answer = in_the_words_of_etcd(by_tonic.into_http());
    assert_eq!(code(&answer), Some(Code::ResourceExhausted));
    let told = Status::from_header_map(answer.headers()).expect("a status");
    assert_eq!(told.message(), "grpc: received message larger than max (1)");
    let by_the_keyspace =
        Status::out_of_range("etcdserver: mvcc: required revision has been compacted");
    let answer = in_the_words_of_etcd(by_the_keyspace.into_http());
    assert_eq!(code(&answer), Some(Code::OutOfRange));
}
