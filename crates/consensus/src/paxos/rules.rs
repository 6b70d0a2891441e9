use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{Acceptance, Ballot, Index, NodeId, Op, Time};

use super::ask::Ask;
use super::phase_one::Phase;
use crate::replication::{Body, Bug, Machine, Protocol};

/// What makes Multi-Paxos of the replication: its epochs are ballots, any member may lead that
/// learns what a quorum accepted, and what it learns it proposes again under its own ballot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ballots {}

impl Protocol for Ballots {
    const NAME: &'static str = "paxos/2";
    const EPOCH: char = 'b';

    type Ask = Ask;
    type Asking = Phase;

    fn epoch(promise: Ballot) -> Ballot {
        promise
    }

    fn encode_epoch(epoch: Ballot, writer: &mut Writer<'_>) {
        writer.ballot(epoch);
    }

    fn decode_epoch(reader: &mut Reader<'_>) -> Result<Ballot, DecodeError> {
        reader.ballot()
    }

    fn pre_vote(machine: &Machine<Self>) -> Ask {
        Ask::Canvass { outline: machine.outline() }
    }

    fn stand(machine: &mut Machine<Self>, now: Time, handed_over: bool) {
        machine.prepare(now, handed_over);
    }

    fn hear(machine: &mut Machine<Self>, now: Time, from: NodeId, ask: Ask) {
        match ask {
            Ask::Canvass { outline } => {
                let granted = machine.would_help(&outline);
                machine.send(from, Body::PreVoteReply { granted });
            }
            Ask::Prepare { outline, .. } => machine.promise_to(now, from, &outline),
            Ask::More { after } => {
                machine.be_patient(now);
                machine.tell_accepted(from, after);
            }
            Ask::Promise(promise) => machine.promised(now, from, promise),
            // The message bore a greater ballot, or it is old.
            Ask::Outbid => {}
        }
    }

    fn elected(machine: &mut Machine<Self>, now: Time) {
        machine.learn(now);
    }

    fn persisted(machine: &mut Machine<Self>, now: Time, op: Op) {
        machine.candidate_persisted(now, op);
    }

    /// The follower accepts under its leader's ballot what it holds already, by the same name.
    fn agreed(machine: &mut Machine<Self>, matched: Index) {
        machine.accept_through(matched);
    }

    /// Everything that a quorum accepted under the leader's own ballot is chosen, whichever ballot
    /// proposed it first: it was proposed again.
    fn is_decided(_machine: &Machine<Self>, _reached: Index) -> bool {
        true
    }
}

impl Machine<Ballots> {
    /// Accepts every entry up to `matched` under the current ballot (phase 2b). Those that the
    /// ballot names, and those that are known to be chosen, need no word.
    pub(super) fn accept_through(&mut self, matched: Index) {
        let ballot = self.promise;
        let through = self.log.last_below(ballot, matched);
        let is_accepted = self.acceptances.ballot_at(through, Ballot::ZERO) >= ballot;
        if through <= self.commit || is_accepted || self.has(Bug::KeepsOldBallots) {
            return;
        }
        let acceptance = Acceptance { ballot, through };
        self.acceptances.accept(acceptance);
        self.journal.accept(acceptance);
    }
}
