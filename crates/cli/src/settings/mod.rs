//! What one node is told: `althing serve`'s flags, the environment, a file, the defaults.
//!
//! Of each setting the first of these that names it counts. [`layers`] finds it and remembers where
//! it came from, this module turns the words into a checked [`Settings`].

mod layers;
mod nearest;
mod retention;
mod security;
mod size;
mod tokens;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use althing_node::{Consensus, Retention};
use clap::Args;
use serde_json::{Map, json};

use self::layers::Layers;
pub(crate) use self::security::Security;
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
    /// The name of this node, one of those in --initial-cluster [default: default]
    #[arg(long)]
    name: Option<String>,
    /// The folder for its log and snapshots [default: NAME.althing]
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
    /// Where to listen for clients [default: 127.0.0.1:2379]
    #[arg(long, value_name = "HOST:PORT")]
    listen_client: Option<String>,
    /// Where to listen for the other nodes [default: 127.0.0.1:2380]
    #[arg(long, value_name = "HOST:PORT")]
    listen_peer: Option<String>,
    /// Where clients find this node [default: as --listen-client]
    #[arg(long, value_name = "HOST:PORT")]
    advertise_client: Option<String>,
    /// Every node and where the others find it [default: this node alone]
    #[arg(long, value_name = "NAME=HOST:PORT,..")]
    initial_cluster: Option<String>,
    /// Join the running cluster of these members, named by their peer addresses, after
    /// `althing member add`; without effect once this node belongs to it
    #[arg(long, value_name = "HOST:PORT,..", conflicts_with = "initial_cluster")]
    join: Option<String>,
    /// Where the other nodes find one that joins [default: as --listen-peer]
    #[arg(long, value_name = "HOST:PORT")]
    advertise_peer: Option<String>,
    /// Names the cluster, so that two do not mix by mistake [default: althing-cluster]
    #[arg(long, value_name = "WORD")]
    cluster_token: Option<String>,
    /// How the nodes agree, the same on all of them and for good; `paxos` is Multi-Paxos
    /// [default: raft]
    #[arg(long, value_name = "raft|paxos")]
    consensus: Option<String>,
    /// How long to wait for a leader before asking for votes [default: 1s]
    #[arg(long, value_name = "TIME")]
    election_timeout: Option<String>,
    /// How often a leader says that it is there [default: 100ms]
    #[arg(long, value_name = "TIME")]
    heartbeat_interval: Option<String>,
    /// Refuse writes when the store takes more than this [default: 2GiB]
    #[arg(long, value_name = "SIZE")]
    quota: Option<String>,
    /// Keep this much of the keys' history: a time, a number of revisions, or `all` [default: 1h]
    #[arg(long, value_name = "TIME|COUNT|all")]
    retention: Option<String>,
    /// Take a snapshot after so many entries of the log [default: 1000000]
    #[arg(long, value_name = "COUNT")]
    snapshot_entries: Option<String>,
    /// How often it is looked whether all nodes hold the same [default: 10m]
    #[arg(long, value_name = "TIME")]
    corrupt_check_time: Option<String>,
    /// How users are known once they have signed in, for which nodes must agree: `simple`, or
    /// jwt,sign-method=EdDSA|ES256|RS256|HS256,priv-key=FILE; `ttl` is how long that lasts
    /// [default: simple,ttl=5m]
    #[arg(long, value_name = "KIND[,PART=..]")]
    auth_token: Option<String>,
    /// Make users count from the first moment on, with a user `root` whose password is the first
    /// line of this file
    #[arg(long, value_name = "FILE")]
    root_password_file: Option<String>,
    /// Append a line of JSON to this file for every administrative call and every refusal
    #[arg(long, value_name = "FILE")]
    audit_log: Option<String>,
    /// The certificate of this node in PEM, for TLS; read again when it changes
    #[arg(long = "tls-cert", value_name = "FILE", help_heading = "TLS")]
    certificate: Option<String>,
    /// The private key of --tls-cert
    #[arg(long = "tls-key", value_name = "FILE", help_heading = "TLS")]
    private_key: Option<String>,
    /// Let in only clients with a certificate of these authorities
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    client_ca: Option<String>,
    /// Refuse the certificates in this list, which their authorities took back
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    crl: Option<String>,
    /// Speak to the other nodes under TLS, if they have certificates of these authorities
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    peer_ca: Option<String>,
    /// The certificate that the other nodes are shown [default: as --tls-cert]
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    peer_cert: Option<String>,
    /// The private key of --peer-cert [default: as --tls-key]
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    peer_key: Option<String>,
    /// Listen to other machines without TLS or without knowing who is there
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "TLS"
    )]
    insecure: Option<String>,
    /// A TOML file with any of these settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show what counts and where it came from, and start nothing
    #[arg(long)]
    check: bool,
}

impl ServeArguments {
    /// The word given for each setting on the command line.
    fn words(&self) -> [(&'static str, &Option<String>); 27] {
        [
            ("name", &self.name),
            ("data", &self.data),
            ("listen-client", &self.listen_client),
            ("listen-peer", &self.listen_peer),
            ("advertise-client", &self.advertise_client),
            ("initial-cluster", &self.initial_cluster),
            ("join", &self.join),
            ("advertise-peer", &self.advertise_peer),
            ("cluster-token", &self.cluster_token),
            ("consensus", &self.consensus),
            ("election-timeout", &self.election_timeout),
            ("heartbeat-interval", &self.heartbeat_interval),
            ("quota", &self.quota),
            ("retention", &self.retention),
            ("snapshot-entries", &self.snapshot_entries),
            ("corrupt-check-time", &self.corrupt_check_time),
            ("auth-token", &self.auth_token),
            ("root-password-file", &self.root_password_file),
            ("audit-log", &self.audit_log),
            ("tls-cert", &self.certificate),
            ("tls-key", &self.private_key),
            ("client-ca", &self.client_ca),
            ("crl", &self.crl),
            ("peer-ca", &self.peer_ca),
            ("peer-cert", &self.peer_cert),
            ("peer-key", &self.peer_key),
            ("insecure", &self.insecure),
        ]
    }
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
    fn words(&self) -> [(&'static str, String); 27] {
        let peers = self.initial_cluster.iter().map(|(name, address)| format!("{name}={address}"));
        let audit_log = self.audit_log.as_ref();
        let [root_password, cert, key, client_ca, crl, peer_ca, peer_cert, peer_key, insecure] =
            self.security.words();
        [
            ("name", self.name.clone()),
            ("data", self.data.display().to_string()),
            ("listen-client", self.listen_client.to_string()),
            ("listen-peer", self.listen_peer.to_string()),
            ("advertise-client", self.advertise_client.to_string()),
            ("initial-cluster", peers.collect::<Vec<_>>().join(",")),
            ("join", joined(&self.join)),
            ("advertise-peer", self.advertise_peer.to_string()),
            ("cluster-token", self.cluster_token.clone()),
            ("consensus", self.consensus.to_string()),
            ("election-timeout", duration::show(self.election_timeout)),
            ("heartbeat-interval", duration::show(self.heartbeat_interval)),
            ("quota", size::show(self.quota)),
            ("retention", retention::show(self.retention)),
            ("snapshot-entries", self.snapshot_entries.to_string()),
            ("corrupt-check-time", duration::show(self.corrupt_check_time)),
            ("auth-token", self.tokens.show()),
            root_password,
            ("audit-log", audit_log.map(|path| path.display().to_string()).unwrap_or_default()),
            cert,
            key,
            client_ca,
            crl,
            peer_ca,
            peer_cert,
            peer_key,
            insecure,
        ]
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
