use althing_core::{Ballot, NodeId, Time};

use super::message::Body;
use super::{Bug, Machine, Protocol, Role};
use crate::{Output, TransferOutcome, TransferRefusal};

/// A leadership on its way to another server (thesis, section 3.10).
///
/// The leader takes no more proposals, sends the other what it lacks, and when the logs are equal
/// asks it to stand for election at once: it asks nobody first whether it would be elected, and
/// those who hear the leader well vote for it all the same. If that does not come about within an
/// election timeout, the leader leads on as before; a request that arrives after that costs an
/// election, and nothing else.
#[derive(Clone, Debug)]
pub(super) struct Handover {
    to: NodeId,
    /// The epoch that is to end.
    epoch: Ballot,
    deadline: Time,
    /// Whether the other was asked to stand.
    asked: bool,
}

impl Handover {
    pub(super) const fn to(&self) -> NodeId {
        self.to
    }

    pub(super) const fn deadline(&self) -> Time {
        self.deadline
    }
}

impl<P: Protocol> Machine<P> {
    pub(super) fn begin_handover(&mut self, now: Time, to: NodeId) -> Result<(), TransferRefusal> {
        if !matches!(self.role, Role::Leader(_)) {
            return Err(TransferRefusal::NotLeader(self.leader()));
        }
        if to == self.id {
            return Err(TransferRefusal::AlreadyLeads);
        }
        if !self.configurations.current().voters().contains(to) {
            return Err(TransferRefusal::NotAVoter);
        }
        if let Some(handover) = &self.handover {
            return Err(TransferRefusal::UnderWay(handover.to));
        }
        let deadline = now + self.options.election_timeout;
        self.handover = Some(Handover { to, epoch: self.epoch(), deadline, asked: false });
        Ok(())
    }

    /// Whether the leadership is on its way to another server, so that nothing may be added to the
    /// log that this one does not have.
    pub(super) fn is_handing_over(&self) -> bool {
        self.handover.as_ref().is_some_and(|handover| handover.epoch == self.epoch())
    }

    /// Leader: asks the other to stand, once its log is as long as ours; with every heartbeat
    /// again, for the request may get lost.
    pub(super) fn continue_handover(&mut self, heartbeat: bool) {
        let last = self.log.last().index;
        let blindly = self.has(Bug::HandsOverBlindly);
        let during = self.has(Bug::LeaseDuringHandover);
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(handover) = &mut self.handover else { return };
        let to = handover.to;
        let is_up_to_date = leader.progress.get(&to).is_some_and(|p| p.matched == last) || blindly;
        if is_up_to_date && (heartbeat || !handover.asked) {
            handover.asked = true;
            leader.is_lease_over = !during;
            self.send(to, Body::TimeoutNow);
        }
    }

    /// Time passed: it has taken too long.
    pub(super) fn give_up_handover(&mut self, now: Time) {
        if self.handover.as_ref().is_some_and(|handover| now >= handover.deadline) {
            self.end_handover(TransferOutcome::Abandoned);
        }
    }

    /// Tells what came of it, once it is known who leads a later epoch.
    pub(super) fn finish_handover(&mut self) {
        let Some(handover) = &self.handover else { return };
        if self.epoch() == handover.epoch {
            return;
        }
        let Some(leader) = self.leader() else { return };
        let done = leader == handover.to;
        self.end_handover(if done { TransferOutcome::Done } else { TransferOutcome::Abandoned });
    }

    fn end_handover(&mut self, outcome: TransferOutcome) {
        if let Some(Handover { to, .. }) = self.handover.take() {
            self.outgoing.push(Output::Transfer { to, outcome });
        }
    }
}
