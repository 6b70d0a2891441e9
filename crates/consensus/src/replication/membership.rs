//! Who belongs to the group, and how that changes (thesis, chapter 4; paper, section 6).
//!
//! # The rules
//! A configuration is an entry of the log and holds from the moment it is appended, committed or
//! not; with the entry it can be taken back. A change of voters goes through a **joint**
//! configuration, in which elections and commitment need a majority of the old voters and one of
//! the new; once that entry is committed, the leader appends the new configuration alone. So any
//! two configurations that can be in use at the same time have no disjoint quorums.
//!
//! There is no second mechanism for changes of one server at a time. It would save one round in
//! the most common change and cost a second set of rules, whose one exception (two leaders may each
//! add another server to the same configuration, found in 2015) is why the rule is kept here too
//! that a leader changes nothing before an entry of its own term is committed. Where the voters
//! stay the same (learners, cards), old and new quorums are the same, and one step is enough.
//!
//! At most one change is under way: the last configuration is committed before the next is
//! appended.
//!
//! # Those who leave
//! A leader that is not in the new configuration still leads until that is committed, without
//! counting itself; having taken nothing more into its log since, it leaves nothing undecided. It
//! hands over to a voter whose log is as long, and steps down. If it dies before that, it may be
//! the only one that holds the entry, and then nobody else can be elected: it stands for election
//! though it does not count, and leads once more for as long as it takes to commit that entry.
//!
//! A removed server that does not know of it hears nothing any more and would like to lead. It asks
//! before it opens a term (pre-vote), and those whose leader lives do not even look at the question
//! (check quorum makes sure that a leader they hear is one that a majority hears); if it were
//! asked in the leader's absence, its log lacks what removed it. So it cannot disturb anybody, with
//! one term even. But whoever knows that the removal is committed says so: `Removed`, once, and as
//! the answer to every question. What is committed is for good, so that word is true whenever it
//! arrives.

use std::sync::Arc;

use althing_core::{Change, Configuration, Index, LogId, NodeId, Payload, Quorum, Time};

use super::message::Body;
use super::progress::Progress;
use super::protocol::Ask as _;
use super::{Bug, Machine, Protocol, Role};
use crate::{ChangeRefusal, Standing};

impl<P: Protocol> Machine<P> {
    pub(super) fn change_members(
        &mut self,
        now: Time,
        changes: &[Change],
    ) -> Result<LogId, ChangeRefusal> {
        let Role::Leader(leader) = &self.role else {
            return Err(ChangeRefusal::NotLeader(self.leader()));
        };
        if self.is_handing_over() {
            return Err(ChangeRefusal::Transferring);
        }
        let hurries = self.has(Bug::ChangesEarly);
        if self.commit < leader.opening && !hurries {
            return Err(ChangeRefusal::NotYet);
        }
        let current = self.configurations.current();
        let index = self.configurations.index();
        if current.is_joint() || (index > self.commit && !hurries) {
            return Err(ChangeRefusal::UnderWay(index));
        }
        let mut next = current.changed(changes).map_err(ChangeRefusal::Misfit)?;
        self.require_near(changes)?;
        if self.has(Bug::SkipsJoint) {
            next = next.settled();
        }
        Ok(self.configure(now, next))
    }

    /// A learner may vote once its log is near the leader's: before that, the group would wait for
    /// it as for one that is down. The measure is etcd's, nine tenths of the log.
    fn require_near(&self, changes: &[Change]) -> Result<(), ChangeRefusal> {
        let Role::Leader(leader) = &self.role else { return Ok(()) };
        let last = self.log.last().index;
        for change in changes {
            let Change::Promote { node } = change else { continue };
            let Some(progress) = leader.progress.get(node) else { continue };
            let matched = progress.matched;
            if matched.0.saturating_mul(10) < last.0.saturating_mul(9) {
                return Err(ChangeRefusal::Behind { node: *node, matched, last });
            }
        }
        Ok(())
    }

    /// Leader: appends a configuration, which holds from now on.
    fn configure(&mut self, now: Time, configuration: Configuration) -> LogId {
        let configuration = Arc::new(configuration);
        let id = self.append_payload(Payload::Configuration(Arc::clone(&configuration)));
        self.configurations.append(id.index, configuration);
        self.configured();
        let last = self.log.last().index;
        let current = self.configurations.current();
        let stays = current.contains(self.id);
        let stays_anyway = self.has(Bug::StaysWhenRemoved);
        if let Role::Leader(leader) = &mut self.role {
            leader.is_leaving = !stays && !stays_anyway;
            for peer in self.peers.iter() {
                leader.progress.entry(*peer).or_insert_with(|| Progress::new(last, now));
            }
            let gone = leader.progress.keys().filter(|peer| !current.contains(**peer));
            leader.farewells.extend(gone);
            leader.progress.retain(|peer, _| current.contains(*peer));
        }
        id
    }

    /// Another configuration holds.
    pub(super) fn configured(&mut self) {
        let current = self.configurations.current();
        let members = current.members().map(|(node, _)| node);
        self.peers = members.filter(|node| *node != self.id).collect();
        self.deciding = self.deciding();
    }

    /// By whose quorums everything is decided: the current configuration, if nothing is wrong.
    fn deciding(&self) -> Arc<Configuration> {
        let current = self.configurations.current();
        let members = || current.members().map(|(node, _)| node);
        if self.has(Bug::CountsLearners) && !current.is_joint() {
            return Configuration::of(members()).into();
        }
        if self.has(Bug::CountsItself) && !current.is_joint() && !current.is_empty() {
            return Configuration::of(current.voters().nodes().into_iter().chain([self.id])).into();
        }
        if self.has(Bug::AsksNewVotersOnly) && current.is_joint() {
            return current.settled().into();
        }
        Arc::clone(current)
    }

    /// Leader: whatever follows from the last configuration's being committed.
    pub(super) fn settle_members(&mut self, now: Time) {
        let current = self.configurations.current();
        if current.is_joint() {
            if self.configurations.index() <= self.commit || self.has(Bug::LeavesJointEarly) {
                let settled = current.settled();
                self.configure(now, settled);
            }
            return;
        }
        let Role::Leader(leader) = &mut self.role else { return };
        let nothing_to_do = leader.farewells.is_empty() && !leader.is_leaving;
        if nothing_to_do || self.configurations.index() > self.commit {
            return;
        }
        let is_leaving = leader.is_leaving;
        for node in std::mem::take(&mut leader.farewells) {
            self.send(node, Body::Removed);
        }
        if is_leaving {
            self.retire(now);
        }
    }

    /// Leader: our removal is committed, and nothing was appended after it.
    fn retire(&mut self, now: Time) {
        let last = self.log.last().index;
        let Role::Leader(leader) = &self.role else { return };
        let voters = self.configurations.current().voters();
        let complete = |(node, progress): &(&NodeId, &Progress)| {
            voters.contains(**node) && progress.matched == last
        };
        // All who are complete are equally so; a majority of the voters is.
        let successor = leader.progress.iter().find(complete).map(|(node, _)| *node);
        if let Some(successor) = successor {
            self.send(successor, Body::TimeoutNow);
        }
        self.follow(now, self.epoch(), None);
    }

    /// Whether it is committed that this node was removed.
    pub(super) fn has_removed(&self, node: NodeId) -> bool {
        self.configurations.at(self.commit).is_some_and(|known| known.was_removed(node))
    }

    /// Tells a node that was removed, if it asks for anything.
    pub(super) fn answer_removed(&mut self, from: NodeId, body: &Body<P>) {
        match body {
            Body::Append { .. } | Body::Snapshot(_) | Body::Propose { .. } | Body::Read { .. } => {
                self.send(from, Body::Removed)
            }
            Body::Ask(ask) if ask.is_question() => self.send(from, Body::Removed),
            Body::Ask(_)
            | Body::PreVoteReply { .. }
            | Body::AppendReply { .. }
            | Body::Commit { .. }
            | Body::SnapshotReply { .. }
            | Body::TimeoutNow
            | Body::Removed
            | Body::Refuse { .. }
            | Body::ReadReply { .. } => {}
        }
    }

    /// Somebody who knows says that we were removed.
    pub(super) fn learn_removal(&mut self, now: Time) {
        self.is_removed = true;
        self.follow(now, self.epoch(), None);
    }

    /// Whether this server may stand for election.
    pub(super) fn may_stand(&self) -> bool {
        let wrongly =
            self.has(Bug::LearnersStand) && self.configurations.current().contains(self.id);
        (self.is_voter() || wrongly) && !self.is_removed
    }

    /// Whether this server votes, under either set of voters, or did under any configuration from
    /// the last on that is known to be committed. The others may not have the entry that removes it
    /// yet, and not be able to elect anyone else: its log is the longest. It does not count its own
    /// vote then (thesis, section 4.2.2).
    fn is_voter(&self) -> bool {
        let (id, current) = (self.id, self.configurations.current());
        let is_needed = || self.configurations.since(self.commit).any(|c| c.is_voter(id));
        let leaves = self.has(Bug::LeavesSilently);
        current.is_voter(id) || (!current.contains(id) && !leaves && is_needed())
    }

    /// The other servers whose votes count.
    pub(crate) fn fellow_voters(&self) -> Vec<NodeId> {
        let voters = self.deciding.nodes();
        voters.into_iter().filter(|node| *node != self.id).collect()
    }

    pub(super) fn standing(&self) -> Standing {
        let current = self.configurations.current();
        if self.is_removed || self.has_removed(self.id) {
            Standing::Removed
        } else if self.is_voter() {
            Standing::Voter
        } else if current.contains(self.id) {
            Standing::Learner
        } else {
            Standing::Outsider
        }
    }

    /// Follower: an entry that came holds a configuration.
    pub(super) fn configured_by(&mut self, index: Index, configuration: &Arc<Configuration>) {
        self.configurations.append(index, Arc::clone(configuration));
        self.configured();
    }

    /// Follower: entries from `from` on are replaced.
    pub(super) fn configuration_taken_back(&mut self, from: Index) {
        if !self.has(Bug::KeepsConfiguration) && self.configurations.truncate_from(from) {
            self.configured();
        }
    }
}
