use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use althing_consensus::replication;
use althing_core::{ClusterId, NodeId};
use zeroize::Zeroizing;

use crate::client::{Limits, TokenSettings};
use crate::consensus::Consensus;
use crate::handle::{Facts, RequestLimits};
use crate::history::Retention;
use crate::members::Card;
use crate::peers::Membership;
use crate::tls::TlsFiles;

/// Everything a node is told when it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name, one of `members`.
    pub name: String,
    /// The folder that holds its log and snapshots. Created if it is not there.
    pub data: PathBuf,
    /// The URLs at which clients reach it, told to whoever asks for the members.
    pub advertise_client: Vec<String>,
    /// All members that the cluster is founded with, this one included. Where they are counts until
    /// the cluster's own word is another.
    pub members: Vec<MemberAddress>,
    /// Where members of a running cluster listen for their peers, as `host:port`: the node joins
    /// that one, if it does not belong to it already, and `members` is empty. It must have been
    /// added to the cluster, or be added soon. Default: none, the cluster is founded.
    pub join: Vec<String>,
    /// Where its peers find a node that joins, as `host:port`.
    pub advertise_peer: String,
    /// Tells clusters apart whose members have the same names.
    pub cluster_token: String,
    /// How the members agree, which is the same for all of them. Default: by Raft.
    pub consensus: Consensus,
    /// How long a follower waits for its leader, up to twice as long. Default 1 s.
    pub election_timeout: Duration,
    /// How often a leader speaks at least. Default 100 ms; at most a fifth of the election timeout.
    pub heartbeat_interval: Duration,
    /// How large the keyspace may be, in bytes of memory. Default 2 GiB.
    pub quota_bytes: u64,
    /// How much of the keys' history is kept. Default: an hour.
    pub retention: Retention,
    /// A snapshot is taken after this many entries. Default 1,000,000.
    pub snapshot_entries: u64,
    /// A snapshot is taken after this many bytes of entries, if the keyspace holds no more, and in
    /// any case after eight times as many. Default 64 MiB.
    pub snapshot_bytes: u64,
    /// How often the leader looks whether all members hold the same, if there was a write since.
    /// Default 10 min.
    pub corrupt_check_time: Duration,
    /// How long a request waits for its outcome. Default 5 s.
    pub request_timeout: Duration,
    /// Threads for clients' sockets. With zero they share the consensus thread, which costs the
    /// least; one or more keep heavy reads away from it. Default 0. Under TLS there is always one,
    /// since a handshake takes longer than a heartbeat may wait.
    pub client_threads: usize,
    /// How a user is known once it has proved who it is. Default: by tokens that last five minutes
    /// after their last use.
    pub tokens: TokenSettings,
    /// TLS for clients. Default: none.
    pub client_tls: Option<TlsFiles>,
    /// Makes users count from the first moment on: unless they do already, a user `root` with this
    /// password is added when the cluster first comes together, and clients are served from then
    /// on. Default: none, and everybody may do everything until users are enabled.
    pub root_password: Option<Zeroizing<String>>,
    /// TLS between members, who must all have it or none of them; its authorities must be named,
    /// and whoever has a certificate of theirs may speak as any member. Default: none.
    pub peer_tls: Option<TlsFiles>,
    /// What clients may take at most.
    pub limits: Limits,
}

/// A member's name, and where its peers reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberAddress {
    /// Its name, unique in the cluster.
    pub name: String,
    /// `host:port` of its peer socket.
    pub peer: String,
}

/// Why settings cannot be used. The node did not start and touched nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// This node is not among the members.
    #[error("the initial cluster has no member named {name:?}; its members are {members}")]
    NotAMember {
        /// The name.
        name: String,
        /// The members' names.
        members: String,
    },
    /// A name stands for two members.
    #[error("the initial cluster names {name:?} twice")]
    NamedTwice {
        /// The name.
        name: String,
    },
    /// It cannot both found a cluster and join one.
    #[error("a node that joins a cluster has no founding members, and says where it is found")]
    JoinsAndFounds,
    /// A name or an address would not fit into what members know of each other.
    #[error("a name or an address in the initial cluster is longer than {max} bytes")]
    TooLong {
        /// The most.
        max: usize,
    },
    /// Leaders would be deposed between two heartbeats.
    #[error("an election timeout of {election:?} is under five heartbeats of {heartbeat:?}")]
    ElectionTooShort {
        /// The election timeout.
        election: Duration,
        /// The heartbeat interval.
        heartbeat: Duration,
    },
}

impl Settings {
    /// The settings of a member, all else as by default.
    pub fn new(
        name: impl Into<String>,
        data: impl Into<PathBuf>,
        members: Vec<MemberAddress>,
    ) -> Self {
        Self {
            name: name.into(),
            data: data.into(),
            advertise_client: Vec::new(),
            members,
            join: Vec::new(),
            advertise_peer: String::new(),
            cluster_token: "althing".to_owned(),
            consensus: Consensus::default(),
            election_timeout: Duration::from_secs(1),
            heartbeat_interval: Duration::from_millis(100),
            quota_bytes: 2 << 30,
            retention: Retention::Time(Duration::from_secs(3600)),
            snapshot_entries: 1_000_000,
            snapshot_bytes: 64 << 20,
            corrupt_check_time: Duration::from_secs(600),
            request_timeout: Duration::from_secs(5),
            client_threads: 0,
            tokens: TokenSettings::default(),
            client_tls: None,
            root_password: None,
            peer_tls: None,
            limits: Limits::default(),
        }
    }

    /// Checks what can be checked without touching anything.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn check(&self) -> Result<(), SettingsError> {
        self.check_members()?;
        let is_long = |member: &MemberAddress| {
            member.name.len().max(self.peer_url(member).len()) > Card::TEXT_SIZE_MAX
        };
        if self.members.iter().any(is_long) {
            return Err(SettingsError::TooLong { max: Card::TEXT_SIZE_MAX });
        }
        let (election, heartbeat) = (self.election_timeout, self.heartbeat_interval);
        if election < heartbeat * 5 {
            return Err(SettingsError::ElectionTooShort { election, heartbeat });
        }
        Ok(())
    }

    fn check_members(&self) -> Result<(), SettingsError> {
        if !self.join.is_empty() {
            let is_clear = self.members.is_empty() && !self.advertise_peer.is_empty();
            return if is_clear { Ok(()) } else { Err(SettingsError::JoinsAndFounds) };
        }
        let mut names: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(SettingsError::NamedTwice { name: pair[0].to_owned() });
        }
        if !names.contains(&self.name.as_str()) {
            let members = names.join(", ");
            return Err(SettingsError::NotAMember { name: self.name.clone(), members });
        }
        Ok(())
    }

    /// The cluster's id. It follows from the token and the members' names, so that addresses may
    /// change and all members agree without talking.
    pub fn cluster_id(&self) -> ClusterId {
        let mut names: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        names.sort_unstable();
        names.insert(0, &self.cluster_token);
        ClusterId(fingerprint(&names))
    }

    /// The id of the member of this name.
    pub fn node_id(&self, name: &str) -> NodeId {
        let number = fingerprint(&[&self.cluster_token, name]);
        NodeId::new(number).unwrap_or(const { NodeId::new(u64::MAX).expect("not zero") })
    }

    /// Who this node is, if it founds the cluster.
    pub(crate) fn membership(&self) -> Membership {
        Membership { cluster: self.cluster_id(), node: self.node_id(&self.name) }
    }

    /// Where peers find a member.
    pub(crate) fn peer_url(&self, member: &MemberAddress) -> String {
        let scheme = if self.peer_tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", member.peer)
    }

    /// Where the founding members are.
    fn founding_cards(&self) -> BTreeMap<NodeId, Card> {
        let card = |member: &MemberAddress| Card {
            name: member.name.clone(),
            peer_urls: vec![self.peer_url(member)],
            will_vote: false,
        };
        let members = self.members.iter();
        members.map(|member| (self.node_id(&member.name), card(member))).collect()
    }

    /// Where its peers find this node, as `host:port`.
    pub(crate) fn own_addresses(&self) -> Arc<[String]> {
        let own = self.members.iter().find(|member| member.name == self.name);
        let address = own.map_or(&self.advertise_peer, |member| &member.peer);
        [address.clone()].into()
    }

    pub(crate) fn facts(&self, Membership { cluster, node }: Membership) -> Facts {
        // etcd's bound: an election and a half, in whole seconds.
        let seconds_min = (self.election_timeout * 3 / 2).as_secs_f64().ceil();
        Facts {
            cluster,
            node,
            name: self.name.clone(),
            consensus: self.consensus,
            founding: self.founding_cards(),
            quota_bytes: self.quota_bytes,
            limits: RequestLimits {
                token_time: self.tokens.time(),
                timeout: self.request_timeout,
                lease_seconds_min: (seconds_min as i64).max(1),
            },
        }
    }

    pub(crate) fn replica_options(&self) -> replication::Options {
        replication::Options {
            election_timeout: self.election_timeout,
            heartbeat_interval: self.heartbeat_interval,
            ..replication::Options::default()
        }
    }
}

/// FNV-1a with 64 bits over the parts and their lengths (Fowler, Noll, Vo).
fn fingerprint(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        let length = (part.len() as u64).to_le_bytes();
        for byte in length.iter().chain(part.as_bytes()) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(names: &[&str]) -> Settings {
        let members = names
            .iter()
            .map(|name| MemberAddress { name: (*name).to_owned(), peer: "localhost:1".to_owned() })
            .collect();
        Settings::new("a", "nowhere", members)
    }

    #[test]
    fn the_cluster_id_depends_on_names_and_token_and_nothing_else() {
        let id = settings(&["a", "b", "c"]).cluster_id();
        assert_eq!(settings(&["c", "a", "b"]).cluster_id(), id, "order does not matter");
        assert_ne!(settings(&["a", "b"]).cluster_id(), id);
        assert_ne!(settings(&["a", "bc"]).cluster_id(), settings(&["ab", "c"]).cluster_id());
        let mut other = settings(&["a", "b", "c"]);
        other.cluster_token = "other".to_owned();
        assert_ne!(other.cluster_id(), id);
        assert_ne!(other.node_id("a"), settings(&["a"]).node_id("a"));
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let named_twice = settings(&["a", "b", "a"]).check();
        assert_eq!(named_twice, Err(SettingsError::NamedTwice { name: "a".to_owned() }));
        let stranger = settings(&["b", "c"]).check();
        assert!(matches!(stranger, Err(SettingsError::NotAMember { .. })));
        let long = "b".repeat(301);
        let long = settings(&["a", &long]).check();
        assert_eq!(long, Err(SettingsError::TooLong { max: 300 }));
        let mut hasty = settings(&["a"]);
        hasty.election_timeout = hasty.heartbeat_interval * 4;
        assert!(matches!(hasty.check(), Err(SettingsError::ElectionTooShort { .. })));
        assert_eq!(settings(&["a", "b", "c"]).check(), Ok(()));
    }
}
