//! `althing serve`: one node, until it is told to stop or its storage fails.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Mutex;

use althing_node::client::AUDIT_TARGET;
use althing_node::client::TokenSettings;
use althing_node::{Listeners, MemberAddress, Node, NodeError, OpenError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::Outcome;
use crate::client::Address;
use crate::failure::{Failure, Kind, is_painted};
use crate::settings::Settings;
use crate::signals::Signals;
use crate::traces::Traces;

/// Runs the node that these settings describe.
pub(crate) async fn run(settings: Settings) -> Result<Outcome, Failure> {
    let audit = settings.audit_log.as_deref().map(open_audit_log).transpose()?;
    let traces = Traces::begin()?;
    log_to_stderr_from("info", audit, &traces);
    traces.tell();
    let outcome = serve(settings).await;
    traces.end().await;
    outcome
}

async fn serve(settings: Settings) -> Result<Outcome, Failure> {
    let mut stop = Signals::listen()?;
    let tokens = settings.tokens.settings()?;
    let listeners = Listeners {
        client: bind(&settings.listen_client, "--listen-client")?,
        peer: bind(&settings.listen_peer, "--listen-peer")?,
    };
    let data = settings.data.clone();
    let root_password = settings.security.root_password()?;
    let mut node_settings = node_settings(settings, tokens);
    node_settings.root_password = root_password;
    node_settings.limits.connections = connections(node_settings.limits.connections, 1);
    let name = node_settings.name.clone();
    // Recovery may take a while, and whoever waits for it may lose patience.
    let starting = tokio::task::spawn_blocking(|| Node::start(node_settings, listeners));
    let started = tokio::select! {
        started = starting => started.unwrap_or(Err(NodeError::Panicked)),
        _ = stop.received() => return Err(impatient()),
    };
    let mut node = started.map_err(|error| failure(&data, &error))?;
    tracing::info!(
        "{name} serves clients at {}, data in {}",
        node.client_address(),
        data.display()
    );
    tokio::select! {
        ended = node.ended() => ended.map_err(|error| failure(&data, &error))?,
        _ = stop.received() => tracing::info!("stops"),
    }
    let stopping = tokio::task::spawn_blocking(|| node.stop());
    tokio::select! {
        // A node that panicked has said so.
        _ = stopping => Ok(Outcome::Done),
        _ = stop.received() => Err(impatient()),
    }
}

/// The end of a process that was told to stop while it could not stop in order. What was
/// acknowledged is safe all the same.
pub(crate) fn impatient() -> Failure {
    Failure::new(Kind::Other, "stopped at once, without waiting for what was under way")
}

/// The settings of the node, in its own words.
pub(crate) fn node_settings(settings: Settings, tokens: TokenSettings) -> althing_node::Settings {
    let members = settings
        .initial_cluster
        .iter()
        .map(|(name, address)| MemberAddress { name: name.clone(), peer: address.to_string() })
        .collect();
    let client_tls = settings.security.client();
    let scheme = if client_tls.is_some() { "https" } else { "http" };
    althing_node::Settings {
        advertise_client: vec![format!("{scheme}://{}", settings.advertise_client)],
        tokens,
        client_tls,
        peer_tls: settings.security.peer(),
        join: settings.join.iter().map(ToString::to_string).collect(),
        advertise_peer: settings.advertise_peer.to_string(),
        cluster_token: settings.cluster_token,
        consensus: settings.consensus,
        election_timeout: settings.election_timeout,
        heartbeat_interval: settings.heartbeat_interval,
        quota_bytes: settings.quota,
        retention: settings.retention,
        snapshot_entries: settings.snapshot_entries,
        corrupt_check_time: settings.corrupt_check_time,
        ..althing_node::Settings::new(settings.name, settings.data, members)
    }
}

/// As many connections of clients as each of `nodes` in this process can have, up to `wanted`: the
/// system limits how many files are open, and the log needs some of them.
pub(crate) fn connections(wanted: usize, nodes: usize) -> usize {
    const OTHERS: u64 = 256;
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Where it cannot be raised the former limit is what there is.
    let files = setrlimit(Resource::Nofile, raised).map_or(limit.current, |()| limit.maximum);
    let share = files.unwrap_or(u64::MAX).saturating_sub(OTHERS) / nodes as u64;
    let possible = usize::try_from(share).unwrap_or(usize::MAX).max(1);
    if possible < wanted {
        tracing::warn!(
            "{possible} clients at a time instead of {wanted}: this process may open no more files \
             (ulimit -n)"
        );
    }
    possible.min(wanted)
}

/// Logs go to the standard error; `ALTHING_LOG` chooses what, as in `althing_node=debug`, and
/// without it this level and what is above. The audit's part of them goes to a file, too.
pub(crate) fn log_to_stderr_from(level: &str, audit: Option<File>, traces: &Traces) {
    let chosen = EnvFilter::try_from_env("ALTHING_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let to_stderr = fmt::layer().with_ansi(is_painted()).with_writer(std::io::stderr);
    let is_audit = filter_fn(|about| about.target() == AUDIT_TARGET);
    let to_file = audit.map(|file| {
        let lines = fmt::layer().json().flatten_event(true).with_target(false);
        lines.with_writer(Mutex::new(file)).with_filter(is_audit)
    });
    let subscriber = tracing_subscriber::registry().with(traces.layer());
    subscriber.with(to_stderr.with_filter(chosen)).with(to_file).init();
}

/// For its owner alone: it names users.
fn open_audit_log(path: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    file.map_err(|error| {
        Failure::new(Kind::Other, format!("cannot write the audit log {}", path.display()))
            .cause(error)
            .hint("name another file with --audit-log")
    })
}

/// Binds a socket, so that a wrong address is told before anything else happens.
pub(crate) fn bind(address: &Address, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address.to_string()).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "stop what listens there, or choose another port",
            _ => "check the address",
        };
        Failure::new(Kind::Other, format!("cannot listen on {address}"))
            .cause(error)
            .hint(format!("{hint} with {flag}"))
    })
}

/// A node's end, with what its user can do about it.
pub(crate) fn failure(data: &Path, error: &NodeError) -> Failure {
    let folder = data.display();
    let (message, hint) = match error {
        NodeError::Removed => {
            let message = format!("the cluster removed this node, for good ({folder})");
            return Failure::new(Kind::Removed, message)
                .cause("its member is gone, and the cluster goes on without it")
                .hint(
                    "`althing member add` it anew, and start it with --join and an empty --data",
                );
        }
        NodeError::Settings(_) => ("the settings contradict themselves", "althing serve --help"),
        NodeError::Tls(_) => {
            let message = "a certificate, its key or an authority cannot be used";
            return Failure::new(Kind::Other, message)
                .cause(error)
                .hint("`althing certificate` makes those that can");
        }
        NodeError::Open(OpenError::OtherProtocol { found, .. }) => {
            let message = format!("the data folder is one of {found} ({folder})");
            return Failure::new(Kind::Other, message).cause(error).hint(format!(
                "go on with --consensus {found}, or choose an empty folder with --data"
            ));
        }
        NodeError::Open(_) | NodeError::Snapshot(_) => {
            ("the data folder cannot be used", "choose another folder with --data")
        }
        NodeError::Start(_) => ("the node cannot start", "check the limits of this process"),
        NodeError::StorageFailed(_) => (
            "the node stopped because its storage failed; what was acknowledged is safe",
            "make room or mend the disk, then start the node again",
        ),
        NodeError::DataLost(_) => {
            let message = format!("this member lost its data, and must not found again ({folder})");
            return Failure::new(Kind::Other, message).cause(error).hint(
                "put its folder back; or `althing member remove` this member, `althing member add` \
                 it anew, and start it with --join instead of --initial-cluster",
            );
        }
        NodeError::StartedBefore(_) => (
            "this node cannot join: the member at its address has other data",
            "start that data, or `althing member remove` the member and add it anew",
        ),
        NodeError::OtherProtocol(_) => (
            "this node cannot join the cluster",
            "start it with the cluster's --consensus and the cluster's version of althing",
        ),
        NodeError::Panicked => ("the node stopped on a bug", "report it with the lines above"),
    };
    Failure::new(Kind::Other, format!("{message} ({folder})")).cause(error).hint(hint)
}
