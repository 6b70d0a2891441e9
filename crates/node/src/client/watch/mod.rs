//! Watches: any number over one stream.
//!
//! A stream reads the history for one of its watches at a time, and only when its client has read
//! what came before: however much happens, and however slowly a client reads, a stream holds one
//! piece of the history, and what it has not sent stays where it is. A client that is so slow that
//! its history is compacted away is told so.

mod watcher;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::pin::pin;
use std::sync::Arc;

use althing_etcd_api::etcdserverpb as pb;
use althing_keyspace::{Ask, Principal, Rejection};
use pb::watch_request::RequestUnion;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use self::watcher::{Piece, Wants, Watcher};
use super::credentials::Credentials;
use super::{Api, REQUEST_BYTES_MAX, status};
use crate::metrics::Method;
use crate::watches::Mailbox;

/// The answers of a watch stream.
pub(super) type Answers = ReceiverStream<Result<pb::WatchResponse, Status>>;

/// Stands for all watches of a stream.
const ALL: i64 = -1;

/// Answers that wait for the client to read them, above which no more requests are taken.
const READY_MAX: usize = 64;

/// A stream that asked for it ends when no leader was known this often in a row.
const LEADERLESS_MAX: u32 = 3;

#[tonic::async_trait]
impl pb::watch_server::Watch for Api {
    type WatchStream = Answers;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let needs_leader = request.metadata().get("hasleader").is_some_and(|value| value == "true");
        let credentials = Credentials::of(&request);
        Ok(Response::new(self.watch(credentials, request.into_inner(), needs_leader)))
    }
}

impl Api {
    /// Serves one stream of watches. When `requests` end, the watches go on until the answers are
    /// dropped.
    pub(super) fn watch(
        &self,
        credentials: Credentials,
        requests: impl Stream<Item = Result<pb::WatchRequest, Status>> + Send + 'static,
        needs_leader: bool,
    ) -> Answers {
        let (answers, stream) = mpsc::channel(1);
        let api = self.clone();
        tokio::spawn(async move {
            let caller = api.door.identify(&credentials).await;
            let watches = Watching::new(api.clone(), caller);
            let ended = watches.serve(requests, needs_leader, &answers);
            if let Err(status) = api.counted(Method::Watch, ended).await {
                // A client that is gone does not miss it.
                let _ = answers.send(Err(status)).await;
            }
        });
        ReceiverStream::new(stream)
    }
}

/// The watches of one stream.
struct Watching {
    api: Api,
    /// On whose behalf, or why nobody's: each watch is answered with that, as in etcd.
    caller: Result<Principal, Status>,
    mailbox: Arc<Mailbox>,
    watchers: BTreeMap<i64, Watcher>,
    /// Those that may have something to be told.
    behind: BTreeSet<i64>,
    /// Whose turn it was last; they take turns in the order of their numbers.
    turn: i64,
    /// To be sent, in this order.
    ready: VecDeque<pb::WatchResponse>,
    next_id: i64,
    /// Progress was asked for and is told as soon as nobody is behind.
    owes_progress: bool,
}

impl Watching {
    fn new(api: Api, caller: Result<Principal, Status>) -> Self {
        api.door.metrics().watch_streams.increment();
        Self {
            api,
            caller,
            mailbox: Arc::default(),
            watchers: BTreeMap::new(),
            behind: BTreeSet::new(),
            turn: 0,
            ready: VecDeque::new(),
            next_id: 0,
            owes_progress: false,
        }
    }

    async fn serve(
        mut self,
        requests: impl Stream<Item = Result<pb::WatchRequest, Status>>,
        needs_leader: bool,
        answers: &mpsc::Sender<Result<pb::WatchResponse, Status>>,
    ) -> Result<(), Status> {
        let door = self.api.door.clone();
        let mailbox = Arc::clone(&self.mailbox);
        let (mut requests, mut stopping) = (pin!(requests), pin!(door.stopping()));
        let (mut is_asking, mut leaderless) = (true, 0);
        let period = self.api.limits.watch_progress_interval;
        let mut progress = interval_at(Instant::now() + period, period);
        let period = self.api.limits.leader_check_interval;
        let mut leader = interval_at(Instant::now() + period, period);
        loop {
            if self.ready.is_empty() {
                self.read_on();
            }
            // Nothing to send, and more to look at: others get their turn in between.
            let reads_on = self.ready.is_empty() && !self.behind.is_empty();
            tokio::select! {
                () = tokio::task::yield_now(), if reads_on => {}
                () = answers.closed() => return Ok(()),
                () = &mut stopping => return Err(Status::unavailable("etcdserver: server stopped")),
                permit = answers.reserve(), if !self.ready.is_empty() => {
                    let Ok(permit) = permit else { return Ok(()) };
                    permit.send(Ok(self.ready.pop_front().expect("one is ready")));
                }
                request = requests.next(), if is_asking && self.ready.len() < READY_MAX => {
                    match request {
                        Some(request) => self.request(request?),
                        None => is_asking = false,
                    }
                }
                () = mailbox.filled() => self.collect(),
                _ = progress.tick() => self.tell_progress(),
                _ = leader.tick(), if needs_leader => {
                    let is_led = door.status().leader.is_some();
                    leaderless = if is_led { 0 } else { leaderless + 1 };
                    if leaderless >= LEADERLESS_MAX {
                        return Err(Status::unavailable("etcdserver: no leader"));
                    }
                }
            }
        }
    }

    fn request(&mut self, request: pb::WatchRequest) {
        match request.request_union {
            Some(RequestUnion::CreateRequest(request)) => self.create(&request),
            Some(RequestUnion::CancelRequest(request)) => self.cancel(request.watch_id),
            Some(RequestUnion::ProgressRequest(_)) => self.owes_progress = true,
            None => {}
        }
    }

    fn create(&mut self, request: &pb::WatchCreateRequest) {
        let id = request.watch_id;
        let limit = self.api.limits.watches_per_stream;
        let wants = match Wants::of(request) {
            None => Err("mvcc: watcher range is empty"),
            _ if id != 0 && self.watchers.contains_key(&id) => {
                Err("mvcc: duplicate watch ID provided on the WatchStream")
            }
            _ if self.watchers.len() >= limit => Err("etcdserver: too many watches on one stream"),
            _ if self.api.door.metrics().watchers.get() >= self.api.limits.watches => {
                Err("etcdserver: too many watches on this server")
            }
            Some(wants) => Ok(wants),
        };
        let wants = wants.map_err(str::to_owned).and_then(|wants| {
            self.may(&wants).map_err(|status| in_the_words_of_go(&status))?;
            Ok(wants)
        });
        match wants {
            Ok(wants) => {
                let id = if id == 0 { self.free_id() } else { id };
                self.begin(id, request.start_revision, wants);
            }
            Err(why) => {
                let refusal = pb::WatchResponse {
                    created: true,
                    canceled: true,
                    cancel_reason: why,
                    ..self.answer(ALL, self.revision())
                };
                self.ready.push_back(refusal);
            }
        }
    }

    /// Whether the caller may watch that, as far as this node has come.
    fn may(&self, wants: &Wants) -> Result<(), Status> {
        let caller = self.caller.as_ref().map_err(Status::clone)?;
        self.api.door.look(caller, |view| view.may(Ask::Watch(&wants.range)))
    }

    fn begin(&mut self, id: i64, start: i64, wants: Wants) {
        // Interest first: what is written between the two is then told twice and not never.
        let interest = self.api.door.watches().begin(&wants.range, id, &self.mailbox);
        let revision = self.revision();
        let next = if start == 0 { revision + 1 } else { start.max(0) };
        self.watchers.insert(id, Watcher::new(wants, next, interest));
        self.api.door.metrics().watchers.increment();
        let created = pb::WatchResponse { created: true, ..self.answer(id, revision) };
        self.ready.push_back(created);
        if next <= revision {
            self.behind.insert(id);
        }
    }

    fn cancel(&mut self, id: i64) {
        if self.end(id) {
            let canceled = pb::WatchResponse { canceled: true, ..self.answer(id, self.revision()) };
            self.ready.push_back(canceled);
        }
    }

    fn end(&mut self, id: i64) -> bool {
        let was_there = self.watchers.remove(&id).is_some();
        if was_there {
            self.api.door.metrics().watchers.decrement();
            self.behind.remove(&id);
        }
        was_there
    }

    fn free_id(&mut self) -> i64 {
        while self.watchers.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        self.next_id - 1
    }

    /// Looks who has something to be told.
    fn collect(&mut self) {
        for (id, revision) in self.mailbox.take() {
            let Some(watcher) = self.watchers.get_mut(&id) else { continue };
            // Who is behind already gets there by itself.
            if self.behind.insert(id) {
                watcher.skip_to(revision);
            }
        }
    }

    /// Reads on for the next watch that is behind, or tells progress that is owed.
    fn read_on(&mut self) {
        if self.owes_progress && self.behind.is_empty() {
            let noticed = self.api.door.watches().noticed();
            self.collect();
            if self.behind.is_empty() {
                self.owes_progress = false;
                self.ready.push_back(self.answer(ALL, noticed));
            }
        }
        let Some(id) = self.next_turn() else { return };
        let Some(watcher) = self.watchers.get_mut(&id) else { return };
        let caller = self.caller.as_ref().expect("nobody's watches are never begun");
        let read = watcher.read(&self.api.door, caller);
        let fragments = watcher.wants().fragments;
        match read {
            Ok(Piece { events, through, has_more }) => {
                if has_more {
                    self.behind.insert(id);
                }
                if !events.is_empty() {
                    self.api.door.metrics().watch_events.add(events.len() as u64);
                    let answer = pb::WatchResponse { events, ..self.answer(id, through) };
                    self.ready.extend(if fragments { split(answer) } else { vec![answer] });
                }
            }
            Err(Rejection::Compacted) => self.fell_behind(id),
            Err(rejection) => self.lost_its_right(id, rejection),
        }
    }

    fn next_turn(&mut self) -> Option<i64> {
        let after = self.behind.range((Excluded(self.turn), Unbounded)).next();
        let id = *after.or_else(|| self.behind.first())?;
        self.behind.remove(&id);
        self.turn = id;
        Some(id)
    }

    fn lost_its_right(&mut self, id: i64, rejection: Rejection) {
        self.end(id);
        let canceled = pb::WatchResponse {
            canceled: true,
            cancel_reason: in_the_words_of_go(&status::rejected(rejection)),
            ..self.answer(id, self.revision())
        };
        self.ready.push_back(canceled);
    }

    fn fell_behind(&mut self, id: i64) {
        self.end(id);
        let compact_revision = self.api.door.compacted_revision();
        let canceled = pb::WatchResponse {
            canceled: true,
            compact_revision,
            cancel_reason: Rejection::Compacted.to_string(),
            ..self.answer(id, self.revision())
        };
        self.ready.push_back(canceled);
    }

    /// Tells those that want it, and are not behind, how far they have come.
    fn tell_progress(&mut self) {
        let noticed = self.api.door.watches().noticed();
        self.collect();
        let wants = |(id, watcher): (&i64, &Watcher)| {
            (watcher.wants().progress && !self.behind.contains(id)).then_some(*id)
        };
        let ids: Vec<i64> = self.watchers.iter().filter_map(wants).collect();
        // A client that has not read the last ones has no use for these.
        if self.ready.is_empty() {
            self.ready = ids.into_iter().map(|id| self.answer(id, noticed)).collect();
        }
    }

    fn revision(&self) -> i64 {
        self.api.door.revision()
    }

    fn answer(&self, watch_id: i64, revision: i64) -> pb::WatchResponse {
        let header = self.api.header(revision, self.api.door.term());
        pb::WatchResponse { header: Some(header), watch_id, ..pb::WatchResponse::default() }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let metrics = self.api.door.metrics();
        metrics.watch_streams.decrement();
        self.watchers.keys().for_each(|_| metrics.watchers.decrement());
    }
}

/// As etcd's client reads the reason for which it may not watch.
fn in_the_words_of_go(status: &Status) -> String {
    format!("rpc error: code = {:?} desc = {}", status.code(), status.message())
}

/// Splits an answer that is larger than a request may be. An event that is larger by itself stays
/// whole.
fn split(answer: pb::WatchResponse) -> Vec<pb::WatchResponse> {
    let mut answers = Vec::new();
    let empty = pb::WatchResponse { events: Vec::new(), ..answer.clone() };
    let mut part = empty.clone();
    let mut bytes = 0;
    for event in answer.events {
        let size = event.encoded_len();
        if bytes + size > REQUEST_BYTES_MAX && !part.events.is_empty() {
            part.fragment = true;
            answers.push(std::mem::replace(&mut part, empty.clone()));
            bytes = 0;
        }
        bytes += size;
        part.events.push(event);
    }
    answers.push(part);
    answers
}
