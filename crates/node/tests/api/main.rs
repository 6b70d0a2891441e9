//! Watches, leases, locks and elections over real sockets, against a node with a real log.

mod auth;
mod gateway;
mod history;
mod lease;
mod line;
mod watch;
mod wellness;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use althing_etcd_api::etcdserverpb as pb;
use althing_node::{Listeners, MemberAddress, Node, Settings};
use pb::kv_client::KvClient;
use pb::lease_client::LeaseClient;
use tempfile::TempDir;
use tonic::transport::Channel;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node that is a cluster by itself.
struct Server {
    node: Node,
    settings: Settings,
    peer: SocketAddr,
    data: TempDir,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let data = TempDir::new().expect("there is room for a folder");
        let bind = || TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let listeners = Listeners { client: bind(), peer: bind() };
        let peer = listeners.peer.local_addr().expect("it is bound");
        let members = vec![MemberAddress { name: "only".to_owned(), peer: peer.to_string() }];
        let mut settings = Settings::new("only", data.path(), members);
        if let Ok(consensus) = std::env::var("ALTHING_CONSENSUS") {
            settings.consensus = consensus.parse().expect("it names a protocol");
        }
        settings.election_timeout = Duration::from_millis(100);
        settings.heartbeat_interval = Duration::from_millis(20);
        // The end of a test blocks the runtime that would close its connections.
        settings.limits.shutdown_grace = Duration::from_millis(50);
        change(&mut settings);
        let node = Node::start(settings.clone(), listeners).expect("nothing is in its way");
        let server = Self { node, settings, peer, data };
        server.put("ready", "").await;
        server
    }

    /// Stops it and starts it again on what it has left behind.
    async fn restart(self) -> Self {
        let Self { node, settings, peer, data } = self;
        let client = node.client_address();
        tokio::task::spawn_blocking(move || node.stop()).await.expect("it stops");
        let bind = |address| TcpListener::bind(address).expect("it was ours a moment ago");
        let listeners = Listeners { client: bind(client), peer: bind(peer) };
        let node = Node::start(settings.clone(), listeners).expect("nothing is in its way");
        Self { node, settings, peer, data }
    }

    fn address(&self) -> String {
        self.node.client_address().to_string()
    }

    async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.address()));
        endpoint.expect("an address").connect().await.expect("the node listens")
    }

    async fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel().await)
    }

    async fn lease(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel().await)
    }

    /// The revision of the write.
    async fn put(&self, key: &str, value: &str) -> i64 {
        self.put_tied(key, value, 0).await
    }

    async fn put_tied(&self, key: &str, value: &str, lease: i64) -> i64 {
        let request = pb::PutRequest {
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            lease,
            ..Default::default()
        };
        let answer = self.kv().await.put(request).await.expect("it is written").into_inner();
        answer.header.expect("a header").revision
    }

    async fn delete(&self, key: &str, range_end: &str) -> i64 {
        let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
        let request = pb::DeleteRangeRequest { key, range_end, prev_kv: false };
        let answer = self.kv().await.delete_range(request).await.expect("it is done").into_inner();
        answer.header.expect("a header").revision
    }

    async fn compact(&self, revision: i64) {
        let request = pb::CompactionRequest { revision, physical: true };
        self.kv().await.compact(request).await.expect("it is in the past");
    }

    async fn grant(&self, ttl: i64) -> i64 {
        let request = pb::LeaseGrantRequest { ttl, id: 0 };
        self.lease().await.lease_grant(request).await.expect("it is granted").into_inner().id
    }

    async fn revoke(&self, id: i64) {
        let request = pb::LeaseRevokeRequest { id };
        self.lease().await.lease_revoke(request).await.expect("it is there");
    }

    async fn exists(&self, key: &str) -> bool {
        let request = pb::RangeRequest { key: key.to_owned().into(), ..Default::default() };
        self.kv().await.range(request).await.expect("it is read").into_inner().count == 1
    }

    /// A number of `/metrics`; zero if it is not there.
    async fn metric(&self, name: &str) -> f64 {
        let page = get(&self.address(), "/metrics").await;
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }
}

/// Asks for a page and returns the whole answer.
async fn get(address: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the node listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the node reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the page is text");
    answer
}

/// Waits for what must come.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, future).await;
    outcome.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

/// Looks again until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    soon(what, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
