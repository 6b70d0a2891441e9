//! A node on which users count.

use std::net::TcpListener;
use std::time::Duration;

use althing_node::{Listeners, MemberAddress, Node, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Status;
use tonic::transport::Channel;

use crate::Who;
use crate::call::{Way, grpc, json as post};
use crate::cases::{Case, bytes};

/// The node, and what its users are known by.
pub(crate) struct Server {
    _node: Node,
    _data: TempDir,
    address: String,
    channel: Channel,
    ann: String,
    root: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let data = TempDir::new().expect("there is room for a folder");
        let bind = || TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let listeners = Listeners { client: bind(), peer: bind() };
        let peer = listeners.peer.local_addr().expect("it is bound").to_string();
        let members = vec![MemberAddress { name: "only".to_owned(), peer }];
        let mut settings = Settings::new("only", data.path(), members);
        settings.election_timeout = Duration::from_millis(100);
        settings.heartbeat_interval = Duration::from_millis(20);
        settings.limits.shutdown_grace = Duration::from_millis(50);
        let node = Node::start(settings, listeners).expect("nothing is in its way");
        let address = node.client_address().to_string();
        let channel = Channel::from_shared(format!("http://{address}")).expect("an address");
        let channel = channel.connect().await.expect("the node listens");
        let (ann, root) = (String::new(), String::new());
        let mut server = Self { _node: node, _data: data, address, channel, ann, root };
        server.begin().await;
        server.prepare().await;
        server
    }

    async fn begin(&mut self) {
        for (name, password) in [("root", "r"), ("ann", "a")] {
            self.done("Auth.UserAdd", json!({ "name": name, "password": password })).await;
        }
        self.done("Auth.RoleAdd", json!({ "name": "r" })).await;
        for (key, end, kind) in
            [("read", "", "READ"), ("write", "", "WRITE"), ("both/", "both0", "READWRITE")]
        {
            let perm = json!({ "permType": kind, "key": bytes(key), "range_end": bytes(end) });
            self.done("Auth.RoleGrantPermission", json!({ "name": "r", "perm": perm })).await;
        }
        self.done("Auth.UserGrantRole", json!({ "user": "ann", "role": "r" })).await;
        self.done("Auth.UserGrantRole", json!({ "user": "root", "role": "root" })).await;
        self.enable_again().await;
    }

    /// Lets users count, and signs them in.
    pub(crate) async fn enable_again(&mut self) {
        (self.root, self.ann) = (String::new(), String::new());
        self.done("Auth.AuthEnable", json!({})).await;
        self.root = self.sign_in("root", "r").await;
        self.ann = self.sign_in("ann", "a").await;
    }

    async fn sign_in(&self, name: &str, password: &str) -> String {
        let body = json!({ "name": name, "password": password });
        let answer = self.done("Auth.Authenticate", body).await;
        let answer: Value = serde_json::from_str(&answer).expect("an object");
        answer["token"].as_str().expect("a token").to_owned()
    }

    /// Whatever is missing: leases 1 to 3, with keys that ann may and may not write, and a leader.
    pub(crate) async fn prepare(&self) {
        for id in ["1", "2", "3"] {
            let body = json!({ "ID": id, "TTL": "1000" }).to_string();
            // It may be there.
            let _ = grpc(self.channel.clone(), "Lease.LeaseGrant", &self.root, &body).await;
        }
        for (key, lease) in
            [("both/9", "1"), ("other", "2"), ("both/led/1", "0"), ("others/1", "0")]
        {
            let body = json!({ "key": bytes(key), "value": bytes("1"), "lease": lease });
            self.done("KV.Put", body).await;
        }
    }

    /// Gives up whatever was taken with lease 3, so that nobody waits for it.
    pub(crate) async fn tidy(&self) {
        let body = json!({ "ID": "3" }).to_string();
        // Nothing may be there, and who counts may have changed.
        let _ = grpc(self.channel.clone(), "Lease.LeaseRevoke", &self.root, &body).await;
    }

    /// Does as root what must work.
    async fn done(&self, call: &str, body: Value) -> String {
        let answer = grpc(self.channel.clone(), call, &self.root, &body.to_string()).await;
        answer.unwrap_or_else(|status| panic!("{call}: {status}"))
    }

    /// Asks on behalf of somebody.
    pub(crate) async fn ask(&self, case: &Case, way: Way, who: Who) -> Result<String, Status> {
        let token = match who {
            Who::Nobody => "",
            Who::Ann => &self.ann,
            Who::Root => &self.root,
        };
        let body = case.body.to_string();
        match way {
            Way::Json => {
                let path = case.path.expect("it is only asked where there is one");
                post(&self.address, path, token, &body).await
            }
            Way::Grpc if case.path == Some("/v3/kv/txn") => {
                grpc(self.channel.clone(), "KV.Txn", token, &body).await
            }
            Way::Grpc => grpc(self.channel.clone(), case.call, token, &body).await,
        }
    }
}
