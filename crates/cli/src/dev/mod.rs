//! `althing dev`: a whole cluster on this machine, from one command.

mod about;
mod certificates;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use althing_node::{Consensus, Handle, Listeners, MemberAddress, Node, NodeError, Settings};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tempfile::TempDir;
use tokio::task::JoinSet;

use self::about::About;
use self::certificates::Certificates;
use crate::Outcome;
use crate::client::HTTPS;
use crate::failure::{Failure, Kind};
use crate::output::Format;
use crate::serve;
use crate::signals::Signals;
use crate::traces::Traces;

/// Arguments of `althing dev`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
The nodes run in this one process and talk to each other over loopback, with a log on disk each, as
real ones do. Ctrl-C stops them.

Examples:
  althing dev                                three nodes, forgotten when they stop
  althing dev --data ./cluster               the same, kept; start it again and go on
  althing dev --nodes 5 --ports random       five, wherever there is room
  althing dev --consensus paxos              by Multi-Paxos instead of Raft
  althing dev --tls                          under TLS, with certificates made for it")]
pub(crate) struct DevArguments {
    /// How many nodes: 1, 3 or 5
    #[arg(long, default_value = "3", value_parser = ["1", "3", "5"])]
    nodes: String,
    /// Keep the data in this folder [default: a temporary one, removed at the end]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The first node's client port; its peer port is one higher, the next node's are ten higher.
    /// `random` takes whatever is free
    #[arg(long, value_name = "PORT|random", default_value = "2379")]
    ports: Ports,
    /// How the nodes agree: by Raft or by Multi-Paxos
    #[arg(long, value_name = "PROTOCOL", default_value = "raft", value_parser = consensus())]
    consensus: Consensus,
    /// Make certificates, and let nobody in without one
    #[arg(long)]
    tls: bool,
}

#[derive(Clone, Copy, Debug)]
enum Ports {
    From(u16),
    Random,
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        /// The highest port that leaves room for five nodes.
        const FIRST_MAX: u16 = u16::MAX - 41;
        if text == "random" {
            return Ok(Self::Random);
        }
        let port = text.parse::<u16>().ok().filter(|port| (1..=FIRST_MAX).contains(port));
        port.map(Self::From).ok_or_else(|| format!("expected 1 to {FIRST_MAX}, or `random`"))
    }
}

/// What `--consensus` takes.
fn consensus() -> impl TypedValueParser<Value = Consensus> {
    let names = PossibleValuesParser::new(Consensus::ALL.map(Consensus::name));
    names.map(|name| name.parse().expect("it is one of the names"))
}

/// One node that is about to start.
struct Plan {
    name: String,
    data: PathBuf,
    listeners: Listeners,
    client: String,
    peer: String,
}

/// Runs a cluster until it is told to stop or a node fails.
pub(crate) async fn run(arguments: &DevArguments, format: Format) -> Result<Outcome, Failure> {
    let traces = Traces::begin()?;
    serve::log_to_stderr_from("warn", None, &traces);
    traces.tell();
    let outcome = run_cluster(arguments, format).await;
    traces.end().await;
    outcome
}

async fn run_cluster(arguments: &DevArguments, format: Format) -> Result<Outcome, Failure> {
    let mut stop = Signals::listen()?;
    let started = Instant::now();
    let folder = Folder::new(arguments.data.as_deref())?;
    let count = arguments.nodes.parse::<u16>().expect("clap lets only numbers through");
    let plans = plan(count, arguments.ports, folder.path())?;
    let certificates = arguments.tls.then(|| Certificates::make(folder.path())).transpose()?;
    let members: Vec<MemberAddress> = plans
        .iter()
        .map(|plan| MemberAddress { name: plan.name.clone(), peer: plan.peer.clone() })
        .collect();

    let line = |plan: &Plan| (plan.name.clone(), plan.client.clone(), plan.peer.clone());
    let lines: Vec<_> = plans.iter().map(line).collect();
    let settings =
        |plan: &Plan| settings(plan, &members, arguments.consensus, certificates.as_ref());
    let mut nodes = tokio::select! {
        nodes = start(plans, settings) => nodes?,
        _ = stop.received() => return Ok(Outcome::Done),
    };
    let handles = nodes.iter().map(|(_, node)| node.handle().clone()).collect();
    tokio::select! {
        ready = are_ready(handles) => ready?,
        failed = first_failure(&mut nodes) => return Err(failed),
        _ = stop.received() => return Ok(Outcome::Done),
    }
    let consensus = arguments.consensus;
    let about = About { lines: &lines, nodes: &nodes, folder: &folder, consensus, certificates };
    about.present(started.elapsed(), format)?;
    tokio::select! {
        failed = first_failure(&mut nodes) => return Err(failed),
        _ = stop.received() => {}
    }
    // All at once: one after the other, those that are left would elect each other.
    let stopping: Vec<_> =
        nodes.into_iter().map(|(_, node)| tokio::task::spawn_blocking(|| node.stop())).collect();
    for node in stopping {
        tokio::select! {
            // A node that panicked has said so.
            _ = node => {}
            _ = stop.received() => return Err(serve::impatient()),
        }
    }
    if format != Format::Json {
        eprint_line(&folder.farewell());
    }
    Ok(Outcome::Done)
}

fn eprint_line(text: &str) {
    use std::io::Write as _;
    // Where the terminal is gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Where the nodes keep their data.
enum Folder {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Folder {
    fn new(kept: Option<&Path>) -> Result<Self, Failure> {
        match kept {
            Some(path) => Ok(Self::Kept(path.to_owned())),
            None => tempfile::Builder::new()
                .prefix("althing-dev-")
                .tempdir()
                .map(Self::Temporary)
                .map_err(|error| {
                    Failure::new(Kind::Other, "cannot make a temporary folder")
                        .cause(error)
                        .hint("name a folder with --data")
                }),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }

    fn farewell(&self) -> String {
        match self {
            Self::Kept(path) => format!("stopped; the data stays in {}", path.display()),
            Self::Temporary(_) => {
                "stopped; the data is removed (--data FOLDER keeps it)".to_owned()
            }
        }
    }
}

/// Finds a place for every node before any of them starts.
fn plan(count: u16, ports: Ports, folder: &Path) -> Result<Vec<Plan>, Failure> {
    (0..count)
        .map(|position| {
            let (client_port, peer_port) = match ports {
                Ports::From(first) => (first + 10 * position, first + 10 * position + 1),
                Ports::Random => (0, 0),
            };
            let name = format!("n{}", position + 1);
            let client = bind(client_port)?;
            let peer = bind(peer_port)?;
            Ok(Plan {
                data: folder.join(&name),
                name,
                client: address(&client)?,
                peer: address(&peer)?,
                listeners: Listeners { client, peer },
            })
        })
        .collect()
}

fn bind(port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind(("127.0.0.1", port)).map_err(|error| {
        Failure::new(Kind::Other, format!("cannot listen on 127.0.0.1:{port}"))
            .cause(error)
            .hint("use other ports with --ports PORT, or whatever is free with --ports random")
    })
}

fn address(listener: &TcpListener) -> Result<String, Failure> {
    let address = listener.local_addr();
    address.map(|address| address.to_string()).map_err(|error| {
        Failure::new(Kind::Other, "cannot tell the address of a socket").cause(error)
    })
}

fn settings(
    plan: &Plan,
    members: &[MemberAddress],
    consensus: Consensus,
    certificates: Option<&Certificates>,
) -> Settings {
    let scheme = scheme(certificates);
    let tls = certificates.map(|certificates| certificates.node.clone());
    let mut settings = Settings {
        advertise_client: vec![format!("{scheme}{}", plan.client)],
        client_tls: tls.clone(),
        peer_tls: tls,
        cluster_token: "althing-dev".to_owned(),
        consensus,
        ..Settings::new(&plan.name, &plan.data, members.to_vec())
    };
    settings.limits.connections = serve::connections(settings.limits.connections, members.len());
    settings
}

/// Starts all nodes at once, for they found the cluster together.
async fn start(
    plans: Vec<Plan>,
    settings: impl Fn(&Plan) -> Settings,
) -> Result<Vec<(PathBuf, Node)>, Failure> {
    let mut starting = JoinSet::new();
    for plan in plans {
        let settings = settings(&plan);
        starting.spawn_blocking(|| {
            let Plan { name, data, listeners, .. } = plan;
            match Node::start(settings, listeners) {
                Ok(node) => Ok((name, data, node)),
                Err(error) => Err(serve::failure(&data, &error)),
            }
        });
    }
    let mut nodes = Vec::new();
    while let Some(started) = starting.join_next().await {
        nodes.push(started.expect("what starts a node does not panic")?);
    }
    nodes.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    Ok(nodes.into_iter().map(|(_, data, node)| (data, node)).collect())
}

/// Every node has caught up with a leader. On a machine whose disk is busy that takes a few tries.
async fn are_ready(handles: Vec<Handle>) -> Result<(), Failure> {
    const PATIENCE: Duration = Duration::from_secs(60);
    let started = Instant::now();
    for handle in handles {
        while let Err(error) = handle.linearizable().await {
            if started.elapsed() >= PATIENCE {
                return Err(Failure::new(Kind::NoLeader, "the nodes found no leader")
                    .cause(error)
                    .hint("see what they say with ALTHING_LOG=debug"));
            }
        }
    }
    Ok(())
}

/// The first node that ends by itself.
async fn first_failure(nodes: &mut [(PathBuf, Node)]) -> Failure {
    let waiting = nodes.iter_mut().map(|(data, node)| {
        Box::pin(async {
            let error = node.ended().await.err().unwrap_or(NodeError::Panicked);
            serve::failure(data, &error)
        })
    });
    first(waiting.collect()).await
}

/// What the first of these futures gives; there is at least one.
async fn first<F: Future + Unpin>(mut futures: Vec<F>) -> F::Output {
    std::future::poll_fn(move |context| {
        for future in &mut futures {
            let polled = std::pin::Pin::new(future).poll(context);
            if polled.is_ready() {
                return polled;
            }
        }
        std::task::Poll::Pending
    })
    .await
}

fn scheme(certificates: Option<&Certificates>) -> &'static str {
    if certificates.is_some() { HTTPS } else { "http://" }
}
