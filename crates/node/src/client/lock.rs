//! Locks: whoever is first in the line holds the lock.

use althing_etcd_api::v3lockpb as pb;
use althing_keyspace::{Command, DeleteRange, Reply, Value};
use tonic::{Request, Response, Status};

use super::credentials::Credentials;
use super::{Api, convert};
use crate::metrics::Method;

impl Api {
    pub(super) async fn lock(
        &self,
        credentials: Credentials,
        message: pb::LockRequest,
    ) -> Result<pb::LockResponse, Status> {
        self.admitted(Method::Lock, &credentials, |caller| async move {
            let place =
                self.take_place(&caller, &message.name, message.lease, Value::default()).await?;
            let (place, revision) = place.turn().await?;
            let header = Some(self.header(revision, self.door.term()));
            Ok(pb::LockResponse { header, key: convert::bytes(&place.key) })
        })
        .await
    }

    pub(super) async fn unlock(
        &self,
        credentials: Credentials,
        message: pb::UnlockRequest,
    ) -> Result<pb::UnlockResponse, Status> {
        self.admitted(Method::Unlock, &credentials, |caller| async move {
            let delete = DeleteRange::key(message.key.as_ref());
            let applied = self.door.propose(&caller, Command::DeleteRange(delete)).await?;
            let Reply::DeleteRange(reply) = applied.reply else {
                unreachable!("a deletion is answered with what a deletion did");
            };
            Ok(pb::UnlockResponse { header: Some(self.header(reply.revision, applied.term)) })
        })
        .await
    }
}

#[tonic::async_trait]
impl pb::lock_server::Lock for Api {
    async fn lock(
        &self,
        request: Request<pb::LockRequest>,
    ) -> Result<Response<pb::LockResponse>, Status> {
        self.lock(Credentials::of(&request), request.into_inner()).await.map(Response::new)
    }

    async fn unlock(
        &self,
        request: Request<pb::UnlockRequest>,
    ) -> Result<Response<pb::UnlockResponse>, Status> {
        self.unlock(Credentials::of(&request), request.into_inner()).await.map(Response::new)
    }
}
