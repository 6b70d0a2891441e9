//! Lease. The numbers are given, so that both systems have the same.

use std::collections::BTreeSet;

use althing_etcd_api::etcdserverpb as pb;
use pb::kv_client::KvClient;
use pb::lease_client::LeaseClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::Notes;

pub(crate) async fn note(notes: &mut Notes) {
    let mut client = LeaseClient::new(notes.channel());
    let mut grant = async |ttl, id| client.lease_grant(pb::LeaseGrantRequest { ttl, id }).await;
    const GRANT: &str = "Lease.LeaseGrant";
    notes.answer(GRANT, "a number given", grant(1000, 77).await);
    notes.answer(GRANT, "a number that is taken", grant(1000, 77).await);
    notes.answer(GRANT, "less than it takes to elect a leader", grant(1, 78).await);
    notes.answer(GRANT, "no time at all", grant(0, 79).await);
    notes.answer(GRANT, "less than no time", grant(-5, 80).await);
    notes.answer(GRANT, "too long", grant(9_000_000_001, 81).await);
    notes.answer(GRANT, "the longest", grant(9_000_000_000, 82).await);
    notes.answer(GRANT, "a number below zero", grant(1000, -3).await);

    let mut kv = KvClient::new(notes.channel());
    for key in ["leased/b", "leased/a"] {
        let request = pb::PutRequest { key: key.into(), lease: 77, ..Default::default() };
        notes.answer("KV.Put", "a key tied to a lease", kv.put(request).await);
    }
    for id in [78, 79, 80, 82, -3] {
        let answer = client.lease_revoke(pb::LeaseRevokeRequest { id }).await;
        notes.answer("Lease.LeaseRevoke", "one without keys", answer);
    }
    times(notes, &mut client).await;
    let answer = client.lease_leases(pb::LeaseLeasesRequest {}).await;
    notes.answer("Lease.LeaseLeases", "one", answer);
    let answer = client.lease_revoke(pb::LeaseRevokeRequest { id: 77 }).await;
    notes.answer("Lease.LeaseRevoke", "one with keys", answer);
    let answer = client.lease_revoke(pb::LeaseRevokeRequest { id: 77 }).await;
    notes.answer("Lease.LeaseRevoke", "one that is not there", answer);
    let answer = client.lease_leases(pb::LeaseLeasesRequest {}).await;
    notes.answer("Lease.LeaseLeases", "none", answer);
    let gone = pb::RangeRequest { key: "leased/a".into(), ..Default::default() };
    notes.answer("KV.Range", "a key whose lease has ended", kv.range(gone).await);
}

async fn times(notes: &mut Notes, client: &mut LeaseClient<tonic::transport::Channel>) {
    const CALL: &str = "Lease.LeaseTimeToLive";
    for (case, id, keys) in [("with its keys", 77, true), ("one that is not there", 404, true)] {
        let answer = client.lease_time_to_live(pb::LeaseTimeToLiveRequest { id, keys }).await;
        // What is left depends on when it is asked; that it is there does not.
        let answer = answer.map(|answer| {
            answer.map(|message| pb::LeaseTimeToLiveResponse {
                ttl: if message.ttl > 900 { 1000 } else { message.ttl },
                // etcd gives them in no order.
                keys: message.keys.into_iter().collect::<BTreeSet<_>>().into_iter().collect(),
                ..message
            })
        });
        notes.answer(CALL, case, answer);
    }
    const KEEP: &str = "Lease.LeaseKeepAlive";
    for (case, id) in [("one", 77), ("one that is not there", 404)] {
        let (requests, stream) = mpsc::channel(1);
        requests.send(pb::LeaseKeepAliveRequest { id }).await.expect("there is room");
        drop(requests);
        let answers = client.lease_keep_alive(ReceiverStream::new(stream)).await;
        let mut answers = answers.expect("it is served").into_inner();
        let answer = answers.message().await;
        notes.message(KEEP, case, answer);
        notes.message(KEEP, "after the last request", answers.message().await);
    }
}
