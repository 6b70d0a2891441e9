use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use althing_consensus::paxos::Ballots;
use althing_consensus::raft::Terms;
use althing_consensus::replication::{Machine, Message, Protocol};
use althing_consensus::{Replica as _, Restart};
use althing_core::{Index, NodeId};
use althing_storage::{OpenError, Opened, RealDisk};
use socket2::SockRef;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};

use crate::chores::chores;
use crate::clock::Clock;
use crate::consensus::Consensus;
use crate::driver::{Driver, End, Event, Inboxes, Parts, SnapshotPolicy};
use crate::handle::{Handle, Request, Shared};
use crate::memory::{Memory, founding, known_membership};
use crate::peers::{
    Founder, Founding, Inbound, Joining, Membership, NotAdmitted, NotFounding, OtherProtocol,
    Peers, Surroundings,
};
use crate::serving::Serving;
use crate::settings::{Settings, SettingsError};
use crate::tls::{Tls, TlsError};
use crate::{log_thread, snapshots};

/// The sockets of a node, bound already, so that whoever binds them can say what is wrong with an
/// address.
#[derive(Debug)]
pub struct Listeners {
    /// For clients.
    pub client: TcpListener,
    /// For the other members.
    pub peer: TcpListener,
}

/// A running node. Dropping it stops it.
#[derive(Debug)]
pub struct Node {
    handle: Handle,
    client_address: SocketAddr,
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<Result<(), NodeError>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Why a node did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The settings contradict themselves.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A certificate, a key or an authority cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data folder cannot be used.
    #[error("{0}")]
    Open(OpenError),
    /// The newest snapshot cannot be used.
    #[error("{0}")]
    Snapshot(String),
    /// The operating system refused a thread or a socket.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    /// The log could not be written. What was acknowledged is safe; the node must be started again
    /// once the disk is well.
    #[error("the storage failed: {0}")]
    StorageFailed(String),
    /// The cluster removed this node, and goes on without it.
    #[error("the cluster removed this member, for good")]
    Removed,
    /// The member that this node would be has been there before: its data is elsewhere, or lost.
    #[error("{0} has started before, and its data is not here")]
    StartedBefore(NodeId),
    /// The cluster lives, and knows this founding member; what that promised is not here, and the
    /// node must not promise anything else.
    #[error(
        "the cluster knows {0}, which has started before, and the folder is empty: what this \
         member promised is lost"
    )]
    DataLost(NodeId),
    /// The cluster that the node should join agrees in another way.
    #[error(transparent)]
    OtherProtocol(OtherProtocol),
    /// A thread of the node panicked: a bug.
    #[error("the node's thread panicked; this is a bug")]
    Panicked,
}

impl From<End> for NodeError {
    fn from(end: End) -> Self {
        match end {
            End::StorageFailed(why) => Self::StorageFailed(why),
            End::Removed => Self::Removed,
        }
    }
}

/// How many clients may wait to be accepted. With the 128 of the standard library a crowd that
/// comes at once waits for a second: that is when the system asks again for who was turned away.
const BACKLOG: i32 = 4096;
/// The capacity of the channel from clients to the driver; one more is told to come back.
const REQUESTS_MAX: usize = 16_384;
/// The capacity of the channel from peers to the driver; then their sockets wait.
const RECEIVED_MAX: usize = 1024;

impl Node {
    /// Starts a node: opens its data, recovers, joins its peers and serves clients.
    ///
    /// # Errors
    /// The settings, the data folder or the operating system refuse.
    pub fn start(settings: Settings, listeners: Listeners) -> Result<Self, NodeError> {
        settings.check()?;
        let client_address = listeners.client.local_addr()?;
        listeners.client.set_nonblocking(true)?;
        SockRef::from(&listeners.client).listen(BACKLOG)?;
        listeners.peer.set_nonblocking(true)?;
        let tls = Tls::open(&settings)?;
        let disk = RealDisk::open(&settings.data).map_err(NodeError::Open)?;
        let membership = match known_membership(&settings, &disk)? {
            Some(membership) => membership,
            None if settings.join.is_empty() => {
                let listener = listeners.peer.try_clone()?;
                wait_for(found(&settings, &tls, listener))??
            }
            None => wait_for(join(&settings, &tls))??,
        };
        let memory = Memory::recover(&settings, disk, membership)?;
        let runtime = runtime()?;

        let (stop, stopped) = watch::channel(false);
        let facts = settings.facts(membership);
        let shared = Arc::new(Shared::new(facts, random(), stopped.clone(), memory.keyspace));
        let (requests, requested) = mpsc::channel(REQUESTS_MAX);
        let handle = Handle::new(Arc::clone(&shared), requests);
        let (end, ended) = oneshot::channel();
        let run = Run {
            settings,
            listeners,
            tls,
            shared,
            handle: handle.clone(),
            opened: memory.opened,
            restart: memory.restart,
            requested,
            stopped,
        };
        let name = format!("althing-{}", run.settings.name);
        let thread = thread::Builder::new().name(name).spawn(move || {
            let outcome = runtime.block_on(run.run());
            // Nobody may be waiting for it.
            let _ = end.send(outcome);
        })?;
        Ok(Self { handle, client_address, stop, ended, thread: Some(thread) })
    }

    /// The door for clients within the process.
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Where it serves clients.
    pub const fn client_address(&self) -> SocketAddr {
        self.client_address
    }

    /// Waits until the node ends by itself.
    ///
    /// # Errors
    /// Why it did.
    pub async fn ended(&mut self) -> Result<(), NodeError> {
        (&mut self.ended).await.unwrap_or(Err(NodeError::Panicked))
    }

    /// Stops the node: clients' requests in flight may end, the log is closed.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been told already, by `ended` and on stderr.
            let _ = thread.join();
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Waits for what is asked of others before a node starts. Whoever starts it may do so within a
/// runtime, in whose threads there can be no other.
fn wait_for<T: Send>(asking: impl Future<Output = T> + Send) -> io::Result<T> {
    let ask = || runtime().map(|runtime| runtime.block_on(asking));
    let asked = thread::scope(|scope| scope.spawn(ask).join());
    asked.map_err(|_| io::Error::other("the thread that asks the other members panicked"))?
}

/// Makes sure that this node founds its cluster, together with the others.
async fn found(
    settings: &Settings,
    tls: &Tls,
    listener: TcpListener,
) -> Result<Membership, NodeError> {
    let membership = settings.membership();
    let Membership { cluster, node } = membership;
    let protocol = settings.consensus.protocol().to_owned();
    let others = settings.members.iter().filter(|member| member.name != settings.name);
    let founding = Founding {
        founder: Founder { cluster, node, protocol },
        others: others.map(|member| member.peer.clone()).collect(),
        tls: tls.peer.clone(),
    };
    founding.ask(listener).await?.map_err(|why| match why {
        NotFounding::StartedBefore => NodeError::DataLost(node),
        NotFounding::Removed => NodeError::Removed,
        NotFounding::OtherProtocol(other) => NodeError::OtherProtocol(other),
    })?;
    tracing::info!("founds cluster {cluster} as {node}");
    Ok(membership)
}

/// Asks a running cluster who this node is.
async fn join(settings: &Settings, tls: &Tls) -> Result<Membership, NodeError> {
    let joining = Joining {
        members: &settings.join,
        address: &settings.advertise_peer,
        protocol: settings.consensus.protocol(),
        tls: &tls.peer,
    };
    let admitted = joining.ask().await.map_err(|why| match why {
        NotAdmitted::StartedBefore(node) => NodeError::StartedBefore(node),
        NotAdmitted::OtherProtocol(other) => NodeError::OtherProtocol(other),
    })?;
    tracing::info!("joins cluster {} as {}", admitted.cluster, admitted.node);
    Ok(admitted)
}

/// Everything that the node's thread takes with it.
struct Run {
    settings: Settings,
    listeners: Listeners,
    tls: Tls,
    shared: Arc<Shared>,
    handle: Handle,
    opened: Opened<RealDisk>,
    restart: Restart,
    requested: mpsc::Receiver<Request>,
    stopped: watch::Receiver<bool>,
}

impl Run {
    /// Runs by the protocol of the settings: which one that is, nothing below knows.
    async fn run(self) -> Result<(), NodeError> {
        match self.settings.consensus {
            Consensus::Raft => self.run_by::<Terms>().await,
            Consensus::Paxos => self.run_by::<Ballots>().await,
        }
    }

    async fn run_by<P: Protocol>(self) -> Result<(), NodeError> {
        let Self { settings, listeners, tls, shared, handle, opened, restart, requested, stopped } =
            self;
        let clock = Clock::start();
        let (report, events) = mpsc::unbounded_channel::<Event>();
        let (deliver, received) = mpsc::channel::<Inbound<Message<P>>>(RECEIVED_MAX);
        let (log, log_thread) = log_thread::start(opened.wal, Arc::clone(&shared), report.clone())?;
        let stopping = Arc::new(AtomicBool::new(false));
        let newest = (opened.snapshot, founding(&settings));
        let applied = restart.begin;
        let replica = replica::<P>(shared.node, &settings, restart, clock);
        show_memory(&shared, &replica, applied.index);
        let surroundings = Surroundings {
            membership: Membership { cluster: shared.cluster, node: shared.node },
            tls: tls.peer.clone(),
            roster: shared.follow_roster(),
            own: settings.own_addresses(),
            handle: handle.clone(),
            events: report.clone(),
        };
        let peer_listener = tokio::net::TcpListener::from_std(listeners.peer)?;
        let peers = Peers::start(surroundings, peer_listener, deliver);
        let (jobs, snapshot_thread) =
            snapshots::start(opened.snapshots, newest, Arc::clone(&stopping), report)?;

        let driver = Driver::new(Parts {
            replica,
            clock,
            shared: Arc::clone(&shared),
            log,
            snapshots: jobs,
            peers,
            applied,
            policy: snapshot_policy(&settings),
            request_timeout: settings.request_timeout,
            compare_interval: settings.corrupt_check_time,
            read_retry: settings.election_timeout,
            first_read: random(),
            first_question: random(),
        });
        let following = tls.follow(&shared);
        let serving = Serving::start(
            &settings,
            listeners.client,
            tls.client,
            handle.clone(),
            stopped.clone(),
        )?;
        let chores = chores(settings, clock, &handle);
        let inboxes = Inboxes { events, received, requests: requested, stop: stopped };
        let outcome = driver.run(inboxes).await;
        stopping.store(true, Ordering::Relaxed);
        drop(chores);
        drop(following);
        match &outcome {
            Ok(()) => serving.ended().await,
            Err(End::StorageFailed(why)) => {
                // The first failure is the one to tell.
                let _ = shared.storage_failed.set(why.clone());
                tracing::error!("the storage failed: {why}");
                drop(serving);
            }
            Err(End::Removed) => drop(serving),
        }
        // The driver is gone, and with it the senders: both threads finish their work and end.
        for thread in [log_thread, snapshot_thread] {
            ended(thread).await?;
        }
        outcome.map_err(NodeError::from)
    }
}

async fn ended(thread: thread::JoinHandle<()>) -> Result<(), NodeError> {
    let joined = tokio::task::spawn_blocking(|| thread.join()).await;
    if matches!(joined, Ok(Ok(()))) { Ok(()) } else { Err(NodeError::Panicked) }
}

/// Makes known what this node remembers of itself and of who the members are.
fn show_memory<P: Protocol>(shared: &Shared, replica: &Machine<P>, applied: Index) {
    let status = replica.status();
    shared.gauge.show(&status, applied);
    shared.configure(status.configuration);
    if let Some(configuration) = replica.configuration_at(applied) {
        shared.settle(applied, Arc::clone(configuration));
    }
}

fn replica<P: Protocol>(
    me: NodeId,
    settings: &Settings,
    restart: Restart,
    clock: Clock,
) -> Machine<P> {
    Machine::new(me, settings.replica_options(), restart, random(), clock.now())
}

fn snapshot_policy(settings: &Settings) -> SnapshotPolicy {
    SnapshotPolicy {
        entries: settings.snapshot_entries,
        bytes: settings.snapshot_bytes,
        bytes_max: settings.snapshot_bytes.saturating_mul(8),
    }
}

/// Random enough for election timeouts, salts and ids.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
