//! Lock and Election.

use althing_etcd_api::v3electionpb as election;
use althing_etcd_api::{etcdserverpb as pb, v3lockpb as lock};
use election::election_client::ElectionClient;
use lock::lock_client::LockClient;
use pb::lease_client::LeaseClient;

use crate::Notes;

pub(crate) async fn note(notes: &mut Notes) {
    for id in [101, 102] {
        let request = pb::LeaseGrantRequest { ttl: 1000, id };
        let granted = LeaseClient::new(notes.channel()).lease_grant(request).await;
        granted.expect("it is free");
    }
    locks(notes).await;
    elections(notes).await;
}

async fn locks(notes: &mut Notes) {
    let mut client = LockClient::new(notes.channel());
    let request = |lease| lock::LockRequest { name: "l".into(), lease };
    notes.answer("Lock.Lock", "a free lock", client.lock(request(101)).await);
    notes.answer("Lock.Lock", "with a lease that is not there", client.lock(request(404)).await);
    let unlock = lock::UnlockRequest { key: "l/65".into() };
    notes.answer("Lock.Unlock", "one that is held", client.unlock(unlock.clone()).await);
    notes.answer("Lock.Unlock", "one that is not", client.unlock(unlock).await);
    notes.answer("Lock.Lock", "the next holder", client.lock(request(102)).await);
}

async fn elections(notes: &mut Notes) {
    let mut client = ElectionClient::new(notes.channel());
    let who = election::LeaderRequest { name: "e".into() };
    notes.answer("Election.Leader", "nobody", client.leader(who.clone()).await);
    let request = election::CampaignRequest { name: "e".into(), lease: 101, value: "one".into() };
    let won = client.campaign(request).await;
    let leader = won.as_ref().ok().and_then(|won| won.get_ref().leader.clone());
    notes.answer("Election.Campaign", "nobody else does", won);
    notes.answer("Election.Leader", "somebody", client.leader(who.clone()).await);
    let proclaim = election::ProclaimRequest { leader: leader.clone(), value: "two".into() };
    notes.answer("Election.Proclaim", "the leader", client.proclaim(proclaim.clone()).await);
    let observed = client.observe(who.clone()).await.expect("it is served");
    let mut observed = observed.into_inner();
    notes.message("Election.Observe", "the present leader", observed.message().await);
    let resign = election::ResignRequest { leader };
    notes.answer("Election.Resign", "the leader", client.resign(resign.clone()).await);
    notes.answer("Election.Leader", "nobody any more", client.leader(who).await);
    notes.answer("Election.Resign", "who does not lead", client.resign(resign).await);
    notes.answer("Election.Proclaim", "who does not lead", client.proclaim(proclaim).await);
    let nobody = election::ProclaimRequest { leader: None, value: "two".into() };
    notes.answer("Election.Proclaim", "without saying as whom", client.proclaim(nobody).await);
    let nobody = election::ResignRequest { leader: None };
    notes.answer("Election.Resign", "without saying as whom", client.resign(nobody).await);
}
