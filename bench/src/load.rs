//! The load: so many clients, each with one put under way at any time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use althing_etcd_api::etcdserverpb::kv_client::KvClient;
use althing_etcd_api::etcdserverpb::{PutRequest, RangeRequest};
use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

use crate::cluster::{Cluster, Usage};
use crate::figures::Figures;
use crate::process::own_cpu_seconds;

/// A put that takes longer than this makes the run void.
const PUT_IN: Duration = Duration::from_secs(30);
/// The check that every write is there may take so long.
const CHECK_IN: Duration = Duration::from_secs(60);

/// What to load a cluster with.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Every key begins with this; nothing else in the store does.
    pub(crate) prefix: String,
    pub(crate) clients: u32,
    pub(crate) connections: u32,
    pub(crate) value: Bytes,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measured,
    Over,
}

/// What one client saw.
#[derive(Debug, Default)]
struct Seen {
    /// Every put that was acknowledged, also while warming up.
    acknowledged: u64,
    /// Microseconds from request to answer, of each put that began and ended while measured.
    latencies_us: Vec<u32>,
}

/// Loads the cluster, checks that it has what it acknowledged, and only then gives figures.
pub(crate) async fn run(cluster: &Cluster, load: &Load) -> Result<Figures> {
    let connections = load.connections.min(load.clients) as usize;
    let channels = cluster.connect(connections).await?;
    let phase = Rc::new(Cell::new(Phase::WarmUp));
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..load.clients {
        let stub = KvClient::new(channels[number as usize % connections].clone());
        clients.spawn_local(client(stub, number, load.clone(), phase.clone()));
    }

    let mut seen = Seen::default();
    watch(&mut clients, load.warm_up, &mut seen).await?;
    phase.set(Phase::Measured);
    let (before, start) = (Spent::now(cluster)?, Instant::now());
    watch(&mut clients, load.measured, &mut seen).await?;
    phase.set(Phase::Over);
    let (elapsed, after) = (start.elapsed(), Spent::now(cluster)?);
    while let Some(client) = clients.join_next().await {
        seen.add(client.context("a client broke")??);
    }

    check(channels[0].clone(), load, seen.acknowledged).await?;
    let puts = seen.latencies_us.len() as u64;
    ensure!(puts > 0, "no put was answered in {elapsed:?}");
    let log_syncs = after.servers.log_syncs.zip(before.servers.log_syncs);
    Ok(Figures::new(
        puts,
        elapsed,
        seen.latencies_us,
        after.servers.cpu_seconds - before.servers.cpu_seconds,
        log_syncs.map(|(after, before)| after - before),
        after.own_cpu_seconds - before.own_cpu_seconds,
    ))
}

/// What everyone had spent at one moment.
struct Spent {
    servers: Usage,
    own_cpu_seconds: f64,
}

impl Spent {
    fn now(cluster: &Cluster) -> Result<Self> {
        Ok(Self { servers: cluster.usage()?, own_cpu_seconds: own_cpu_seconds()? })
    }
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.latencies_us.extend(other.latencies_us);
    }
}

/// Lets `time` pass, unless a client fails before.
async fn watch(
    clients: &mut tokio::task::JoinSet<Result<Seen>>,
    time: Duration,
    seen: &mut Seen,
) -> Result<()> {
    tokio::select! {
        () = sleep(time) => Ok(()),
        Some(client) = clients.join_next() => {
            // None ends before it is told to, except by a failure.
            seen.add(client.context("a client broke")??);
            bail!("a client ended early")
        }
    }
}

async fn client(
    mut stub: KvClient<Channel>,
    number: u32,
    load: Load,
    phase: Rc<Cell<Phase>>,
) -> Result<Seen> {
    let mut seen = Seen { acknowledged: 0, latencies_us: Vec::with_capacity(4096) };
    let mut began_in = phase.get();
    while began_in != Phase::Over {
        let key = format!("{}{number:05}/{:010}", load.prefix, seen.acknowledged);
        let (key, value) = (key.into(), load.value.clone());
        let request = PutRequest { key, value, ..PutRequest::default() };
        let start = Instant::now();
        let answer = timeout(PUT_IN, stub.put(request)).await;
        let answer = answer.with_context(|| format!("a put was not answered in {PUT_IN:?}"))?;
        answer.context("a put was refused")?;
        let latency = start.elapsed();
        seen.acknowledged += 1;
        let ended_in = phase.get();
        if began_in == Phase::Measured && ended_in == Phase::Measured {
            seen.latencies_us.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        }
        began_in = ended_in;
    }
    Ok(seen)
}

/// Whether the store has every acknowledged write. All keys differ, so that their number tells.
async fn check(channel: Channel, load: &Load, acknowledged: u64) -> Result<()> {
    // The byte after the slash that ends every prefix.
    let range_end = format!("{}0", load.prefix.trim_end_matches('/'));
    let request = RangeRequest {
        key: load.prefix.clone().into(),
        range_end: range_end.into(),
        count_only: true,
        ..RangeRequest::default()
    };
    let answer = timeout(CHECK_IN, KvClient::new(channel.clone()).range(request.clone())).await;
    let found = answer.context("the check was not answered")??.into_inner().count;
    ensure!(
        u64::try_from(found) == Ok(acknowledged),
        "{acknowledged} writes were acknowledged and {found} are there: no figure"
    );
    // The count says nothing of the values; some of them say enough.
    let request = RangeRequest { count_only: false, limit: 1000, ..request };
    let answer = timeout(CHECK_IN, KvClient::new(channel).range(request)).await;
    let pairs = answer.context("the check was not answered")??.into_inner().kvs;
    let are_right = pairs.iter().all(|pair| pair.value == load.value && pair.version == 1);
    ensure!(are_right && !pairs.is_empty(), "a value differs from what was written: no figure");
    Ok(())
}
