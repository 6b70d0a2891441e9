mod comparison;
mod members;

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use althing_consensus::{Chunk, Output, Replica, Standing, Stored};
use althing_core::{Ballot, Entry, Index, LogId, NodeId, Op, Outbox, Payload, Time};
use althing_keyspace::{Command, Keyspace, Principal, Reply};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;

use crate::clock::Clock;
use crate::comparison::Comparison;
use crate::envelope::Envelope;
use crate::handle::{Applied, Request, RequestError, Shared};
use crate::leases::Leases;
use crate::log_thread::Write;
use crate::members::{MEMBER_QUESTIONS_MAX, MemberAnswer};
use crate::peers::{Inbound, Parcel, Peers, Word};
use crate::probes::{Probe, Probes};
use crate::proposals::Proposals;
use crate::questions::Questions;
use crate::reads::Reads;
use crate::snapshots::Job;

/// What the node's other threads report.
#[derive(Debug)]
pub(crate) enum Event {
    /// The log is durable up to this write.
    Persisted(Op),
    /// The log cannot be written any more. The node stops.
    LogFailed(String),
    /// A snapshot was written, or not.
    SnapshotSaved { id: LogId, outcome: Result<(), String> },
    /// A piece of a snapshot was read for a peer; `None` if that snapshot is gone.
    ChunkLoaded { to: NodeId, chunk: Option<Chunk> },
    /// A piece of a snapshot from a peer was stored, or was not usable.
    ChunkStored { id: LogId, stored: Stored },
    /// A stored snapshot became a keyspace.
    Restored { id: LogId, outcome: Result<Box<Keyspace>, String> },
    /// The state right after an entry was hashed, as this member asked.
    Hashed { index: Index, to: NodeId, hash: u64 },
    /// Another member says that this one was removed.
    ToldRemoved { by: NodeId },
}

/// Why a driver ends that was not told to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The storage failed; the node must not go on.
    StorageFailed(String),
    /// The cluster goes on without this node.
    Removed,
}

impl From<String> for End {
    fn from(why: String) -> Self {
        Self::StorageFailed(why)
    }
}

/// Held by a thread of the node, it tells the driver if the thread panics.
pub(crate) struct Alarm {
    pub(crate) thread: &'static str,
    pub(crate) events: mpsc::UnboundedSender<Event>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Without a driver nobody is left to care.
            let why = format!("the {} thread panicked; this is a bug", self.thread);
            let _ = self.events.send(Event::LogFailed(why));
        }
    }
}

/// Where the driver's inputs come from.
#[derive(Debug)]
pub(crate) struct Inboxes<M> {
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    pub(crate) received: mpsc::Receiver<Inbound<M>>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// When snapshots are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotPolicy {
    /// After this many entries,
    pub(crate) entries: u64,
    /// or after this many bytes of entries and at least as many as the keyspace holds, so that
    /// writing snapshots costs no more than writing the log,
    pub(crate) bytes: u64,
    /// but after this many bytes in any case, for the log is held in memory.
    pub(crate) bytes_max: u64,
}

/// Carries out what a replica asks for, and applies what it commits.
///
/// Everything that waits is taken in before anything is sent out: requests that came together
/// share one write to the log, one message to each peer and one wake-up of each thread.
pub(crate) struct Driver<R: Replica> {
    replica: R,
    clock: Clock,
    shared: Arc<Shared>,
    outbox: Outbox<R::Message>,
    outputs: Vec<Output<R::Message>>,
    log: Sender<Write>,
    snapshots: Sender<Job>,
    peers: Peers,
    proposals: Proposals,
    reads: Reads,
    leases: Leases,
    /// About changes of members, asked of the leader.
    questions: Questions<MemberAnswer>,
    probes: Probes,
    /// Leader: whether all members hold the same; the last question.
    comparison: Option<Comparison>,
    /// When that is asked again, and how often.
    compare_at: Time,
    compare_interval: Duration,
    /// How often it was put off in a row.
    put_off: u32,
    /// Somebody asked for the hash of the state right after this entry.
    hash_after: Option<(Index, NodeId)>,
    /// Who waits for the leadership to be handed over, and to whom.
    transfers: Vec<members::Waiting>,
    /// This node was removed, and ends then.
    ends_at: Option<Time>,
    /// How long it may take to tell the others what they must know of a node that ends.
    farewell: Duration,
    leader: Option<NodeId>,
    /// Entries up to here are to be applied.
    commit: Index,
    /// The last entry in the keyspace.
    applied: LogId,
    policy: SnapshotPolicy,
    since_snapshot: SinceSnapshot,
    /// The snapshot that the keyspace is being replaced by; nothing is applied meanwhile.
    installing: Option<LogId>,
    /// Until then a peer is thought to be reading a snapshot, which a new one would replace.
    lending_until: Time,
    expire_at: Time,
}

#[derive(Debug, Default)]
struct SinceSnapshot {
    entries: u64,
    bytes: u64,
    is_saving: bool,
}

/// What a driver is made of.
pub(crate) struct Parts<R> {
    pub(crate) replica: R,
    pub(crate) clock: Clock,
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Sender<Write>,
    pub(crate) snapshots: Sender<Job>,
    pub(crate) peers: Peers,
    /// The last entry in the keyspace.
    pub(crate) applied: LogId,
    pub(crate) policy: SnapshotPolicy,
    pub(crate) request_timeout: Duration,
    /// How often a leader compares what the members hold.
    pub(crate) compare_interval: Duration,
    /// A read that got no answer is asked again after this long.
    pub(crate) read_retry: Duration,
    /// Where the numbers of reads start; different in every run.
    pub(crate) first_read: u64,
    /// The same for questions about leases.
    pub(crate) first_question: u64,
}

/// A peer that asks for a piece of a snapshot is given this long to ask for the next.
const LENDING_PATIENCE: Duration = Duration::from_secs(10);
/// How often what waits is looked through for what has waited too long.
const EXPIRE_INTERVAL: Duration = Duration::from_millis(100);
/// The most inputs of a kind that are taken in before anything is sent out.
const INPUTS_MAX: usize = 4096;
/// About how many bytes of entries are applied before the driver looks at its inputs again.
const APPLY_BYTES: usize = 1 << 20;
/// How many changes are swept at a time while the node waits (about a microsecond each).
const SWEEP_CHANGES: usize = 2_000;

impl<R: Replica> Driver<R> {
    pub(crate) fn new(parts: Parts<R>) -> Self {
        let expire_at = parts.clock.now() + EXPIRE_INTERVAL;
        parts.shared.gauge.show_applied_ballot(parts.applied.ballot);
        Self {
            replica: parts.replica,
            clock: parts.clock,
            shared: parts.shared,
            outbox: Outbox::default(),
            outputs: Vec::new(),
            log: parts.log,
            snapshots: parts.snapshots,
            peers: parts.peers,
            proposals: Proposals::new(parts.request_timeout),
            reads: Reads::new(parts.request_timeout, parts.read_retry, parts.first_read),
            leases: Leases::new(parts.read_retry, parts.first_question),
            questions: Questions::new(MEMBER_QUESTIONS_MAX, parts.read_retry, parts.first_question),
            probes: Probes::new(parts.first_question),
            comparison: None,
            compare_at: parts.clock.now() + parts.compare_interval,
            compare_interval: parts.compare_interval,
            put_off: 0,
            hash_after: None,
            transfers: Vec::new(),
            ends_at: None,
            farewell: parts.read_retry,
            leader: None,
            commit: parts.applied.index,
            applied: parts.applied,
            policy: parts.policy,
            since_snapshot: SinceSnapshot::default(),
            installing: None,
            lending_until: Time::ZERO,
            expire_at,
        }
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// See [`End`].
    pub(crate) async fn run(mut self, mut inboxes: Inboxes<R::Message>) -> Result<(), End> {
        self.dial_members();
        let timer = sleep_until(tokio::time::Instant::now());
        tokio::pin!(timer);
        loop {
            // A timer that fires early does no harm; moving it with every heartbeat would cost.
            let wake_at = self.replica.wake_at().min(self.expire_at).min(self.leases.wake_at());
            let wake_at = self.clock.instant(wake_at).into();
            if timer.is_elapsed() || wake_at < timer.deadline() {
                timer.as_mut().reset(wake_at);
            }
            tokio::select! {
                biased;
                _ = inboxes.stop.wait_for(|stop| *stop) => return Ok(()),
                Some(event) = inboxes.events.recv() => self.event(event)?,
                Some(inbound) = inboxes.received.recv() => self.inbound(inbound),
                Some(request) = inboxes.requests.recv() => self.request(request),
                () = &mut timer => {}
            }
            loop {
                self.take_in(&mut inboxes)?;
                self.step()?;
                if self.ends_at.is_some_and(|end| self.clock.now() >= end) {
                    return Err(End::Removed);
                }
                if !self.can_apply() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// Takes in everything else that waits.
    fn take_in(&mut self, inboxes: &mut Inboxes<R::Message>) -> Result<(), String> {
        for _ in 0..INPUTS_MAX {
            let Ok(event) = inboxes.events.try_recv() else { break };
            self.event(event)?;
        }
        for _ in 0..INPUTS_MAX {
            let Ok(inbound) = inboxes.received.try_recv() else { break };
            self.inbound(inbound);
        }
        for _ in 0..INPUTS_MAX {
            let Ok(request) = inboxes.requests.try_recv() else { break };
            self.request(request);
        }
        Ok(())
    }

    fn inbound(&mut self, Inbound { from, word }: Inbound<R::Message>) {
        let now = self.clock.now();
        match word {
            Word::Parcel(Parcel::Consensus(message)) => self.replica.receive(now, from, message),
            Word::Parcel(Parcel::Lease(message)) => {
                if let Some(answer) = self.leases.receive(now, message) {
                    self.peers.push_lease(from, &answer);
                }
            }
            Word::Parcel(Parcel::Members(message)) => self.hear_of_members(now, from, message),
            Word::Parcel(Parcel::Comparison(message)) => self.hear_of_comparison(from, message),
            Word::Parcel(Parcel::Probe(Probe::Ask { number })) => {
                self.peers.push_probe(from, Probe::Answer { number });
            }
            Word::Parcel(Parcel::Probe(Probe::Answer { number })) => {
                if let Some(time) = self.probes.answered(now, from, number) {
                    self.shared.metrics.round_trips.observe(from, time);
                }
            }
            Word::Hello { addresses } => self.peers.greeted(from, addresses),
        }
    }

    fn request(&mut self, request: Request) {
        let now = self.clock.now();
        match request {
            Request::Propose { id, envelope, respond } => {
                self.proposals.park(now, id, envelope, respond);
            }
            Request::Lease { question, respond } => {
                let asked = self.leases.ask(now, question, self.leader, respond);
                if let Some((leader, message)) = asked {
                    self.peers.push_lease(leader, &message);
                }
            }
            Request::Read { respond } => self.reads.arrive(now, respond),
            Request::Members { change, respond } => self.ask_for_members(now, change, respond),
            Request::Transfer { to, respond } => self.hand_over(now, to, respond),
        }
    }

    fn event(&mut self, event: Event) -> Result<(), String> {
        let now = self.clock.now();
        match event {
            Event::Persisted(op) => {
                self.outbox.persisted(op);
                self.replica.persisted(now, op);
            }
            Event::LogFailed(why) => return Err(why),
            Event::SnapshotSaved { id, outcome } => {
                self.since_snapshot.is_saving = false;
                match outcome {
                    Ok(()) => self.replica.snapshotted(now, id),
                    // The log is whole without it; the next one may fare better.
                    Err(why) => tracing::warn!("cannot save the snapshot {id}: {why}"),
                }
            }
            Event::ChunkLoaded { to, chunk } => self.replica.chunk_loaded(now, to, chunk),
            Event::ChunkStored { id, stored } => self.replica.chunk_stored(now, id, stored),
            Event::Restored { id, outcome } => self.restored(id, *outcome?),
            Event::Hashed { index, to, hash } => self.hashed(index, to, hash),
            Event::ToldRemoved { by } => self.is_removed(now, Some(by)),
        }
        Ok(())
    }

    /// Lets the replica act on what was taken in, until nothing more follows from it.
    fn step(&mut self) -> Result<(), String> {
        let now = self.clock.now();
        if now >= self.expire_at {
            self.expire(now);
        }
        if now >= self.replica.wake_at() {
            self.replica.tick(now);
        }
        loop {
            // First, for what is applied here may show that proposals are lost and to be submitted
            // again.
            self.apply(now);
            let replica = &mut self.replica;
            self.proposals.submit_parked(|id, envelope| replica.propose(now, id, envelope));
            self.propose_due(now);
            if let Some(id) = self.reads.attempt(now, self.leader.is_some()) {
                self.replica.read(now, id);
            }
            let mut outputs = std::mem::take(&mut self.outputs);
            self.replica.drain(now, &mut outputs);
            let is_quiet = outputs.is_empty();
            for output in outputs.drain(..) {
                self.carry_out(output)?;
            }
            self.outputs = outputs;
            if is_quiet {
                break;
            }
        }
        while let Some((to, message)) = self.outbox.pop() {
            self.peers.push(to, &message);
        }
        self.peers.flush();
        self.save_snapshot(now)?;
        self.shared.metrics.proposals_pending.set(self.proposals.len() as i64);
        let status = self.replica.status();
        self.shared.gauge.show(&status, self.applied.index);
        if status.standing == Standing::Removed {
            self.is_removed(now, None);
        }
        Ok(())
    }

    fn carry_out(&mut self, output: Output<R::Message>) -> Result<(), String> {
        match output {
            Output::Persist { op, records } => self
                .log
                .send(Write { op, records })
                .map_err(|_| "the log's thread has ended".to_owned())?,
            Output::Send(message) => self.outbox.push(message),
            Output::Commit { to } => self.commit = to,
            Output::Refused { id, reason } => self.proposals.refused(id, reason),
            Output::ReadReady { id, index } => {
                self.reads.answered(id, index);
                self.reads.applied(self.applied.index);
            }
            Output::ReadRefused { id, .. } => self.reads.refused(id),
            Output::LoadChunk { to, snapshot, offset } => {
                self.lending_until = self.clock.now() + LENDING_PATIENCE;
                self.snapshot_job(Job::Load { to, id: snapshot, offset })?;
            }
            Output::StoreChunk(chunk) => self.snapshot_job(Job::Store(chunk))?,
            Output::Install { snapshot } => {
                self.proposals.passed_over();
                self.installing = Some(snapshot);
                self.snapshot_job(Job::Restore { id: snapshot })?;
            }
            Output::Transfer { to, outcome } => self.handed_over(to, outcome),
            Output::Configured { configuration, .. } => self.configured(configuration),
            Output::Leader { epoch, leader } => {
                if self.leader.is_some() && leader != self.leader {
                    self.shared.metrics.leader_changes_seen.increment();
                }
                self.leader = leader;
                self.reads.leader_changed();
                if leader != Some(self.shared.node) {
                    self.leases.end();
                }
                match leader {
                    Some(leader) if leader == self.shared.node => {
                        tracing::info!("leads under {epoch}");
                    }
                    Some(leader) => tracing::info!("follows {leader} under {epoch}"),
                    None => tracing::debug!("knows no leader under {epoch}"),
                }
            }
        }
        Ok(())
    }

    fn snapshot_job(&self, job: Job) -> Result<(), String> {
        self.snapshots.send(job).map_err(|_| "the snapshots' thread has ended".to_owned())
    }

    fn can_apply(&self) -> bool {
        self.installing.is_none() && self.commit > self.applied.index
    }

    /// Applies some of what is committed.
    fn apply(&mut self, now: Time) {
        if !self.can_apply() {
            return;
        }
        let started = Instant::now();
        let shared = Arc::clone(&self.shared);
        let mut keyspace = shared.keyspace_mut();
        let mut opened = None;
        let mut settled = None;
        let mut hashed = None;
        for entry in self.replica.committed(self.applied.index, APPLY_BYTES) {
            self.applied = entry.id;
            self.since_snapshot.entries += 1;
            self.since_snapshot.bytes += entry.payload.size() as u64;
            match &entry.payload {
                Payload::Opening => {
                    keyspace.pass(entry.id.index);
                    self.proposals.opened(entry.id.ballot);
                    opened = Some(entry.id.ballot);
                }
                Payload::Configuration(configuration) => {
                    keyspace.pass(entry.id.index);
                    settled = Some((entry.id.index, Arc::clone(configuration)));
                }
                Payload::Command(bytes) => {
                    let waiting = (&mut self.proposals, &mut self.leases);
                    apply_command(&mut keyspace, entry, bytes, &shared, waiting, now);
                }
            }
            if let Some(asked) = self.hash_after.take_if(|(index, _)| *index <= entry.id.index)
                && asked.0 == entry.id.index
            {
                hashed = Some((asked, keyspace.snapshot()));
            }
        }
        if let Some(ballot) = opened {
            self.lead_leases(now, ballot, &keyspace);
        }
        shared.watches.notice(&keyspace);
        drop(keyspace);
        shared.metrics.apply.observe(started.elapsed());
        if let Some((index, configuration)) = settled {
            shared.settle(index, configuration);
        }
        if let Some((asked, snapshot)) = hashed {
            self.hash(asked, snapshot);
        }
        self.show_applied();
    }

    /// Begins to keep the time of leases if the leadership that `ballot` opened is ours and lasts.
    fn lead_leases(&mut self, now: Time, ballot: Ballot, keyspace: &Keyspace) {
        let status = self.replica.status();
        if status.leader == Some(self.shared.node) && status.promise == ballot {
            self.leases.begin(now, ballot, keyspace);
        } else {
            self.leases.end();
        }
    }

    /// Proposes what the time of leases demands, into this node's own log only: what another leader
    /// would put into its log may be wrong by that leader's clock.
    fn propose_due(&mut self, now: Time) {
        if self.leases.wake_at() > now {
            return;
        }
        let (replica, shared) = (&mut self.replica, &self.shared);
        self.leases.propose_due(now, |ballot, command| {
            let status = replica.status();
            if status.leader != Some(shared.node) || status.promise != ballot {
                return false;
            }
            let id = shared.next_proposal();
            let authorized = shared.keyspace().authorize(&Principal::Server, command);
            let authorized = authorized.expect("only servers ask for the ends of leases");
            let envelope = Envelope::seal(shared.node, id, authorized);
            replica.propose(now, id, envelope).is_ok()
        });
    }

    fn show_applied(&mut self) {
        self.shared.gauge.show_applied_ballot(self.applied.ballot);
        self.reads.applied(self.applied.index);
    }

    /// Starts to write a snapshot when it is time. The keyspace goes on meanwhile.
    fn save_snapshot(&mut self, now: Time) -> Result<(), String> {
        let since = &mut self.since_snapshot;
        let SnapshotPolicy { entries, bytes, bytes_max } = self.policy;
        if since.is_saving || (since.entries < entries && since.bytes < bytes) {
            return Ok(());
        }
        let held = self.shared.keyspace().size_bytes();
        let is_due = since.entries >= entries || since.bytes >= held.clamp(bytes, bytes_max);
        let is_lending = now < self.lending_until && since.bytes < bytes_max;
        if !is_due || is_lending || self.installing.is_some() {
            return Ok(());
        }
        let Some(configuration) = self.replica.configuration_at(self.applied.index) else {
            return Ok(());
        };
        let configuration = Arc::clone(configuration);
        *since = SinceSnapshot { is_saving: true, ..SinceSnapshot::default() };
        let snapshot = self.shared.keyspace().snapshot();
        self.snapshot_job(Job::Save { id: self.applied, configuration, snapshot })
    }

    /// A snapshot from the leader takes the keyspace's place.
    fn restored(&mut self, id: LogId, keyspace: Keyspace) {
        if self.installing != Some(id) {
            return;
        }
        self.installing = None;
        self.applied = id;
        self.since_snapshot.entries = 0;
        self.since_snapshot.bytes = 0;
        let mut present = self.shared.keyspace_mut();
        let replaced = std::mem::replace(&mut *present, keyspace);
        self.shared.show_users(&present);
        self.shared.watches.notice(&present);
        drop(present);
        if let Some(configuration) = self.replica.configuration_at(id.index) {
            self.shared.settle(id.index, Arc::clone(configuration));
        }
        // If nobody is there to do it elsewhere, it is freed here.
        let _ = self.snapshots.send(Job::Discard(Box::new(replaced)));
        self.show_applied();
        tracing::info!("continues from the leader's snapshot {id}");
    }

    /// Asks the other members for a sign of life, to see how long it takes.
    fn probe(&mut self, now: Time) {
        if !self.probes.is_due(now) {
            return;
        }
        for (peer, probe) in self.probes.ask(now, self.peers.reached()) {
            self.peers.push_probe(peer, probe);
        }
        self.peers.flush();
    }

    fn expire(&mut self, now: Time) {
        self.expire_at = now + EXPIRE_INTERVAL;
        let unknown = self.proposals.expire(now);
        self.reads.expire(now);
        self.leases.expire(now);
        self.questions.expire(now);
        self.promote(now);
        self.probe(now);
        self.compare(now);
        self.shared.metrics.proposals_failed.add(unknown);
        self.shared.keyspace_mut().sweep(SWEEP_CHANGES);
    }
}

/// Applies one command and answers its client, if that client is ours.
fn apply_command(
    keyspace: &mut Keyspace,
    entry: &Entry,
    bytes: &[u8],
    shared: &Shared,
    (proposals, leases): (&mut Proposals, &mut Leases),
    now: Time,
) {
    let LogId { ballot: Ballot { round, .. }, index } = entry.id;
    let Ok(Envelope { origin, proposal, command }) = Envelope::open(bytes) else {
        // No node writes such an entry; the same on every node, it changes nothing.
        keyspace.pass(index);
        return;
    };
    if Command::is_compaction(command) {
        // What it lets be forgotten is told on before: afterwards it could not be known whom it
        // concerns.
        shared.watches.notice(keyspace);
    }
    let outcome = keyspace.apply(index, command);
    if let Ok(reply) = &outcome {
        leases.applied(now, reply);
        match reply {
            Reply::Auth { .. } => shared.show_users(keyspace),
            Reply::SignIn { sign_in, .. } => shared.tokens.signed_in(sign_in),
            _ => {}
        }
    }
    if origin != Some(shared.node) {
        return;
    }
    if let Some(age) = proposals.age(now, proposal) {
        shared.metrics.commit.observe(age);
        let applied = outcome.map(|reply| Applied { reply, term: round, index });
        proposals.answer(proposal, applied.map_err(RequestError::Rejected));
    }
}
