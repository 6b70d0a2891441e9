//! Elections: whoever is first in the line leads, and its key's value is what it says about itself.

use std::sync::Arc;

use althing_etcd_api::v3electionpb as pb;
use althing_keyspace::{
    DeleteRange, Key, KeyRange, KeyValue, Operation, Principal, Put, prefix_end,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::credentials::Credentials;
use super::{Api, convert, line};
use crate::metrics::Method;
use crate::watches::Mailbox;

/// The leaders that somebody observes.
pub(super) type Leaders = ReceiverStream<Result<pb::LeaderResponse, Status>>;

impl Api {
    pub(super) async fn campaign(
        &self,
        credentials: Credentials,
        message: pb::CampaignRequest,
    ) -> Result<pb::CampaignResponse, Status> {
        self.admitted(Method::Campaign, &credentials, |caller| async move {
            let pb::CampaignRequest { name, lease, value } = message;
            let place = self.take_place(&caller, &name, lease, value.as_ref().into()).await?;
            let (place, revision) = place.turn().await?;
            let header = Some(self.header(revision, self.door.term()));
            let (key, rev, lease) = (convert::bytes(&place.key), place.created, place.lease);
            let leader = Some(pb::LeaderKey { name, key, rev, lease });
            Ok(pb::CampaignResponse { header, leader })
        })
        .await
    }

    pub(super) async fn proclaim(
        &self,
        credentials: Credentials,
        message: pb::ProclaimRequest,
    ) -> Result<pb::ProclaimResponse, Status> {
        self.admitted(Method::Proclaim, &credentials, |caller| async move {
            let leader = message.leader.ok_or_else(no_leader_key)?;
            let put = Put::new(leader.key.as_ref(), message.value.as_ref());
            let put = Operation::Put(Put { lease: leader.lease, ..put });
            let done = self.while_placed(&caller, &leader.key, leader.rev, vec![put]).await?;
            let done = done.ok_or_else(|| Status::unknown("election: not leader"))?;
            let header = Some(self.header(done.revision, self.door.term()));
            Ok(pb::ProclaimResponse { header })
        })
        .await
    }

    pub(super) async fn resign(
        &self,
        credentials: Credentials,
        message: pb::ResignRequest,
    ) -> Result<pb::ResignResponse, Status> {
        self.admitted(Method::Resign, &credentials, |caller| async move {
            let leader = message.leader.ok_or_else(no_leader_key)?;
            let delete = Operation::DeleteRange(DeleteRange::key(leader.key.as_ref()));
            // Who does not lead has nothing to give up.
            let done = self.while_placed(&caller, &leader.key, leader.rev, vec![delete]).await?;
            let revision = match done {
                Some(done) => done.revision,
                None => self.door.revision(),
            };
            Ok(pb::ResignResponse { header: Some(self.header(revision, self.door.term())) })
        })
        .await
    }

    pub(super) async fn leader(
        &self,
        credentials: Credentials,
        message: pb::LeaderRequest,
    ) -> Result<pb::LeaderResponse, Status> {
        self.admitted(Method::Leader, &credentials, |caller| async move {
            self.door.linearizable().await?;
            let leader = self.first(&caller, &line::prefix(&message.name)).await?;
            let leader = leader.ok_or_else(|| Status::unknown("election: no leader"))?;
            Ok(self.leader_response(leader))
        })
        .await
    }

    /// Tells of the leader as it is, and each time that this changes. What changes faster than it
    /// is read is told as it is by then.
    pub(super) fn observe(&self, credentials: Credentials, message: pb::LeaderRequest) -> Leaders {
        let (answers, stream) = mpsc::channel(1);
        let api = self.clone();
        tokio::spawn(async move {
            let observed = api.admitted(Method::Observe, &credentials, |caller| {
                let (api, name, answers) = (&api, &message.name, &answers);
                async move { api.observe_to(&caller, name, answers).await }
            });
            if let Err(status) = observed.await {
                // A client that is gone does not miss it.
                let _ = answers.send(Err(status)).await;
            }
        });
        ReceiverStream::new(stream)
    }

    async fn observe_to(
        &self,
        caller: &Principal,
        name: &[u8],
        answers: &mpsc::Sender<Result<pb::LeaderResponse, Status>>,
    ) -> Result<(), Status> {
        let prefix = line::prefix(name);
        let (key, end) = (Key::from(prefix.as_slice()), prefix_end(&prefix));
        let range = KeyRange::new(key, end).expect("a prefix that ends in a slash has room");
        let mailbox = Arc::new(Mailbox::default());
        let _interest = self.door.watches().begin(&range, 0, &mailbox);
        self.door.linearizable().await?;
        let mut told = 0;
        loop {
            let leader = self.first(caller, &prefix).await?;
            if let Some(leader) = leader.filter(|leader| leader.mod_revision != told) {
                told = leader.mod_revision;
                if answers.send(Ok(self.leader_response(leader))).await.is_err() {
                    return Ok(());
                }
            }
            tokio::select! {
                () = mailbox.filled() => drop(mailbox.take()),
                () = answers.closed() => return Ok(()),
                () = self.door.stopping() => {
                    return Err(Status::unavailable("etcdserver: server stopped"));
                }
            }
        }
    }

    fn leader_response(&self, leader: KeyValue) -> pb::LeaderResponse {
        let revision = self.door.revision();
        let header = Some(self.header(revision, self.door.term()));
        pb::LeaderResponse { header, kv: Some(convert::key_value(leader)) }
    }
}

fn no_leader_key() -> Status {
    Status::invalid_argument("\"leader\" field must be provided")
}

#[tonic::async_trait]
impl pb::election_server::Election for Api {
    async fn campaign(
        &self,
        request: Request<pb::CampaignRequest>,
    ) -> Result<Response<pb::CampaignResponse>, Status> {
        self.campaign(Credentials::of(&request), request.into_inner()).await.map(Response::new)
    }

    async fn proclaim(
        &self,
        request: Request<pb::ProclaimRequest>,
    ) -> Result<Response<pb::ProclaimResponse>, Status> {
        self.proclaim(Credentials::of(&request), request.into_inner()).await.map(Response::new)
    }

    async fn leader(
        &self,
        request: Request<pb::LeaderRequest>,
    ) -> Result<Response<pb::LeaderResponse>, Status> {
        self.leader(Credentials::of(&request), request.into_inner()).await.map(Response::new)
    }

    type ObserveStream = Leaders;

    async fn observe(
        &self,
        request: Request<pb::LeaderRequest>,
    ) -> Result<Response<Leaders>, Status> {
        Ok(Response::new(self.observe(Credentials::of(&request), request.into_inner())))
    }

    async fn resign(
        &self,
        request: Request<pb::ResignRequest>,
    ) -> Result<Response<pb::ResignResponse>, Status> {
        self.resign(Credentials::of(&request), request.into_inner()).await.map(Response::new)
    }
}
