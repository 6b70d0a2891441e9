//! Leases against a clock.

use std::time::{Duration, Instant};

use althing_etcd_api::etcdserverpb as pb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::{Server, soon, until};

async fn time_to_live(server: &Server, id: i64) -> pb::LeaseTimeToLiveResponse {
    let request = pb::LeaseTimeToLiveRequest { id, keys: true };
    server.lease().await.lease_time_to_live(request).await.expect("it is known").into_inner()
}

/// Keeps leases alive over one stream; the time that each was answered with.
async fn keep_alive(server: &Server, ids: &[i64]) -> Vec<(i64, i64)> {
    let (requests, stream) = mpsc::channel(ids.len().max(1));
    for id in ids {
        requests.send(pb::LeaseKeepAliveRequest { id: *id }).await.expect("there is room");
    }
    drop(requests);
    let mut client = server.lease().await;
    let answers = client.lease_keep_alive(ReceiverStream::new(stream)).await;
    let mut answers = answers.expect("it is served").into_inner();
    let mut times = Vec::new();
    while let Some(answer) = soon("an answer", answers.message()).await.expect("no error") {
        times.push((answer.id, answer.ttl));
    }
    times.sort_unstable();
    times
}

#[tokio::test]
async fn keys_die_with_their_lease() {
    let server = Server::start().await;
    let id = server.grant(1).await;
    server.put_tied("a", "1", id).await;
    server.put_tied("b", "1", id).await;
    assert!(server.exists("a").await);
    until("the end of the lease", async || !server.exists("a").await).await;
    assert!(!server.exists("b").await, "both at one revision");
    assert_eq!(keep_alive(&server, &[id]).await, [(id, 0)], "there is no such lease any more");
    assert_eq!(time_to_live(&server, id).await.ttl, -1);
}

#[tokio::test]
async fn a_lease_that_is_kept_alive_lives() {
    let server = Server::start().await;
    let (kept, left) = (server.grant(1).await, server.grant(1).await);
    server.put_tied("kept", "", kept).await;
    server.put_tied("left", "", left).await;
    // The other one's end shows that there was time to die.
    until("the end of the other lease", async || {
        assert_eq!(keep_alive(&server, &[kept]).await, [(kept, 1)]);
        !server.exists("left").await
    })
    .await;
    assert!(server.exists("kept").await);
}

#[tokio::test]
async fn revoking_ends_a_lease_at_once() {
    let server = Server::start().await;
    let id = server.grant(1000).await;
    server.put_tied("a", "", id).await;
    let told = time_to_live(&server, id).await;
    assert_eq!((told.granted_ttl, told.keys), (1000, vec!["a".into()]));
    assert!((990..=1000).contains(&told.ttl), "{}", told.ttl);
    server.revoke(id).await;
    assert!(!server.exists("a").await);
    let mut client = server.lease().await;
    let again = client.lease_revoke(pb::LeaseRevokeRequest { id }).await;
    assert_eq!(again.expect_err("it is gone").code(), Code::NotFound);
}

#[tokio::test]
async fn a_lease_has_the_number_and_the_time_that_were_asked_for_within_reason() {
    let server = Server::start().await;
    let mut client = server.lease().await;
    let mut grant = async |ttl, id| client.lease_grant(pb::LeaseGrantRequest { ttl, id }).await;
    let granted = grant(60, 77).await.expect("it is free").into_inner();
    assert_eq!((granted.id, granted.ttl), (77, 60));
    let taken = grant(60, 77).await.expect_err("it is taken");
    let words = "etcdserver: lease already exists";
    assert_eq!((taken.code(), taken.message()), (Code::FailedPrecondition, words));
    let long = grant(9_000_000_001, 0).await.expect_err("too long");
    let words = "etcdserver: too large lease TTL";
    assert_eq!((long.code(), long.message()), (Code::OutOfRange, words));
    let short = grant(-5, 0).await.expect("it is made longer").into_inner();
    assert_eq!(short.ttl, 1, "it outlives an election");
    assert!(short.id > 0);
    let answer = client.lease_leases(pb::LeaseLeasesRequest {}).await.expect("they are known");
    let ids: Vec<i64> = answer.into_inner().leases.into_iter().map(|lease| lease.id).collect();
    assert!(ids.contains(&77) && ids.len() <= 2, "{ids:?}");
}

#[tokio::test]
async fn many_leases_are_kept_alive_over_one_stream() {
    let server = Server::start().await;
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.push(server.grant(300).await);
    }
    ids.sort_unstable();
    let expected: Vec<(i64, i64)> = ids.iter().map(|id| (*id, 300)).collect();
    assert_eq!(keep_alive(&server, &ids).await, expected);
    assert_eq!(server.metric("althing_lease_count").await, 200.0);
}

#[tokio::test]
async fn a_key_of_a_lease_that_is_not_there_is_refused() {
    let server = Server::start().await;
    let request = pb::PutRequest { key: "a".into(), lease: 5, ..Default::default() };
    let refused = server.kv().await.put(request).await.expect_err("there is no such lease");
    let words = "etcdserver: requested lease not found";
    assert_eq!((refused.code(), refused.message()), (Code::NotFound, words));
}

#[tokio::test]
async fn a_restart_ends_no_lease_early() {
    let server = Server::start().await;
    let asked = Instant::now();
    let id = server.grant(4).await;
    server.put_tied("a", "", id).await;
    // Half of its time is gone, and noted: that is what the next leadership will know.
    tokio::time::sleep_until((asked + Duration::from_millis(2_050)).into()).await;
    let server = server.restart().await;
    until("the end of the lease", async || !server.exists("a").await).await;
    let lived = asked.elapsed();
    assert!(lived >= Duration::from_secs(4), "a lease of 4 s has ended after {lived:?}");
}
