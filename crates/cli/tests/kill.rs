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
/// What `serve` has by default.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// What writers and readers know together.
#[derive(Default)]
struct Ledger {
    /// Every acknowledged write, by key.
    acknowledged: Mutex<BTreeMap<String, String>>,
    /// For each writer, the number of the last write that was acknowledged.
    last: [AtomicU64; WRITERS],
    reads: AtomicU64,
    is_over: AtomicBool,
}

fn key_of(writer: usize, value: u64) -> String {
    format!("log/{writer}/{value:08}")
}

/// Writes one new key after the other, through one node after the other.
async fn write(writer: usize, clients: Vec<KvClient<Channel>>, ledger: Arc<Ledger>) {
    let mut value = 0;
    while !ledger.is_over.load(Ordering::Relaxed) {
        value += 1;
        let mut client = clients[value as usize % clients.len()].clone();
        let key = key_of(writer, value);
        let text = format!("{writer}:{value}");
        let put = pb::PutRequest {
            key: key.clone().into(),
            value: text.clone().into(),
            ..pb::PutRequest::default()
        };
        if client.put(put).await.is_ok() {
            ledger.acknowledged.lock().expect("no panic").insert(key, text);
            ledger.last[writer].store(value, Ordering::SeqCst);
        } else {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Reads through one node after the other: what was acknowledged before the read began must be
/// there.
async fn read(reader: usize, clients: Vec<KvClient<Channel>>, ledger: Arc<Ledger>) {
    let mut turn = reader;
    while !ledger.is_over.load(Ordering::Relaxed) {
        turn += 1;
        let writer = turn % WRITERS;
        let mut client = clients[turn % clients.len()].clone();
        let last = ledger.last[writer].load(Ordering::SeqCst);
        let key = key_of(writer, last);
        let request = pb::RangeRequest { key: key.clone().into(), ..pb::RangeRequest::default() };
        let answer = match client.range(request).await {
            Ok(answer) if last > 0 => answer.into_inner(),
            _ => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
        };
        assert_eq!(answer.kvs.len(), 1, "a stale read: {key} was acknowledged before it began");
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

/// Everything a writer wrote, from one node.
async fn read_all(client: &mut KvClient<Channel>, writer: usize) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut from = key_of(writer, 0).into_bytes();
    loop {
        let request = pb::RangeRequest {
            key: from.clone().into(),
            range_end: format!("log/{writer}0").into(),
            limit: 10_000,
            ..pb::RangeRequest::default()
        };
        let page = client.range(request).await.expect("it is up").into_inner();
        found.extend(page.kvs.into_iter().map(|kv| (kv.key.to_vec(), kv.value.to_vec())));
        if !page.more {
            return found;
        }
        from = found.last_key_value().expect("a page that is not the last").0.clone();
        from.push(0);
    }
}

async fn check_acknowledged(cluster: &Cluster, ledger: &Ledger) {
    let acknowledged = ledger.acknowledged.lock().expect("no panic").clone();
    for server in &cluster.servers {
        let mut found = BTreeMap::new();
        for writer in 0..WRITERS {
            found.append(&mut read_all(&mut server.kv(), writer).await);
        }
        for (key, value) in &acknowledged {
            let stored = found.get(key.as_bytes()).map(Vec::as_slice);
            assert_eq!(stored, Some(value.as_bytes()), "{key} on {}", server.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_nodes_are_killed() {
    let mut cluster =
        Cluster::start(3, &["--snapshot-entries", "2000", "--corrupt-check-time", "200ms"]);
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
    let alarms = support::run(&cluster.endpoints(), &["alarm", "list"], b"");
    assert_eq!(
        (support::code(&alarms), &alarms.stdout[..]),
        (Some(0), &b""[..]),
        "all hold the same"
    );
    without_leader.sort_unstable();
    let median = without_leader[ROUNDS / 2];
    let writes = ledger.acknowledged.lock().expect("no panic").len();
    let reads = ledger.reads.load(Ordering::Relaxed);
    println!(
        "{ROUNDS} leaders and {ROUNDS} followers killed, {writes} acknowledged writes all there, \
         {reads} linearizable reads; without a leader for a median of {median:?}, {:?} at most \
         (the election timeout is {ELECTION_TIMEOUT:?})",
        without_leader[ROUNDS - 1]
    );
    // A ratio, and a median over twenty kills: one slow vote on a busy disk does not matter.
    assert!(median <= ELECTION_TIMEOUT * 2, "elections take {without_leader:?}");
}
