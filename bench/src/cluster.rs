//! Three nodes of one system on loopback, with their data in a temporary folder.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use althing_etcd_api::etcdserverpb::kv_client::KvClient;
use althing_etcd_api::etcdserverpb::maintenance_client::MaintenanceClient;
use althing_etcd_api::etcdserverpb::{PutRequest, StatusRequest};
use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};

use crate::metrics;
use crate::process::Server;
use crate::system::{Member, System};

/// A cluster that is not ready by then never will be.
const READY_IN: Duration = Duration::from_secs(30);
/// What one question to a server may take.
const ANSWER_IN: Duration = Duration::from_secs(5);

/// A running cluster. Dropping it ends its processes and removes its data.
#[derive(Debug)]
pub(crate) struct Cluster {
    // Before the folder, so that the processes are gone when their data goes.
    servers: Vec<Server>,
    members: Vec<Member>,
    folder: TempDir,
}

/// What the servers have used since they started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    /// `None` where a server does not count them.
    pub(crate) log_syncs: Option<u64>,
}

impl Cluster {
    /// Starts three nodes below `place` and waits until each of them takes writes.
    pub(crate) async fn start(system: &System, place: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("althing-bench-")
            .tempdir_in(place)
            .with_context(|| format!("cannot make a folder in {}", place.display()))?;
        let members = members()?;
        let mut cluster = Self { servers: Vec::new(), members, folder };
        for member in &cluster.members {
            let log = cluster.log(member);
            let log = File::create(&log).with_context(|| format!("no {}", log.display()))?;
            let data = cluster.folder.path().join(&member.name);
            let child = system
                .command(member, &cluster.members, &data)
                .stdin(std::process::Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .spawn()
                .with_context(|| format!("cannot start {}", system.name.text()))?;
            cluster.servers.push(Server::new(child));
        }
        cluster.wait().await.with_context(|| format!("{} is not ready", system.name.text()))?;
        Ok(cluster)
    }

    /// A connection to each of `count` endpoints in turn, the leader's first, so that a single
    /// client speaks with the leader and many are spread evenly. The same for both systems.
    pub(crate) async fn connect(&self, count: usize) -> Result<Vec<Channel>> {
        let leader = self.leader().await?;
        let mut channels = Vec::with_capacity(count);
        for position in 0..count {
            let member = &self.members[(leader + position) % self.members.len()];
            channels.push(connect(member).await?);
        }
        Ok(channels)
    }

    /// What the servers have used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let cpu = self.servers.iter().map(Server::cpu_seconds).sum::<Result<f64>>()?;
        let syncs = self.members.iter().map(|member| metrics::log_syncs(&member.client));
        Ok(Usage { cpu_seconds: cpu, log_syncs: syncs.sum() })
    }

    /// The position of the member that leads.
    async fn leader(&self) -> Result<usize> {
        for (position, member) in self.members.iter().enumerate() {
            let mut client = MaintenanceClient::new(connect(member).await?);
            let status = timeout(ANSWER_IN, client.status(StatusRequest {})).await??.into_inner();
            let id = status.header.map_or(0, |header| header.member_id);
            if id != 0 && id == status.leader {
                return Ok(position);
            }
        }
        bail!("no member says that it leads")
    }

    async fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        for position in 0..self.members.len() {
            while let Err(error) = probe(&self.members[position]).await {
                let is_late = start.elapsed() > READY_IN;
                if is_late || !self.servers[position].is_running() {
                    let log = std::fs::read_to_string(self.log(&self.members[position]));
                    let log = log.unwrap_or_default();
                    let lines: Vec<&str> = log.lines().rev().take(5).collect();
                    let last = lines.into_iter().rev().collect::<Vec<_>>().join("\n  ");
                    bail!("{error:#}; its last lines:\n  {last}");
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
        self.leader().await.map(|_| ())
    }

    fn log(&self, member: &Member) -> PathBuf {
        self.folder.path().join(format!("{}.log", member.name))
    }
}

fn members() -> Result<Vec<Member>> {
    // All are held until all are chosen, so that no port is chosen twice.
    let held = (0..6).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>();
    let held = held.context("no free ports")?;
    let addresses = held.iter().map(|listener| Ok(listener.local_addr()?.to_string()));
    let addresses = addresses.collect::<std::io::Result<Vec<_>>>()?;
    let members = addresses.chunks(2).zip(1..).map(|(pair, number)| Member {
        name: format!("n{number}"),
        client: pair[0].clone(),
        peer: pair[1].clone(),
    });
    Ok(members.collect())
}

async fn connect(member: &Member) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", member.client))?;
    let endpoint = endpoint.tcp_nodelay(true).connect_timeout(ANSWER_IN);
    endpoint.connect().await.with_context(|| format!("cannot reach {}", member.client))
}

/// Writes a key through this member.
async fn probe(member: &Member) -> Result<()> {
    let mut client = KvClient::new(connect(member).await?);
    let request = PutRequest { key: "ready".into(), ..PutRequest::default() };
    timeout(ANSWER_IN, client.put(request)).await??;
    Ok(())
}
