//! A node that was away for so long that its leader no longer has the entries it missed goes on
//! from the leader's snapshot.

mod support;

use std::time::{Duration, Instant};

use althing_etcd_api::etcdserverpb as pb;
use pb::auth_client::AuthClient;
use support::{Cluster, PATIENCE, Server};

const LARGE: usize = 120;
const SMALL: usize = 400;

fn put(key: String, bytes: usize) -> pb::PutRequest {
    pb::PutRequest {
        key: key.into_bytes().into(),
        value: vec![b'x'; bytes].into(),
        ..pb::PutRequest::default()
    }
}

/// What a node itself holds, without asking the others.
async fn held(server: &Server) -> Vec<(Vec<u8>, i64, usize)> {
    let request = pb::RangeRequest {
        key: b"k/".to_vec().into(),
        range_end: b"k0".to_vec().into(),
        serializable: true,
        ..pb::RangeRequest::default()
    };
    let answer = server.kv().range(request).await;
    let kvs = answer.map(|answer| answer.into_inner().kvs).unwrap_or_default();
    kvs.into_iter().map(|kv| (kv.key.to_vec(), kv.mod_revision, kv.value.len())).collect()
}

#[tokio::test]
async fn a_node_that_was_away_too_long_goes_on_from_the_leaders_snapshot() {
    let mut cluster = Cluster::start(3, &["--snapshot-entries", "100"]);
    let leader = cluster.wait_for_leader().await;
    let away = (leader + 1) % 3;
    cluster.servers[away].kill();
    let mut auth = AuthClient::new(cluster.servers[leader].channel());
    let user = pb::AuthUserAddRequest { name: "ann".into(), ..Default::default() };
    auth.user_add(user).await.expect("two of three are there");

    // More than a leader keeps behind a snapshot for those who are late.
    let mut kv = cluster.servers[leader].kv();
    for number in 0..LARGE {
        kv.put(put(format!("k/large/{number}"), 256 << 10)).await.expect("two of three are there");
    }
    for number in 0..SMALL {
        kv.put(put(format!("k/small/{number}"), 16)).await.expect("two of three are there");
    }

    cluster.servers[away].start();
    cluster.servers[away].wait_until_ready();
    let expected = held(&cluster.servers[leader]).await;
    assert_eq!(expected.len(), LARGE + SMALL);
    let start = Instant::now();
    while held(&cluster.servers[away]).await != expected {
        assert!(start.elapsed() < PATIENCE, "it does not catch up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let log = cluster.servers[away].log();
    assert!(log.contains("continues from the leader's snapshot"), "it came another way:\n{log}");

    // And it is a full member again: with another one away, it is needed for every write.
    let third = (leader + 2) % 3;
    cluster.servers[third].kill();
    kv.put(put("k/after".to_owned(), 16)).await.expect("two of three are there");

    // What it received is its own now: it starts from it.
    cluster.servers[away].kill();
    cluster.servers[third].start();
    cluster.servers[away].start();
    cluster.servers[away].wait_until_ready();
    assert_eq!(held(&cluster.servers[away]).await.len(), LARGE + SMALL + 1);
    let mut auth = AuthClient::new(cluster.servers[away].channel());
    let users = auth.user_list(pb::AuthUserListRequest {}).await.expect("users don't count");
    assert_eq!(users.into_inner().users, ["ann"], "users come with the snapshot");
}
