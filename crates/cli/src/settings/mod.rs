//! What one node is told: `althing serve`'s flags, the environment, a file, the defaults.
//!
//! Of each setting the first of these that names it counts. [`layers`] finds it and remembers where
//! it came from, this module turns the words into a checked [`Settings`].

mod layers;
mod nearest;
mod retention;
mod security;
mod size;
mod table;
mod tokens;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use althing_node::{Consensus, Retention};
use clap::Args;
use serde_json::{Map, json};

use self::layers::Layers;
pub(crate) use self::security::Security;
use self::table::{SETTINGS, Words};
pub(crate) use self::tokens::Tokens;
use crate::client::Address;
use crate::duration;
use crate::failure::Failure;
use crate::output::{self, Format, print, print_line};

/// Arguments of `althing serve`. All of them may be missing, since other places can name them too.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
A flag counts before its environment variable, that before the file, that before the default.
The variable of --listen-client is ALTHING_LISTEN_CLIENT, its key in the file is listen-client.

Examples:
  althing serve --name n1 --data /var/lib/althing \\
      --listen-client 10.0.0.1:2379 --listen-peer 10.0.0.1:2380 \\
      --initial-cluster n1=10.0.0.1:2380,n2=10.0.0.2:2380,n3=10.0.0.3:2380 \\
      --tls-cert n1.crt --tls-key n1.key --client-ca ca.crt --peer-ca ca.crt
  althing serve --name n4 --data /var/lib/althing --listen-client 10.0.0.4:2379 \\
      --listen-peer 10.0.0.4:2380 --join 10.0.0.1:2380,10.0.0.2:2380,10.0.0.3:2380 \\
      --tls-cert n4.crt --tls-key n4.key --client-ca ca.crt --peer-ca ca.crt
  althing serve --config /etc/althing.toml --check    show what would count, and start nothing")]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    words: Words,
    /// A TOML file with any of these settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show what counts and where it came from, and start nothing
    #[arg(long)]
    check: bool,
}

/// Everything one node is told, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The name of this node; a key of `initial_cluster`.
    pub(crate) name: String,
    /// The folder of its log and snapshots.
    pub(crate) data: PathBuf,
    /// Where to listen for clients.
    pub(crate) listen_client: Address,
    /// Where to listen for the other nodes.
    pub(crate) listen_peer: Address,
    /// Where clients find this node; never an address that means "everywhere".
    pub(crate) advertise_client: Address,
    /// Where the nodes find each other, by name.
    /// Empty for a node that joins.
    pub(crate) initial_cluster: BTreeMap<String, Address>,
    /// Where the members listen for their peers whose cluster this node joins; empty for one that
    /// founds its own.
    pub(crate) join: Vec<Address>,
    /// Where the other nodes find one that joins; never an address that means "everywhere".
    pub(crate) advertise_peer: Address,
    /// Names the cluster.
    pub(crate) cluster_token: String,
    /// How the nodes agree.
    pub(crate) consensus: Consensus,
    /// At least five times `heartbeat_interval`.
    pub(crate) election_timeout: Duration,
    /// How often a leader says that it is there.
    pub(crate) heartbeat_interval: Duration,
    /// Bytes of the store above which writes are refused.
    pub(crate) quota: u64,
    /// How much history is kept.
    pub(crate) retention: Retention,
    /// Entries of the log between two snapshots; not zero.
    pub(crate) snapshot_entries: u64,
    /// How often the leader looks whether all nodes hold the same.
    pub(crate) corrupt_check_time: Duration,
    /// How users are known once they have signed in.
    pub(crate) tokens: Tokens,
    /// Where administrative calls and refusals are written down.
    pub(crate) audit_log: Option<PathBuf>,
    /// What connections are under, and who may connect.
    pub(crate) security: Security,
}

/// The settings that count, unless they were only to be shown.
pub(crate) fn resolve(
    arguments: &ServeArguments,
    format: Format,
) -> Result<Option<Settings>, Failure> {
    let layers = Layers::read(arguments, |variable| std::env::var(variable).ok())?;
    let settings = Settings::new(&layers)?;
    if arguments.check {
        return show(&settings, &layers, format).map(|()| None);
    }
    Ok(Some(settings))
}

impl Settings {
    fn new(layers: &Layers) -> Result<Self, Failure> {
        let listen_client: Address = layers.get("listen-client", str::parse)?;
        let listen_peer: Address = layers.get("listen-peer", str::parse)?;
        let name: String = layers.get("name", word)?;
        let advertise_peer = layers.find("advertise-peer", str::parse)?;
        let advertise_peer: Address = advertise_peer.unwrap_or_else(|| listen_peer.clone());
        let join = layers.find("join", addresses)?.unwrap_or_default();
        let alone = || match &join[..] {
            [] => BTreeMap::from([(name.clone(), advertise_peer.clone())]),
            _ => BTreeMap::new(),
        };
        let settings = Self {
            data: layers.find("data", folder)?.unwrap_or_else(|| format!("{name}.althing").into()),
            advertise_client: layers
                .find("advertise-client", str::parse)?
                .unwrap_or_else(|| listen_client.clone()),
            initial_cluster: layers.find("initial-cluster", cluster)?.unwrap_or_else(alone),
            join,
            advertise_peer,
            cluster_token: layers.get("cluster-token", word)?,
            consensus: layers.get("consensus", str::parse)?,
            election_timeout: layers.get("election-timeout", duration::parse)?,
            heartbeat_interval: layers.get("heartbeat-interval", duration::parse)?,
            quota: layers.get("quota", size::parse)?,
            retention: layers.get("retention", retention::parse)?,
            snapshot_entries: layers.get("snapshot-entries", count)?,
            corrupt_check_time: layers.get("corrupt-check-time", duration::parse)?,
            tokens: layers.get("auth-token", tokens::parse)?,
            audit_log: layers.find("audit-log", folder)?,
            security: Security::read(layers)?,
            name,
            listen_client,
            listen_peer,
        };
        settings.check().map(|()| settings)
    }

    /// What no setting can be wrong about alone.
    fn check(&self) -> Result<(), Failure> {
        self.check_cluster()?;
        if self.advertise_client.is_everywhere() {
            let address = &self.advertise_client;
            return Err(Failure::usage(format!("clients cannot find this node at {address}"))
                .cause("that address means every interface of whoever uses it")
                .hint("name one with --advertise-client HOST:PORT"));
        }
        if self.election_timeout < self.heartbeat_interval * 5 {
            let (election, heartbeat) = (self.election_timeout, self.heartbeat_interval);
            let message = format!(
                "an election timeout of {} is too short for a heartbeat every {}",
                duration::show(election),
                duration::show(heartbeat)
            );
            return Err(Failure::usage(message)
                .cause("one lost heartbeat must not cost a leader its place")
                .hint("make --election-timeout at least five times --heartbeat-interval"));
        }
        self.security.check(&self.listen_client, &self.listen_peer)
    }

    /// Whether the node founds a cluster or joins one, and how it is found.
    fn check_cluster(&self) -> Result<(), Failure> {
        if !self.join.is_empty() {
            if !self.initial_cluster.is_empty() {
                let message = "a node founds a cluster or joins one, and cannot do both";
                return Err(Failure::usage(message)
                    .cause("both --initial-cluster and --join are set")
                    .hint("leave --initial-cluster out: a node that joins is told the members"));
            }
            if self.advertise_peer.is_everywhere() {
                let address = &self.advertise_peer;
                let message = format!("the other nodes cannot find this one at {address}");
                return Err(Failure::usage(message)
                    .cause("that address means every interface of whoever uses it")
                    .hint("name the one that was added with --advertise-peer HOST:PORT"));
            }
            return Ok(());
        }
        if !self.initial_cluster.contains_key(&self.name) {
            let names = Vec::from_iter(self.initial_cluster.keys().cloned());
            let message = format!("this node, `{}`, is not in the initial cluster", self.name);
            return Err(Failure::usage(message)
                .cause(format!("the initial cluster is {}", names.join(", ")))
                .hint("set --name to one of them, or add this node to --initial-cluster"));
        }
        Ok(())
    }

    /// Each setting in the words that would set it.
    fn words(&self) -> Vec<(&'static str, String)> {
        SETTINGS.iter().map(|setting| (setting.key, (setting.show)(self))).collect()
    }
}

fn joined(addresses: &[Address]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn addresses(text: &str) -> Result<Vec<Address>, String> {
    text.split(',').map(str::parse).collect()
}

fn word(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || matches!(c, ',' | '=')) {
        return Err("expected a word without blanks, commas and equals signs".to_owned());
    }
    Ok(text.to_owned())
}

fn folder(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("expected a folder".to_owned()) } else { Ok(text.into()) }
}

fn count(text: &str) -> Result<u64, String> {
    let count = text.parse::<u64>().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "expected a whole number above zero".to_owned())
}

fn cluster(text: &str) -> Result<BTreeMap<String, Address>, String> {
    let mut peers = BTreeMap::new();
    for part in text.split(',') {
        let (name, address) = part
            .trim()
            .split_once('=')
            .ok_or_else(|| format!("`{part}` is not of the form NAME=HOST:PORT"))?;
        let name = word(name).map_err(|_| format!("`{name}` is no name of a node"))?;
        let address: Address = address.parse()?;
        if let Some((other, _)) = peers.iter().find(|(_, known)| **known == address) {
            return Err(format!("{other} and {name} have the same address"));
        }
        if peers.insert(name.clone(), address).is_some() {
            return Err(format!("{name} is named twice"));
        }
    }
    Ok(peers)
}

fn show(settings: &Settings, layers: &Layers, format: Format) -> Result<(), Failure> {
    let words = settings.words();
    let origin = |key: &str| layers.origin(key).to_string();
    match format {
        Format::Json => {
            let entry = |(key, value): &(&str, String)| {
                ((*key).to_owned(), json!({ "value": value, "origin": origin(key) }))
            };
            print_line(json!(words.iter().map(entry).collect::<Map<_, _>>()))
        }
        Format::Raw => {
            let line = |(key, value): &(&str, String)| format!("{key}\t{value}\t{}\n", origin(key));
            print(words.iter().map(line).collect::<String>().as_bytes())
        }
        Format::Table => {
            let mut table = output::table(&["setting", "value", "origin"]);
            for (key, value) in words {
                table.add_row([key, &value, &origin(key)]);
            }
            print(output::table_text(&table).as_bytes())
        }
    }
}

#[cfg(test)]
mod tests;
