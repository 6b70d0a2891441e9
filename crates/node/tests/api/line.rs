//! Locks and elections.

use std::time::Duration;

use althing_etcd_api::{etcdserverpb, v3electionpb as election, v3lockpb as lock};
use election::election_client::ElectionClient;
use lock::lock_client::LockClient;
use tonic::Code;

use crate::{Server, soon, until};

async fn take(server: &Server, name: &str, lease: i64) -> Result<String, tonic::Status> {
    let mut client = LockClient::new(server.channel().await);
    let request = lock::LockRequest { name: name.to_owned().into(), lease };
    let key = client.lock(request).await?.into_inner().key;
    Ok(String::from_utf8(key.to_vec()).expect("names are text here"))
}

async fn give_back(server: &Server, key: &str) {
    let mut client = LockClient::new(server.channel().await);
    let request = lock::UnlockRequest { key: key.to_owned().into() };
    client.unlock(request).await.expect("it is done");
}

/// The revision that created a key: the fencing token of whoever holds the lock by it.
async fn token(server: &Server, key: &str) -> i64 {
    let request = etcdserverpb::RangeRequest { key: key.to_owned().into(), ..Default::default() };
    let found = server.kv().await.range(request).await.expect("it is read").into_inner();
    found.kvs.first().expect("the key is there").create_revision
}

async fn waiting(server: &Server, name: &str, count: i64) {
    let key: etcdserverpb::RangeRequest = etcdserverpb::RangeRequest {
        key: format!("{name}/").into(),
        range_end: format!("{name}0").into(),
        ..Default::default()
    };
    until("everybody to stand in line", async || {
        let found = server.kv().await.range(key.clone()).await.expect("it is read");
        found.into_inner().count == count
    })
    .await;
}

#[tokio::test]
async fn first_come_first_served_with_growing_tokens() {
    let server = std::sync::Arc::new(Server::start().await);
    let mut taken = Vec::new();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..5 {
        let lease = server.grant(300).await;
        let (server_, tell) = (std::sync::Arc::clone(&server), tell.clone());
        taken.push(tokio::spawn(async move {
            let key = take(&server_, "l", lease).await.expect("it is its turn at some time");
            tell.send((number, token(&server_, &key).await)).expect("the test listens");
            give_back(&server_, &key).await;
        }));
        // Nobody gets there before the one before stands in line, or has come and gone.
        let stands = format!("l/{lease:x}");
        until("its place", async || {
            server.exists(&stands).await || taken.last().is_some_and(|task| task.is_finished())
        })
        .await;
    }
    let mut last = 0;
    for number in 0..5 {
        let (who, token) = soon("the next one", told.recv()).await.expect("five of them");
        assert_eq!(who, number);
        assert!(token > last, "{token} after {last}");
        last = token;
    }
}

#[tokio::test]
async fn a_holder_whose_lease_ends_loses_the_lock_to_the_next() {
    let server = Server::start().await;
    let (dead, alive) = (server.grant(300).await, server.grant(300).await);
    let first = take(&server, "l", dead).await.expect("it is free");
    let second = async { take(&server, "l", alive).await.expect("its turn comes") };
    let ((), second) = tokio::join!(
        async {
            waiting(&server, "l", 2).await;
            server.revoke(dead).await;
        },
        soon("the lock", second)
    );
    assert!(!server.exists(&first).await);
    assert_eq!(second, format!("l/{alive:x}"));
}

#[tokio::test]
async fn a_waiter_whose_lease_ends_gets_an_error_and_not_the_lock() {
    let server = Server::start().await;
    let (holder, waiter) = (server.grant(300).await, server.grant(300).await);
    let key = take(&server, "l", holder).await.expect("it is free");
    let waits = async { take(&server, "l", waiter).await };
    let ((), outcome) = tokio::join!(
        async {
            waiting(&server, "l", 2).await;
            server.revoke(waiter).await;
        },
        soon("an answer", waits)
    );
    assert_eq!(outcome.expect_err("its lease has ended").code(), Code::FailedPrecondition);
    assert!(server.exists(&key).await, "the holder has lost nothing");
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_the_line() {
    let server = Server::start().await;
    let (holder, waiter) = (server.grant(300).await, server.grant(300).await);
    let key = take(&server, "l", holder).await.expect("it is free");
    {
        let waits = take(&server, "l", waiter);
        tokio::select! {
            _ = waits => panic!("it is taken"),
            () = waiting(&server, "l", 2) => {}
        }
    }
    waiting(&server, "l", 1).await;
    assert!(server.exists(&key).await);
}

#[tokio::test]
async fn a_lock_is_taken_again_by_who_holds_it_and_keeps_its_token() {
    let server = Server::start().await;
    let lease = server.grant(300).await;
    let key = take(&server, "l", lease).await.expect("it is free");
    let before = token(&server, &key).await;
    assert_eq!(take(&server, "l", lease).await.expect("it is its own"), key);
    assert_eq!(token(&server, &key).await, before);
    let absent = take(&server, "l", 12345).await.expect_err("there is no such lease");
    assert_eq!(absent.code(), Code::NotFound);
}

#[tokio::test]
async fn who_gives_up_at_any_moment_leaves_nobody_standing_in_line() {
    let server = Server::start().await;
    let holder = server.grant(300).await;
    let key = take(&server, "l", holder).await.expect("it is free");
    for round in 0..40 {
        let lease = server.grant(300).await;
        let patience = Duration::from_micros(300 + 100 * round);
        let waited = tokio::time::timeout(patience, take(&server, "l", lease)).await;
        assert!(waited.is_err(), "it is held by another");
    }
    // Each may have stood there for a moment.
    waiting(&server, "l", 1).await;
    assert!(server.exists(&key).await);
}

#[tokio::test]
async fn who_gives_up_on_asking_again_keeps_what_is_held() {
    let server = Server::start().await;
    let lease = server.grant(300).await;
    let key = take(&server, "l", lease).await.expect("it is free");
    let created = token(&server, &key).await;
    for round in 0..40 {
        let patience = Duration::from_micros(300 + 100 * round);
        let _ = tokio::time::timeout(patience, take(&server, "l", lease)).await;
        server.put("in between", "").await;
        assert_eq!(token(&server, &key).await, created, "round {round}");
    }
}

#[tokio::test]
async fn a_lock_without_a_lease_is_held_for_a_minute() {
    let server = Server::start().await;
    let key = take(&server, "l", 0).await.expect("it is free");
    let lease = i64::from_str_radix(key.strip_prefix("l/").expect("its name"), 16);
    let request = etcdserverpb::LeaseTimeToLiveRequest { id: lease.expect("in hex"), keys: false };
    let time = server.lease().await.lease_time_to_live(request).await.expect("it is known");
    assert_eq!(time.into_inner().granted_ttl, 60);
}

#[tokio::test]
async fn a_leader_is_elected_speaks_and_resigns() {
    let server = Server::start().await;
    let mut client = ElectionClient::new(server.channel().await);
    let asked = election::LeaderRequest { name: "e".into() };
    let nobody = client.leader(asked.clone()).await.expect_err("nobody has campaigned");
    assert_eq!(nobody.message(), "election: no leader");

    let mut observer = ElectionClient::new(server.channel().await);
    let observed = observer.observe(asked.clone()).await.expect("it is served");
    let mut observed = observed.into_inner();
    let mut said = async || {
        let answer = soon("a leader", observed.message()).await.expect("no error");
        let kv = answer.expect("the stream goes on").kv.expect("a leader");
        String::from_utf8(kv.value.to_vec()).expect("it is text")
    };

    let lease = server.grant(300).await;
    let request = election::CampaignRequest { name: "e".into(), lease, value: "one".into() };
    let won = client.campaign(request).await.expect("nobody else").into_inner();
    let leader = won.leader.expect("a leadership");
    assert_eq!((leader.key.as_ref(), leader.lease), (format!("e/{lease:x}").as_bytes(), lease));
    assert_eq!(token(&server, &format!("e/{lease:x}")).await, leader.rev);
    assert_eq!(said().await, "one");

    let proclaim = election::ProclaimRequest { leader: Some(leader.clone()), value: "two".into() };
    client.proclaim(proclaim.clone()).await.expect("it leads");
    assert_eq!(said().await, "two");
    let found = client.leader(asked.clone()).await.expect("somebody leads").into_inner();
    assert_eq!(found.kv.expect("a leader").value.as_ref(), b"two");

    let resign = election::ResignRequest { leader: Some(leader) };
    client.resign(resign.clone()).await.expect("it leads");
    client.resign(resign).await.expect("nothing to give up");
    assert_eq!(client.leader(asked).await.expect_err("nobody leads").code(), Code::Unknown);
    let late = client.proclaim(proclaim).await.expect_err("it does not lead any more");
    assert_eq!(late.message(), "election: not leader");
}
