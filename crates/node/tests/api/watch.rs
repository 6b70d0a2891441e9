//! What watches are told, and what they cost.

use std::net::TcpListener;
use std::time::Duration;

use althing_etcd_api::etcdserverpb as pb;
use althing_etcd_api::mvccpb::event::EventType;
use althing_node::{Listeners, MemberAddress, Node, Settings};
use pb::watch_client::WatchClient;
use pb::watch_create_request::FilterType;
use pb::watch_request::RequestUnion;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::{Server, soon, until};

struct Stream {
    requests: mpsc::Sender<pb::WatchRequest>,
    answers: Streaming<pb::WatchResponse>,
}

impl Stream {
    async fn open(server: &Server) -> Self {
        Self::open_with(server, |_| {}).await
    }

    async fn open_with(
        server: &Server,
        change: impl FnOnce(&mut tonic::metadata::MetadataMap),
    ) -> Self {
        let (requests, stream) = mpsc::channel(16);
        let mut request = tonic::Request::new(ReceiverStream::new(stream));
        change(request.metadata_mut());
        let mut client =
            WatchClient::new(server.channel().await).max_decoding_message_size(1 << 30);
        let answers = client.watch(request).await.expect("it is served").into_inner();
        Self { requests, answers }
    }

    async fn ask(&self, request: RequestUnion) {
        let request = pb::WatchRequest { request_union: Some(request) };
        self.requests.send(request).await.expect("the stream is open");
    }

    /// Begins a watch and returns its number and the revision that it began at.
    async fn create(&mut self, request: pb::WatchCreateRequest) -> (i64, i64) {
        self.ask(RequestUnion::CreateRequest(request)).await;
        let answer = self.next().await;
        assert!(answer.created && !answer.canceled && answer.events.is_empty(), "{answer:?}");
        (answer.watch_id, answer.header.expect("a header").revision)
    }

    async fn next(&mut self) -> pb::WatchResponse {
        self.try_next().await.expect("the stream goes on")
    }

    async fn try_next(&mut self) -> Result<pb::WatchResponse, Status> {
        let answer = soon("an answer of the watch", self.answers.message()).await?;
        Ok(answer.expect("the stream goes on"))
    }

    /// The next `count` events of a watch, in words.
    async fn told(&mut self, count: usize) -> Vec<String> {
        let mut told = Vec::new();
        while told.len() < count {
            let answer = self.next().await;
            assert!(!answer.canceled && !answer.created, "{answer:?}");
            told.extend(answer.events.iter().map(in_words));
        }
        assert_eq!(told.len(), count, "{told:?}");
        told
    }
}

fn in_words(event: &althing_etcd_api::mvccpb::Event) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let kv = event.kv.as_ref().expect("every event has a key");
    let before = event.prev_kv.as_ref().map_or_else(|| "-".to_owned(), |kv| text(&kv.value));
    let after = if event.r#type() == EventType::Put { text(&kv.value) } else { "-".to_owned() };
    format!("{} {} {before}>{after}", kv.mod_revision, text(&kv.key))
}

fn watch(key: &str, range_end: &str, start_revision: i64) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest {
        key: key.to_owned().into(),
        range_end: range_end.to_owned().into(),
        start_revision,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_watch_is_told_what_happens_from_now_on() {
    let server = Server::start().await;
    server.put("a", "before").await;
    let mut stream = Stream::open(&server).await;
    let (id, revision) = stream.create(watch("a", "", 0)).await;
    assert_eq!((id, revision), (0, 3));
    server.put("b", "not asked for").await;
    server.put("a", "1").await;
    server.delete("a", "").await;
    assert_eq!(stream.told(2).await, ["5 a ->1", "6 a ->-"]);
}

#[tokio::test]
async fn a_watch_from_the_past_catches_up_and_goes_on() {
    let server = Server::start().await;
    for number in 1..=3 {
        server.put("a", &number.to_string()).await;
    }
    let mut stream = Stream::open(&server).await;
    let request = pb::WatchCreateRequest { prev_kv: true, ..watch("", "\0", 4) };
    stream.create(request).await;
    assert_eq!(stream.told(2).await, ["4 a 1>2", "5 a 2>3"]);
    server.put("b", "1").await;
    assert_eq!(stream.told(1).await, ["6 b ->1"]);
}

#[tokio::test]
async fn a_watch_of_the_future_waits_for_it() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server).await;
    stream.create(watch("a", "", 5)).await;
    for number in 3..=6 {
        assert_eq!(server.put("a", &number.to_string()).await, number);
    }
    assert_eq!(stream.told(2).await, ["5 a ->5", "6 a ->6"]);
}

#[tokio::test]
async fn filters_leave_out_what_they_name() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server).await;
    for filter in [FilterType::Noput, FilterType::Nodelete] {
        let filters = vec![filter.into()];
        stream.create(pb::WatchCreateRequest { filters, ..watch("a", "", 0) }).await;
    }
    server.put("a", "1").await;
    server.delete("a", "").await;
    let mut told: Vec<(i64, String)> = Vec::new();
    while told.len() < 2 {
        let answer = stream.next().await;
        told.extend(answer.events.iter().map(|event| (answer.watch_id, in_words(event))));
    }
    told.sort();
    assert_eq!(told, [(0, "4 a ->-".to_owned()), (1, "3 a ->1".to_owned())]);
}

#[tokio::test]
async fn all_events_of_a_revision_come_in_one_answer() {
    let server = Server::start().await;
    for number in 0..300 {
        server.put(&format!("k{number:03}"), &"x".repeat(2_000)).await;
    }
    let mut stream = Stream::open(&server).await;
    stream.create(watch("k", "l", 0)).await;
    let revision = server.delete("k", "l").await;
    let answer = stream.next().await;
    assert_eq!(answer.events.len(), 300);
    assert_eq!(answer.header.expect("a header").revision, revision);

    // The past comes in pieces, none of which cuts a revision.
    let mut past = Stream::open(&server).await;
    past.create(pb::WatchCreateRequest { prev_kv: true, ..watch("k", "l", 2) }).await;
    let (mut puts, mut deletes, mut answers) = (0, 0, 0);
    while deletes == 0 {
        let answer = past.next().await;
        answers += 1;
        puts += answer.events.iter().filter(|event| event.r#type() == EventType::Put).count();
        deletes = answer.events.len();
        deletes -= answer.events.iter().filter(|event| event.r#type() == EventType::Put).count();
    }
    assert_eq!((puts, deletes), (300, 300));
    assert!(answers > 1, "600,000 bytes are more than a piece");
}

#[tokio::test]
async fn what_is_too_large_is_split_for_who_asked_for_that() {
    let server = Server::start().await;
    for number in 0..4 {
        server.put(&format!("k{number}"), &"x".repeat(1 << 20)).await;
    }
    let mut stream = Stream::open(&server).await;
    let request = pb::WatchCreateRequest { fragment: true, prev_kv: true, ..watch("k", "l", 0) };
    stream.create(request).await;
    server.delete("k", "l").await;
    let mut parts = Vec::new();
    loop {
        let answer = stream.next().await;
        parts.push(answer.events.len());
        if !answer.fragment {
            break;
        }
    }
    assert_eq!(parts, [1, 1, 1, 1]);
}

#[tokio::test]
async fn a_watch_before_the_compacted_revision_ends_and_says_where_history_begins() {
    let server = Server::start().await;
    for number in 3..=8 {
        assert_eq!(server.put("a", &number.to_string()).await, number);
    }
    server.compact(6).await;
    let mut stream = Stream::open(&server).await;
    stream.create(watch("a", "", 4)).await;
    let answer = stream.next().await;
    assert!(answer.canceled && answer.events.is_empty(), "{answer:?}");
    assert_eq!(answer.compact_revision, 6);
    assert!(answer.cancel_reason.contains("compacted"), "{answer:?}");
    stream.create(watch("a", "", 6)).await;
    assert_eq!(stream.told(3).await, ["6 a ->6", "7 a ->7", "8 a ->8"]);
}

#[tokio::test]
async fn watches_of_a_stream_have_numbers_and_end_one_by_one() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server).await;
    let mut ids = Vec::new();
    for watch_id in [0, 7, 0, 2, 0] {
        ids.push(stream.create(pb::WatchCreateRequest { watch_id, ..watch("a", "", 0) }).await.0);
    }
    assert_eq!(ids, [0, 7, 1, 2, 3]);
    for request in [
        pb::WatchCreateRequest { watch_id: 7, ..watch("a", "", 0) },
        pb::WatchCreateRequest { watch_id: 8, ..watch("b", "a", 0) },
    ] {
        stream.ask(RequestUnion::CreateRequest(request)).await;
        let answer = stream.next().await;
        assert!(
            answer.created && answer.canceled && !answer.cancel_reason.is_empty(),
            "{answer:?}"
        );
    }
    until("five watches", async || server.metric("althing_mvcc_watcher_total").await == 5.0).await;
    for id in [0, 2, 3, 1] {
        let request = pb::WatchCancelRequest { watch_id: id };
        stream.ask(RequestUnion::CancelRequest(request)).await;
        let answer = stream.next().await;
        assert!(answer.canceled && answer.watch_id == id, "{answer:?}");
    }
    server.put("a", "1").await;
    let answer = stream.next().await;
    assert_eq!((answer.watch_id, answer.events.len()), (7, 1), "only one is left");
    drop(stream);
    until("no watches", async || server.metric("althing_mvcc_watcher_total").await == 0.0).await;
}

#[tokio::test]
async fn progress_is_told_after_everything_it_covers() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server).await;
    stream.create(watch("a", "", 0)).await;
    stream.create(watch("b", "", 2)).await;
    for round in 0..20 {
        let written = server.put("a", &round.to_string()).await;
        stream.ask(RequestUnion::ProgressRequest(pb::WatchProgressRequest {})).await;
        let mut last = 0;
        loop {
            let answer = stream.next().await;
            if answer.watch_id == -1 {
                assert!(answer.events.is_empty());
                assert_eq!(answer.header.expect("a header").revision, written);
                break;
            }
            last = answer.events[0].kv.as_ref().expect("a key").mod_revision;
        }
        assert_eq!(last, written, "the event came first");
    }
}

#[tokio::test]
async fn who_asked_for_it_is_told_now_and_then_that_nothing_happened() {
    let server = Server::start_with(|settings| {
        settings.limits.watch_progress_interval = Duration::from_millis(20);
    })
    .await;
    let mut stream = Stream::open(&server).await;
    stream.create(watch("a", "", 0)).await;
    let request = pb::WatchCreateRequest { progress_notify: true, ..watch("a", "", 0) };
    let (id, _) = stream.create(request).await;
    let revision = server.put("b", "somebody else's").await;
    loop {
        let answer = stream.next().await;
        assert_eq!((answer.watch_id, answer.events.len()), (id, 0));
        if answer.header.expect("a header").revision == revision {
            break;
        }
    }
}

#[tokio::test]
async fn a_watcher_that_does_not_read_is_not_waited_for_and_misses_nothing() {
    let server = Server::start().await;
    let mut slow = Stream::open(&server).await;
    slow.create(watch("k", "", 0)).await;
    let value = "x".repeat(100_000);
    // Far more than the windows and buffers in between hold.
    let first = server.put("k", &value).await;
    for _ in 1..200 {
        server.put("k", &value).await;
    }
    let mut next = first;
    while next < first + 200 {
        for event in slow.next().await.events {
            assert_eq!(event.kv.expect("a key").mod_revision, next, "one after the other");
            next += 1;
        }
    }
}

#[tokio::test]
async fn a_watcher_whose_history_is_compacted_away_is_told_so() {
    let server = Server::start().await;
    let mut slow = Stream::open(&server).await;
    slow.create(watch("k", "", 0)).await;
    let value = "x".repeat(100_000);
    let mut last = 0;
    for _ in 0..200 {
        last = server.put("k", &value).await;
    }
    server.compact(last).await;
    let mut told = 0;
    let end = loop {
        let answer = slow.next().await;
        if answer.canceled {
            break answer;
        }
        for event in answer.events {
            told = event.kv.expect("a key").mod_revision;
        }
    };
    assert_eq!(end.compact_revision, last);
    assert!(told < last, "it was too slow to see the last one");
}

#[tokio::test]
async fn a_stream_that_needs_a_leader_ends_without_one() {
    let bind = || TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let peers = ["a", "b"].map(|name| (name, bind()));
    let members = peers.each_ref().map(|(name, peer)| MemberAddress {
        name: (*name).to_owned(),
        peer: peer.local_addr().expect("it is bound").to_string(),
    });
    // Together, for one alone founds nothing.
    let [a, b] = peers.map(|(name, peer)| {
        let data = tempfile::TempDir::new().expect("there is room for a folder");
        let mut settings = Settings::new(name, data.path(), members.to_vec());
        settings.election_timeout = Duration::from_millis(100);
        settings.heartbeat_interval = Duration::from_millis(20);
        settings.limits.leader_check_interval = Duration::from_millis(20);
        settings.limits.shutdown_grace = Duration::from_millis(50);
        let address = peer.local_addr().expect("it is bound");
        let listeners = Listeners { client: bind(), peer };
        tokio::task::spawn_blocking(move || {
            let node = Node::start(settings.clone(), listeners).expect("nothing is in its way");
            Server { node, settings, peer: address, data }
        })
    });
    let (server, other) = (a.await.expect("it starts"), b.await.expect("it starts"));
    tokio::task::spawn_blocking(move || drop(other)).await.expect("it stops");
    let mut stream = Stream::open_with(&server, |metadata| {
        metadata.insert("hasleader", "true".parse().expect("a value"));
    })
    .await;
    stream.create(watch("a", "", 0)).await;
    let error = stream.try_next().await.expect_err("nobody leads");
    assert_eq!((error.code(), error.message()), (Code::Unavailable, "etcdserver: no leader"));
}

#[tokio::test]
async fn a_stream_has_a_bounded_number_of_watches() {
    let server = Server::start_with(|settings| settings.limits.watches_per_stream = 3).await;
    let mut stream = Stream::open(&server).await;
    for _ in 0..3 {
        stream.create(watch("a", "", 0)).await;
    }
    stream.ask(RequestUnion::CreateRequest(watch("a", "", 0))).await;
    let answer = stream.next().await;
    assert!(answer.canceled && answer.cancel_reason.contains("too many"), "{answer:?}");
}

#[tokio::test]
async fn a_server_has_a_bounded_number_of_watches() {
    let server = Server::start_with(|settings| settings.limits.watches = 2).await;
    let mut streams = [Stream::open(&server).await, Stream::open(&server).await];
    for stream in &mut streams {
        stream.create(watch("a", "", 0)).await;
    }
    streams[0].ask(RequestUnion::CreateRequest(watch("a", "", 0))).await;
    let answer = streams[0].next().await;
    assert!(answer.canceled && answer.cancel_reason.contains("on this server"), "{answer:?}");
    let [rest, gone] = streams;
    drop(gone);
    until("a place", async || server.metric("althing_mvcc_watcher_total").await == 1.0).await;
    let mut rest = rest;
    rest.create(watch("a", "", 0)).await;
}

#[tokio::test]
async fn a_node_that_stops_ends_its_streams_at_once() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server).await;
    stream.create(watch("a", "", 0)).await;
    let stopping = tokio::task::spawn_blocking(move || drop(server));
    let error = stream.try_next().await.expect_err("the node stops");
    assert_eq!(error.code(), Code::Unavailable);
    stopping.await.expect("it stops");
}
