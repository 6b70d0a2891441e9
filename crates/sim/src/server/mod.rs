mod lessor;
mod snapshots;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use althing_consensus::{
    Message, Output, ProposalId, ReadId, ReadRefusal, Replica, Restart, Standing, Stored,
    TransferOutcome,
};
use althing_core::codec::Reader;
use althing_core::{
    Ballot, Configuration, DiskError, DiskErrorKind, Entry, Index, LogId, NodeId, Op, Outbox,
    Payload, Record, Time,
};
use althing_keyspace::{Command, Keyspace, Lessor, Range, Reply as KeyspaceReply};
use althing_storage::{SnapshotStore, Wal, WalError};

use self::snapshots::{Job, Worked};
use crate::answer::{found_in, key_name, observed, revision};
use crate::client::Ask;
use crate::clock::Clock;
use crate::coverage::Mark;
use crate::disk::{Ending, Lane, SimDisk};
use crate::envelope::Envelope;
use crate::invariants::Invariant;
use crate::linearizability::Observed;
use crate::shared::{Event, Reply, Shared};
use crate::starting::{Starting, restore};
use crate::watches::Met;
use crate::world::Order;
use crate::{Fault, Protocol, ServerBug};

/// How many bytes of committed entries are taken from the log at once.
const APPLY_BYTES: usize = 16 << 10;

/// A running server: the replica, and everything that drives it, as a real node has it; only that
/// its threads are events and its disk, clock and network are the world's.
pub(crate) struct Server<R: Replica> {
    node: usize,
    id: NodeId,
    life: u64,
    clock: Clock,
    disk: SimDisk,
    replica: R,
    outbox: Outbox<R::Message>,
    outputs: Vec<Output<R::Message>>,
    /// When the next alarm rings, on the world's clock.
    alarm: Time,
    wal: Wal<SimDisk>,
    log_queue: Vec<(Op, Vec<Record>)>,
    writing: Option<Writing>,
    snapshots: SnapshotStore<SimDisk>,
    jobs: VecDeque<Job>,
    working: Option<Worked>,
    keyspace: Keyspace,
    /// The last entry that the keyspace has.
    applied: LogId,
    /// The last entry that was put into a snapshot, or is about to be.
    snapshotted: Index,
    leader: Option<NodeId>,
    numbers: u64,
    /// Where its members stand in the log.
    configured: Index,
    is_removed: bool,
    /// Proposals that wait, with the client's request.
    proposals: BTreeMap<ProposalId, (usize, Ballot)>,
    /// Reads that wait for the leader's word.
    reads: BTreeMap<ReadId, (usize, u32)>,
    /// Renewals of leases that wait for the word that this server leads.
    confirms: BTreeMap<ReadId, usize>,
    lessor: Lessor,
    /// The clock of the leases proposes nothing before.
    lessor_pause: Time,
    /// Reads that wait until this much is applied.
    ready: Vec<(Index, usize, u32)>,
}

/// What the log thread is doing.
#[derive(Clone, Copy, Debug)]
struct Writing {
    last: Op,
    begins: Option<LogId>,
    promises: bool,
}

/// Why a server ends itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// Its disk is full.
    Full,
    /// Its disk failed.
    Failed,
    /// Its disk is damaged.
    Damaged,
    /// It found what must never be found, and said so to the checker.
    Wrong,
}

impl From<DiskError> for Death {
    fn from(error: DiskError) -> Self {
        match error.kind {
            DiskErrorKind::Full => Self::Full,
            DiskErrorKind::NotFound | DiskErrorKind::Failed(_) => Self::Failed,
        }
    }
}

impl<R: Replica> Server<R> {
    pub(crate) fn start<P: Protocol<Replica = R>>(
        shared: &mut Shared,
        protocol: &P,
        (node, life, clock): (usize, u64, Clock),
        disk: SimDisk,
        starting: Starting,
    ) -> Self {
        let Starting { opened, keyspace, restart, is_damaged } = starting;
        let id = shared.ids[node];
        let Restart { promise, begin, entries, acceptances, .. } = &restart;
        let log = (&entries[..], acceptances);
        if is_damaged {
            shared.checker.snapshot_lost(id);
        }
        shared.checker.recovered(id, *promise, *begin, log, keyspace.applied_hash());
        shared.note(node, || {
            format!("starts with {promise}, log from {begin}, {} entries", entries.len())
        });
        let applied = *begin;
        let changed = |entry: &Entry| matches!(entry.payload, Payload::Configuration(_));
        if restart.configuration != shared.founding_of(node) || entries.iter().any(changed) {
            shared.mark(Mark::ConfigurationRecovered);
        }
        let seed = shared.random.next_u64();
        let now = clock.show(shared.now);
        Self {
            node,
            id,
            life,
            clock,
            disk,
            replica: protocol.start(id, restart, seed, now),
            outbox: Outbox::default(),
            outputs: Vec::new(),
            alarm: Time::NEVER,
            wal: opened.wal,
            log_queue: Vec::new(),
            writing: None,
            snapshots: opened.snapshots,
            jobs: VecDeque::new(),
            working: None,
            keyspace,
            applied,
            snapshotted: applied.index,
            leader: None,
            numbers: 0,
            configured: Index::ZERO,
            is_removed: false,
            proposals: BTreeMap::new(),
            reads: BTreeMap::new(),
            confirms: BTreeMap::new(),
            lessor: Lessor::default(),
            lessor_pause: Time::ZERO,
            ready: Vec::new(),
        }
    }

    pub(crate) const fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    pub(crate) fn replica(&self) -> &R {
        &self.replica
    }

    pub(crate) const fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    /// Whether it thinks that it leads.
    pub(crate) fn leads(&self) -> bool {
        self.leader == Some(self.id)
    }

    /// Whether everything that it wanted to do is done.
    pub(crate) fn is_idle(&self) -> bool {
        self.log_queue.is_empty()
            && self.writing.is_none()
            && self.jobs.is_empty()
            && self.working.is_none()
    }

    /// The requests that it will never answer, now that it dies.
    pub(crate) fn abandoned(self, shared: &mut Shared) -> Vec<usize> {
        if self.jobs.iter().any(|job| matches!(job, Job::Store(chunk) if !chunk.last))
            || matches!(self.working, Some(Worked::Stored { stored: Stored::Piece, .. }))
        {
            shared.mark(Mark::SnapshotInterrupted);
        }
        if self.writing.is_some() {
            shared.mark(Mark::DeathDuringWrite);
        }
        if self.configuration().is_joint() {
            shared.mark(Mark::DeathInJoint);
        }
        let proposals = self.proposals.into_values().map(|(request, _)| request);
        let reads = self.reads.into_values().map(|(request, _)| request);
        proposals
            .chain(reads)
            .chain(self.confirms.into_values())
            .chain(self.ready.into_iter().map(|(_, request, _)| request))
            .collect()
    }

    /// A message arrived.
    pub(crate) fn receive(
        &mut self,
        shared: &mut Shared,
        from: usize,
        bytes: &[u8],
    ) -> Result<(), Death> {
        let mut reader = Reader::new(bytes);
        let message = R::Message::decode(&mut reader)
            .and_then(|message| reader.finish().map(|()| message))
            .expect("what a peer encoded can be decoded");
        shared.note(self.node, || format!("← n{} {message}", from + 1));
        let from = shared.ids[from];
        self.replica.receive(self.clock.show(shared.now), from, message);
        self.go_on(shared)
    }

    /// Time passed.
    pub(crate) fn wake(&mut self, shared: &mut Shared) -> Result<(), Death> {
        if shared.now >= self.alarm {
            self.alarm = Time::NEVER;
        }
        self.replica.tick(self.clock.show(shared.now));
        self.go_on(shared)
    }

    /// A client asks.
    pub(crate) fn ask(
        &mut self,
        shared: &mut Shared,
        request: usize,
        key: u32,
        ask: &Ask,
    ) -> Result<(), Death> {
        let now = self.clock.show(shared.now);
        let number = self.number(shared);
        match ask {
            Ask::Read => {
                if self.leader.is_some_and(|leader| leader != self.id) {
                    shared.mark(Mark::ReadForwarded);
                }
                self.reads.insert(ReadId(number), (request, key));
                self.replica.read(now, ReadId(number));
            }
            Ask::Write(command) => self.propose(shared, request, number, command),
            Ask::Renew(lease) => self.renew(shared, request, number, *lease),
        }
        self.go_on(shared)
    }

    /// Numbers are never used twice, in whatever life, and only grow.
    fn number(&mut self, shared: &Shared) -> u64 {
        self.numbers += 1;
        let life = if shared.has(ServerBug::ReusesNumbers) { 0 } else { self.life };
        life << 32 | self.numbers
    }

    fn propose(&mut self, shared: &mut Shared, request: usize, number: u64, command: &Command) {
        let (now, id) = (self.clock.show(shared.now), ProposalId(number));
        match self.replica.propose(now, id, Envelope::seal(self.id, id, command)) {
            Ok(ballot) => {
                if ballot.node != Some(self.id) {
                    shared.mark(Mark::ProposalForwarded);
                }
                self.proposals.insert(id, (request, ballot));
            }
            Err(_) => {
                shared.mark(Mark::ProposalRefused);
                shared.replies.push((request, Reply::Refused));
            }
        }
    }

    /// The members, as far as this node knows.
    pub(crate) fn configuration(&self) -> Arc<Configuration> {
        self.replica.status().configuration
    }

    /// An operator wants something.
    pub(crate) fn obey(&mut self, shared: &mut Shared, order: Order) -> Result<(), Death> {
        let now = self.clock.show(shared.now);
        match order {
            Order::Change(changes) => {
                let before = self.configuration();
                let outcome = self.replica.reconfigure(now, &changes);
                shared.mark_change(&before, &changes, outcome);
            }
            Order::Transfer(to) => {
                let begun = self.replica.transfer(now, to).is_ok();
                shared.mark(if begun { Mark::TransferBegun } else { Mark::TransferRefused });
            }
        }
        self.go_on(shared)
    }

    /// The log thread is done with what it was given.
    pub(crate) fn log_written(&mut self, shared: &mut Shared) -> Result<(), Death> {
        self.disk.finish(Lane::Log);
        let Writing { last, begins, promises } =
            self.writing.take().expect("a write was under way");
        shared.checker.persisted(self.id, last);
        shared.note(self.node, || format!("{last} is durable"));
        self.outbox.persisted(last);
        self.replica.persisted(self.clock.show(shared.now), last);
        if let Some(begin) = begins {
            self.jobs.push_back(Job::RemoveOlderThan(begin));
        }
        let promised = || format!("{} after a promise", self.id);
        if promises
            && shared.random.chance(shared.profile.faults.death_at_promise)
            && shared.befalls(Fault::CrashPoint, promised)
        {
            let (node, life, ending) = (self.node, self.life, Ending::Power);
            shared.queue.push(shared.now, Event::Die { node, life, ending });
        }
        self.go_on(shared)
    }

    /// The snapshot thread is done with one piece of work.
    pub(crate) fn snapshot_worked(&mut self, shared: &mut Shared) -> Result<(), Death> {
        self.disk.finish(Lane::Snapshots);
        let now = self.clock.show(shared.now);
        match self.working.take().expect("work was under way") {
            Worked::Written(id) => {
                shared.mark(Mark::SnapshotTaken);
                shared.checker.snapshotted(self.id, id);
                shared.note(self.node, || format!("has a snapshot at {id}"));
                self.replica.snapshotted(now, id);
            }
            Worked::Loaded { to, chunk } => {
                shared.mark(match chunk {
                    Some(_) => Mark::SnapshotChunkSent,
                    None => Mark::SnapshotGone,
                });
                self.replica.chunk_loaded(now, to, chunk);
            }
            Worked::Stored { id, stored } => {
                if let Stored::Whole { configuration } = &stored {
                    if **configuration != *self.configuration() {
                        shared.mark(Mark::ConfigurationInstalled);
                    }
                    shared.checker.snapshotted(self.id, id);
                }
                self.replica.chunk_stored(now, id, stored);
            }
            Worked::Removed => {}
        }
        self.go_on(shared)
    }

    /// Carries out what the replica wants, and gives the other threads their work.
    fn go_on(&mut self, shared: &mut Shared) -> Result<(), Death> {
        self.lease_clock_acts(shared);
        let mut outputs = std::mem::take(&mut self.outputs);
        self.replica.drain(self.clock.show(shared.now), &mut outputs);
        let status = self.replica.status();
        let lease_until = self.clock.reaches(status.lease_until);
        shared.checker.leads(self.id, &status, (shared.now, lease_until));
        for output in outputs.drain(..) {
            self.carry_out(shared, output)?;
        }
        self.outputs = outputs;
        if status.standing == Standing::Removed
            && !self.is_removed
            && !status.configuration.was_removed(self.id)
        {
            shared.mark(Mark::RemovalLearned);
        }
        self.is_removed |= status.standing == Standing::Removed;
        shared.checker.progressed(self.id, &status);
        self.apply(shared, status.commit)?;
        while let Some((to, message)) = self.outbox.pop() {
            shared.send(self.node, to, &message);
        }
        self.write_log(shared)?;
        self.work(shared)?;
        let lessor = self.lessor.wake_at().max(self.lessor_pause);
        let wake = self.clock.reaches(self.replica.wake_at().min(lessor));
        if wake < self.alarm {
            self.alarm = wake.max(shared.now + std::time::Duration::from_nanos(1));
            let (node, life) = (self.node, self.life);
            shared.queue.push(self.alarm, Event::Alarm { node, life });
        }
        Ok(())
    }

    fn carry_out(&mut self, shared: &mut Shared, output: Output<R::Message>) -> Result<(), Death> {
        match output {
            Output::Persist { op, records } => self.persist(shared, op, records),
            Output::Send(message) => self.outbox.push(message),
            // The committed entries are taken once all outputs are carried out.
            Output::Commit { .. } => {}
            Output::Refused { id, .. } => {
                shared.mark(Mark::ProposalRefused);
                self.refuse(shared, id);
            }
            Output::ReadReady { id, index } => {
                if let Some(request) = self.confirms.remove(&id) {
                    shared.replies.push((request, Reply::DoneUnobserved));
                }
                if let Some((request, key)) = self.reads.remove(&id) {
                    self.ready.push((index, request, key));
                    self.answer_reads(shared);
                }
            }
            Output::ReadRefused { id, reason } => {
                shared.mark(match reason {
                    ReadRefusal::NoLeader => Mark::ReadRefused,
                    ReadRefusal::Deposed => Mark::ReadDeposed,
                });
                let confirms = self.confirms.remove(&id);
                let reads = self.reads.remove(&id).map(|(request, _)| request);
                let refused = confirms.into_iter().chain(reads);
                shared.replies.extend(refused.map(|request| (request, Reply::Refused)));
            }
            Output::LoadChunk { to, snapshot: id, offset } => {
                self.jobs.push_back(Job::Load { to, id, offset });
            }
            Output::StoreChunk(chunk) => self.jobs.push_back(Job::Store(chunk)),
            Output::Install { snapshot } => self.install(shared, snapshot)?,
            Output::Transfer { to, outcome } => {
                shared.note(self.node, || format!("hands over to {to}: {outcome:?}"));
                let done = outcome == TransferOutcome::Done;
                shared.mark(if done { Mark::TransferDone } else { Mark::TransferAbandoned });
            }
            Output::Configured { index, configuration } => {
                if index < self.configured {
                    shared.mark(Mark::ConfigurationTakenBack);
                }
                self.configured = index;
                shared.note(self.node, || format!("has members {configuration} by {index}"));
            }
            Output::Leader { epoch, leader } => self.leader_known(shared, epoch, leader),
        }
        Ok(())
    }

    fn leader_known(&mut self, shared: &mut Shared, epoch: Ballot, leader: Option<NodeId>) {
        // Whose clock counts shows when an entry of the new leadership is applied.
        self.lessor.end();
        if shared.has(ServerBug::TimesEarly) && leader == Some(self.id) {
            self.lease_clock_begins(shared);
        }
        let led = std::mem::replace(&mut self.leader, leader) == Some(self.id);
        let status = self.replica.status();
        if led && leader != Some(self.id) {
            let removed = status.standing == Standing::Removed;
            shared.mark(if removed { Mark::LeaderRemovedItself } else { Mark::LeaderDeposed });
        }
        if leader == Some(self.id) && status.configuration.is_joint() {
            shared.mark(Mark::JointLedOn);
        }
        shared.note(self.node, || match leader {
            Some(leader) => format!("knows {leader} as leader of {epoch}"),
            None => format!("knows no leader in {epoch}"),
        });
    }

    fn persist(&mut self, shared: &mut Shared, op: Op, records: Vec<Record>) {
        if shared.checker.issued(self.id, op, &records) {
            shared.mark(Mark::ConflictTruncated);
        }
        if shared.has(ServerBug::SendsEarly) {
            self.outbox.persisted(op);
        }
        self.log_queue.push((op, records));
    }

    fn refuse(&mut self, shared: &mut Shared, id: ProposalId) {
        shared.checker.proposal_refused(self.id, id);
        if let Some((request, _)) = self.proposals.remove(&id) {
            shared.replies.push((request, Reply::Refused));
        }
    }

    /// Brings the keyspace up to `to`.
    fn apply(&mut self, shared: &mut Shared, to: Index) -> Result<(), Death> {
        while self.applied.index < to {
            let entries: Vec<Entry> =
                self.replica.committed(self.applied.index, APPLY_BYTES).cloned().collect();
            for entry in &entries {
                self.apply_entry(shared, entry)?;
            }
            assert!(!entries.is_empty(), "{} has not committed {to}", self.id);
        }
        self.answer_reads(shared);
        match shared.watches.read(self.node, &self.keyspace) {
            Ok(Met::Nothing) => {}
            Ok(Met::Compacted) => shared.mark(Mark::WatchCompacted),
            Err(why) => {
                let detail = format!("on {}: {why}", self.id);
                shared.checker.report(Invariant::Watch, detail);
            }
        }
        let due = self.snapshotted.plus(shared.profile.sizes.snapshot_every);
        if self.applied.index >= due
            && let Some(configuration) = self.replica.configuration_at(self.applied.index)
        {
            let configuration = Arc::clone(configuration);
            self.snapshotted = self.applied.index;
            let (id, snapshot) = (self.applied, self.keyspace.snapshot());
            self.jobs.push_back(Job::Write { id, configuration, snapshot });
        }
        Ok(())
    }

    fn apply_entry(&mut self, shared: &mut Shared, entry: &Entry) -> Result<(), Death> {
        let index = entry.id.index;
        let mut answer = None;
        match &entry.payload {
            Payload::Opening | Payload::Configuration(_) => self.keyspace.pass(index),
            Payload::Command(bytes) => {
                let Ok(Envelope { origin, id, command }) = Envelope::open(bytes) else {
                    let detail = format!("{} committed bytes that nobody proposed", entry.id);
                    shared.checker.report(Invariant::StateMachineSafety, detail);
                    return Err(Death::Wrong);
                };
                let reply = self.keyspace.apply(index, command);
                if let Ok(reply) = &reply {
                    self.lease_clock_learns(shared, reply);
                }
                shared.checker.proposal_applied(origin, id, index);
                if origin == self.id
                    && let Some((request, _)) = self.proposals.remove(&id)
                {
                    answer = Some((request, reply));
                }
            }
        }
        self.applied = entry.id;
        shared.watches.applied(&self.keyspace);
        shared.checker.applied(self.id, entry, self.keyspace.applied_hash());
        shared.note(self.node, || format!("applies {}", entry.id));
        if let Some((request, reply)) = answer {
            if matches!(reply, Ok(KeyspaceReply::Compact { .. })) {
                shared.mark(Mark::Compacted);
            }
            let reply = reply.map_or(Reply::DoneUnobserved, observed);
            shared.replies.push((request, reply));
        }
        if entry.payload == Payload::Opening {
            if self.leads() && entry.id.ballot == self.replica.status().promise {
                self.lease_clock_begins(shared);
            }
            // What was submitted under an earlier ballot and is not here by now never will be.
            let lost: Vec<ProposalId> = self
                .proposals
                .iter()
                .filter(|(_, (_, ballot))| *ballot < entry.id.ballot)
                .map(|(id, _)| *id)
                .collect();
            for id in lost {
                shared.mark(Mark::ProposalLost);
                self.refuse(shared, id);
            }
        }
        Ok(())
    }

    fn answer_reads(&mut self, shared: &mut Shared) {
        let early = shared.has(ServerBug::ReadsEarly);
        let applied = if early { Index(u64::MAX) } else { self.applied.index };
        let keyspace = &self.keyspace;
        self.ready.retain(|(index, request, key)| {
            if *index > applied {
                return true;
            }
            let found = keyspace
                .range(&Range::key(key_name(*key).as_str()))
                .expect("a read of the present is not rejected");
            let revision = revision(found.revision);
            let found = found.kvs.first().map(found_in);
            shared.replies.push((*request, Reply::Done(Observed::Get { revision, found })));
            false
        });
    }

    /// The keyspace goes on from a snapshot that was received.
    fn install(&mut self, shared: &mut Shared, id: LogId) -> Result<(), Death> {
        match restore(&self.snapshots, id) {
            Ok(_) if shared.has(ServerBug::InstallsNothing) => {}
            Ok((keyspace, _)) => self.keyspace = keyspace,
            Err(_) if shared.is_damaged[self.node] => return Err(Death::Damaged),
            Err(why) => {
                let detail = format!("{} cannot install a snapshot: {why}", self.id);
                shared.checker.report(Invariant::Recovery, detail);
                return Err(Death::Wrong);
            }
        }
        shared.mark(Mark::SnapshotInstalled);
        shared.snapshots_installed += 1;
        shared.note(self.node, || format!("goes on from the snapshot at {id}"));
        shared.checker.installed(self.id, id, self.keyspace.applied_hash());
        self.applied = id;
        self.snapshotted = self.snapshotted.max(id.index);
        // What became of proposals that the snapshot covers cannot be seen any more.
        let unknown = std::mem::take(&mut self.proposals);
        let refuses = shared.has(ServerBug::RefusesUnknown);
        let reply = if refuses { Reply::Refused } else { Reply::Gone };
        shared.replies.extend(unknown.into_values().map(|(request, _)| (request, reply)));
        Ok(())
    }

    /// Gives the log thread everything that waits, if it is free: one write, one sync.
    fn write_log(&mut self, shared: &mut Shared) -> Result<(), Death> {
        let Some((last, _)) = self.log_queue.last() else { return Ok(()) };
        if self.writing.is_some() {
            return Ok(());
        }
        let last = *last;
        let records: Vec<Record> =
            self.log_queue.drain(..).flat_map(|(_, records)| records).collect();
        let begins = records.iter().rev().find_map(|record| match record {
            Record::Begin(id) => Some(*id),
            Record::Promise(_) | Record::Append(_) | Record::Accept(_) => None,
        });
        let promises = records.iter().any(|record| matches!(record, Record::Promise(_)));
        self.disk.start(Lane::Log);
        self.wal.commit(&records).map_err(death_by_log)?;
        if let Some(begin) = begins {
            self.wal.purge_before(begin).map_err(death_by_log)?;
        }
        self.writing = Some(Writing { last, begins, promises });
        if shared.has(ServerBug::PersistsEarly) {
            self.replica.persisted(self.clock.show(shared.now), last);
        }
        let (node, life) = (self.node, self.life);
        let done = shared.now + shared.latency(node, Lane::Log);
        let during = || format!("{} during a write", self.id);
        if shared.random.chance(shared.profile.faults.death_at_write)
            && shared.befalls(Fault::CrashPoint, during)
        {
            let ending = if shared.random.chance(0.7) { Ending::Power } else { Ending::Process };
            let at = shared.now
                + shared.random.duration(std::time::Duration::ZERO, done.since(shared.now));
            shared.queue.push(at, Event::Die { node, life, ending });
        }
        shared.queue.push(done, Event::LogWritten { node, life });
        Ok(())
    }
}

fn death_by_log(error: WalError) -> Death {
    match error {
        WalError::Disk(error) => error.into(),
        WalError::Poisoned => Death::Failed,
    }
}
