//! Members come, go and lead by turns while clients write, watch and keep a lease alive: nothing
//! that was acknowledged is lost, nothing is told twice or not at all, and no change is half made.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use althing_etcd_api::etcdserverpb as pb;
use pb::cluster_client::ClusterClient;
use pb::kv_client::KvClient;
use pb::lease_client::LeaseClient;
use pb::maintenance_client::MaintenanceClient;
use pb::watch_client::WatchClient;
use pb::watch_request::RequestUnion;
use rustix::process::{Pid, Signal, kill_process};
use support::{Cluster, Link, PATIENCE, Server, althing, http};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

const WRITERS: usize = 3;
/// How many entries there are before a node joins that must receive them all.
const HISTORY: usize = 500;
/// Longer than an election takes.
const PAUSE: Duration = Duration::from_millis(2500);
/// Of the lease that is kept alive throughout; no change takes so long.
const TTL: i64 = 20;
/// Whether anything was acknowledged is asked only after all that may have been has had its time.
const ANSWER: Duration = Duration::from_secs(2);

async fn in_time<T>(request: impl Future<Output = Result<T, Status>>) -> Option<T> {
    tokio::time::timeout(ANSWER, request).await.ok()?.ok()
}

/// Clients of a cluster whose members change.
#[derive(Default)]
struct Clients {
    ways: Mutex<Vec<Channel>>,
    acknowledged: Mutex<BTreeMap<String, i64>>,
    is_over: AtomicBool,
}

impl Clients {
    /// From now on they go to these servers, by turns.
    fn go_to<'a>(&self, servers: impl IntoIterator<Item = &'a Server>) {
        *self.ways.lock().expect("no panic") = servers.into_iter().map(Server::channel).collect();
    }

    fn way(&self, turn: usize) -> Channel {
        let ways = self.ways.lock().expect("no panic");
        ways[turn % ways.len()].clone()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn written(&self) -> usize {
        self.acknowledged.lock().expect("no panic").len()
    }

    /// Waits until writes are acknowledged again, more than one through each way.
    async fn wait_for_work(&self) {
        let (written, start) = (self.written(), Instant::now());
        while self.written() < written + 20 {
            assert!(start.elapsed() < PATIENCE, "nothing is written any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn write(self: Arc<Self>, writer: usize) {
        let mut number = 0_usize;
        while !self.is_over() {
            number += 1;
            let key = format!("w/{writer}/{number}");
            let request = pb::PutRequest { key: key.clone().into(), ..Default::default() };
            match in_time(KvClient::new(self.way(number)).put(request)).await {
                Some(answer) => {
                    let revision = answer.into_inner().header.expect("a header").revision;
                    self.acknowledged.lock().expect("no panic").insert(key, revision);
                }
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Watches all writes from the first on until it was told of the last; what it was told.
    async fn watch(self: Arc<Self>) -> BTreeMap<String, i64> {
        let (mut told, mut next, mut turn) = (BTreeMap::new(), 1_i64, 0_usize);
        loop {
            turn += 1;
            let create = pb::WatchCreateRequest {
                key: "w/".into(),
                range_end: "w0".into(),
                start_revision: next,
                ..Default::default()
            };
            let request_union = Some(RequestUnion::CreateRequest(create));
            let (requests, stream) = mpsc::channel(1);
            requests.send(pb::WatchRequest { request_union }).await.expect("there is room");
            let mut client = WatchClient::new(self.way(turn));
            let Some(answers) = in_time(client.watch(ReceiverStream::new(stream))).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let mut answers = answers.into_inner();
            while let Ok(Ok(Some(answer))) = tokio::time::timeout(ANSWER, answers.message()).await {
                assert!(!answer.canceled, "{answer:?}");
                for kv in answer.events.into_iter().filter_map(|event| event.kv) {
                    assert!(kv.mod_revision >= next, "{} was told of before", kv.mod_revision);
                    next = kv.mod_revision + 1;
                    let key = String::from_utf8(kv.key.to_vec()).expect("text");
                    told.insert(key, kv.mod_revision);
                }
                if told.contains_key("w/end") {
                    return told;
                }
            }
        }
    }

    /// Keeps a lease alive, whose key must never go.
    async fn keep_alive(self: Arc<Self>, lease: i64) {
        let mut turn = 0;
        while !self.is_over() {
            turn += 1;
            let (requests, stream) = mpsc::channel(1);
            requests.send(pb::LeaseKeepAliveRequest { id: lease }).await.expect("there is room");
            drop(requests);
            let mut client = LeaseClient::new(self.way(turn));
            if let Some(answers) =
                in_time(client.lease_keep_alive(ReceiverStream::new(stream))).await
                && let Some(Some(answer)) = in_time(answers.into_inner().message()).await
            {
                assert!(answer.ttl > 0, "the lease ended though it was kept alive");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Starts them all. What they are to find out is [`Load::end`]'s.
    async fn start(self: &Arc<Self>) -> Load {
        let request = pb::LeaseGrantRequest { ttl: TTL, id: 0 };
        let granted = LeaseClient::new(self.way(0)).lease_grant(request).await.expect("it leads");
        let lease = granted.into_inner().id;
        let request = pb::PutRequest { key: "kept".into(), lease, ..Default::default() };
        KvClient::new(self.way(0)).put(request).await.expect("it leads");
        let mut tasks = JoinSet::new();
        for writer in 0..WRITERS {
            tasks.spawn(Arc::clone(self).write(writer));
        }
        tasks.spawn(Arc::clone(self).keep_alive(lease));
        let watcher = tokio::spawn(Arc::clone(self).watch());
        Load { clients: Arc::clone(self), tasks, watcher }
    }
}

/// Clients at work.
struct Load {
    clients: Arc<Clients>,
    tasks: JoinSet<()>,
    watcher: tokio::task::JoinHandle<BTreeMap<String, i64>>,
}

impl Load {
    /// Ends it: all that was acknowledged is there, and was told of; the lease lives.
    async fn end(mut self) {
        self.clients.is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("nobody found anything wrong");
        }
        let mut kv = KvClient::new(self.clients.way(0)).max_decoding_message_size(64 << 20);
        let request = pb::PutRequest { key: "w/end".into(), ..Default::default() };
        kv.put(request).await.expect("the cluster is well");
        let all = |key: &str, range_end: &str| pb::RangeRequest {
            key: key.to_owned().into(),
            range_end: range_end.to_owned().into(),
            ..Default::default()
        };
        let found = kv.range(all("w/", "w0")).await.expect("the cluster is well").into_inner();
        let found: BTreeMap<String, i64> = found
            .kvs
            .into_iter()
            .map(|kv| (String::from_utf8(kv.key.to_vec()).expect("text"), kv.mod_revision))
            .collect();
        let acknowledged = self.clients.acknowledged.lock().expect("no panic").clone();
        for (key, revision) in &acknowledged {
            assert_eq!(found.get(key), Some(revision), "{key} was acknowledged and is lost");
        }
        let told = self.watcher.await.expect("it found nothing wrong");
        assert_eq!(told, found, "the watcher missed something, or was told what never was");
        let kept = kv.range(all("kept", "")).await.expect("the cluster is well").into_inner();
        assert_eq!(kept.kvs.len(), 1, "the lease ended though it was kept alive");
        println!("{} acknowledged writes, all there and told of once", acknowledged.len());
    }
}

fn cluster_of(server: &Server) -> ClusterClient<Channel> {
    ClusterClient::new(server.channel())
}

async fn list(server: &Server) -> Vec<pb::Member> {
    let request = pb::MemberListRequest { linearizable: true };
    let start = Instant::now();
    loop {
        if let Some(answer) = in_time(cluster_of(server).member_list(request)).await {
            return answer.into_inner().members;
        }
        assert!(start.elapsed() < PATIENCE, "{} does not say who the members are", server.name);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn peer_url(server: &Server) -> String {
    format!("http://127.0.0.1:{}", server.peer)
}

/// Adds a member through `via`; again where the answer was lost. Its id.
async fn add(via: &Server, newcomer: &Server, is_learner: bool) -> u64 {
    let url = peer_url(newcomer);
    let start = Instant::now();
    loop {
        let request = pb::MemberAddRequest { peer_ur_ls: vec![url.clone()], is_learner };
        let answer = in_time(cluster_of(via).member_add(request)).await;
        if let Some(member) = answer.and_then(|answer| answer.into_inner().member) {
            return member.id;
        }
        // What was asked before may have been done.
        let members = list(via).await;
        if let Some(member) = members.iter().find(|member| member.peer_ur_ls.contains(&url)) {
            return member.id;
        }
        assert!(start.elapsed() < PATIENCE, "{} is not added", newcomer.name);
    }
}

/// Removes a member through `via`; again where the answer was lost.
async fn remove(via: &Server, id: u64) {
    let start = Instant::now();
    while list(via).await.iter().any(|member| member.id == id) {
        // Whether it was done is seen above.
        let _ = in_time(cluster_of(via).member_remove(pb::MemberRemoveRequest { id })).await;
        assert!(start.elapsed() < PATIENCE, "the member is not removed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn id_of(via: &Server, name: &str) -> u64 {
    // A new member says its name once it has come far enough, which may be after its first vote.
    let start = Instant::now();
    loop {
        if let Some(member) = list(via).await.iter().find(|member| member.name == name) {
            return member.id;
        }
        assert!(start.elapsed() < PATIENCE, "{name} does not say its name");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn wait_for_vote(via: &Server, id: u64) {
    let start = Instant::now();
    while !list(via).await.iter().any(|member| member.id == id && !member.is_learner) {
        assert!(start.elapsed() < PATIENCE, "{id:x} gets no vote");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Adds a member through `via`, starts it and waits until it votes; its position.
async fn grow(cluster: &mut Cluster, via: usize, name: &str) -> usize {
    let newcomer = cluster.plan_newcomer(name, &[]);
    let id = add(&cluster.servers[via], &cluster.servers[newcomer], false).await;
    cluster.servers[newcomer].start();
    wait_for_vote(&cluster.servers[via], id).await;
    newcomer
}

/// Waits for the end of a node that was removed, which says why.
async fn wait_for_the_end(server: &mut Server) {
    let start = Instant::now();
    let status = loop {
        if let Some(status) = server.process().try_wait().expect("it was started here") {
            break status;
        }
        assert!(start.elapsed() < PATIENCE, "{} goes on after its removal", server.name);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(status.code(), Some(11), "{}", server.log());
    let log = server.log();
    assert!(log.contains("the cluster removed this node, for good"), "{log}");
}

/// A process that ends with the test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may be gone already; that is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(server: &mut Server, signal: Signal) {
    kill_process(Pid::from_child(server.process()), signal).expect("it runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_grows_to_five_and_every_member_is_replaced_while_clients_work() {
    let mut cluster = Cluster::start(1, &[]);
    let clients = Arc::new(Clients::default());
    clients.go_to(&cluster.servers);
    let load = clients.start().await;
    while clients.written() < HISTORY {
        clients.wait_for_work().await;
    }
    for (via, name) in ["n2", "n3", "n4", "n5"].into_iter().enumerate() {
        grow(&mut cluster, via, name).await;
        clients.go_to(&cluster.servers);
        clients.wait_for_work().await;
    }
    let voters = list(&cluster.servers[4]).await;
    assert!(voters.iter().all(|member| !member.is_learner) && voters.len() == 5, "{voters:?}");

    // A machine dies, and a new one of the same name takes its place.
    cluster.servers[1].kill();
    clients.go_to(cluster.servers.iter().filter(|server| server.is_running()));
    let dead = id_of(&cluster.servers[2], "n2").await;
    remove(&cluster.servers[2], dead).await;
    grow(&mut cluster, 3, "n2").await;
    let anew = id_of(&cluster.servers[3], "n2").await;
    assert_ne!(anew, dead, "what was promised under the old id is not known any more");
    clients.go_to(cluster.servers.iter().filter(|server| server.is_running()));
    clients.wait_for_work().await;

    // The founder goes, and whoever leads then, until two are left.
    let founder = id_of(&cluster.servers[4], "n1").await;
    let mut leaver = (0, founder);
    for _ in 0..3 {
        let (position, id) = leaver;
        let stays = |(other, server): &(usize, &Server)| *other != position && server.is_running();
        let others: Vec<usize> =
            cluster.servers.iter().enumerate().filter(stays).map(|(other, _)| other).collect();
        clients.go_to(others.iter().map(|other| &cluster.servers[*other]));
        remove(&cluster.servers[others[0]], id).await;
        wait_for_the_end(&mut cluster.servers[position]).await;
        cluster.servers[position].kill_if_running();
        clients.wait_for_work().await;
        let next = cluster.wait_for_leader().await;
        let name = cluster.servers[next].name.clone();
        leaver = (next, id_of(&cluster.servers[next], &name).await);
    }
    let left = list(&cluster.servers[leaver.0]).await;
    assert_eq!(left.len(), 2, "{left:?}");
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_made_or_not_whoever_dies_or_sleeps_in_the_middle_of_it() {
    let mut cluster = Cluster::start(3, &[]);
    let clients = Arc::new(Clients::default());
    clients.go_to(&cluster.servers);
    let load = clients.start().await;
    for round in 0..4 {
        let leader = cluster.wait_for_leader().await;
        let via = (leader + 1) % 3;
        let name = format!("m{round}");
        let newcomer = cluster.plan_newcomer(&name, &[]);
        cluster.servers[newcomer].start();
        // The leader is struck while the change is on its way.
        let id = {
            let (one, other) = (&cluster.servers[via], &cluster.servers[newcomer]);
            let leader = Pid::from_raw(cluster.servers[leader].pid()).expect("it runs");
            let strike = async {
                tokio::time::sleep(Duration::from_millis(round * 3)).await;
                let how = if round % 2 == 0 { Signal::KILL } else { Signal::STOP };
                kill_process(leader, how).expect("it runs");
                tokio::time::sleep(PAUSE).await;
            };
            tokio::join!(add(one, other, false), strike).0
        };
        wake(&mut cluster.servers[leader], round % 2 == 0);
        wait_for_vote(&cluster.servers[via], id).await;
        clients.wait_for_work().await;

        let leader = cluster.wait_for_leader().await;
        let via = (0..3).find(|position| *position != leader).expect("of three");
        let strike = async {
            tokio::time::sleep(Duration::from_millis(round * 3)).await;
            let leader = Pid::from_raw(cluster.servers[leader].pid()).expect("it runs");
            kill_process(leader, Signal::STOP).expect("it runs");
            tokio::time::sleep(PAUSE).await;
            kill_process(leader, Signal::CONT).expect("it runs");
        };
        tokio::join!(remove(&cluster.servers[via], id), strike);
        wait_for_the_end(&mut cluster.servers[newcomer]).await;
        cluster.servers[newcomer].kill_if_running();
        clients.wait_for_work().await;
    }
    let members = list(&cluster.servers[0]).await;
    assert_eq!(members.len(), 3, "{members:?}");
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_made_or_not_though_the_leader_is_cut_off_in_the_middle_of_it() {
    let (mut cluster, links) = Cluster::start_linked(3, &[]).await;
    let clients = Arc::new(Clients::default());
    clients.go_to(&cluster.servers);
    let load = clients.start().await;
    for round in 0..2 {
        let leader = cluster.wait_for_leader().await;
        let newcomer = cluster.plan_newcomer(&format!("m{round}"), &[]);
        cluster.servers[newcomer].start();
        let via = &cluster.servers[(leader + 1) % 3];
        let (id, ()) = tokio::join!(
            add(via, &cluster.servers[newcomer], false),
            cut_off(leader, &links, round * 3)
        );
        wait_for_vote(via, id).await;
        clients.wait_for_work().await;

        let leader = cluster.wait_for_leader().await;
        // The newcomer may lead, and is reached by other ways.
        let struck = if leader == newcomer { 0 } else { leader };
        let via = &cluster.servers[(struck + 1) % 3];
        tokio::join!(remove(via, id), cut_off(struck, &links, round * 3));
        wait_for_the_end(&mut cluster.servers[newcomer]).await;
        cluster.servers[newcomer].kill_if_running();
        clients.wait_for_work().await;
    }
    let members = list(&cluster.servers[0]).await;
    assert_eq!(members.len(), 3, "{members:?}");
    load.end().await;
}

/// After so many milliseconds, cuts all links of a founder to the others for a while.
async fn cut_off(node: usize, links: &[Link], milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    let its = || links.iter().filter(|link| link.from == node || link.to == node);
    its().for_each(Link::cut);
    tokio::time::sleep(PAUSE).await;
    its().for_each(Link::mend);
}

/// Brings a node back that was killed, or that sleeps.
fn wake(server: &mut Server, was_killed: bool) {
    if was_killed {
        server.kill_if_running();
        server.start();
    } else {
        signal(server, Signal::CONT);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_starts_or_is_cut_off_holds_nobody_up() {
    let mut cluster = Cluster::start(1, &[]);
    let clients = Arc::new(Clients::default());
    clients.go_to(&cluster.servers);
    let load = clients.start().await;
    let newcomer = cluster.plan_newcomer("n2", &[]);
    // What lies between the founder and the new node can be cut.
    let target = format!("127.0.0.1:{}", cluster.servers[newcomer].peer);
    let link = Link::open(0, 1, target).await;
    let id = {
        let request = pb::MemberAddRequest {
            peer_ur_ls: vec![format!("http://{}", link.address)],
            is_learner: false,
        };
        let answer = cluster_of(&cluster.servers[0]).member_add(request).await;
        answer.expect("nobody has to be asked").into_inner().member.expect("it was added").id
    };
    clients.wait_for_work().await;
    let promotion = pb::MemberPromoteRequest { id };
    let refused = cluster_of(&cluster.servers[0]).member_promote(promotion).await;
    let refused = refused.expect_err("it never started");
    assert!(refused.message().contains("in sync with leader"), "{refused:?}");

    link.cut();
    cluster.servers[newcomer].also(&["--advertise-peer", &link.address.to_string()]);
    cluster.servers[newcomer].start();
    clients.wait_for_work().await;
    tokio::time::sleep(PAUSE).await;
    assert!(list(&cluster.servers[0]).await.iter().any(|member| member.is_learner));
    link.mend();
    wait_for_vote(&cluster.servers[0], id).await;
    clients.wait_for_work().await;

    // Of two voters neither can be done without, so that nobody is removed who is needed to agree.
    cluster.servers[newcomer].kill();
    let founder = id_of(&cluster.servers[newcomer - 1], "n1");
    let lost = tokio::time::timeout(Duration::from_millis(500), founder).await;
    assert!(lost.is_err(), "one of two agrees to nothing");
    cluster.servers[newcomer].start();
    clients.wait_for_work().await;
    remove(&cluster.servers[0], id).await;
    wait_for_the_end(&mut cluster.servers[newcomer]).await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_removed_stays_so_and_a_machine_that_lost_its_data_cannot_pretend() {
    let mut cluster = Cluster::start(1, &[]);
    let newcomer = grow(&mut cluster, 0, "n2").await;
    let id = id_of(&cluster.servers[0], "n2").await;
    cluster.servers[newcomer].wait_until_started().await;

    // Its folder is gone: the cluster knows that it was there before.
    cluster.servers[newcomer].kill();
    let data = cluster.servers[newcomer].data.clone();
    let aside = data.with_extension("aside");
    std::fs::rename(&data, &aside).expect("nobody uses it");
    cluster.servers[newcomer].start();
    let start = Instant::now();
    // One of two is not enough to be asked anything.
    while !cluster.servers[newcomer].log().contains("finds no leader") {
        assert!(start.elapsed() < PATIENCE, "{}", cluster.servers[newcomer].log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cluster.servers[newcomer].kill();
    std::fs::remove_dir_all(&data).expect("it was made again");
    std::fs::rename(&aside, &data).expect("nothing is in its way");
    cluster.servers[newcomer].start();
    let third = grow(&mut cluster, 0, "n3").await;
    cluster.servers[newcomer].kill();
    std::fs::rename(&data, &aside).expect("nobody uses it");
    let pretender = cluster.servers[newcomer].run_to_the_end();
    let told = String::from_utf8_lossy(&pretender.stderr).into_owned();
    assert_eq!(pretender.status.code(), Some(1), "{told}");
    assert!(told.contains("has started before, and its data is not here"), "{told}");

    std::fs::remove_dir_all(&data).expect("it was made again");
    std::fs::rename(&aside, &data).expect("nothing is in its way");
    remove(&cluster.servers[third], id).await;
    let back = cluster.servers[newcomer].run_to_the_end();
    let told = String::from_utf8_lossy(&back.stderr).into_owned();
    assert_eq!(back.status.code(), Some(11), "{told}");
    assert!(told.contains("the cluster removed this node, for good"), "{told}");
    assert!(told.contains("an empty --data"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_that_adds_a_member_prints_the_one_that_starts_it() {
    let mut cluster = Cluster::start(1, &[]);
    let run = |arguments: &[&str]| {
        let endpoints = format!("127.0.0.1:{}", cluster.servers[0].client);
        let output = althing()
            .args(["--endpoints", &endpoints])
            .args(arguments)
            .output()
            .expect("the program was built");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().expect("nobody killed it"), text, told)
    };
    let (peer, client) = (support::free_port(), support::free_port());
    let (peer, at) = (format!("127.0.0.1:{peer}"), format!("127.0.0.1:{client}"));
    let add = ["member", "add", "n2", "--peer", &peer, "--client", &at, "--learner", "-o", "json"];
    let (code, text, told) = run(&add);
    assert_eq!(code, 0, "{told}");
    let added: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(added["member"]["role"], "learner");
    let words: Vec<String> = added["command"]
        .as_array()
        .expect("words")
        .iter()
        .map(|word| word.as_str().expect("text").to_owned())
        .collect();
    assert_eq!(words[0], "althing");
    let (code, text, _) = run(&["status", "-o", "raw"]);
    assert!(code == 0 && text.contains("not started"), "{text}");

    let data = tempfile::tempdir().expect("a temporary folder");
    let server = althing()
        .args(&words[1..])
        .current_dir(data.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program was built");
    let _server = Ended(server);
    let start = Instant::now();
    let (code, text, told) = loop {
        let promoted = run(&["member", "promote", "n2", "-o", "json"]);
        if promoted.0 == 0 || start.elapsed() > PATIENCE {
            break promoted;
        }
        assert!([1, 3].contains(&promoted.0), "{promoted:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(code, 0, "{told}");
    let members: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(members["members"][1]["role"], "voter", "{members}");
    let (code, _, told) = run(&["member", "promote", "n2"]);
    assert!(code == 1 && told.contains("it votes already"), "{told}");
    let (code, _, told) = run(&["member", "lead", "n2"]);
    assert_eq!(code, 0, "{told}");
    let (code, _, told) = run(&["member", "add", "n3", "--peer", &peer]);
    assert!(code == 1 && told.contains("another member is there"), "{told}");
    let (code, _, told) = run(&["member", "remove", "n9"]);
    assert!(code == 3 && told.contains("althing member list"), "{told}");
    let (code, text, told) = run(&["member", "remove", "n2"]);
    assert!(code == 0 && text.lines().count() == 1, "{text}{told}");
    cluster.servers[0].kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_about_members_answer_as_etcd_does() {
    let cluster = Cluster::start(3, &[]);
    let leader = cluster.wait_for_leader().await;
    let follower = (leader + 1) % 3;
    let port = cluster.servers[follower].client;
    let post = |path: &str, body: &str| http(port, "POST", path, body).expect("it is there");
    let (status, body) = post("/v3/cluster/member/remove", r#"{"ID":"404"}"#);
    assert!(status == 404 && body.contains("etcdserver: member not found"), "{status} {body}");
    let (status, body) = post("/v3/cluster/member/add", r#"{"peerURLs":["nowhere"]}"#);
    assert!(status == 400 && body.contains("given member URLs are invalid"), "{status} {body}");
    let taken = format!(r#"{{"peerURLs":["{}"]}}"#, peer_url(&cluster.servers[0]));
    let (status, body) = post("/v3/cluster/member/add", &taken);
    assert!(status == 400 && body.contains("Peer URLs already exists"), "{status} {body}");
    let id = id_of(&cluster.servers[0], &cluster.servers[follower].name).await;
    let target = format!(r#"{{"targetID":"{id}"}}"#);
    let (status, body) = post("/v3/maintenance/transfer-leadership", &target);
    assert!(status == 400 && body.contains("etcdserver: not leader"), "{status} {body}");
    let mut maintenance = MaintenanceClient::new(cluster.servers[leader].channel());
    let stranger = maintenance.move_leader(pb::MoveLeaderRequest { target_id: 404 }).await;
    let stranger = stranger.expect_err("it is no member");
    assert_eq!(stranger.code(), Code::FailedPrecondition);
    assert_eq!(stranger.message(), "etcdserver: bad leader transferee");
    maintenance.move_leader(pb::MoveLeaderRequest { target_id: id }).await.expect("it follows");
    assert_eq!(cluster.wait_for_leader().await, follower);
}
