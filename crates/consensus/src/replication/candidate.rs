use std::collections::BTreeSet;

use althing_core::{NodeId, Op, Quorum, Time};

use super::message::Body;
use super::{Bug, Machine, Protocol, Role};

/// A server that wants to lead.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<P: Protocol> {
    pub(crate) stage: Stage<P>,
    /// Who is in favour.
    pub(crate) granted: BTreeSet<NodeId>,
    /// When it tries again.
    pub(crate) deadline: Time,
}

#[derive(Clone, Debug)]
pub(crate) enum Stage<P: Protocol> {
    /// It asks who would have it lead (thesis, section 9.6).
    PreVote,
    /// It opened an epoch and asks to lead it.
    Asked {
        /// What it promised itself counts once this is durable.
        own_promise: Op,
        asking: P::Asking,
    },
}

impl<P: Protocol> Machine<P> {
    /// Nobody leads, as far as we can hear. A server that does not vote does not lead either, nor
    /// does one whose disk stands still; they wait.
    pub(super) fn lose_patience(&mut self, now: Time) {
        if self.may_stand() && !self.disk_stalls(now) {
            self.ask_for_pre_votes(now);
        } else {
            self.follow(now, self.epoch(), None);
            self.be_patient(now);
        }
    }

    /// Would we be elected?
    fn ask_for_pre_votes(&mut self, now: Time) {
        self.drop_forwarded();
        self.candidate(now, Stage::PreVote);
        let question = P::pre_vote(self);
        for peer in self.fellow_voters() {
            self.send(peer, Body::Ask(question.clone()));
        }
        self.count_grant(now, self.id);
    }

    pub(super) fn pre_vote_reply(&mut self, now: Time, from: NodeId, granted: bool) {
        let asked = matches!(&self.role, Role::Candidate(c) if matches!(c.stage, Stage::PreVote));
        if granted && asked {
            self.count_grant(now, from);
        }
    }

    /// The leader hands its leadership over to us (thesis, section 3.10): nobody needs to be asked
    /// first whether it is time.
    pub(super) fn stand_at_once(&mut self, now: Time) {
        let can_lead = self.may_stand() && !self.disk_stalls(now);
        if !matches!(self.role, Role::Leader(_)) && can_lead {
            self.drop_forwarded();
            P::stand(self, now, true);
        }
    }

    /// Becomes the candidate of an epoch of its own, which it has promised itself.
    pub(crate) fn candidate_of_own(&mut self, now: Time, asking: P::Asking) {
        let own_promise = self.journal.latest().expect("the promise was just recorded");
        self.candidate(now, Stage::Asked { own_promise, asking });
    }

    fn candidate(&mut self, now: Time, stage: Stage<P>) {
        let deadline = self.election_deadline(now);
        self.role = Role::Candidate(Candidate { stage, granted: BTreeSet::new(), deadline });
    }

    /// Whether it opened an epoch and waits for the others' answers.
    pub(crate) fn has_asked(&self) -> bool {
        matches!(&self.role, Role::Candidate(c) if matches!(c.stage, Stage::Asked { .. }))
    }

    /// Follower: somebody may be about to lead, so it waits once more.
    pub(crate) fn be_patient(&mut self, now: Time) {
        let deadline = self.election_deadline(now);
        if let Role::Follower(follower) = &mut self.role {
            follower.deadline = deadline;
        }
    }

    /// Whether what the candidate promised itself is durable once `op` is.
    pub(crate) fn own_promise_counts(&self, op: Op) -> bool {
        matches!(&self.role, Role::Candidate(Candidate {
            stage: Stage::Asked { own_promise, .. }, ..
        }) if *own_promise <= op)
    }

    pub(crate) fn count_grant(&mut self, now: Time, from: NodeId) {
        let hurries = self.has(Bug::NeedsOnePromise);
        let Role::Candidate(candidate) = &mut self.role else { return };
        candidate.granted.insert(from);
        let granted = &candidate.granted;
        let hurries = hurries && granted.len() >= 2;
        if !hurries && !self.deciding.is_phase_one(&|node| granted.contains(&node)) {
            return;
        }
        match candidate.stage {
            Stage::PreVote => P::stand(self, now, false),
            Stage::Asked { .. } => P::elected(self, now),
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
