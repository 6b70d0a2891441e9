//! Watches, leases and locks while nodes are killed, paused and cut off.
//!
//! What is checked: every watcher is told everything, once and in order, whichever nodes it had to
//! go through; no lease ends before its time, and each one ends; nobody gets a lock while another
//! has reason to believe that it holds it, and fencing tokens only grow.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use althing_etcd_api::etcdserverpb as pb;
use althing_etcd_api::mvccpb::event::EventType;
use althing_etcd_api::v3lockpb::lock_client::LockClient;
use althing_etcd_api::v3lockpb::{LockRequest, UnlockRequest};
use pb::kv_client::KvClient;
use pb::lease_client::LeaseClient;
use pb::watch_client::WatchClient;
use pb::watch_request::RequestUnion;
use rustix::process::{Pid, Signal, kill_process};
use support::{Cluster, Link, PATIENCE, Server};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

const ROUNDS: usize = 3;
const WATCHERS: usize = 3;
const WRITERS: usize = 2;
const LOCKERS: usize = 3;
/// Of the leases of locks and of those that are left to end.
const TTL: Duration = Duration::from_secs(3);
/// Longer than an election takes, so that a paused leader is deposed.
const PAUSE: Duration = Duration::from_millis(2500);

/// A way to each node.
#[derive(Clone)]
struct Ways(Vec<Channel>);

impl Ways {
    fn to(cluster: &Cluster) -> Self {
        Self(cluster.servers.iter().map(Server::channel).collect())
    }

    fn turn(&self, turn: usize) -> Channel {
        self.0[turn % self.0.len()].clone()
    }
}

/// What came of a request, if it came in time. A node that is paused says nothing; others may be
/// asked, and what the first one does later is as if its answer had been lost.
async fn in_time<T>(request: impl Future<Output = Result<T, Status>>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs(1), request).await.ok()?.ok()
}

/// What all tasks know together.
#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    /// The last revision that was acknowledged to a writer.
    written: AtomicI64,
    /// The present holder of the lock, as far as anybody knows.
    holder: Mutex<Option<Holder>>,
    grants: AtomicUsize,
    /// When each lease that was left to end was asked for.
    left: Mutex<BTreeMap<String, Instant>>,
}

struct Holder {
    token: i64,
    /// Until then it has reason to believe that it holds the lock.
    until: Instant,
}

impl Shared {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Somebody got the lock.
    fn holds(&self, token: i64, until: Instant) {
        let mut holder = self.holder.lock().expect("no panic");
        if let Some(other) = &*holder {
            assert!(token > other.token, "token {token} was granted after {}", other.token);
            let now = Instant::now();
            assert!(
                now >= other.until,
                "{token} was granted {:?} before the lease of {} was over",
                other.until - now,
                other.token
            );
        }
        *holder = Some(Holder { token, until });
        self.grants.fetch_add(1, Ordering::Relaxed);
    }

    /// The holder's lease was kept alive, or given up if `until` is now.
    fn extends(&self, token: i64, until: Instant) {
        let mut holder = self.holder.lock().expect("no panic");
        if let Some(holder) = holder.as_mut().filter(|holder| holder.token == token) {
            holder.until = until;
        }
    }
}

async fn write(writer: usize, ways: Ways, shared: Arc<Shared>) {
    let mut number = 0_usize;
    while !shared.is_over() {
        number += 1;
        let request = pb::PutRequest {
            key: format!("w/{writer}").into(),
            value: number.to_string().into(),
            ..Default::default()
        };
        match in_time(KvClient::new(ways.turn(number)).put(request)).await {
            Some(answer) => {
                let revision = answer.into_inner().header.expect("a header").revision;
                shared.written.fetch_max(revision, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Everything that happened, as one watcher was told it.
type Told = Vec<(i64, String, Option<String>)>;

/// Watches everything from the first revision on, through one node after the other, until it has
/// been told of `until`.
async fn watch(
    mut turn: usize,
    ways: Ways,
    until: impl Fn() -> Option<i64>,
    shared: Arc<Shared>,
) -> Told {
    let (mut told, mut next): (Told, i64) = (Vec::new(), 2);
    while until().is_none_or(|until| next <= until) {
        turn += 1;
        let create = pb::WatchCreateRequest {
            key: vec![0].into(),
            range_end: vec![0].into(),
            start_revision: next,
            ..Default::default()
        };
        let request_union = Some(RequestUnion::CreateRequest(create));
        // Open until it is dropped.
        let (requests, stream) = mpsc::channel(1);
        requests.send(pb::WatchRequest { request_union }).await.expect("there is room");
        let mut client = WatchClient::new(ways.turn(turn));
        let Some(answers) = in_time(client.watch(ReceiverStream::new(stream))).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let mut answers = answers.into_inner();
        // A node that is paused says nothing: after a while another is asked.
        while let Ok(Ok(Some(answer))) =
            tokio::time::timeout(Duration::from_secs(1), answers.message()).await
        {
            assert!(!answer.canceled, "{answer:?}");
            for event in answer.events {
                let is_put = event.r#type() == EventType::Put;
                let kv = event.kv.expect("a key");
                assert!(kv.mod_revision >= next, "{} was told of before", kv.mod_revision);
                let key = String::from_utf8(kv.key.to_vec()).expect("text");
                judge_end(&shared, &key, is_put);
                let value = is_put.then(|| String::from_utf8(kv.value.to_vec()).expect("text"));
                told.push((kv.mod_revision, key, value));
            }
            if let Some((revision, ..)) = told.last() {
                next = next.max(revision + 1);
            }
            if until().is_some_and(|until| next > until) {
                break;
            }
        }
    }
    told
}

/// A key that was left to die may not die early.
fn judge_end(shared: &Shared, key: &str, is_put: bool) {
    if is_put {
        return;
    }
    if let Some(asked) = shared.left.lock().expect("no panic").get(key) {
        let lived = asked.elapsed();
        assert!(lived >= TTL, "the lease of {key} ended after {lived:?}");
    }
}

async fn grant(ways: &Ways, turn: usize) -> Option<i64> {
    let request = pb::LeaseGrantRequest { ttl: TTL.as_secs() as i64, id: 0 };
    let mut client = LeaseClient::new(ways.turn(turn));
    Some(in_time(client.lease_grant(request)).await?.into_inner().id)
}

/// Grants leases and leaves them to end.
async fn leave(ways: Ways, shared: Arc<Shared>) {
    let mut number = 0_usize;
    while !shared.is_over() {
        number += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let asked = Instant::now();
        let Some(lease) = grant(&ways, number).await else { continue };
        let key = format!("left/{number}");
        shared.left.lock().expect("no panic").insert(key.clone(), asked);
        let request = pb::PutRequest { key: key.into(), lease, ..Default::default() };
        // If it fails there may be no key; the lease ends all the same.
        let _ = in_time(KvClient::new(ways.turn(number + 1)).put(request)).await;
    }
}

/// Keeps a lease alive once; until when it has reason to believe that it lives.
async fn keep_alive(ways: &Ways, turn: usize, lease: i64) -> Option<Instant> {
    let asked = Instant::now();
    let (requests, stream) = mpsc::channel(1);
    requests.send(pb::LeaseKeepAliveRequest { id: lease }).await.expect("there is room");
    drop(requests);
    let mut client = LeaseClient::new(ways.turn(turn));
    let answers = in_time(client.lease_keep_alive(ReceiverStream::new(stream))).await?;
    let answer = in_time(answers.into_inner().message()).await??;
    (answer.ttl > 0).then(|| asked + Duration::from_secs(answer.ttl as u64))
}

/// Takes the lock, holds it for a while, and gives it back or forgets it, again and again.
async fn lock(locker: usize, ways: Ways, shared: Arc<Shared>) {
    let mut turn = locker;
    while !shared.is_over() {
        turn += 1;
        let asked = Instant::now();
        let Some(lease) = grant(&ways, turn).await else { continue };
        let until = Arc::new(Mutex::new(asked + TTL));
        let keeping = {
            let (ways, until) = (ways.clone(), Arc::clone(&until));
            tokio::spawn(async move {
                for turn in turn.. {
                    if let Some(later) = keep_alive(&ways, turn, lease).await {
                        *until.lock().expect("no panic") = later;
                    }
                    tokio::time::sleep(TTL / 10).await;
                }
            })
        };
        hold(turn, &ways, &shared, lease, &until).await;
        keeping.abort();
        // Every third one forgets its lock, and the lease has to end.
        if !turn.is_multiple_of(3) {
            let request = pb::LeaseRevokeRequest { id: lease };
            let _ = in_time(LeaseClient::new(ways.turn(turn + 1)).lease_revoke(request)).await;
        }
    }
}

async fn hold(turn: usize, ways: &Ways, shared: &Shared, lease: i64, until: &Mutex<Instant>) {
    let believed = || *until.lock().expect("no panic");
    let request = LockRequest { name: "lock".into(), lease };
    let mut client = LockClient::new(ways.turn(turn));
    let waited = tokio::time::timeout(TTL * 2, client.lock(request)).await;
    let Ok(Ok(answer)) = waited else { return };
    let key = answer.into_inner().key;
    let request = pb::RangeRequest { key: key.clone(), ..Default::default() };
    let Some(found) = in_time(KvClient::new(ways.turn(turn)).range(request)).await else { return };
    let Some(kv) = found.into_inner().kvs.pop() else { return };
    let token = kv.create_revision;
    // Whoever is not sure any more when the token is known does not begin.
    if Instant::now() >= believed() {
        return;
    }
    shared.holds(token, believed());
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        shared.extends(token, believed());
    }
    if turn.is_multiple_of(3) {
        return;
    }
    if Instant::now() < believed() {
        shared.extends(token, Instant::now());
    }
    let _ = in_time(client.unlock(UnlockRequest { key })).await;
}

fn signal(server: &mut Server, signal: Signal) {
    let pid = Pid::from_child(server.process());
    kill_process(pid, signal).expect("it runs");
}

/// Waits until it is seen that the cluster works: keys are written, and the lock goes from hand to
/// hand, also from those that forgot it.
async fn wait_for_work(shared: &Shared) {
    let written = shared.written.load(Ordering::Relaxed);
    let grants = shared.grants.load(Ordering::Relaxed);
    let works = || {
        shared.written.load(Ordering::Relaxed) > written + 10
            && shared.grants.load(Ordering::Relaxed) >= grants + LOCKERS
    };
    let start = Instant::now();
    while !works() {
        assert!(start.elapsed() < PATIENCE, "nothing is written or locked any more");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Cuts the leader off from the others. It goes on serving its clients and learns only by its own
/// clock that it does not lead any more.
async fn cut_off(cluster: &Cluster, links: &[Link], shared: &Shared) {
    let leader = cluster.wait_for_leader().await;
    let its = || links.iter().filter(|link| link.from == leader || link.to == leader);
    its().for_each(Link::cut);
    tokio::time::sleep(PAUSE).await;
    its().for_each(Link::mend);
    wait_for_work(shared).await;
}

async fn disturb(cluster: &mut Cluster, links: &[Link], shared: &Shared) {
    for round in 0..ROUNDS {
        cut_off(cluster, links, shared).await;
        let leader = cluster.wait_for_leader().await;
        cluster.servers[leader].kill();
        wait_for_work(shared).await;
        cluster.servers[leader].start();
        cluster.servers[leader].wait_until_ready();

        let leader = cluster.wait_for_leader().await;
        signal(&mut cluster.servers[leader], Signal::STOP);
        tokio::time::sleep(PAUSE).await;
        signal(&mut cluster.servers[leader], Signal::CONT);
        wait_for_work(shared).await;

        let leader = cluster.wait_for_leader().await;
        let follower = (leader + 1 + round % 2) % cluster.servers.len();
        cluster.servers[follower].kill();
        wait_for_work(shared).await;
        cluster.servers[follower].start();
        cluster.servers[follower].wait_until_ready();
    }
}

/// Waits until every lease that was left has ended.
async fn wait_for_the_ends(ways: &Ways) {
    let request = pb::RangeRequest {
        key: "left/".into(),
        range_end: "left0".into(),
        count_only: true,
        ..Default::default()
    };
    let start = Instant::now();
    while KvClient::new(ways.turn(0))
        .range(request.clone())
        .await
        .expect("it is up")
        .get_ref()
        .count
        > 0
    {
        assert!(start.elapsed() < PATIENCE, "leases that nobody keeps alive do not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_leases_and_locks_survive_kills_pauses_and_cuts() {
    let (mut cluster, links) = Cluster::start_linked(3, &[]).await;
    let ways = Ways::to(&cluster);
    let shared = Arc::new(Shared::default());
    let last = Arc::new(AtomicI64::new(i64::MAX));
    let until = |last: &Arc<AtomicI64>| {
        let last = Arc::clone(last);
        move || Some(last.load(Ordering::Relaxed))
    };
    let mut watchers = JoinSet::new();
    for turn in 0..WATCHERS {
        watchers.spawn(watch(turn, ways.clone(), until(&last), Arc::clone(&shared)));
    }
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        tasks.spawn(write(writer, ways.clone(), Arc::clone(&shared)));
    }
    for locker in 0..LOCKERS {
        tasks.spawn(lock(locker, ways.clone(), Arc::clone(&shared)));
    }
    tasks.spawn(leave(ways.clone(), Arc::clone(&shared)));

    disturb(&mut cluster, &links, &shared).await;
    shared.is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.expect("nobody found anything wrong");
    }
    wait_for_the_ends(&ways).await;

    // A write that comes after all others, as the mark of the end.
    let request = pb::PutRequest { key: "the end".into(), ..Default::default() };
    let answer = KvClient::new(ways.turn(0)).put(request).await.expect("all are up").into_inner();
    let end = answer.header.expect("a header").revision;
    last.store(end, Ordering::Relaxed);
    let told: Vec<Told> = watchers.join_all().await;
    let truth = watch(0, ways, move || Some(end), Arc::clone(&shared)).await;
    assert_eq!(
        truth.last().map(|(revision, key, _)| (*revision, key.as_str())),
        Some((end, "the end"))
    );
    for (watcher, told) in told.iter().enumerate() {
        let differs = told.iter().zip(&truth).find(|(told, truth)| told != truth);
        assert_eq!(differs, None, "watcher {watcher} was told something else");
        assert_eq!(told.len(), truth.len(), "watcher {watcher} missed something");
    }
    let left = shared.left.lock().expect("no panic").len();
    let grants = shared.grants.load(Ordering::Relaxed);
    assert!(grants > ROUNDS && left > ROUNDS, "{grants} grants and {left} leases are too few");
    println!(
        "{ROUNDS} leaders cut off, {ROUNDS} killed, {ROUNDS} paused, {ROUNDS} followers killed: \
         {} events told alike to {WATCHERS} watchers, {grants} grants of a lock, {left} leases \
         left to end",
        truth.len()
    );
}
