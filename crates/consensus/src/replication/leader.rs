use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use althing_core::{Ballot, Entry, Index, LogId, NodeId, Payload, Quorum, Time};

use super::message::{AppendOutcome, Body};
use super::progress::{Progress, State, Window};
use super::reads::{Read, Reads};
use super::snapshot::Transfer;
use super::{Bug, Machine, Protocol, Role};
use crate::{Output, Proposal, ProposalId, ReadId, Refusal};

/// A server that leads.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    pub(super) progress: BTreeMap<NodeId, Progress>,
    pub(super) reads: Reads,
    /// The first entry of this leadership. Once it is committed, so is all that came before.
    pub(super) opening: Index,
    /// Bytes that this leadership appended and that are not committed yet.
    uncommitted_bytes: usize,
    pub(super) heartbeat_at: Time,
    heartbeat_due: bool,
    pub(super) quorum_check_at: Time,
    /// It has asked another to stand for election, who may be elected by those who are loyal to
    /// this one: it reads by lease no more.
    pub(super) is_lease_over: bool,
    /// Its disk stood still, and it has offered the leadership to another.
    pub(super) has_offered: bool,
    /// The configuration in force is without this server.
    pub(super) is_leaving: bool,
    /// Those who are to be told that they were removed, once that is committed.
    pub(super) farewells: Vec<NodeId>,
}

impl Leader {
    /// How far each follower's log matches.
    pub(super) fn matched(&self) -> impl Iterator<Item = (NodeId, Index)> {
        self.progress.iter().map(|(node, progress)| (*node, progress.matched))
    }
}

impl<P: Protocol> Machine<P> {
    /// Elected (5.2). The opening entry makes everything before it committable (5.4.2, thesis 6.4).
    pub(crate) fn lead(&mut self, now: Time) {
        let last = self.log.last().index;
        let peers = Arc::clone(&self.peers);
        self.role = Role::Leader(Leader {
            progress: peers.iter().map(|peer| (*peer, Progress::new(last, now))).collect(),
            reads: Reads::default(),
            opening: last.next(),
            uncommitted_bytes: 0,
            heartbeat_at: now,
            heartbeat_due: true,
            quorum_check_at: now + self.options.election_timeout,
            is_lease_over: false,
            has_offered: false,
            is_leaving: !self.configurations.current().contains(self.id)
                && !self.has(Bug::StaysWhenRemoved),
            farewells: Vec::new(),
        });
        self.append_payload(Payload::Opening);
    }

    /// Time passed while leading.
    pub(super) fn lead_on(&mut self, now: Time) {
        self.check_quorum(now);
        self.check_disk(now);
        let Role::Leader(leader) = &mut self.role else { return };
        if now >= leader.heartbeat_at {
            leader.heartbeat_at = now + self.options.heartbeat_interval;
            leader.heartbeat_due = true;
        }
    }

    /// A leader that has not heard from a majority for an election timeout steps down, so that its
    /// clients can look elsewhere (thesis, section 6.2).
    fn check_quorum(&mut self, now: Time) {
        let patience = self.options.election_timeout;
        let own = self.id;
        let Role::Leader(leader) = &mut self.role else { return };
        if now < leader.quorum_check_at {
            return;
        }
        leader.quorum_check_at = now + patience;
        let progress = &leader.progress;
        let heard = |node: NodeId| {
            node == own || progress.get(&node).is_some_and(|p| now.since(p.heard_at) < patience)
        };
        if !self.deciding.is_phase_two(&heard) {
            self.follow(now, self.epoch(), None);
        }
    }

    /// Appends a client's command, if there is room.
    pub(super) fn append_command(&mut self, command: Arc<[u8]>) -> Result<Ballot, Refusal> {
        if self.is_handing_over() {
            return Err(Refusal::Transferring);
        }
        let Role::Leader(leader) = &mut self.role else { return Err(Refusal::NoLeader) };
        if leader.is_leaving {
            return Err(Refusal::Transferring);
        }
        if leader.uncommitted_bytes >= self.options.uncommitted_bytes_max {
            return Err(Refusal::Overloaded);
        }
        self.append_payload(Payload::Command(command));
        Ok(self.promise)
    }

    pub(super) fn append_payload(&mut self, payload: Payload) -> LogId {
        if let Role::Leader(leader) = &mut self.role {
            leader.uncommitted_bytes += payload.size();
        }
        let id = LogId::new(self.promise, self.log.last().index.next());
        let entry = Entry { id, payload };
        self.journal.append(entry.clone());
        self.log.append(entry);
        id
    }

    /// A follower's clients propose.
    pub(super) fn propose_forwarded(&mut self, from: NodeId, proposals: Vec<Proposal>) {
        if !matches!(self.role, Role::Leader(_)) {
            // It led this epoch once, and if the message was repeated, it holds these proposals. So
            // it must not refuse them; the next epoch's opening entry will tell.
            return;
        }
        let mut refused = Vec::new();
        let mut why = Refusal::Overloaded;
        for Proposal { id, command } in proposals {
            if self.takes(from, id)
                && let Err(reason) = self.append_command(command)
            {
                refused.push(id);
                why = reason;
            }
        }
        if !refused.is_empty() {
            self.send(from, Body::Refuse { ids: refused, reason: why });
        }
    }

    /// Leader: whether this proposal comes for the first time, and from a member; notes that it
    /// has come.
    fn takes(&mut self, from: NodeId, id: ProposalId) -> bool {
        let repeats = self.has(Bug::TakesRepeats);
        let Role::Leader(leader) = &mut self.role else { return false };
        leader.progress.get_mut(&from).is_some_and(|progress| progress.taken.take(id) || repeats)
    }

    /// A follower's client reads.
    pub(super) fn read_forwarded(&mut self, now: Time, from: NodeId, id: ReadId) {
        self.read_here(now, Some(from), id);
    }

    /// Leader: somebody reads.
    pub(super) fn read_here(&mut self, now: Time, from: Option<NodeId>, id: ReadId) {
        let has_lease = now < self.lease_until();
        let early = self.has(Bug::ReadsTooEarly);
        let Role::Leader(leader) = &mut self.role else { return };
        let opening = if early { Index::ZERO } else { leader.opening };
        let index = self.commit.max(opening);
        if has_lease {
            self.serve(Read { from, id, index });
        } else {
            leader.reads.ask(from, id, index);
        }
    }

    fn serve(&mut self, Read { from, id, index }: Read) {
        match from {
            Some(from) => self.send(from, Body::ReadReply { id, index }),
            None => self.outgoing.push(Output::ReadReady { id, index }),
        }
    }

    /// A follower answered.
    pub(super) fn append_reply(
        &mut self,
        now: Time,
        from: NodeId,
        (round, loyal_for): (u64, Duration),
        outcome: AppendOutcome,
    ) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&from) else { return };
        progress.answer(now, round, loyal_for);
        match outcome {
            AppendOutcome::Accepted { matched } => {
                let last = self.log.last().index;
                assert!(
                    matched <= last,
                    "{from} matches {matched}, but the log ends at {last}: a member lost its data"
                );
                progress.accept(matched);
                if let State::Snapshot(transfer) = &progress.state {
                    if matched >= self.log.begin().index {
                        progress.next = progress.matched.next();
                        progress.state = State::Replicate(Window::default());
                    } else if matched >= transfer.snapshot().index {
                        // It arrived, but the log has moved on meanwhile.
                        progress.state = State::Snapshot(Transfer::new(self.snapshot));
                    }
                }
                self.advance_commit();
            }
            AppendOutcome::Rejected { previous, hint } => {
                // Where the hint is older than the log, the snapshot is all there is to send.
                let candidate = if hint.index < self.log.begin().index {
                    hint.index.next()
                } else {
                    self.log.last_at_or_below(hint).index.next()
                };
                progress.reject(previous, candidate);
            }
        }
    }

    /// Commits what a quorum holds durably, if that is enough.
    pub(super) fn advance_commit(&mut self) {
        let unwritten = self.has(Bug::CountsUnwritten);
        let durable = if unwritten { self.log.last().index } else { self.journal.durable() };
        let own = (self.id, durable);
        let alone = self.has(Bug::MiscountsQuorum);
        let Role::Leader(leader) = &self.role else { return };
        let matched = |node: NodeId| {
            if node == own.0 {
                own.1
            } else {
                leader.progress.get(&node).map_or(Index::ZERO, |progress| progress.matched)
            }
        };
        let Some(reached) = self.deciding.reached(matched) else { return };
        let reached = if alone { own.1 } else { reached };
        if reached <= self.commit || !P::is_decided(self, reached) {
            return;
        }
        let Role::Leader(leader) = &mut self.role else { return };
        let own = self.commit.next().max(leader.opening);
        let committed = self.log.entries_from(own);
        let bytes: usize = committed
            .take_while(|entry| entry.id.index <= reached)
            .map(|entry| entry.payload.size())
            .sum();
        leader.uncommitted_bytes -= bytes;
        self.commit = reached;
    }

    /// Sends every follower what it lacks, within its window, and serves confirmed reads.
    pub(super) fn replicate(&mut self, now: Time) {
        // A single server is its own majority: nobody will answer, so look before speaking.
        self.advance_commit();
        self.settle_members(now);
        let Role::Leader(leader) = &mut self.role else { return };
        let heartbeat = std::mem::take(&mut leader.heartbeat_due);
        if heartbeat && self.options.lease_drift.is_some() {
            leader.reads.beat(now, self.options.election_timeout);
        }
        let round_started = leader.reads.start_round();
        for peer in Arc::clone(&self.peers).iter() {
            self.supply(now, *peer, heartbeat, round_started);
        }
        self.continue_handover(heartbeat);
        self.serve_reads();
    }

    fn supply(&mut self, now: Time, peer: NodeId, heartbeat: bool, round_started: bool) {
        let spoke = self.send_entries(peer, heartbeat);
        self.continue_transfer(now, peer);
        if spoke {
            return;
        }
        if heartbeat || round_started {
            self.send_empty(peer);
        } else {
            self.tell_commit(peer);
        }
    }

    /// Sends entries or a probe; returns whether it did.
    fn send_entries(&mut self, peer: NodeId, heartbeat: bool) -> bool {
        let options = &self.options;
        let Role::Leader(leader) = &mut self.role else { return false };
        let round = leader.reads.round();
        let Some(progress) = leader.progress.get_mut(&peer) else { return false };
        let last = self.log.last().index;
        let mut spoke = false;
        loop {
            let Some(previous) = self.log.id_at(progress.next.previous()) else {
                if !matches!(progress.state, State::Snapshot(_)) {
                    progress.state = State::Snapshot(Transfer::new(self.snapshot));
                }
                return spoke;
            };
            let entries = match &mut progress.state {
                State::Snapshot(_) => return spoke,
                State::Probe { sent } if *sent && !heartbeat => return spoke,
                State::Probe { sent } => {
                    *sent = true;
                    Vec::new()
                }
                State::Replicate(window) => {
                    if progress.next > last
                        || !window.has_room(options.window_messages, options.window_bytes)
                    {
                        return spoke;
                    }
                    let (entries, bytes) =
                        batch(self.log.entries_from(progress.next), options.append_bytes_max);
                    progress.next = progress.next.plus(entries.len() as u64);
                    window.sent(progress.next.previous(), bytes);
                    entries
                }
            };
            spoke = true;
            progress.commit_told = self.commit;
            let probing = entries.is_empty();
            let body = Body::Append { previous, entries, commit: self.commit, round };
            let message = super::Message { epoch: P::epoch(self.promise), body };
            self.outgoing.push(Output::Send(althing_core::Gated::new(peer, None, message)));
            if probing {
                return spoke;
            }
        }
    }

    /// A heartbeat, or the announcement of a round of read confirmation.
    fn send_empty(&mut self, peer: NodeId) {
        let Role::Leader(leader) = &mut self.role else { return };
        let round = leader.reads.round();
        let Some(progress) = leader.progress.get_mut(&peer) else { return };
        // During a transfer the logs do not meet anywhere yet but at their beginning.
        let previous = match progress.state {
            State::Snapshot(_) => LogId::ZERO,
            State::Probe { .. } | State::Replicate(_) => {
                self.log.id_at(progress.next.previous()).unwrap_or(LogId::ZERO)
            }
        };
        progress.commit_told = self.commit;
        let body = Body::Append { previous, entries: Vec::new(), commit: self.commit, round };
        self.send(peer, body);
    }

    /// Lets a follower know that the commit index moved, where nothing else told it.
    fn tell_commit(&mut self, peer: NodeId) {
        let commit = self.commit;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&peer) else { return };
        let knows_it = progress.commit_told >= commit || progress.matched < commit;
        if knows_it || !matches!(progress.state, State::Replicate(_)) {
            return;
        }
        if let Some(commit) = self.log.id_at(commit) {
            progress.commit_told = commit.index;
            self.send(peer, Body::Commit { commit });
        }
    }

    fn serve_reads(&mut self) {
        let own = self.id;
        let unconfirmed = self.has(Bug::ReadsUnconfirmed);
        let reuses = self.has(Bug::ReusesRounds);
        let Role::Leader(leader) = &mut self.role else { return };
        let progress = &leader.progress;
        let answered = |node: NodeId| {
            if node == own { u64::MAX } else { progress.get(&node).map_or(0, |p| p.round) }
        };
        let Some(reached) = self.deciding.reached(answered) else { return };
        let reached = reached.saturating_add(u64::from(reuses));
        let round = if unconfirmed { u64::MAX } else { reached };
        let served: Vec<Read> = leader.reads.confirm(round).collect();
        served.into_iter().for_each(|read| self.serve(read));
        // Reads that came meanwhile start their round at once.
        self.announce_next_round();
    }

    fn announce_next_round(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        if !leader.reads.start_round() {
            return;
        }
        for peer in Arc::clone(&self.peers).iter() {
            self.send_empty(*peer);
        }
    }
}

/// As many entries as fit into `bytes_max`, at least one, and their size.
pub(crate) fn batch<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    bytes_max: usize,
) -> (Vec<Entry>, usize) {
    /// What an entry weighs besides its payload.
    const OVERHEAD: usize = 32;
    let mut bytes = 0;
    let mut batch = Vec::new();
    for entry in entries {
        let size = OVERHEAD + entry.payload.size();
        if !batch.is_empty() && bytes + size > bytes_max {
            break;
        }
        bytes += size;
        batch.push(entry.clone());
    }
    (batch, bytes)
}
