//! What Raft and Multi-Paxos have in common: a leader that brings its log to the others, through
//! lost messages, full windows, snapshots and changes of members.
//!
//! A [`Machine`] is a member of a group, and a [`Protocol`] the rules by which leaderships begin
//! and by which entries count as decided; [`crate::raft`] and [`crate::paxos`] say what those are.
//!
//! Entries are named by the epoch under which they were first proposed, and whoever holds an entry
//! holds every one before it as well, the same as all others who hold it: each message names the
//! entry that comes right before those it carries, and a follower without that one takes none.

mod candidate;
mod codec;
mod configurations;
mod follower;
mod handover;
mod journal;
mod leader;
mod lease;
mod membership;
mod message;
mod options;
mod progress;
mod protocol;
mod reads;
mod snapshot;
mod stall;
mod start;
mod taken;

use std::sync::Arc;
use std::time::Duration;

use althing_core::{
    Acceptances, Ballot, Change, Configuration, Entry, Gated, Index, LogId, NodeId, Op, Random,
    Time,
};

use crate::{
    ChangeRefusal, Chunk, Log, Output, Proposal, ProposalId, ReadId, ReadRefusal, Refusal, Replica,
    Status, Stored, TransferRefusal,
};
pub(crate) use candidate::{Candidate, Stage};
pub(crate) use codec::require_following;
use configurations::Configurations;
use follower::Follower;
use handover::Handover;
use journal::Journal;
use leader::Leader;
pub(crate) use leader::batch;
pub use message::{AppendOutcome, Body, Message};
pub use options::{Bug, Options};
pub use protocol::{Ask, Protocol};
use snapshot::Receiving;

/// A member of a group that replicates a log, by the rules of one protocol.
///
/// # Invariants
/// - `promise` (term and vote, or ballot) never falls; the epoch follows from it.
/// - `log.begin().index <= snapshot.index <= commit <= log.last().index`.
/// - A leader's `promise` is to itself, and is durable.
/// - `acceptances` covers no place beyond the log's last.
/// - The configuration in force is the last one in the log, or where it begins.
#[derive(Clone, Debug)]
pub struct Machine<P: Protocol> {
    pub(crate) id: NodeId,
    pub(crate) configurations: Configurations,
    /// Whose quorums decide: those of the configuration in force.
    pub(crate) deciding: Arc<Configuration>,
    /// All other members.
    peers: Arc<[NodeId]>,
    /// Somebody said that we were removed.
    is_removed: bool,
    pub(crate) options: Options,
    random: Random,
    pub(crate) promise: Ballot,
    pub(crate) log: Log,
    /// Under which ballots its entries were accepted last, where those do not name them.
    pub(crate) acceptances: Acceptances,
    pub(crate) journal: Journal,
    pub(crate) commit: Index,
    /// The last entry covered by a durable snapshot of the state machine.
    snapshot: LogId,
    receiving: Option<Receiving>,
    /// It helps nobody to lead before this, unless its leader asks for it.
    loyal_until: Time,
    pub(crate) role: Role<P>,
    /// The leadership is, or was, to go to another server; what came of it is not told yet.
    handover: Option<Handover>,
    outgoing: Vec<Output<Message<P>>>,
    told: Told,
}

/// The three roles of section 5.1.
#[derive(Clone, Debug)]
pub(crate) enum Role<P: Protocol> {
    Follower(Follower),
    Candidate(Candidate<P>),
    Leader(Leader),
}

/// What the driver was told last, so that it hears only of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    commit: Index,
    epoch: Ballot,
    leader: Option<NodeId>,
    configuration: Arc<Configuration>,
}

impl<P: Protocol> Machine<P> {
    /// The current epoch: term or ballot.
    pub fn epoch(&self) -> Ballot {
        P::epoch(self.promise)
    }

    /// The log that is held in memory.
    pub const fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        cfg!(feature = "planted-bugs") && self.options.bug == Some(bug)
    }

    const fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower(follower) => follower.leader,
            Role::Candidate(_) => None,
            Role::Leader(_) => Some(self.id),
        }
    }

    /// Sends at once.
    pub(crate) fn send(&mut self, to: NodeId, body: Body<P>) {
        self.send_after(to, None, body);
    }

    /// Sends once everything recorded so far is durable.
    pub(crate) fn send_durably(&mut self, to: NodeId, body: Body<P>) {
        let after = if self.has(Bug::AcknowledgesEarly) { None } else { self.journal.latest() };
        self.send_after(to, after, body);
    }

    fn send_after(&mut self, to: NodeId, after: Option<Op>, body: Body<P>) {
        let message = Message { epoch: self.epoch(), body };
        self.outgoing.push(Output::Send(Gated::new(to, after, message)));
    }

    /// A random moment between one and two election timeouts from now.
    pub(crate) fn election_deadline(&mut self, now: Time) -> Time {
        let patience = self.options.election_timeout;
        now + self.random.duration(patience, patience * 2)
    }

    /// Becomes a follower of `leader` in `epoch`, which is the current one or greater.
    pub(crate) fn follow(&mut self, now: Time, epoch: Ballot, leader: Option<NodeId>) {
        assert!(epoch >= self.epoch(), "{epoch} is below {}", self.epoch());
        if epoch > self.epoch() {
            self.promise = epoch;
            if !(epoch.node.is_some() && self.has(Bug::ForgetsPromise)) {
                self.journal.promise(self.promise);
            }
        }
        // Only a leader's word or a granted vote buys more time, not a greater epoch alone.
        let deadline = match &self.role {
            Role::Follower(follower) => follower.deadline,
            Role::Candidate(_) | Role::Leader(_) => self.election_deadline(now),
        };
        let before =
            std::mem::replace(&mut self.role, Role::Follower(Follower::new(leader, now, deadline)));
        match before {
            Role::Leader(leader) => {
                let reason = ReadRefusal::Deposed;
                let refused = leader.reads.abandon().map(|id| Output::ReadRefused { id, reason });
                self.outgoing.extend(refused);
            }
            Role::Follower(follower) => self.refuse_forwarded(follower.forward),
            Role::Candidate(_) => {}
        }
    }

    /// Whether this server has reason to believe that its leader lives: then nobody else should be
    /// elected, and requests for votes are not even looked at (thesis, section 4.2.3).
    fn follows_a_live_leader(&self, now: Time) -> bool {
        match &self.role {
            Role::Follower(follower) => {
                follower.leader.is_some()
                    && now.since(follower.heard_at) < self.options.election_timeout
            }
            Role::Candidate(_) => false,
            // It would have stepped down.
            Role::Leader(_) => true,
        }
    }

    /// Tells the sender of a message of an old epoch about the current one.
    fn refuse_old_epoch(&mut self, from: NodeId, body: &Body<P>) {
        match body {
            Body::Ask(ask) => {
                if let Some(refusal) = ask.refusal() {
                    self.send(from, refusal);
                }
            }
            Body::Append { .. } | Body::Snapshot(_) => {
                let hint = self.log.last();
                let outcome = AppendOutcome::Rejected { previous: Index::ZERO, hint };
                self.send(from, Body::AppendReply { round: 0, loyal_for: 0, outcome });
            }
            Body::PreVoteReply { .. }
            | Body::AppendReply { .. }
            | Body::Commit { .. }
            | Body::TimeoutNow
            | Body::Removed
            | Body::SnapshotReply { .. }
            | Body::Propose { .. }
            | Body::Refuse { .. }
            | Body::Read { .. }
            | Body::ReadReply { .. } => {}
        }
    }

    fn dispatch(&mut self, now: Time, from: NodeId, body: Body<P>) {
        match body {
            Body::PreVoteReply { granted } => self.pre_vote_reply(now, from, granted),
            Body::Ask(ask) => P::hear(self, now, from, ask),
            Body::Append { previous, entries, commit, round } => {
                self.hear_leader(now, from);
                self.append(from, previous, entries, commit, round);
            }
            Body::AppendReply { round, loyal_for, outcome } => {
                let loyal_for = Duration::from_millis(loyal_for.into());
                self.append_reply(now, from, (round, loyal_for), outcome);
            }
            Body::Commit { commit } => self.commit_told(commit),
            Body::Snapshot(chunk) => {
                self.hear_leader(now, from);
                self.snapshot_chunk(from, chunk);
            }
            Body::SnapshotReply { snapshot, offset } => {
                self.snapshot_reply(now, from, snapshot, offset);
            }
            Body::TimeoutNow => self.stand_at_once(now),
            Body::Removed => self.learn_removal(now),
            Body::Propose { proposals } => self.propose_forwarded(from, proposals),
            Body::Refuse { ids, reason } => {
                let refused = ids.into_iter().map(|id| Output::Refused { id, reason });
                self.outgoing.extend(refused);
            }
            Body::Read { id } => self.read_forwarded(now, from, id),
            Body::ReadReply { id, index } => {
                self.outgoing.push(Output::ReadReady { id, index });
            }
        }
    }

    fn tell_configuration(&mut self, outputs: &mut Vec<Output<Message<P>>>) {
        let current = self.configurations.current();
        if Arc::ptr_eq(&self.told.configuration, current) {
            return;
        }
        let before = std::mem::replace(&mut self.told.configuration, Arc::clone(current));
        if before != *current {
            let index = self.configurations.index();
            outputs.push(Output::Configured { index, configuration: Arc::clone(current) });
        }
    }

    fn tell_changes(&mut self, outputs: &mut Vec<Output<Message<P>>>) {
        if self.commit > self.told.commit {
            self.told.commit = self.commit;
            outputs.push(Output::Commit { to: self.commit });
        }
        let (epoch, leader) = (self.epoch(), self.leader());
        if (self.told.epoch, self.told.leader) != (epoch, leader) {
            self.told.epoch = epoch;
            self.told.leader = leader;
            outputs.push(Output::Leader { epoch, leader });
        }
    }
}

impl<P: Protocol> Replica for Machine<P> {
    type Message = Message<P>;

    fn receive(&mut self, now: Time, from: NodeId, message: Message<P>) {
        if from == self.id {
            return;
        }
        // Who is no member, as far as is known here, may well be one by now: a leader that was
        // added lately, or a candidate that needs this very vote (thesis, section 4.1). But who was
        // removed stays so.
        let Message { epoch, body } = message;
        if self.has_removed(from) {
            self.answer_removed(from, &body);
            return;
        }
        if body == Body::Removed {
            self.learn_removal(now);
            return;
        }
        let disturbs = matches!(&body, Body::Ask(ask) if ask.disturbs());
        if disturbs && (self.follows_a_live_leader(now) || now < self.loyal_until) {
            return;
        }
        if epoch > self.epoch() {
            self.follow(now, epoch, None);
        }
        if epoch < self.epoch() && !self.has(Bug::ObeysOldEpochs) {
            self.refuse_old_epoch(from, &body);
        } else {
            self.dispatch(now, from, body);
        }
    }

    fn tick(&mut self, now: Time) {
        self.give_up_handover(now);
        match &self.role {
            Role::Follower(follower) if now >= follower.deadline => self.lose_patience(now),
            Role::Candidate(candidate) if now >= candidate.deadline => self.lose_patience(now),
            Role::Leader(_) => self.lead_on(now),
            Role::Follower(_) | Role::Candidate(_) => {}
        }
    }

    fn propose(
        &mut self,
        _now: Time,
        id: ProposalId,
        command: Arc<[u8]>,
    ) -> Result<Ballot, Refusal> {
        match &mut self.role {
            Role::Leader(_) => self.append_command(command),
            Role::Follower(follower) => {
                let leader = follower.leader.ok_or(Refusal::NoLeader)?;
                if follower.forward_bytes >= self.options.uncommitted_bytes_max {
                    return Err(Refusal::Overloaded);
                }
                follower.forward_bytes += command.len();
                follower.forward.push(Proposal { id, command });
                Ok(Ballot::new(self.promise.round, leader))
            }
            Role::Candidate(_) => Err(Refusal::NoLeader),
        }
    }

    fn read(&mut self, now: Time, id: ReadId) {
        match &mut self.role {
            Role::Leader(_) => self.read_here(now, None, id),
            Role::Follower(Follower { leader: Some(leader), .. }) => {
                let leader = *leader;
                self.send(leader, Body::Read { id });
            }
            Role::Follower(_) | Role::Candidate(_) => {
                let reason = ReadRefusal::NoLeader;
                self.outgoing.push(Output::ReadRefused { id, reason });
            }
        }
    }

    fn reconfigure(&mut self, now: Time, changes: &[Change]) -> Result<LogId, ChangeRefusal> {
        self.change_members(now, changes)
    }

    fn transfer(&mut self, now: Time, to: NodeId) -> Result<(), TransferRefusal> {
        self.begin_handover(now, to)
    }

    fn persisted(&mut self, now: Time, op: Op) {
        self.journal.persisted(op, &self.log);
        match &self.role {
            Role::Candidate(_) => P::persisted(self, now, op),
            Role::Leader(_) => self.advance_commit(),
            Role::Follower(_) => {}
        }
    }

    fn snapshotted(&mut self, now: Time, snapshot: LogId) {
        if snapshot.index <= self.snapshot.index {
            return;
        }
        assert!(snapshot.index <= self.commit, "a snapshot of {snapshot}, which is not committed");
        self.snapshot = snapshot;
        self.journal.begin(snapshot);
        self.compact(now);
    }

    fn chunk_loaded(&mut self, now: Time, to: NodeId, chunk: Option<Chunk>) {
        self.send_chunk(now, to, chunk);
    }

    fn chunk_stored(&mut self, _now: Time, snapshot: LogId, stored: Stored) {
        self.store_chunk(snapshot, stored);
    }

    fn drain(&mut self, now: Time, outputs: &mut Vec<Output<Message<P>>>) {
        match &self.role {
            Role::Leader(_) => self.replicate(now),
            Role::Follower(_) => {
                self.answer_leader();
                self.forward_proposals();
            }
            Role::Candidate(_) => {}
        }
        self.tell_configuration(outputs);
        if let Some((op, records)) = self.journal.issue(now, &self.log) {
            outputs.push(Output::Persist { op, records });
        }
        self.finish_handover();
        outputs.append(&mut self.outgoing);
        self.tell_changes(outputs);
    }

    fn wake_at(&self) -> Time {
        let by_role = match &self.role {
            // Who cannot lead only waits to find out that its leader is gone.
            Role::Follower(follower) if follower.leader.is_none() && !self.may_stand() => {
                Time::NEVER
            }
            Role::Follower(follower) => follower.deadline,
            Role::Candidate(candidate) => candidate.deadline,
            Role::Leader(leader) => leader.heartbeat_at.min(leader.quorum_check_at),
        };
        self.handover.as_ref().map_or(by_role, |handover| by_role.min(handover.deadline()))
    }

    fn committed(&self, after: Index, bytes_max: usize) -> impl Iterator<Item = &Entry> {
        let commit = self.commit;
        let mut bytes = 0;
        self.log
            .entries_from(after.next())
            .take_while(move |entry| entry.id.index <= commit)
            .take_while(move |entry| {
                let first = bytes == 0;
                bytes += 1 + entry.payload.size();
                first || bytes <= bytes_max
            })
    }

    fn configuration_at(&self, index: Index) -> Option<&Arc<Configuration>> {
        self.configurations.at(index).filter(|configuration| !configuration.is_empty())
    }

    fn status(&self) -> Status {
        Status {
            role: match &self.role {
                Role::Follower(_) => crate::Role::Follower,
                Role::Candidate(_) => crate::Role::Candidate,
                Role::Leader(_) => crate::Role::Leader,
            },
            promise: self.promise,
            leader: self.leader(),
            last: self.log.last(),
            durable: self.journal.durable(),
            commit: self.commit,
            begin: self.log.begin(),
            matched: match &self.role {
                Role::Leader(leader) => leader.matched().collect(),
                Role::Follower(_) | Role::Candidate(_) => Vec::new(),
            },
            standing: self.standing(),
            configuration: Arc::clone(self.configurations.current()),
            configured: self.configurations.index(),
            transferring: self.handover.as_ref().map(Handover::to),
            lease_until: self.lease_until(),
        }
    }
}
