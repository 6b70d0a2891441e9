//! Every setting of `althing serve`: its flag, of which the variable and the line of the file
//! follow, its default, its help and the words that would set it. What a word means is said where
//! it is read, in [`Settings::new`] and [`super::Security::read`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::{Settings, joined, retention, size};
use crate::duration;

/// One setting.
pub(super) struct Setting {
    /// What it is called: as a flag behind two dashes, in the file as it is.
    pub(super) key: &'static str,
    /// Missing where it depends on another setting, or where nothing is set.
    pub(super) default: Option<&'static str>,
    /// The words that would set it to what counts.
    pub(super) show: fn(&Settings) -> String,
    value: &'static str,
    help: &'static str,
    heading: Option<&'static str>,
}

/// In the order in which they are shown.
pub(super) const SETTINGS: [Setting; 27] = [
    setting("name", "NAME", "The name of this node, one of those in --initial-cluster", |it| {
        it.name.clone()
    })
    .or("default"),
    setting(
        "data",
        "FOLDER",
        "The folder for its log and snapshots [default: NAME.althing]",
        |it| it.data.display().to_string(),
    ),
    setting("listen-client", "HOST:PORT", "Where to listen for clients", |it| {
        it.listen_client.to_string()
    })
    .or("127.0.0.1:2379"),
    setting("listen-peer", "HOST:PORT", "Where to listen for the other nodes", |it| {
        it.listen_peer.to_string()
    })
    .or("127.0.0.1:2380"),
    setting(
        "advertise-client",
        "HOST:PORT",
        "Where clients find this node [default: as --listen-client]",
        |it| it.advertise_client.to_string(),
    ),
    setting(
        "initial-cluster",
        "NAME=HOST:PORT,..",
        "Every node and where the others find it [default: this node alone]",
        |it| {
            let peers = it.initial_cluster.iter();
            peers.map(|(name, at)| format!("{name}={at}")).collect::<Vec<_>>().join(",")
        },
    ),
    setting(
        "join",
        "HOST:PORT,..",
        "Join the running cluster of these members, named by their peer addresses, after \
         `althing member add`; without effect once this node belongs to it",
        |it| joined(&it.join),
    ),
    setting(
        "advertise-peer",
        "HOST:PORT",
        "Where the other nodes find one that joins [default: as --listen-peer]",
        |it| it.advertise_peer.to_string(),
    ),
    setting(
        "cluster-token",
        "WORD",
        "Names the cluster, so that two do not mix by mistake",
        |it| it.cluster_token.clone(),
    )
    .or("althing-cluster"),
    setting(
        "consensus",
        "raft|paxos",
        "How the nodes agree, the same on all of them and for good; `paxos` is Multi-Paxos",
        |it| it.consensus.to_string(),
    )
    .or("raft"),
    setting(
        "election-timeout",
        "TIME",
        "How long to wait for a leader before asking for votes",
        |it| duration::show(it.election_timeout),
    )
    .or("1s"),
    setting("heartbeat-interval", "TIME", "How often a leader says that it is there", |it| {
        duration::show(it.heartbeat_interval)
    })
    .or("100ms"),
    setting("quota", "SIZE", "Refuse writes when the store takes more than this", |it| {
        size::show(it.quota)
    })
    .or("2GiB"),
    setting(
        "retention",
        "TIME|COUNT|all",
        "Keep this much of the keys' history: a time, a number of revisions, or `all`",
        |it| retention::show(it.retention),
    )
    .or("1h"),
    setting(
        "snapshot-entries",
        "COUNT",
        "Take a snapshot after so many entries of the log",
        |it| it.snapshot_entries.to_string(),
    )
    .or("1000000"),
    setting(
        "corrupt-check-time",
        "TIME",
        "How often it is looked whether all nodes hold the same",
        |it| duration::show(it.corrupt_check_time),
    )
    .or("10m"),
    setting(
        "auth-token",
        "KIND[,PART=..]",
        "How users are known once they have signed in, for which nodes must agree: `simple`, or \
         jwt,sign-method=EdDSA|ES256|RS256|HS256,priv-key=FILE; `ttl` is how long that lasts",
        |it| it.tokens.show(),
    )
    .or("simple,ttl=5m"),
    setting(
        "root-password-file",
        "FILE",
        "Make users count from the first moment on, with a user `root` whose password is the \
         first line of this file",
        |it| path(&it.security.root_password),
    ),
    setting(
        "audit-log",
        "FILE",
        "Append a line of JSON to this file for every administrative call and every refusal",
        |it| path(&it.audit_log),
    ),
    tls(
        "tls-cert",
        "The certificate of this node in PEM, for TLS; read again when it changes",
        |it| path(&it.security.certificate),
    ),
    tls("tls-key", "The private key of --tls-cert", |it| path(&it.security.key)),
    tls("client-ca", "Let in only clients with a certificate of these authorities", |it| {
        path(&it.security.client_authorities)
    }),
    tls("crl", "Refuse the certificates in this list, which their authorities took back", |it| {
        path(&it.security.revoked)
    }),
    tls(
        "peer-ca",
        "Speak to the other nodes under TLS, if they have certificates of these authorities",
        |it| path(&it.security.peer_authorities),
    ),
    tls(
        "peer-cert",
        "The certificate that the other nodes are shown [default: as --tls-cert]",
        |it| path(&it.security.peer_certificate),
    ),
    tls("peer-key", "The private key of --peer-cert [default: as --tls-key]", |it| {
        path(&it.security.peer_key)
    }),
    Setting {
        value: "true|false",
        ..tls(
            "insecure",
            "Listen to other machines without TLS or without knowing who is there",
            |it| it.security.is_insecure.to_string(),
        )
    }
    .or("false"),
];

const fn setting(
    key: &'static str,
    value: &'static str,
    help: &'static str,
    show: fn(&Settings) -> String,
) -> Setting {
    Setting { key, default: None, show, value, help, heading: None }
}

/// A file of TLS.
const fn tls(key: &'static str, help: &'static str, show: fn(&Settings) -> String) -> Setting {
    Setting { heading: Some("TLS"), ..setting(key, "FILE", help, show) }
}

fn path(path: &Option<PathBuf>) -> String {
    path.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
}

impl Setting {
    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// The variable of the environment.
    pub(super) fn variable(&self) -> String {
        format!("ALTHING_{}", self.key.replace('-', "_").to_uppercase())
    }

    fn argument(&self) -> Arg {
        let argument = Arg::new(self.key).long(self.key).value_name(self.value);
        match (self.key, self.default) {
            // Bare, it says yes.
            ("insecure", _) => {
                argument.help(self.help).num_args(0..=1).default_missing_value("true")
            }
            ("join", _) => argument.help(self.help).conflicts_with("initial-cluster"),
            (_, Some(default)) => argument.help(format!("{} [default: {default}]", self.help)),
            (_, None) => argument.help(self.help),
        }
        .help_heading(self.heading)
    }
}

/// The words that were given for settings on the command line.
#[derive(Clone, Debug, Default)]
pub(super) struct Words(pub(super) BTreeMap<&'static str, String>);

impl Args for Words {
    fn augment_args(command: Command) -> Command {
        command.args(SETTINGS.iter().map(Setting::argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Words {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let word = |key: &'static str| Some((key, matches.get_one::<String>(key)?.clone()));
        Ok(Self(SETTINGS.iter().filter_map(|setting| word(setting.key)).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.append(&mut Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}
