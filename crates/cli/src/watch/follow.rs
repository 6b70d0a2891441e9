//! A watch that survives its connection: it goes on, elsewhere if need be, with the first revision
//! that it has not told yet.

use std::time::Duration;

use althing_etcd_api::etcdserverpb::watch_client::WatchClient;
use althing_etcd_api::etcdserverpb::watch_request::RequestUnion;
use althing_etcd_api::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use althing_etcd_api::mvccpb::Event;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_stream::StreamExt as _;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status, Streaming};

use crate::client::{ANSWER_BYTES_MAX, Client, Effect, judge};
use crate::failure::{Failure, Kind, root_cause};
use crate::kv::show::revision;
use crate::roam::Roaming;

/// The first pause after a connection was lost, and the longest; each is twice the one before.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// One watch, over whichever endpoint answers.
#[derive(Debug)]
pub(crate) struct Following {
    roaming: Roaming,
    /// What to watch. Its start is the first revision not told yet, or zero while the watch begins
    /// with whatever comes next and no server has said yet which revision that is.
    create: WatchCreateRequest,
    answers: Option<Streaming<WatchResponse>>,
    answer_time_max: Duration,
    pause: Duration,
    is_announced: bool,
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// What happened, in order, and never a part of a revision.
    Events(Vec<Event>),
    /// Nothing more happened, up to and with this revision.
    Progress(i64),
}

/// Why a watch cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// What should have been told next is forgotten.
    Compacted {
        /// The first revision that was not told.
        wanted: i64,
        /// The first revision that is still there.
        compacted: i64,
    },
    /// The cluster refused, or none of the endpoints answered at the beginning.
    Refused(Failure),
}

impl Following {
    /// A watch of what `create` says. It is not begun before [`Self::open`] or [`Self::next`].
    pub(crate) fn new(client: &Client, create: WatchCreateRequest) -> Self {
        // Where nothing happens, the server says so now and then, and the place to resume from
        // does not fall behind what is compacted.
        let create = WatchCreateRequest { progress_notify: true, ..create };
        Self {
            roaming: Roaming::new(client),
            create,
            answers: None,
            answer_time_max: client.timeout(),
            pause: PAUSE_MIN,
            is_announced: false,
        }
    }

    /// The same, with a word on the standard error where a connection is lost or found again.
    pub(crate) fn announced(self) -> Self {
        Self { is_announced: true, ..self }
    }

    /// Begins the watch, through the first endpoint that takes it.
    pub(crate) async fn open(&mut self) -> Result<(), End> {
        let mut causes = Vec::new();
        let mut kind = Kind::Unreachable;
        for _ in 0..self.roaming.count() {
            match self.begin().await {
                Ok(()) => return Ok(()),
                Err(Obstacle::End(end)) => return Err(end),
                Err(Obstacle::Lost(lost, cause)) => {
                    kind = lost;
                    causes.push(format!("{}: {cause}", self.roaming.address()));
                    self.roaming.move_on();
                }
            }
        }
        let failure = Failure::new(kind, "no endpoint takes the watch").cause(causes.join("; "));
        Err(End::Refused(failure.hint("`althing status` shows which nodes are up")))
    }

    /// What happens next. Where the connection is lost it waits for another one, for however long
    /// that takes. To give up on this and to call it again skips nothing.
    pub(crate) async fn next(&mut self) -> Result<Told, End> {
        loop {
            let Some(answers) = &mut self.answers else {
                self.resume().await?;
                continue;
            };
            let answer = match answers.message().await {
                Ok(Some(answer)) => answer,
                Ok(None) => {
                    self.lose("the server closed the stream");
                    continue;
                }
                Err(status) if is_final(&status) => return Err(self.refused(&status)),
                Err(status) => {
                    self.lose(&told_by(&status));
                    continue;
                }
            };
            if let Some(told) = self.take(answer)? {
                return Ok(told);
            }
        }
    }

    /// Tries each endpoint in turn, with pauses, until one takes the watch.
    async fn resume(&mut self) -> Result<(), End> {
        loop {
            match self.begin().await {
                Ok(()) => {
                    let (address, from) = (self.roaming.address(), self.create.start_revision);
                    self.announce(&format!("watches on at {address} from revision {from}"));
                    return Ok(());
                }
                Err(Obstacle::End(end)) => return Err(end),
                Err(Obstacle::Lost(..)) => {
                    self.roaming.move_on();
                    sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Begins the watch at the present endpoint.
    async fn begin(&mut self) -> Result<(), Obstacle> {
        let deadline = Instant::now() + self.answer_time_max;
        let channel = self.roaming.channel().await.map_err(|failure| match failure.kind {
            Kind::Denied => Obstacle::End(End::Refused(failure)),
            kind => Obstacle::Lost(kind, failure.cause.unwrap_or(failure.message)),
        })?;
        let create = RequestUnion::CreateRequest(self.create.clone());
        let create = WatchRequest { request_union: Some(create) };
        // The stream of requests stays open: its end would end the watch.
        let requests = tokio_stream::once(create).chain(tokio_stream::pending());
        let mut request = Request::new(requests);
        // A node that is cut off from its leader then hangs up instead of saying nothing.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        let mut stub = WatchClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        let answers = timeout_at(deadline, async {
            let mut answers = stub.watch(request).await?.into_inner();
            let first = answers.message().await?;
            Ok((answers, first.ok_or_else(|| Status::unavailable("the stream was closed"))?))
        });
        let (answers, first) = match answers.await {
            Ok(Ok(answers)) => answers,
            Ok(Err(status)) if is_final(&status) => {
                return Err(Obstacle::End(self.refused(&status)));
            }
            Ok(Err(status)) => {
                let (failure, _) = judge(&status, self.roaming.address(), Effect::Read);
                return Err(Obstacle::Lost(failure.kind, told_by(&status)));
            }
            Err(_) => return Err(Obstacle::Lost(Kind::Unknown, "no answer in time".to_owned())),
        };
        if !first.created && !first.canceled {
            return Err(Obstacle::Lost(
                Kind::Other,
                "it does not speak as a watch does".to_owned(),
            ));
        }
        if self.create.start_revision == 0 {
            self.create.start_revision = revision(first.header.as_ref()) + 1;
        }
        self.take(first).map_err(Obstacle::End)?;
        self.answers = Some(answers);
        Ok(())
    }

    /// What an answer tells; nothing where it only says that the watch has begun.
    fn take(&mut self, answer: WatchResponse) -> Result<Option<Told>, End> {
        if answer.compact_revision > 0 {
            let wanted = self.create.start_revision;
            return Err(End::Compacted { wanted, compacted: answer.compact_revision });
        }
        if answer.canceled {
            let address = self.roaming.address();
            let cause = answer.cancel_reason;
            let is_denied = DENIALS.iter().any(|denial| cause.contains(denial));
            let kind = if is_denied { Kind::Denied } else { Kind::Other };
            let failure = Failure::new(kind, format!("{address} ended the watch"));
            let failure = if cause.is_empty() { failure } else { failure.cause(cause) };
            return Err(End::Refused(failure));
        }
        if answer.created {
            return Ok(None);
        }
        self.pause = PAUSE_MIN;
        let last = answer.events.last().and_then(|event| event.kv.as_ref());
        let told = last.map_or_else(|| revision(answer.header.as_ref()), |pair| pair.mod_revision);
        self.create.start_revision = self.create.start_revision.max(told + 1);
        let is_progress = answer.events.is_empty();
        Ok(Some(if is_progress { Told::Progress(told) } else { Told::Events(answer.events) }))
    }

    fn lose(&mut self, cause: &str) {
        let (address, from) = (self.roaming.address(), self.create.start_revision);
        self.announce(&format!("lost {address} ({cause}); goes on from revision {from}"));
        self.answers = None;
        self.roaming.move_on();
    }

    fn refused(&self, status: &Status) -> End {
        End::Refused(judge(status, self.roaming.address(), Effect::Read).0)
    }

    fn announce(&self, text: &str) {
        if self.is_announced {
            eprintln!("{text}");
        }
    }
}

/// What is in the reason for which a watch ends that its user may not have.
const DENIALS: [&str; 3] = ["permission denied", "invalid auth token", "user name is empty"];

/// Why a watch did not begin.
enum Obstacle {
    /// Another endpoint, or the same one later, may take it.
    Lost(Kind, String),
    /// Nobody will.
    End(End),
}

/// Whether asking again can only bring the same answer.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented
            | Code::FailedPrecondition
            | Code::OutOfRange
    )
}

fn told_by(status: &Status) -> String {
    let source = std::error::Error::source(status);
    source.map_or_else(|| status.message().to_owned(), root_cause)
}
