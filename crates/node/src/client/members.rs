//! The calls that change who belongs to the cluster, and who leads it.

use althing_core::NodeId;
use althing_etcd_api::etcdserverpb as pb;
use althing_keyspace::{Ask, Principal};
use tonic::Status;

use super::credentials::Credentials;
use super::{Api, status};
use crate::members::{Card, ChangeError, MemberError, is_peer_url};
use crate::metrics::Method;

impl Api {
    pub(super) async fn member_add(
        &self,
        credentials: Credentials,
        message: pb::MemberAddRequest,
    ) -> Result<pb::MemberAddResponse, Status> {
        self.admitted(Method::MemberAdd, &credentials, |caller| async move {
            self.door.may(&caller, Ask::Administer).await?;
            let peer_urls = checked(message.peer_ur_ls)?;
            let node = self.door.add_member(&caller, peer_urls, message.is_learner).await?;
            let members = self.members();
            let member = members.iter().find(|member| member.id == node.number()).cloned();
            let header = Some(self.header_of_members());
            Ok(pb::MemberAddResponse { header, member, members })
        })
        .await
    }

    pub(super) async fn member_remove(
        &self,
        credentials: Credentials,
        message: pb::MemberRemoveRequest,
    ) -> Result<pb::MemberRemoveResponse, Status> {
        self.admitted(Method::MemberRemove, &credentials, |caller| async move {
            self.door.remove_member(&caller, member(message.id)?).await?;
            let header = Some(self.header_of_members());
            Ok(pb::MemberRemoveResponse { header, members: self.members() })
        })
        .await
    }

    pub(super) async fn member_update(
        &self,
        credentials: Credentials,
        message: pb::MemberUpdateRequest,
    ) -> Result<pb::MemberUpdateResponse, Status> {
        self.admitted(Method::MemberUpdate, &credentials, |caller| async move {
            self.door.may(&caller, Ask::Administer).await?;
            let peer_urls = checked(message.peer_ur_ls)?;
            self.door.move_member(&caller, member(message.id)?, peer_urls).await?;
            let header = Some(self.header_of_members());
            Ok(pb::MemberUpdateResponse { header, members: self.members() })
        })
        .await
    }

    pub(super) async fn member_promote(
        &self,
        credentials: Credentials,
        message: pb::MemberPromoteRequest,
    ) -> Result<pb::MemberPromoteResponse, Status> {
        self.admitted(Method::MemberPromote, &credentials, |caller| async move {
            self.door.promote_member(&caller, member(message.id)?).await?;
            let header = Some(self.header_of_members());
            Ok(pb::MemberPromoteResponse { header, members: self.members() })
        })
        .await
    }

    pub(super) async fn member_list(
        &self,
        credentials: Credentials,
        message: pb::MemberListRequest,
    ) -> Result<pb::MemberListResponse, Status> {
        self.admitted(Method::MemberList, &credentials, |caller| async move {
            self.door.may(&caller, Ask::Known).await?;
            if message.linearizable {
                self.door.linearizable().await?;
            }
            let header = Some(self.header_of_members());
            Ok(pb::MemberListResponse { header, members: self.members() })
        })
        .await
    }

    pub(super) async fn move_leader(
        &self,
        credentials: Credentials,
        message: pb::MoveLeaderRequest,
    ) -> Result<pb::MoveLeaderResponse, Status> {
        self.admitted(Method::MoveLeader, &credentials, |caller: Principal| async move {
            self.door.may(&caller, Ask::Administer).await?;
            // As in etcd: who does not lead says so before it looks at the target.
            if self.door.status().leader != Some(self.door.node()) {
                return Err(status::not_changed(ChangeError::NotLeader));
            }
            let Some(to) = NodeId::new(message.target_id) else {
                return Err(status::not_changed(ChangeError::BadTransferee));
            };
            self.door.transfer_leadership(&caller, to).await?;
            let header = Some(self.header(self.door.revision(), self.door.term()));
            Ok(pb::MoveLeaderResponse { header })
        })
        .await
    }

    /// etcd leaves the revision out here: it says nothing about members.
    fn header_of_members(&self) -> pb::ResponseHeader {
        self.header(0, self.door.term())
    }

    fn members(&self) -> Vec<pb::Member> {
        let members = self.door.status().members.into_iter().map(|member| pb::Member {
            id: member.id.number(),
            name: member.name,
            peer_ur_ls: member.peer_urls,
            client_ur_ls: member.client_urls,
            is_learner: member.is_learner,
        });
        members.collect()
    }
}

fn member(id: u64) -> Result<NodeId, Status> {
    NodeId::new(id).ok_or_else(|| status::not_changed(MemberError::NotFound.into()))
}

/// Peer URLs that a member can have, in the order in which they were given.
fn checked(mut urls: Vec<String>) -> Result<Vec<String>, Status> {
    let count = urls.len();
    urls.dedup();
    let are_good = (1..=Card::URLS_MAX).contains(&count) && urls.iter().all(|url| is_peer_url(url));
    if are_good {
        return Ok(urls);
    }
    Err(Status::invalid_argument("etcdserver: given member URLs are invalid"))
}
