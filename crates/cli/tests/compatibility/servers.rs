//! Cluster and Maintenance. What the answers hold differs from system to system by nature; what is
//! noted is whether there is one.

use std::fmt::Debug;

use althing_etcd_api::etcdserverpb as pb;
use pb::cluster_client::ClusterClient;
use pb::kv_client::KvClient;
use pb::lease_client::LeaseClient;
use pb::maintenance_client::MaintenanceClient;
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::Notes;

/// The word for an answer, whatever is in it.
fn answered<T: Debug>(
    answer: Result<Response<T>, Status>,
) -> Result<Response<&'static str>, Status> {
    answer.map(|answer| answer.map(|_| "an answer"))
}

pub(crate) async fn note(notes: &mut Notes) {
    members(notes).await;
    maintenance(notes).await;
}

async fn members(notes: &mut Notes) {
    let mut cluster = ClusterClient::new(notes.channel());
    let list = pb::MemberListRequest { linearizable: true };
    let answer = cluster.member_list(list).await;
    let only = answer.as_ref().map_or(0, |answer| answer.get_ref().members[0].id);
    notes.answer("Cluster.MemberList", "all", answered(answer));
    let absent = pb::MemberRemoveRequest { id: 404 };
    let answer = cluster.member_remove(absent).await;
    notes.answer("Cluster.MemberRemove", "one that is not there", answer);
    let absent = pb::MemberUpdateRequest { id: 404, peer_ur_ls: vec!["http://127.0.0.1:1".into()] };
    let answer = cluster.member_update(absent).await;
    notes.answer("Cluster.MemberUpdate", "one that is not there", answer);
    // MemberPromote is not compared for a member that is not there: now and then etcd 3.4 never
    // answers.
    let nowhere = pb::MemberAddRequest { peer_ur_ls: vec!["nonsense".into()], is_learner: false };
    let answer = cluster.member_add(nowhere).await;
    notes.answer("Cluster.MemberAdd", "at no address", answer);
    let answer = cluster.member_promote(pb::MemberPromoteRequest { id: only }).await;
    notes.answer("Cluster.MemberPromote", "one that votes", answer);
    let answer = cluster.member_remove(pb::MemberRemoveRequest { id: only }).await;
    notes.answer("Cluster.MemberRemove", "the only one", answer);
    learners(notes, cluster).await;
}

/// One that never starts.
async fn learners(notes: &mut Notes, mut cluster: ClusterClient<Channel>) {
    let at = |url: &str| pb::MemberAddRequest { peer_ur_ls: vec![url.into()], is_learner: true };
    let answer = cluster.member_add(at("http://127.0.0.1:1")).await;
    let added = answer.as_ref().ok().and_then(|answer| answer.get_ref().member.clone());
    notes.answer("Cluster.MemberAdd", "a learner", answered(answer));
    let id = added.map_or(0, |member| member.id);
    let mut partly = at("http://127.0.0.1:9");
    partly.peer_ur_ls.push("http://127.0.0.1:1".into());
    let answer = cluster.member_add(partly).await;
    notes.answer("Cluster.MemberAdd", "where another is", answer);
    let answer = cluster.member_promote(pb::MemberPromoteRequest { id }).await;
    notes.answer("Cluster.MemberPromote", "one that has nothing yet", answer);
    let elsewhere = pb::MemberUpdateRequest { id, peer_ur_ls: vec!["http://127.0.0.1:2".into()] };
    let answer = cluster.member_update(elsewhere).await;
    notes.answer("Cluster.MemberUpdate", "a learner", answered(answer));
    let second = cluster.member_add(at("http://127.0.0.1:3")).await;
    let second_id = second
        .as_ref()
        .map_or(0, |answer| answer.get_ref().member.as_ref().map_or(0, |member| member.id));
    notes.answer("Cluster.MemberAdd", "a second learner", answered(second));
    let answer = cluster.member_remove(pb::MemberRemoveRequest { id }).await;
    notes.answer("Cluster.MemberRemove", "a learner", answered(answer));
    let answer = cluster.member_remove(pb::MemberRemoveRequest { id }).await;
    notes.answer("Cluster.MemberRemove", "one that was removed", answer);
    if second_id != 0 {
        let removal = pb::MemberRemoveRequest { id: second_id };
        cluster.member_remove(removal).await.expect("it was added");
    }
}

async fn maintenance(notes: &mut Notes) {
    let mut server = MaintenanceClient::new(notes.channel());
    let answer = server.status(pb::StatusRequest {}).await;
    notes.answer("Maintenance.Status", "any", answered(answer));
    let answer = server.alarm(pb::AlarmRequest::default()).await;
    notes.answer("Maintenance.Alarm", "none is raised", answer);
    note_alarms(notes, &mut server).await;
    let answer = server.defragment(pb::DefragmentRequest {}).await;
    notes.answer("Maintenance.Defragment", "any", answered(answer));
    let answer = server.hash(pb::HashRequest {}).await;
    notes.answer("Maintenance.Hash", "any", answered(answer));
    let answer = server.hash_kv(pb::HashKvRequest { revision: 0 }).await;
    notes.answer("Maintenance.HashKV", "now", answered(answer));
    let answer = server.hash_kv(pb::HashKvRequest { revision: 100_000 }).await;
    notes.answer("Maintenance.HashKV", "the future", answered(answer));
    let answer = server.move_leader(pb::MoveLeaderRequest { target_id: 404 }).await;
    notes.answer("Maintenance.MoveLeader", "to nobody", answer);
    let answer = server.snapshot(pb::SnapshotRequest {}).await;
    let begins = match answer {
        Ok(answer) => answer.into_inner().message().await.map(|_| Response::new("a stream")),
        Err(status) => Err(status),
    };
    notes.answer("Maintenance.Snapshot", "any", begins);
}

/// With each alarm raised: what can still be done, and how it is cleared.
async fn note_alarms(notes: &mut Notes, server: &mut MaintenanceClient<Channel>) {
    use pb::AlarmType::{Corrupt, Nospace};
    use pb::alarm_request::AlarmAction::{Activate, Deactivate};

    let mut kv = KvClient::new(notes.channel());
    let mut lease = LeaseClient::new(notes.channel());
    for (kind, cases) in [
        (Nospace, ["raised for space", "while there is no space", "cleared for space"]),
        (Corrupt, ["raised for corruption", "of a corrupt cluster", "cleared for corruption"]),
    ] {
        let [raised, meanwhile, cleared] = cases;
        let request = |action: pb::alarm_request::AlarmAction| pb::AlarmRequest {
            action: action.into(),
            member_id: 42,
            alarm: kind.into(),
        };
        let answer = server.alarm(request(Activate)).await;
        notes.answer("Maintenance.Alarm", raised, answer.map(alarms));
        let key = || b"alarmed".to_vec().into();
        let put = pb::PutRequest { key: key(), ..pb::PutRequest::default() };
        notes.answer("KV.Put", meanwhile, answered(kv.put(put).await));
        let delete = pb::DeleteRangeRequest { key: key(), ..pb::DeleteRangeRequest::default() };
        notes.answer("KV.DeleteRange", meanwhile, answered(kv.delete_range(delete).await));
        let range = pb::RangeRequest { key: key(), ..pb::RangeRequest::default() };
        notes.answer("KV.Range", meanwhile, answered(kv.range(range).await));
        let grant = pb::LeaseGrantRequest { ttl: 60, id: 77 };
        notes.answer("Lease.LeaseGrant", meanwhile, answered(lease.lease_grant(grant).await));
        let answer = server.alarm(pb::AlarmRequest::default()).await;
        notes.answer("Maintenance.Alarm", "those that are raised", answer.map(alarms));
        let answer = server.alarm(request(Deactivate)).await;
        notes.answer("Maintenance.Alarm", cleared, answer.map(alarms));
    }
}

/// The alarms of an answer, without its header.
fn alarms(answer: Response<pb::AlarmResponse>) -> Response<Vec<pb::AlarmMember>> {
    answer.map(|answer| answer.alarms)
}
