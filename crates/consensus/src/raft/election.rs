use std::fmt;

use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{Ballot, Index, LogId, NodeId, Op, Time};

use crate::replication::{self, Body, Bug, Machine, Protocol, Role};

/// What makes Raft of the replication: its epochs are terms, each server votes once in each, for a
/// candidate whose log is at least as up to date as its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terms {}

/// What candidates and voters say to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Would-be candidate → everyone: would you vote for me in the next term? Costs nobody a term
    /// (section 9.6 of the thesis).
    PreVote {
        /// The sender's last entry; zero for an empty log.
        last: LogId,
    },
    /// Candidate → everyone: vote for me in this term (RequestVote, section 5.2 of the paper).
    Vote {
        /// The sender's last entry; zero for an empty log.
        last: LogId,
        /// The leader asked the sender to stand (thesis, section 3.10): that it lives is no reason
        /// not to vote.
        handed_over: bool,
    },
    /// Everyone → candidate. A granted vote is durable before it is sent.
    VoteReply {
        /// Whether the vote is the candidate's.
        granted: bool,
    },
}

impl Protocol for Terms {
    const NAME: &'static str = "raft/3";
    const EPOCH: char = 't';

    type Ask = Ask;
    type Asking = ();

    fn epoch(promise: Ballot) -> Ballot {
        Ballot::unvoted(promise.round)
    }

    fn encode_epoch(epoch: Ballot, writer: &mut Writer<'_>) {
        writer.u64(epoch.round);
    }

    fn decode_epoch(reader: &mut Reader<'_>) -> Result<Ballot, DecodeError> {
        reader.count().map(Ballot::unvoted)
    }

    fn pre_vote(machine: &Machine<Self>) -> Ask {
        Ask::PreVote { last: machine.log.last() }
    }

    /// Opens the next term, votes for itself and asks for the others' votes.
    fn stand(machine: &mut Machine<Self>, now: Time, handed_over: bool) {
        machine.promise = Ballot::new(machine.promise.round + 1, machine.id);
        machine.journal.promise(machine.promise);
        machine.candidate_of_own(now, ());
        let last = machine.log.last();
        for peer in machine.fellow_voters() {
            machine.send_durably(peer, Body::Ask(Ask::Vote { last, handed_over }));
        }
    }

    fn hear(machine: &mut Machine<Self>, now: Time, from: NodeId, ask: Ask) {
        match ask {
            Ask::PreVote { last } => {
                let granted = is_up_to_date(machine, last);
                machine.send(from, Body::PreVoteReply { granted });
            }
            Ask::Vote { last, handed_over } => vote(machine, now, from, last, handed_over),
            Ask::VoteReply { granted: true } if machine.has_asked() => {
                machine.count_grant(now, from);
            }
            Ask::VoteReply { .. } => {}
        }
    }

    fn elected(machine: &mut Machine<Self>, now: Time) {
        machine.lead(now);
    }

    fn persisted(machine: &mut Machine<Self>, now: Time, op: Op) {
        if machine.own_promise_counts(op) {
            machine.count_grant(now, machine.id);
        }
    }

    fn agreed(_machine: &mut Machine<Self>, _matched: Index) {}

    /// If it is of the own term: counting copies says nothing about entries of earlier terms
    /// (section 5.4.2, figure 8 of the paper).
    fn is_decided(machine: &Machine<Self>, reached: Index) -> bool {
        let own_term = machine.log.ballot_at(reached) == Some(machine.promise);
        own_term || machine.has(Bug::CommitsOldTerms)
    }
}

/// Whether a candidate with this last entry may have a vote: its log is at least as up to date as
/// ours (5.4.1).
fn is_up_to_date(machine: &Machine<Terms>, last: LogId) -> bool {
    last >= machine.log.last() || machine.has(Bug::VotesBlindly)
}

/// A candidate asks for the vote of this term (5.2, 5.4.1).
fn vote(machine: &mut Machine<Terms>, now: Time, from: NodeId, last: LogId, handed_over: bool) {
    let free = machine.promise.node.is_none() || machine.promise.node == Some(from);
    let blindly = handed_over && machine.has(Bug::HandsOverBlindly);
    let free = free || machine.has(Bug::VotesTwice);
    let granted = free && (is_up_to_date(machine, last) || blindly);
    if granted {
        if let Role::Candidate(_) = machine.role {
            // It only asked whether it would be elected; now it wants someone else to be.
            machine.follow(now, machine.epoch(), None);
        }
        if machine.promise.node.is_none() {
            machine.promise = Ballot::new(machine.promise.round, from);
            if !machine.has(Bug::ForgetsVote) {
                machine.journal.promise(machine.promise);
            }
        }
        machine.be_patient(now);
    }
    machine.send_durably(from, Body::Ask(Ask::VoteReply { granted }));
}

impl replication::Ask for Ask {
    fn disturbs(&self) -> bool {
        matches!(self, Self::PreVote { .. } | Self::Vote { handed_over: false, .. })
    }

    fn is_question(&self) -> bool {
        matches!(self, Self::PreVote { .. } | Self::Vote { .. })
    }

    fn refusal<P: Protocol<Ask = Self>>(&self) -> Option<Body<P>> {
        match self {
            Self::PreVote { .. } => Some(Body::PreVoteReply { granted: false }),
            Self::Vote { .. } => Some(Body::Ask(Self::VoteReply { granted: false })),
            Self::VoteReply { .. } => None,
        }
    }

    fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::PreVote { last } => {
                writer.u8(1);
                writer.log_id(*last);
            }
            Self::Vote { last, handed_over } => {
                writer.u8(3);
                writer.log_id(*last);
                writer.bool(*handed_over);
            }
            Self::VoteReply { granted } => {
                writer.u8(4);
                writer.bool(*granted);
            }
        }
    }

    fn decode(tag: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match tag {
            1 => Self::PreVote { last: reader.log_id()? },
            3 => Self::Vote { last: reader.log_id()?, handed_over: reader.bool()? },
            4 => Self::VoteReply { granted: reader.bool()? },
            tag => return Err(DecodeError::UnknownTag { what: "message", tag }),
        })
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreVote { last } => write!(f, "PreVote last={last}"),
            Self::Vote { last, handed_over: false } => write!(f, "Vote last={last}"),
            Self::Vote { last, handed_over: true } => write!(f, "Vote last={last} handed-over"),
            Self::VoteReply { granted } => write!(f, "VoteReply granted={granted}"),
        }
    }
}
