//! Leases. Granting and revoking go through the log; how much time a lease has is the leader's to
//! say.

use althing_etcd_api::etcdserverpb as pb;
use althing_keyspace::{Command, Principal, Rejection, Reply, Timed};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use super::credentials::Credentials;
use super::{Api, status};
use crate::handle::RequestError;
use crate::metrics::Method;

/// The answers of a stream that keeps leases alive.
pub(super) type Answers = ReceiverStream<Result<pb::LeaseKeepAliveResponse, Status>>;

/// How many leases of one stream are being kept alive at a time; the next request waits.
const AT_ONCE_MAX: usize = 64;

/// How often a number that happens to be taken is replaced by another.
const TRIES_MAX: usize = 3;

impl Api {
    pub(super) async fn lease_grant(
        &self,
        credentials: Credentials,
        message: pb::LeaseGrantRequest,
    ) -> Result<pb::LeaseGrantResponse, Status> {
        self.admitted(Method::LeaseGrant, &credentials, |caller| async move {
            let ttl = message.ttl.max(self.door.lease_seconds_min());
            for _ in 0..TRIES_MAX {
                let id = if message.id == 0 { self.new_lease_id() } else { message.id };
                match self.grant(&caller, id, ttl).await {
                    Err(RequestError::Rejected(Rejection::LeaseExists)) if message.id == 0 => {}
                    answer => return answer.map_err(status::failed),
                }
            }
            Err(status::rejected(Rejection::LeaseExists))
        })
        .await
    }

    async fn grant(
        &self,
        caller: &Principal,
        id: i64,
        ttl: i64,
    ) -> Result<pb::LeaseGrantResponse, RequestError> {
        let applied = self.door.try_propose(caller, Command::LeaseGrant { id, ttl }).await?;
        let Reply::LeaseGrant { id, ttl, revision } = applied.reply else {
            unreachable!("a grant is answered with what a grant did");
        };
        let header = Some(self.header(revision, applied.term));
        Ok(pb::LeaseGrantResponse { header, id, ttl, error: String::new() })
    }

    /// Grants a lease of so many seconds under a number that nobody uses.
    pub(super) async fn grant_any(&self, caller: &Principal, ttl: i64) -> Result<i64, Status> {
        let ttl = ttl.max(self.door.lease_seconds_min());
        for _ in 0..TRIES_MAX {
            match self.grant(caller, self.new_lease_id(), ttl).await {
                Err(RequestError::Rejected(Rejection::LeaseExists)) => {}
                answer => return answer.map(|granted| granted.id).map_err(status::failed),
            }
        }
        Err(status::rejected(Rejection::LeaseExists))
    }

    /// A number that nobody uses, in all likelihood: positive, as all that etcd gives out.
    fn new_lease_id(&self) -> i64 {
        ((self.door.fresh_number() >> 1) as i64).max(1)
    }

    pub(super) async fn lease_revoke(
        &self,
        credentials: Credentials,
        message: pb::LeaseRevokeRequest,
    ) -> Result<pb::LeaseRevokeResponse, Status> {
        self.admitted(Method::LeaseRevoke, &credentials, |caller| async move {
            let applied =
                self.door.propose(&caller, Command::LeaseRevoke { id: message.id }).await?;
            let Reply::LeaseRevoke { revision, .. } = applied.reply else {
                unreachable!("a revocation is answered with what a revocation did");
            };
            let header = Some(self.header(revision, applied.term));
            Ok(pb::LeaseRevokeResponse { header })
        })
        .await
    }

    pub(super) async fn lease_time_to_live(
        &self,
        credentials: Credentials,
        message: pb::LeaseTimeToLiveRequest,
    ) -> Result<pb::LeaseTimeToLiveResponse, Status> {
        self.admitted(Method::LeaseTimeToLive, &credentials, |caller| async move {
            let id = message.id;
            let time = self.door.lease_time(&caller, id).await?;
            let header = Some(self.header(self.door.revision(), self.door.term()));
            let gone = pb::LeaseTimeToLiveResponse { header, id, ttl: -1, ..Default::default() };
            let Some(Timed { ttl: granted_ttl, remaining: ttl, .. }) = time else {
                return Ok(gone);
            };
            let keys = match message.keys {
                true => self.door.look(&caller, |view| view.lease_keys(id))?,
                false => Some(Vec::new()),
            };
            let Some(keys) = keys else { return Ok(gone) };
            let keys = keys.iter().map(super::convert::bytes).collect();
            Ok(pb::LeaseTimeToLiveResponse { header, id, ttl, granted_ttl, keys })
        })
        .await
    }

    pub(super) async fn lease_leases(
        &self,
        credentials: Credentials,
        _: pb::LeaseLeasesRequest,
    ) -> Result<pb::LeaseLeasesResponse, Status> {
        self.admitted(Method::LeaseLeases, &credentials, |caller| async move {
            self.door.linearizable().await?;
            let leases = self.door.look(&caller, |view| view.leases())?;
            let header = Some(self.header(self.door.revision(), self.door.term()));
            let leases = leases.into_iter().map(|id| pb::LeaseStatus { id }).collect();
            Ok(pb::LeaseLeasesResponse { header, leases })
        })
        .await
    }

    /// Keeps leases alive, a bounded number at a time. An answer says which lease it is about;
    /// those of different leases may overtake one another.
    pub(super) fn lease_keep_alive(
        &self,
        credentials: Credentials,
        requests: impl Stream<Item = Result<pb::LeaseKeepAliveRequest, Status>> + Send + 'static,
    ) -> Answers {
        let (answers, stream) = mpsc::channel(AT_ONCE_MAX);
        let api = self.clone();
        tokio::spawn(async move {
            let kept = api.admitted(Method::LeaseKeepAlive, &credentials, |caller| {
                keep_alive(&api, caller, requests, &answers)
            });
            if let Err(status) = kept.await {
                // A client that is gone does not miss it.
                let _ = answers.send(Err(status)).await;
            }
        });
        ReceiverStream::new(stream)
    }

    async fn keep_one_alive(
        &self,
        caller: &Principal,
        id: i64,
    ) -> Result<pb::LeaseKeepAliveResponse, Status> {
        // A lease that is gone has no time, which is no error.
        let ttl = self.door.keep_alive(caller, id).await?.unwrap_or(0);
        let header = Some(self.header(self.door.revision(), self.door.term()));
        Ok(pb::LeaseKeepAliveResponse { header, id, ttl })
    }
}

async fn keep_alive(
    api: &Api,
    caller: Principal,
    requests: impl Stream<Item = Result<pb::LeaseKeepAliveRequest, Status>>,
    answers: &mpsc::Sender<Result<pb::LeaseKeepAliveResponse, Status>>,
) -> Result<(), Status> {
    let mut requests = std::pin::pin!(requests);
    let mut stopping = std::pin::pin!(api.door.stopping());
    let mut asking = JoinSet::new();
    let mut has_more = true;
    while has_more || !asking.is_empty() {
        tokio::select! {
            () = answers.closed() => return Ok(()),
            () = &mut stopping => return Err(Status::unavailable("etcdserver: server stopped")),
            request = requests.next(), if has_more && asking.len() < AT_ONCE_MAX => match request {
                Some(request) => {
                    let (api, caller, id) = (api.clone(), caller.clone(), request?.id);
                    asking.spawn(async move { api.keep_one_alive(&caller, id).await });
                }
                None => has_more = false,
            },
            Some(answer) = asking.join_next() => {
                let answer = answer.map_err(|error| Status::internal(error.to_string()))?;
                if answers.send(Ok(answer?)).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

#[tonic::async_trait]
impl pb::lease_server::Lease for Api {
    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        self.lease_grant(Credentials::of(&request), request.into_inner()).await.map(Response::new)
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        self.lease_revoke(Credentials::of(&request), request.into_inner()).await.map(Response::new)
    }

    type LeaseKeepAliveStream = Answers;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Answers>, Status> {
        Ok(Response::new(self.lease_keep_alive(Credentials::of(&request), request.into_inner())))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        self.lease_time_to_live(Credentials::of(&request), request.into_inner())
            .await
            .map(Response::new)
    }

    async fn lease_leases(
        &self,
        request: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        self.lease_leases(Credentials::of(&request), request.into_inner()).await.map(Response::new)
    }
}
