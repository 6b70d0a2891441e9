//! Real clusters of real processes, for the tests.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "every test file uses its own part of this"
)]

mod link;
mod system;

pub use link::Link;
pub use system::{Background, System, code, feed, run, systems, wait_until};

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use althing_etcd_api::etcdserverpb as pb;
use pb::kv_client::KvClient;
use pb::maintenance_client::MaintenanceClient;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

/// Far longer than anything takes that works, on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One `althing serve` process; killed when dropped.
#[derive(Debug)]
pub struct Server {
    pub name: String,
    pub client: u16,
    pub peer: u16,
    pub data: PathBuf,
    log: PathBuf,
    arguments: Vec<String>,
    process: Option<Child>,
}

/// Several of them, and the folder of their data.
#[derive(Debug)]
pub struct Cluster {
    pub servers: Vec<Server>,
    _folder: TempDir,
}

impl Cluster {
    /// Starts so many nodes, with further arguments for each, and waits until all of them serve.
    pub fn start(count: usize, arguments: &[&str]) -> Self {
        let mut cluster = Self::plan(count, arguments);
        for server in &mut cluster.servers {
            server.start();
        }
        for server in &cluster.servers {
            server.wait_until_ready();
        }
        cluster
    }

    /// Lays out the nodes without starting them.
    pub fn plan(count: usize, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
        let members: Vec<String> = ports
            .iter()
            .enumerate()
            .map(|(position, (_, peer))| format!("n{}=127.0.0.1:{peer}", position + 1))
            .collect();
        let servers = ports
            .into_iter()
            .enumerate()
            .map(|(position, (client, peer))| {
                let name = format!("n{}", position + 1);
                let data = folder.path().join(&name);
                let mut all: Vec<String> =
                    ["serve", "--name", &name, "--data"].into_iter().map(str::to_owned).collect();
                all.push(data.display().to_string());
                all.extend(["--listen-client".to_owned(), format!("127.0.0.1:{client}")]);
                all.extend(["--listen-peer".to_owned(), format!("127.0.0.1:{peer}")]);
                all.extend(["--initial-cluster".to_owned(), members.join(",")]);
                all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
                let log = data.with_extension("log");
                Server { name, client, peer, data, log, arguments: all, process: None }
            })
            .collect();
        Self { servers, _folder: folder }
    }

    /// As [`Self::start`], with links between the nodes that can be cut.
    pub async fn start_linked(count: usize, arguments: &[&str]) -> (Self, Vec<Link>) {
        let mut cluster = Self::plan(count, arguments);
        let mut links = Vec::new();
        for from in 0..count {
            let mut members = Vec::new();
            for to in 0..count {
                let server = &cluster.servers[to];
                let mut address = format!("127.0.0.1:{}", server.peer);
                if from != to {
                    let link = Link::open(from, to, address).await;
                    address = link.address.to_string();
                    links.push(link);
                }
                members.push(format!("{}={address}", server.name));
            }
            cluster.servers[from].set("--initial-cluster", members.join(","));
        }
        for server in &mut cluster.servers {
            server.start();
        }
        // The links need this thread's runtime, so that it must not be blocked.
        for server in &cluster.servers {
            while server.status().await.is_none_or(|status| status.leader == 0) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        (cluster, links)
    }

    /// Lays out a node that is to join, with further arguments, without starting it; its position.
    pub fn plan_newcomer(&mut self, name: &str, arguments: &[&str]) -> usize {
        let join: Vec<String> =
            self.servers.iter().map(|server| format!("127.0.0.1:{}", server.peer)).collect();
        let (client, peer) = (free_port(), free_port());
        let data = self._folder.path().join(format!("{name}-{peer}"));
        let mut all: Vec<String> =
            ["serve", "--name", name, "--data"].into_iter().map(str::to_owned).collect();
        all.push(data.display().to_string());
        all.extend(["--listen-client".to_owned(), format!("127.0.0.1:{client}")]);
        all.extend(["--listen-peer".to_owned(), format!("127.0.0.1:{peer}")]);
        all.extend(["--join".to_owned(), join.join(",")]);
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let log = data.with_extension("log");
        let name = name.to_owned();
        self.servers.push(Server { name, client, peer, data, log, arguments: all, process: None });
        self.servers.len() - 1
    }

    /// Every node's client address, with commas between.
    pub fn endpoints(&self) -> String {
        self.servers.iter().map(Server::endpoint).collect::<Vec<_>>().join(",")
    }

    /// The position of the node that leads, as the nodes that run agree; `None` while they do not.
    pub async fn leader(&self) -> Option<usize> {
        let mut leaders = Vec::new();
        for server in self.servers.iter().filter(|server| server.is_running()) {
            let status = server.status().await?;
            leaders.push((status.leader, status.raft_term));
        }
        let (leader, _) = *leaders.first()?;
        if leader == 0 || leaders.iter().any(|other| *other != leaders[0]) {
            return None;
        }
        for (position, server) in self.servers.iter().enumerate() {
            if server.is_running() {
                let status = server.status().await?;
                if status.header.is_some_and(|header| header.member_id == leader) {
                    return Some(position);
                }
            }
        }
        None
    }

    /// As [`Self::leader`], but waits for one.
    pub async fn wait_for_leader(&self) -> usize {
        let start = Instant::now();
        loop {
            if let Some(leader) = self.leader().await {
                return leader;
            }
            assert!(start.elapsed() < PATIENCE, "nobody leads");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Server {
    /// Starts the process; its log goes to a file of its own.
    pub fn start(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("a log file");
        let process = althing()
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program was built");
        self.process = Some(process);
    }

    /// As [`Self::start`], in a process that may open only so many files.
    pub fn start_limited(&mut self, files: u64) {
        let program = althing().get_program().to_string_lossy().into_owned();
        let log = std::fs::File::create(&self.log).expect("a log file");
        let process = Command::new("sh")
            .args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\""), &program])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("there is a shell");
        self.process = Some(process);
    }

    /// Puts its data elsewhere; before it is started.
    pub fn move_data(&mut self, data: PathBuf) {
        self.set("--data", data.display().to_string());
        self.data = data;
    }

    /// Changes an argument that it has; before it is started.
    pub fn set(&mut self, name: &str, value: String) {
        let position = self.arguments.iter().position(|argument| argument == name);
        self.arguments[position.expect("every server has one") + 1] = value;
    }

    /// What it is told when it starts.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Runs it to its end, for a start that must fail.
    pub fn run_to_the_end(&self) -> Output {
        althing().args(&self.arguments).output().expect("the program was built")
    }

    /// Kills it, as the machine would: no signal handler runs.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it runs");
            process.wait().expect("it was started here");
        }
    }

    /// As [`Self::kill`], of one that may have ended by itself.
    pub fn kill_if_running(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may be gone already; that is as good.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// The process's number.
    pub fn pid(&self) -> i32 {
        let process = self.process.as_ref().expect("it was started");
        i32::try_from(process.id()).expect("the system's numbers are small")
    }

    /// Adds arguments; before it is started.
    pub fn also(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    }

    /// Waits until it has said to the cluster where its clients find it.
    pub async fn wait_until_started(&self) {
        let start = Instant::now();
        loop {
            let list = pb::MemberListRequest { linearizable: true };
            let mut client = pb::cluster_client::ClusterClient::new(self.channel());
            let answer = client.member_list(list).await;
            let members = answer.map(|answer| answer.into_inner().members).unwrap_or_default();
            let is_started =
                |member: &pb::Member| member.name == self.name && !member.client_ur_ls.is_empty();
            if members.iter().any(is_started) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{} does not say where it is", self.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// The process, to look at or to wait for.
    pub fn process(&mut self) -> &mut Child {
        self.process.as_mut().expect("it was started")
    }

    /// Where it serves clients.
    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.client)
    }

    /// Waits until it answers a linearizable read.
    pub fn wait_until_ready(&self) {
        let start = Instant::now();
        while http_get(self.client, "/readyz").is_none_or(|(status, _)| status != 200) {
            assert!(start.elapsed() < PATIENCE, "{} is not ready:\n{}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub async fn status(&self) -> Option<pb::StatusResponse> {
        let channel = self.channel();
        let answer = MaintenanceClient::new(channel).status(pb::StatusRequest::default()).await;
        Some(answer.ok()?.into_inner())
    }

    pub fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel()).max_decoding_message_size(64 << 20)
    }

    pub fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.endpoint()))
            .expect("an address")
            .timeout(Duration::from_secs(10))
            .connect_timeout(Duration::from_secs(2))
            .connect_lazy()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may be gone already; that is as good.
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", self.name, self.log());
        }
    }
}

/// The program, without what the environment of the tests might tell it, but for the protocol that
/// all of them are to run on.
pub fn althing() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_althing"));
    let is_ours = |name: &str| name.starts_with("ALTHING_") && name != "ALTHING_CONSENSUS";
    for (variable, _) in std::env::vars().filter(|(name, _)| is_ours(name)) {
        command.env_remove(variable);
    }
    command
}

/// A port that nobody listens on, below those that the system gives to outgoing connections. Every
/// process starts to look elsewhere.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let start = std::process::id().wrapping_mul(7_919);
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = (FIRST + offset % COUNT) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// One HTTP/1.1 request with an empty body; the status and the body, if anything answers.
pub fn http_get(port: u16, path: &str) -> Option<(u16, String)> {
    http(port, "GET", path, "")
}

/// One HTTP/1.1 request; the status and the body, if anything answers.
pub fn http(port: u16, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    use std::io::Read as _;
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// A tool that a test needs, or a note that the test is skipped.
pub fn tool(test: &str, name: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        skip(test, &format!("{name} is not installed (Debian: apt-get install {package})"));
    }
    found
}

/// Says to whom it may concern that a test is skipped.
pub fn skip(test: &str, why: &str) {
    let line = format!("SKIPPED: {test}: {why}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("ALTHING_SKIPPED") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(Path::new(&path));
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("writable");
    }
}
