use std::path::PathBuf;
use std::time::Duration;

use althing_node::{Consensus, Node};
use serde_json::{Value, json};

use super::Folder;
use super::certificates::Certificates;
use crate::client::HTTPS;
use crate::failure::Failure;
use crate::output::{self, Format, print, print_line};

/// What a developer wants to know about the cluster.
pub(super) struct About<'a> {
    pub(super) lines: &'a [(String, String, String)],
    pub(super) nodes: &'a [(PathBuf, Node)],
    pub(super) folder: &'a Folder,
    pub(super) consensus: Consensus,
    pub(super) certificates: Option<Certificates>,
}

impl About<'_> {
    /// Tells it, with what to paste into a shell to use it.
    pub(super) fn present(&self, ready: Duration, format: Format) -> Result<(), Failure> {
        let milliseconds = ready.as_millis();
        if format == Format::Json {
            return print_line(self.as_json(milliseconds));
        }
        let mut table = output::table(&["node", "clients", "peers", "role", "data"]);
        for ((name, client, peer), (data, node)) in self.lines.iter().zip(self.nodes) {
            let role = if leads(node) { "leader" } else { "follower" };
            table.add_row([name, client, peer, role, &data.display().to_string()]);
        }
        print(output::table_text(&table).as_bytes())?;
        let kept = match self.folder {
            Folder::Kept(_) => "",
            Folder::Temporary(_) => " The data goes when they stop.",
        };
        let by = match self.consensus {
            Consensus::Raft => "",
            Consensus::Paxos => ", by Multi-Paxos",
        };
        let guard = if self.certificates.is_some() { "no users" } else { "no TLS, no users" };
        let endpoints = self.endpoints().join(",");
        let exports = self.certificates.as_ref().map(Certificates::exports).unwrap_or_default();
        print_line(format!(
            "\nReady after {milliseconds} ms{by}.{kept} For development: {guard}, one machine.\n\n\
             export ETCDCTL_API=3 ETCDCTL_ENDPOINTS={endpoints}\n\
             export ALTHING_ENDPOINTS={endpoints}\n\
             {exports}\n\
             etcdctl put greeting hello\n\
             althing kv get greeting\n\
             althing status\n"
        ))
    }

    fn as_json(&self, milliseconds: u128) -> Value {
        let nodes =
            self.lines.iter().zip(self.nodes).map(|((name, client, peer), (data, node))| {
                json!({ "name": name, "client": client, "peer": peer, "data": data,
                    "leads": leads(node) })
            });
        let mut about = json!({
            "nodes": nodes.collect::<Vec<_>>(),
            "consensus": self.consensus.name(),
            "endpoints": self.endpoints(),
            "ready_milliseconds": milliseconds,
        });
        if let Some(certificates) = &self.certificates {
            about["cacert"] = json!(certificates.authority);
            about["cert"] = json!(certificates.client.certificate);
            about["key"] = json!(certificates.client.key);
        }
        about
    }

    fn endpoints(&self) -> Vec<String> {
        // Without TLS the bare address is what every tool takes.
        let scheme = if self.certificates.is_some() { HTTPS } else { "" };
        self.lines.iter().map(|(_, client, _)| format!("{scheme}{client}")).collect()
    }
}

fn leads(node: &Node) -> bool {
    node.handle().status().leader == Some(node.handle().node())
}
