use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use althing_consensus::ProposalId;
use althing_core::{Ballot, ClusterId, Configuration, Entry, Index, NodeId};
use althing_keyspace::{Authorized, Command, Keyspace, Principal, Rejection, Reply};
use tokio::sync::{mpsc, oneshot, watch};

use crate::Metrics;
use crate::consensus::Consensus;
use crate::envelope::Envelope;
use crate::leases::{LeaseQuestion, LeaseTime};
use crate::members::{Card, ChangeError, MemberAnswer, MemberChange, Roster};
use crate::tokens::Tokens;
use crate::watches::Watches;

/// The door to a running node, for whoever serves its clients. Cheap to clone, usable from every
/// thread.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
}

/// What clients ask of the driver.
#[derive(Debug)]
pub(crate) enum Request {
    /// Put this into the log and say what came of it.
    Propose {
        id: ProposalId,
        envelope: Arc<[u8]>,
        respond: oneshot::Sender<Result<Applied, RequestError>>,
    },
    /// Ask the leader about a lease.
    Lease { question: LeaseQuestion, respond: oneshot::Sender<Result<LeaseTime, RequestError>> },
    /// Say when the keyspace shows everything that was acknowledged before now.
    Read { respond: oneshot::Sender<Result<(), RequestError>> },
    /// Ask the leader to change the members.
    Members { change: MemberChange, respond: oneshot::Sender<Result<MemberAnswer, RequestError>> },
    /// Hand the leadership over.
    Transfer { to: NodeId, respond: oneshot::Sender<Result<(), ChangeError>> },
}

/// A command that was committed and applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What it did.
    pub reply: Reply,
    /// The term or round in which it was proposed.
    pub term: u64,
    /// Its place in the log.
    pub index: Index,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The command breaks a rule; nothing changed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Nobody leads; nothing changed.
    #[error("etcdserver: no leader")]
    NoLeader,
    /// No answer came in time. A command may have been carried out, or may yet be.
    #[error("etcdserver: request timed out")]
    TimedOut,
    /// More requests wait than are allowed to; nothing changed.
    #[error("etcdserver: too many requests")]
    Overloaded,
    /// The keyspace is as large as it may be; nothing changed.
    #[error("etcdserver: mvcc: database space exceeded")]
    NoSpace,
    /// The node stopped. A command may have been carried out.
    #[error("etcdserver: server stopped")]
    Stopped,
}

/// A node at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Itself.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// How it agrees with the others.
    pub consensus: Consensus,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// The current term or round.
    pub term: u64,
    /// The last place in its log.
    pub last_index: Index,
    /// The last entry that it knows to be committed.
    pub commit: Index,
    /// The last entry that it applied.
    pub applied: Index,
    /// About how much memory the keyspace takes, in bytes.
    pub database_bytes: u64,
    /// How much it may take, in bytes.
    pub quota_bytes: u64,
    /// Why the node stopped, if its storage failed.
    pub storage_failed: Option<String>,
    /// The cluster's members, in the order of their ids.
    pub members: Vec<MemberStatus>,
    /// Whether this node only receives the log, and does not vote.
    pub is_learner: bool,
}

/// A member of the cluster, as far as this node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Where the other members reach it, as URLs.
    pub peer_urls: Vec<String>,
    /// Where clients reach it, as URLs; empty until it has started once.
    pub client_urls: Vec<String>,
    /// Whether it only receives the log, and does not vote.
    pub is_learner: bool,
}

/// What the driver and the handles have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    pub(crate) name: String,
    pub(crate) consensus: Consensus,
    pub(crate) quota_bytes: u64,
    pub(crate) metrics: Metrics,
    pub(crate) storage_failed: OnceLock<String>,
    pub(crate) gauge: Gauge,
    pub(crate) watches: Arc<Watches>,
    /// By which tokens users are known here.
    pub(crate) tokens: Tokens,
    /// Whether users count, as the keyspace last showed it.
    has_users: AtomicBool,
    pub(crate) limits: RequestLimits,
    /// Turns true when the node stops.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Starts anywhere, so that a proposal of this run is never taken for one of an earlier run
    /// that is still in the log.
    next_proposal: AtomicU64,
    hasher: RandomState,
    keyspace: RwLock<Keyspace>,
    roster: watch::Sender<Roster>,
}

/// The driver's state, as it last showed it.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    leader: AtomicU64,
    term: AtomicU64,
    last_index: AtomicU64,
    commit: AtomicU64,
    applied: AtomicU64,
    applied_ballot: Mutex<Ballot>,
}

/// What a node knows about itself from its settings.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    pub(crate) name: String,
    pub(crate) consensus: Consensus,
    /// Where the founding members are, by the settings.
    pub(crate) founding: BTreeMap<NodeId, Card>,
    pub(crate) quota_bytes: u64,
    pub(crate) limits: RequestLimits,
}

/// What a node's settings say about requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestLimits {
    /// How long a request waits for its outcome.
    pub(crate) timeout: Duration,
    /// The shortest that a lease may last, in seconds: it must outlive an election.
    pub(crate) lease_seconds_min: i64,
    /// How long a token lasts that is not used.
    pub(crate) token_time: Duration,
}

impl Gauge {
    pub(crate) fn show(&self, status: &althing_consensus::Status, applied: Index) {
        // Each number stands for itself; nobody concludes from one to the other.
        self.leader.store(status.leader.map_or(0, NodeId::number), Ordering::Relaxed);
        self.term.store(status.promise.round, Ordering::Relaxed);
        self.last_index.store(status.last.index.0, Ordering::Relaxed);
        self.commit.store(status.commit.0, Ordering::Relaxed);
        self.applied.store(applied.0, Ordering::Relaxed);
    }

    /// Shows under which leadership the last applied entry was written. Reads that wait for the
    /// entry are let go only afterwards.
    pub(crate) fn show_applied_ballot(&self, ballot: Ballot) {
        *self.applied_ballot.lock().unwrap_or_else(PoisonError::into_inner) = ballot;
    }
}

impl Shared {
    pub(crate) fn new(
        facts: Facts,
        first_proposal: u64,
        stopping: watch::Receiver<bool>,
        keyspace: Keyspace,
    ) -> Self {
        let Facts { cluster, node, name, consensus, founding, quota_bytes, limits } = facts;
        let watches = Arc::new(Watches::default());
        // Nobody watches yet; what is there already is no news.
        watches.notice(&keyspace);
        let has_users = AtomicBool::new(keyspace.auth().is_enabled());
        Self {
            cluster,
            node,
            name,
            consensus,
            quota_bytes,
            metrics: Metrics::default(),
            storage_failed: OnceLock::new(),
            gauge: Gauge::default(),
            watches,
            tokens: Tokens::new(limits.token_time),
            has_users,
            limits,
            stopping,
            next_proposal: AtomicU64::new(first_proposal),
            hasher: RandomState::new(),
            keyspace: RwLock::new(keyspace),
            roster: watch::Sender::new(Roster { founding: founding.into(), ..Roster::default() }),
        }
    }

    /// The name of the next proposal of this node.
    pub(crate) fn next_proposal(&self) -> ProposalId {
        ProposalId(self.next_proposal.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes note of whether users count.
    pub(crate) fn show_users(&self, keyspace: &Keyspace) {
        let is_enabled = keyspace.auth().is_enabled();
        self.has_users.store(is_enabled, Ordering::Release);
        if !is_enabled {
            self.tokens.forget();
        }
    }

    /// A panic while the keyspace was being changed has ended the driver, and with it every answer
    /// that could depend on a half-made change; reading on is harmless.
    pub(crate) fn keyspace(&self) -> RwLockReadGuard<'_, Keyspace> {
        self.keyspace.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keyspace_mut(&self) -> RwLockWriteGuard<'_, Keyspace> {
        self.keyspace.write().expect("only the driver writes, and a panic ends it")
    }

    /// Who belongs to the cluster. No guard is held: it is a copy.
    pub(crate) fn roster(&self) -> Roster {
        self.roster.borrow().clone()
    }

    /// Follows it.
    pub(crate) fn follow_roster(&self) -> watch::Receiver<Roster> {
        self.roster.subscribe()
    }

    /// Another configuration is in force.
    pub(crate) fn configure(&self, configuration: Arc<Configuration>) {
        self.roster.send_modify(|roster| roster.current = configuration);
    }

    /// A configuration is known to be committed.
    pub(crate) fn settle(&self, index: Index, configuration: Arc<Configuration>) {
        self.roster.send_modify(|roster| {
            roster.settled = configuration;
            roster.settled_at = index;
        });
    }

    /// The members, as the configuration says who and where they are, and they themselves how they
    /// are called and where their clients find them.
    fn members(&self) -> Vec<MemberStatus> {
        let roster = self.roster();
        let keyspace = self.keyspace();
        let known = keyspace.members();
        let status = |(id, card): (NodeId, Card)| {
            let (name, client_urls) = match known.get(&id) {
                Some(published) => (published.name.clone(), published.client_urls.clone()),
                None => (card.name, Vec::new()),
            };
            let is_learner = roster.settled.is_learner(id);
            MemberStatus { id, name, peer_urls: card.peer_urls, client_urls, is_learner }
        };
        roster.cards(&roster.settled).into_iter().map(status).collect()
    }
}

impl Handle {
    pub(crate) const fn new(shared: Arc<Shared>, requests: mpsc::Sender<Request>) -> Self {
        Self { shared, requests }
    }

    /// Puts a command into the replicated log on behalf of `principal`, waits until it is committed
    /// and applied here, and returns what it did. While there is no leader, it waits for one.
    ///
    /// # Errors
    /// See [`RequestError`]; only `TimedOut` and `Stopped` leave the outcome open.
    pub async fn propose(
        &self,
        principal: &Principal,
        command: Command,
    ) -> Result<Applied, RequestError> {
        let authorized = match self.authorized(principal, &command) {
            Err(RequestError::Rejected(_)) => {
                // It may have become allowed elsewhere a moment ago.
                self.linearizable().await?;
                self.authorized(principal, &command)?
            }
            authorized => authorized?,
        };
        let id = self.shared.next_proposal();
        let envelope = Envelope::seal(self.shared.node, id, authorized);
        if envelope.len() > Entry::PAYLOAD_SIZE_MAX {
            return Err(RequestError::Rejected(Rejection::RequestTooLarge));
        }
        let (respond, outcome) = oneshot::channel();
        self.ask(Request::Propose { id, envelope, respond })?;
        outcome.await.unwrap_or(Err(RequestError::Stopped))
    }

    fn authorized<'a>(
        &self,
        principal: &'a Principal,
        command: &'a Command,
    ) -> Result<Authorized<'a>, RequestError> {
        let keyspace = self.keyspace();
        // Where its members are must be known to a full cluster too.
        let is_exempt = matches!(command, Command::PublishMember(_));
        if !is_exempt && keyspace.would_exceed(command, self.shared.quota_bytes) {
            return Err(RequestError::NoSpace);
        }
        Ok(keyspace.authorize(principal, command)?)
    }

    /// Returns once the keyspace here is at least as new as every write that was acknowledged,
    /// anywhere, before the call.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn linearizable(&self) -> Result<(), RequestError> {
        let (respond, outcome) = oneshot::channel();
        self.ask(Request::Read { respond })?;
        outcome.await.unwrap_or(Err(RequestError::Stopped))
    }

    /// How long a request waits for its outcome.
    pub fn request_timeout(&self) -> Duration {
        self.shared.limits.timeout
    }

    /// The shortest that a lease may last, in seconds.
    pub fn lease_seconds_min(&self) -> i64 {
        self.shared.limits.lease_seconds_min
    }

    /// A number that is different each time, here and, in all likelihood, everywhere.
    pub(crate) fn fresh_number(&self) -> u64 {
        let number = self.shared.next_proposal.fetch_add(1, Ordering::Relaxed);
        self.shared.hasher.hash_one(number)
    }

    /// Returns when the node stops.
    pub(crate) async fn stopping(&self) {
        // If the sender is gone, so is the node.
        let _ = self.shared.stopping.clone().wait_for(|stopping| *stopping).await;
    }

    /// Who belongs to the cluster, as it is known here and now.
    pub(crate) fn roster(&self) -> Roster {
        self.shared.roster()
    }

    /// Follows who belongs to the cluster.
    pub(crate) fn follow_roster(&self) -> watch::Receiver<Roster> {
        self.shared.follow_roster()
    }

    pub(crate) fn watches(&self) -> &Arc<Watches> {
        &self.shared.watches
    }

    /// The leadership under which the last applied entry was first proposed.
    pub(crate) fn applied_ballot(&self) -> Ballot {
        *self.shared.gauge.applied_ballot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ask(&self, request: Request) -> Result<(), RequestError> {
        self.requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => RequestError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => RequestError::Stopped,
        })
    }

    /// The keyspace as it is here and now, whoever asks. Hold it briefly: commands wait meanwhile.
    pub(crate) fn keyspace(&self) -> RwLockReadGuard<'_, Keyspace> {
        self.shared.keyspace()
    }

    /// Whether users count, as far as this node has come.
    pub(crate) fn has_users(&self) -> bool {
        self.shared.has_users.load(Ordering::Acquire)
    }

    /// By which tokens users are known here.
    pub(crate) fn tokens(&self) -> &Tokens {
        &self.shared.tokens
    }

    /// Whether nothing is here yet that a cluster has agreed on or been promised.
    pub(crate) fn is_blank(&self) -> bool {
        let gauge = &self.shared.gauge;
        let is_zero = |number: &AtomicU64| number.load(Ordering::Relaxed) == 0;
        is_zero(&gauge.term) && is_zero(&gauge.last_index)
    }

    /// The node at this moment.
    pub fn status(&self) -> Status {
        // Each guard is let go before the next is taken: a thread that waits for the keyspace while
        // it holds it waits for ever, once the driver waits in between.
        let database_bytes = self.shared.keyspace().size_bytes();
        let members = self.shared.members();
        let gauge = &self.shared.gauge;
        Status {
            cluster: self.shared.cluster,
            node: self.shared.node,
            name: self.shared.name.clone(),
            consensus: self.shared.consensus,
            leader: NodeId::new(gauge.leader.load(Ordering::Relaxed)),
            term: gauge.term.load(Ordering::Relaxed),
            last_index: Index(gauge.last_index.load(Ordering::Relaxed)),
            commit: Index(gauge.commit.load(Ordering::Relaxed)),
            applied: Index(gauge.applied.load(Ordering::Relaxed)),
            database_bytes,
            quota_bytes: self.shared.quota_bytes,
            storage_failed: self.shared.storage_failed.get().cloned(),
            is_learner: !members.iter().any(|member| {
                // Who has not been told yet of whom the cluster consists does not vote either.
                member.id == self.shared.node && !member.is_learner
            }),
            members,
        }
    }

    /// The current term or round, without the rest of [`Self::status`].
    pub fn term(&self) -> u64 {
        self.shared.gauge.term.load(Ordering::Relaxed)
    }

    /// This node's cluster.
    pub fn cluster(&self) -> ClusterId {
        self.shared.cluster
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// What the node counts about itself.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }
}
