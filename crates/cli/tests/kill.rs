//! Nodes are killed while clients write: nothing that was acknowledged may be missing, no read may
//! be stale, and every node comes back from its log.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use althing_etcd_api::etcdserverpb as pb;
use pb::kv_client::KvClient;
use support::{Cluster, PATIENCE};
use tonic::transport::Channel;

/// How often the leader, and then a follower, is killed.
const ROUNDS: usize = 20;
const WRITERS: usize = 6;
const READERS: usize = 2;
const ELECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// What writers and readers know together.
#[derive(Default)]
struct Ledger {
    /// Every acknowledged write, by key.
    acknowledged: Mutex<BTreeMap<String, String>>,
    /// For each writer's counter, the last value whose write was acknowledged.
    counters: [AtomicU64; WRITERS],
    reads: AtomicU64,
    is_over: AtomicBool,
}

fn counter_key(writer: usize) -> String {
    format!("counter/{writer}")
}

/// Raises its counter and writes a new key, again and again, through one node after the other.
async fn write(writer: usize, clients: Vec<KvClient<Channel>>, ledger: Arc<Ledger>) {
    let mut value = 0;
    while !ledger.is_over.load(Ordering::Relaxed) {
        value += 1;
        let mut client = clients[value as usize % clients.len()].clone();
        let key = format!("log/{writer}/{value:08}");
        let text = format!("{writer}:{value}");
        let put = |key: String| pb::PutRequest {
            key: key.into(),
            value: text.clone().into(),
            ..pb::PutRequest::default()
        };
        let both = pb::TxnRequest {
            success: [put(key.clone()), put(counter_key(writer))]
                .map(|put| pb::RequestOp {
                    request: Some(pb::request_op::Request::RequestPut(put)),
                })
                .to_vec(),
            ..pb::TxnRequest::default()
        };
        if client.txn(both).await.is_ok() {
            ledger.acknowledged.lock().expect("no panic").insert(key, text);
            ledger.counters[writer].store(value, Ordering::SeqCst);
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Reads counters through one node after the other: none may be behind what was acknowledged
/// before the read began.
async fn read(reader: usize, clients: Vec<KvClient<Channel>>, ledger: Arc<Ledger>) {
    let mut turn = reader;
    while !ledger.is_over.load(Ordering::Relaxed) {
        turn += 1;
        let writer = turn % WRITERS;
        let mut client = clients[turn % clients.len()].clone();
        let least = ledger.counters[writer].load(Ordering::SeqCst);
        let request =
            pb::RangeRequest { key: counter_key(writer).into(), ..pb::RangeRequest::default() };
        let Ok(answer) = client.range(request).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let answer = answer.into_inner();
        let value = answer.kvs.first().map_or(0, |kv| {
            let text = String::from_utf8_lossy(&kv.value).into_owned();
            text.split_once(':').expect("as it was written").1.parse().expect("a number")
        });
        assert!(value >= least, "a stale read of counter {writer}: {value} after {least}");
        ledger.reads.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits until something was written after now.
async fn wait_for_a_write(ledger: &Ledger) {
    let before = ledger.acknowledged.lock().expect("no panic").len();
    let start = Instant::now();
    while ledger.acknowledged.lock().expect("no panic").len() <= before {
        assert!(start.elapsed() < PATIENCE, "nothing is written any more");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn kill_leader(cluster: &mut Cluster, ledger: &Ledger) -> Duration {
    let old = cluster.wait_for_leader().await;
    cluster.servers[old].kill();
    let killed = Instant::now();
    let new = cluster.wait_for_leader().await;
    let without = killed.elapsed();
    assert_ne!(new, old);
    wait_for_a_write(ledger).await;
    cluster.servers[old].start();
    cluster.servers[old].wait_until_ready();
    without
}

async fn kill_follower(cluster: &mut Cluster, ledger: &Ledger, round: usize) {
    let leader = cluster.wait_for_leader().await;
    let follower = (leader + 1 + round % 2) % cluster.servers.len();
    cluster.servers[follower].kill();
    wait_for_a_write(ledger).await;
    cluster.servers[follower].start();
    cluster.servers[follower].wait_until_ready();
}

async fn check_acknowledged(cluster: &Cluster, ledger: &Ledger) {
    let acknowledged = ledger.acknowledged.lock().expect("no panic").clone();
    for server in &cluster.servers {
        let request = pb::RangeRequest {
            key: b"log/".to_vec().into(),
            range_end: b"log0".to_vec().into(),
            ..pb::RangeRequest::default()
        };
        let answer = server.kv().range(request).await.expect("it is up").into_inner();
        let found: BTreeMap<&[u8], &[u8]> =
            answer.kvs.iter().map(|kv| (&kv.key[..], &kv.value[..])).collect();
        for (key, value) in &acknowledged {
            let stored = found.get(key.as_bytes()).copied();
            assert_eq!(stored, Some(value.as_bytes()), "{key} on {}", server.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_nodes_are_killed() {
    let mut cluster = Cluster::start(3, &["--snapshot-entries", "2000"]);
    let ledger = Arc::new(Ledger::default());
    let clients: Vec<_> = cluster.servers.iter().map(support::Server::kv).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        tasks.spawn(write(writer, clients.clone(), Arc::clone(&ledger)));
    }
    for reader in 0..READERS {
        tasks.spawn(read(reader, clients.clone(), Arc::clone(&ledger)));
    }

    let mut without_leader = Vec::new();
    for round in 0..ROUNDS {
        without_leader.push(kill_leader(&mut cluster, &ledger).await);
        kill_follower(&mut cluster, &ledger, round).await;
    }
    ledger.is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no writer and no reader found anything wrong");
    }

    check_acknowledged(&cluster, &ledger).await;
    without_leader.sort_unstable();
    let median = without_leader[ROUNDS / 2];
    let writes = ledger.acknowledged.lock().expect("no panic").len();
    let reads = ledger.reads.load(Ordering::Relaxed);
    println!(
        "{ROUNDS} leaders and {ROUNDS} followers killed, {writes} acknowledged writes all there, \
         {reads} linearizable reads; without a leader for a median of {median:?}, {:?} at most",
        without_leader[ROUNDS - 1]
    );
    assert!(median <= ELECTION_TIMEOUT * 2, "elections take {without_leader:?}");
}
