use std::collections::BTreeSet;

use althing_core::{Ballot, NodeId, Op, Quorum, Time};

use super::message::Body;
use super::{Raft, Role};

/// A server that wants to lead.
#[derive(Debug)]
pub(super) struct Candidate {
    stage: Stage,
    /// Who is in favour.
    granted: BTreeSet<NodeId>,
    /// When it tries again.
    pub(super) deadline: Time,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// It asks who would vote for it (thesis, section 9.6).
    PreVote,
    /// It opened a term and asks for votes (section 5.2). Its own vote counts once it is durable.
    Vote { own_vote: Op },
}

impl Raft {
    /// Nobody leads, as far as we can hear. A server that does not vote does not lead either, and
    /// waits.
    pub(super) fn lose_patience(&mut self, now: Time) {
        if self.may_stand() {
            self.ask_for_pre_votes(now);
        } else {
            self.follow(now, self.term(), None);
        }
    }

    /// Would we be elected?
    fn ask_for_pre_votes(&mut self, now: Time) {
        self.drop_forwarded();
        self.stand(now, Stage::PreVote);
        let last = self.log.last();
        for peer in self.fellow_voters() {
            self.send(peer, Body::PreVote { last });
        }
        self.count_grant(now, self.id);
    }

    pub(super) fn pre_vote_reply(&mut self, now: Time, from: NodeId, granted: bool) {
        let asked = matches!(&self.role, Role::Candidate(c) if matches!(c.stage, Stage::PreVote));
        if granted && asked {
            self.count_grant(now, from);
        }
    }

    /// We would, or the leader wants us to: open the next term, vote for ourselves, ask for the
    /// others' votes.
    fn ask_for_votes(&mut self, now: Time, handed_over: bool) {
        self.promise = Ballot::new(self.term() + 1, self.id);
        self.journal.promise(self.promise);
        let own_vote = self.journal.latest().expect("the vote was just recorded");
        self.stand(now, Stage::Vote { own_vote });
        let last = self.log.last();
        for peer in self.fellow_voters() {
            self.send_durably(peer, Body::Vote { last, handed_over });
        }
    }

    /// The leader hands its leadership over to us (thesis, section 3.10): nobody needs to be asked
    /// first whether it is time.
    pub(super) fn stand_at_once(&mut self, now: Time) {
        if !matches!(self.role, Role::Leader(_)) && self.may_stand() {
            self.drop_forwarded();
            self.ask_for_votes(now, true);
        }
    }

    pub(super) fn own_vote_persisted(&mut self, now: Time, op: Op) {
        let counts = matches!(&self.role,
            Role::Candidate(Candidate { stage: Stage::Vote { own_vote }, .. }) if *own_vote <= op);
        if counts {
            self.count_grant(now, self.id);
        }
    }

    pub(super) fn vote_reply(&mut self, now: Time, from: NodeId, granted: bool) {
        let asked =
            matches!(&self.role, Role::Candidate(c) if matches!(c.stage, Stage::Vote { .. }));
        if granted && asked {
            self.count_grant(now, from);
        }
    }

    fn stand(&mut self, now: Time, stage: Stage) {
        let deadline = self.election_deadline(now);
        self.role = Role::Candidate(Candidate { stage, granted: BTreeSet::new(), deadline });
    }

    fn count_grant(&mut self, now: Time, from: NodeId) {
        let Role::Candidate(candidate) = &mut self.role else { return };
        candidate.granted.insert(from);
        let granted = &candidate.granted;
        if !self.deciding.is_phase_one(&|node| granted.contains(&node)) {
            return;
        }
        match candidate.stage {
            Stage::PreVote => self.ask_for_votes(now, false),
            Stage::Vote { .. } => self.lead(now),
        }
    }

    /// Proposals that wait to be sent to a leader that is gone will not be sent.
    fn drop_forwarded(&mut self) {
        if let Role::Follower(follower) = &mut self.role {
            let proposals = std::mem::take(&mut follower.forward);
            self.refuse_forwarded(proposals);
        }
    }
}
