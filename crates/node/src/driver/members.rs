//! What the driver does about the members: whom it dials, whom it asks, and when it ends.

use std::sync::Arc;

use althing_consensus::{ChangeRefusal, Replica, TransferOutcome, TransferRefusal};
use althing_core::{Change, Configuration, NodeId, Quorum as _, Time};
use tokio::sync::oneshot;

use super::Driver;
use crate::handle::RequestError;
use crate::members::{
    ChangeError, MemberAnswer, MemberChange, MemberError, MemberMessage, Verdict,
};

/// A client that waits for the leadership to be handed over.
#[derive(Debug)]
pub(super) struct Waiting {
    to: NodeId,
    respond: oneshot::Sender<Result<(), ChangeError>>,
}

/// Who is to vote gets its vote when its log lacks no more entries than this: then its first vote
/// is not waited for longer than anybody's.
const NEAR: u64 = 4096;
/// The most clients that wait for a handover.
const TRANSFERS_MAX: usize = 64;

impl<R: Replica> Driver<R> {
    /// A client asks for a change: it is answered here, or by the leader.
    pub(super) fn ask_for_members(
        &mut self,
        now: Time,
        change: MemberChange,
        respond: oneshot::Sender<Result<MemberAnswer, RequestError>>,
    ) {
        // A client that went away does not miss any of these answers.
        if let Some(answer) = self.judge(now, &change) {
            let _ = respond.send(Ok(answer));
            return;
        }
        let Some(leader) = self.leader else {
            let _ = respond.send(Err(RequestError::NoLeader));
            return;
        };
        if let Some(number) = self.questions.ask(now, respond) {
            self.peers.push_members(leader, &MemberMessage::Ask { number, change });
        }
    }

    pub(super) fn hear_of_members(&mut self, now: Time, from: NodeId, message: MemberMessage) {
        match message {
            MemberMessage::Ask { number, change } => {
                if let Some(answer) = self.judge(now, &change) {
                    self.peers.push_members(from, &MemberMessage::Answer { number, answer });
                }
            }
            MemberMessage::Answer { number, answer } => self.questions.answer(number, answer),
        }
    }

    /// What comes of a change; `None` if this node does not lead.
    fn judge(&mut self, now: Time, change: &MemberChange) -> Option<MemberAnswer> {
        let status = self.replica.status();
        if status.leader != Some(self.shared.node) {
            return None;
        }
        let answer = |verdict| Some(MemberAnswer { ballot: status.promise, verdict });
        let roster = self.shared.roster();
        let current = &status.configuration;
        if current.is_joint() {
            return answer(Verdict::Later);
        }
        if change.is_made(&roster, current) {
            return answer(Verdict::Begun);
        }
        let (steps, next) = match change.plan(&roster, current) {
            Ok(plan) => plan,
            Err(why) => return answer(Verdict::Refused(why)),
        };
        // Whoever would decide from then on must be there to do it.
        if next.is_joint() && !self.reaches_a_majority(&next) {
            let why = match change {
                // It is the one that is missed: for want of it nothing is wrong with the others.
                MemberChange::Promote { node } if !self.peers.is_connected(*node) => {
                    MemberError::NotReady
                }
                _ => MemberError::Unhealthy,
            };
            return answer(Verdict::Refused(why));
        }
        answer(self.begin(now, &steps))
    }

    fn begin(&mut self, now: Time, steps: &[Change]) -> Verdict {
        match self.replica.reconfigure(now, steps) {
            Ok(id) => {
                tracing::info!("changes the members, in the entry {id}");
                Verdict::Begun
            }
            Err(
                ChangeRefusal::NotLeader(_)
                | ChangeRefusal::NotYet
                | ChangeRefusal::UnderWay(_)
                | ChangeRefusal::Transferring,
            ) => Verdict::Later,
            Err(ChangeRefusal::Behind { .. }) => Verdict::Refused(MemberError::NotReady),
            Err(ChangeRefusal::Misfit(misfit)) => Verdict::Refused(misfit.into()),
        }
    }

    /// Whether this leader reaches a majority of those who are to vote.
    fn reaches_a_majority(&self, next: &Configuration) -> bool {
        let reaches = |node| node == self.shared.node || self.peers.is_connected(node);
        next.voters().is_phase_two(&reaches)
    }

    /// Leader: gives their votes to those that were added to vote and have caught up.
    pub(super) fn promote(&mut self, now: Time) {
        let roster = self.shared.roster();
        let is_learner = |node| roster.current.is_learner(node);
        if !roster.current.members().any(|(node, _)| is_learner(node)) {
            return;
        }
        let status = self.replica.status();
        let is_near = |node: NodeId| {
            let matched = status.matched.iter().find(|(other, _)| *other == node);
            matched.is_some_and(|(_, index)| index.0 + NEAR >= status.last.index.0)
        };
        for (node, card) in roster.cards(&roster.current) {
            let is_due = card.will_vote && is_learner(node) && is_near(node);
            if !is_due || !self.peers.is_connected(node) {
                continue;
            }
            let answer = self.judge(now, &MemberChange::Promote { node });
            if answer.is_some_and(|answer| answer.verdict == Verdict::Begun) {
                tracing::info!("{node} has caught up and gets its vote");
                // One change at a time.
                return;
            }
        }
    }

    /// A client wants the leadership to go to another member.
    pub(super) fn hand_over(
        &mut self,
        now: Time,
        to: NodeId,
        respond: oneshot::Sender<Result<(), ChangeError>>,
    ) {
        let outcome = match self.replica.transfer(now, to) {
            Ok(()) => None,
            Err(TransferRefusal::UnderWay(other)) if other == to => None,
            Err(TransferRefusal::UnderWay(_)) => Some(Err(ChangeError::TransferTookTooLong)),
            Err(TransferRefusal::AlreadyLeads) => Some(Ok(())),
            Err(TransferRefusal::NotLeader(_)) => Some(Err(ChangeError::NotLeader)),
            Err(TransferRefusal::NotAVoter) => Some(Err(ChangeError::BadTransferee)),
        };
        match outcome {
            None if self.transfers.len() >= TRANSFERS_MAX => {
                let _ = respond.send(Err(RequestError::Overloaded.into()));
            }
            None => self.transfers.push(Waiting { to, respond }),
            Some(outcome) => {
                let _ = respond.send(outcome);
            }
        }
    }

    pub(super) fn handed_over(&mut self, to: NodeId, outcome: TransferOutcome) {
        let outcome = match outcome {
            TransferOutcome::Done => Ok(()),
            TransferOutcome::Abandoned => Err(ChangeError::TransferTookTooLong),
        };
        for waiting in self.transfers.extract_if(.., |waiting| waiting.to == to) {
            let _ = waiting.respond.send(outcome);
        }
    }

    /// Another configuration is in force.
    pub(super) fn configured(&mut self, configuration: Arc<Configuration>) {
        tracing::info!("the members are {configuration}");
        self.shared.configure(configuration);
        self.dial_members();
    }

    pub(super) fn dial_members(&mut self) {
        let roster = self.shared.roster();
        self.peers.follow(&roster.cards(&roster.current));
        self.shared.metrics.round_trips.keep(|peer| roster.current.contains(peer));
    }

    /// This node was removed, as it found out itself or was told. What it owes the others leaves
    /// first: it may have led, and then it names who leads next.
    pub(super) fn is_removed(&mut self, now: Time, told_by: Option<NodeId>) {
        if self.ends_at.is_some() {
            return;
        }
        match told_by {
            Some(member) => tracing::warn!("{member} says that this node was removed"),
            None => tracing::warn!("this node was removed from the cluster"),
        }
        self.ends_at = Some(now + self.farewell);
    }
}
