//! Watch. Only what the protocol promises is noted: how many answers the events of several
//! revisions come in is each server's own affair.

use althing_etcd_api::etcdserverpb as pb;
use althing_etcd_api::mvccpb::Event;
use pb::kv_client::KvClient;
use pb::watch_client::WatchClient;
use pb::watch_create_request::FilterType;
use pb::watch_request::RequestUnion;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::{Notes, in_time};

const CALL: &str = "Watch.Watch";

struct Stream {
    requests: mpsc::Sender<pb::WatchRequest>,
    client: WatchClient<Channel>,
    /// Until the first answer is wanted: etcd opens a stream only with its first answer, and so
    /// only after the first request.
    unopened: Option<ReceiverStream<pb::WatchRequest>>,
    answers: Option<Streaming<pb::WatchResponse>>,
}

impl Stream {
    fn open(notes: &Notes) -> Self {
        let (requests, stream) = mpsc::channel(16);
        let client = WatchClient::new(notes.channel());
        let unopened = Some(ReceiverStream::new(stream));
        Self { requests, client, unopened, answers: None }
    }

    async fn next(&mut self) -> Result<Option<pb::WatchResponse>, Status> {
        if let Some(requests) = self.unopened.take() {
            self.answers = Some(in_time(self.client.watch(requests)).await?.into_inner());
        }
        in_time(self.answers.as_mut().expect("it is open").message()).await
    }

    async fn ask(&mut self, request: RequestUnion) {
        let request = pb::WatchRequest { request_union: Some(request) };
        self.requests.send(request).await.expect("the stream is open");
    }

    /// Asks, and notes the next answer.
    async fn note(&mut self, notes: &mut Notes, case: &'static str, request: RequestUnion) {
        self.ask(request).await;
        notes.message(CALL, case, self.next().await);
    }

    async fn create(
        &mut self,
        notes: &mut Notes,
        case: &'static str,
        request: pb::WatchCreateRequest,
    ) {
        self.note(notes, case, RequestUnion::CreateRequest(request)).await;
    }

    /// Notes so many events, however many answers they come in.
    async fn events(&mut self, notes: &mut Notes, case: &'static str, count: usize) {
        let mut events: Vec<Event> = Vec::new();
        while events.len() < count {
            let answer = self.next().await;
            let Ok(Some(answer)) = answer else {
                notes.message::<Event>(CALL, case, answer.map(|_| None));
                return;
            };
            events.extend(answer.events);
        }
        for event in events {
            notes.message(CALL, case, Ok(Some(event)));
        }
    }
}

fn watch(key: &str, range_end: &str, start_revision: i64) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest {
        key: key.to_owned().into(),
        range_end: range_end.to_owned().into(),
        start_revision,
        ..Default::default()
    }
}

async fn write(notes: &Notes, key: &str) -> i64 {
    let request =
        pb::PutRequest { key: key.to_owned().into(), value: "w".into(), ..Default::default() };
    let answer = KvClient::new(notes.channel()).put(request).await.expect("it is written");
    answer.into_inner().header.expect("a header").revision
}

async fn erase(notes: &Notes, key: &str) -> i64 {
    let request = pb::DeleteRangeRequest { key: key.to_owned().into(), ..Default::default() };
    let answer = KvClient::new(notes.channel()).delete_range(request).await.expect("it is done");
    answer.into_inner().header.expect("a header").revision
}

pub(crate) async fn note(notes: &mut Notes) {
    events(notes).await;
    management(notes).await;
    history(notes).await;
}

async fn events(notes: &mut Notes) {
    let mut stream = Stream::open(notes);
    stream
        .create(notes, "created", pb::WatchCreateRequest { prev_kv: true, ..watch("w", "x", 0) })
        .await;
    write(notes, "w/1").await;
    write(notes, "w/1").await;
    write(notes, "other").await;
    erase(notes, "w/1").await;
    stream.events(notes, "written, again, and deleted", 3).await;
    for (case, filter) in [("no writes", FilterType::Noput), ("no deletions", FilterType::Nodelete)]
    {
        let mut stream = Stream::open(notes);
        let request = pb::WatchCreateRequest { filters: vec![filter.into()], ..watch("w", "x", 0) };
        stream.create(notes, case, request).await;
        write(notes, "w/2").await;
        erase(notes, "w/2").await;
        stream.events(notes, case, 1).await;
    }
    let mut stream = Stream::open(notes);
    stream.create(notes, "no key is the least key", watch("", "", 0)).await;
    let mut stream = Stream::open(notes);
    stream.create(notes, "everything", watch("", "\0", 0)).await;
    write(notes, "anything").await;
    stream.events(notes, "everything", 1).await;
}

async fn management(notes: &mut Notes) {
    let mut stream = Stream::open(notes);
    for (case, watch_id) in [("the first number", 0), ("a number given", 7), ("the next number", 0)]
    {
        let request = pb::WatchCreateRequest { watch_id, ..watch("m", "", 0) };
        stream.create(notes, case, request).await;
    }
    let taken = pb::WatchCreateRequest { watch_id: 7, ..watch("m", "", 0) };
    stream.create(notes, "a number that is taken", taken).await;
    stream.create(notes, "a range that no key is in", watch("m", "a", 0)).await;
    let progress = RequestUnion::ProgressRequest(pb::WatchProgressRequest {});
    stream.note(notes, "progress", progress).await;
    let cancel = RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id: 7 });
    stream.note(notes, "canceled", cancel).await;
    // A cancellation of nothing has no answer; the next answer is to the next request.
    let nothing = RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id: 99 });
    stream.ask(nothing).await;
    stream.create(notes, "after a cancellation of nothing", watch("m", "", 0)).await;
}

async fn history(notes: &mut Notes) {
    let first = write(notes, "h").await;
    write(notes, "h").await;
    let deleted = erase(notes, "h").await;
    write(notes, "h").await;
    let mut stream = Stream::open(notes);
    stream.create(notes, "from the past", watch("h", "", first)).await;
    stream.events(notes, "from the past", 4).await;
    let mut stream = Stream::open(notes);
    let next = write(notes, "unrelated").await + 2;
    stream.create(notes, "from the future", watch("h", "", next)).await;
    write(notes, "h").await;
    write(notes, "h").await;
    stream.events(notes, "from the future", 1).await;

    let request = pb::CompactionRequest { revision: deleted, physical: true };
    let compacted = KvClient::new(notes.channel()).compact(request).await;
    notes.answer("KV.Compact", "up to a deletion", compacted);
    let mut stream = Stream::open(notes);
    stream.create(notes, "from before the compacted revision", watch("h", "", first)).await;
    let answer = stream.next().await.expect("the stream goes on");
    let answer = answer.expect("the stream goes on");
    notes.message(CALL, "what was compacted away", Ok(Some(answer)));
    let mut stream = Stream::open(notes);
    stream.create(notes, "from after the compacted revision", watch("h", "", deleted + 1)).await;
    stream.events(notes, "from after the compacted revision", 3).await;
}
