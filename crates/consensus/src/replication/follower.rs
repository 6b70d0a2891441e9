use althing_core::{Entry, Index, LogId, NodeId, Payload, Time};

use super::message::{AppendOutcome, Body};
use super::{Bug, Machine, Protocol, Role};
use crate::{Output, Proposal, Refusal};

/// A server that takes its log from a leader, or waits for one.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    pub(super) leader: Option<NodeId>,
    /// When the leader was heard last.
    pub(super) heard_at: Time,
    /// When this server stands for election, unless it hears from a leader first.
    pub(super) deadline: Time,
    /// The answer that the leader is owed at the next drain.
    owed: Option<Owed>,
    /// The last round of read confirmation that was answered.
    round_answered: u64,
    /// Proposals on their way to the leader.
    pub(super) forward: Vec<Proposal>,
    pub(super) forward_bytes: usize,
}

/// One answer for all appends since the last drain.
#[derive(Clone, Copy, Debug, Default)]
struct Owed {
    matched: Index,
    round: u64,
    /// A heartbeat came, and the leader counts on an answer within an election timeout.
    heartbeat: bool,
}

impl Follower {
    pub(super) const fn new(leader: Option<NodeId>, heard_at: Time, deadline: Time) -> Self {
        Self {
            leader,
            heard_at,
            deadline,
            owed: None,
            round_answered: 0,
            forward: Vec::new(),
            forward_bytes: 0,
        }
    }
}

impl<P: Protocol> Machine<P> {
    /// The leader of this epoch spoke.
    pub(super) fn hear_leader(&mut self, now: Time, from: NodeId) {
        if let Role::Candidate(_) = self.role {
            self.follow(now, self.epoch(), Some(from));
        }
        let deadline = self.election_deadline(now);
        match &mut self.role {
            Role::Follower(follower) => {
                assert!(
                    follower.leader.is_none_or(|leader| leader == from),
                    "two leaders in one epoch: {:?} and {from}",
                    follower.leader
                );
                follower.leader = Some(from);
                follower.heard_at = now;
                follower.deadline = deadline;
                self.be_loyal(now);
            }
            Role::Candidate(_) | Role::Leader(_) => {
                panic!("two leaders in {}: {} and {from}", self.epoch(), self.id)
            }
        }
    }

    /// Entries from the leader, or a heartbeat (5.3).
    pub(super) fn append(
        &mut self,
        from: NodeId,
        previous: LogId,
        entries: Vec<Entry>,
        commit: Index,
        round: u64,
    ) {
        // What the log no longer holds is committed, so it agrees.
        let begin = self.log.begin();
        if previous.index >= begin.index && !self.log.contains(previous) {
            let hint = self.log.last_at_or_below(previous);
            let outcome = AppendOutcome::Rejected { previous: previous.index, hint };
            let loyal_for = self.loyal_for();
            let reply = Body::AppendReply { round, loyal_for, outcome };
            self.send_after(from, self.journal.promised(), reply);
            return;
        }
        let matched = previous.index.plus(entries.len() as u64).max(begin.index);
        let heartbeat = entries.is_empty();
        for entry in entries.into_iter().skip_while(|entry| entry.id.index <= begin.index) {
            self.append_entry(entry);
        }
        P::agreed(self, matched);
        let matched_only = !self.has(Bug::CommitsUnmatched);
        let bound = if matched_only { matched } else { self.log.last().index };
        self.commit = self.commit.max(commit.min(bound));
        self.owe(matched, round, heartbeat);
    }

    pub(crate) fn append_entry(&mut self, entry: Entry) {
        let index = entry.id.index;
        if self.log.contains(entry.id) && !self.has(Bug::TruncatesAlways) {
            return;
        }
        if index <= self.log.last().index {
            if self.has(Bug::KeepsConflicts) {
                return;
            }
            assert!(index > self.commit, "the leader overwrites {index}, which is committed");
            self.log.truncate_from(index);
            self.journal.truncate_from(index);
            self.acceptances.truncate_from(index);
            self.configuration_taken_back(index);
        }
        if let Payload::Configuration(configuration) = &entry.payload {
            self.configured_by(index, configuration);
        }
        self.journal.append(entry.clone());
        self.log.append(entry);
    }

    /// Notes that the leader is to be told how far the logs match.
    pub(super) fn owe(&mut self, matched: Index, round: u64, heartbeat: bool) {
        if let Role::Follower(follower) = &mut self.role {
            let owed = follower.owed.get_or_insert_default();
            owed.matched = owed.matched.max(matched);
            owed.round = owed.round.max(round);
            owed.heartbeat |= heartbeat;
        }
    }

    /// The leader says how far the log is committed.
    pub(super) fn commit_told(&mut self, commit: LogId) {
        if self.log.contains(commit) {
            self.commit = self.commit.max(commit.index);
        }
    }

    /// Gives the leader one answer for everything it sent since the last drain. What it says about
    /// the log waits until the log is durable; what it says about who leads only waits until the
    /// term is: a server that answered in a term must not wake up in an earlier one and let that
    /// one's leader replace what it has answered for (figure 2: stable storage before responding).
    pub(super) fn answer_leader(&mut self) {
        let Role::Follower(follower) = &mut self.role else { return };
        let Some(leader) = follower.leader else { return };
        let Some(Owed { matched, round, heartbeat }) = follower.owed.take() else { return };
        let read_waits = round > follower.round_answered;
        follower.round_answered = follower.round_answered.max(round);
        let loyal_for = self.loyal_for();
        let reply = |matched| Body::<P>::AppendReply {
            round,
            loyal_for,
            outcome: AppendOutcome::Accepted { matched },
        };
        let durable = self.journal.durable();
        let promised = self.journal.promised().filter(|_| !self.has(Bug::AnswersUnpromised));
        if matched <= durable {
            self.send_after(leader, promised, reply(matched));
            return;
        }
        if read_waits || heartbeat {
            self.send_after(leader, promised, reply(durable));
        }
        self.send_durably(leader, reply(matched));
    }

    /// Sends the leader what our clients proposed.
    pub(super) fn forward_proposals(&mut self) {
        let Role::Follower(follower) = &mut self.role else { return };
        if follower.forward.is_empty() {
            return;
        }
        follower.forward_bytes = 0;
        let mut proposals = std::mem::take(&mut follower.forward);
        let Some(leader) = follower.leader else {
            self.refuse_forwarded(proposals);
            return;
        };
        while !proposals.is_empty() {
            let rest = proposals.split_off(count_within(&proposals, self.options.append_bytes_max));
            self.send(leader, Body::Propose { proposals });
            proposals = rest;
        }
    }

    /// The leader that these were meant for is gone, and they were never sent.
    pub(super) fn refuse_forwarded(&mut self, proposals: Vec<Proposal>) {
        let reason = Refusal::NoLeader;
        let refused =
            proposals.into_iter().map(|Proposal { id, .. }| Output::Refused { id, reason });
        self.outgoing.extend(refused);
    }
}

/// How many of the proposals fit into `bytes_max`, at least one.
fn count_within(proposals: &[Proposal], bytes_max: usize) -> usize {
    let mut bytes = 0;
    let fits = |proposal: &&Proposal| {
        bytes += proposal.command.len();
        bytes <= bytes_max
    };
    proposals.iter().take_while(fits).count().max(1)
}
