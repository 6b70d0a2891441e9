use std::fmt;

use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{Ballot, Index, NodeId, Op, Time};

use super::{Body, Machine};

/// What makes a protocol out of the replication that all have in common: how a leadership begins,
/// and what it takes for an entry to be decided.
///
/// An **epoch** is what messages are stamped with and what a leadership is named by: in Raft the
/// term, in Multi-Paxos the ballot. A member that hears of a greater epoch enters it and never acts
/// in a smaller one again.
pub trait Protocol: Clone + fmt::Debug + PartialEq + Eq + Send + Sync + Sized + 'static {
    /// Names the protocol and the version of its encoding.
    const NAME: &'static str;
    /// How an epoch is abbreviated where messages are shown.
    const EPOCH: char;

    /// What candidates and their electors say to each other.
    type Ask: Ask;
    /// What a candidate that asked keeps until it leads.
    type Asking: Clone + fmt::Debug + Send + Sync;

    /// The epoch of a member that promised this.
    fn epoch(promise: Ballot) -> Ballot;

    /// Appends an epoch to `writer`.
    fn encode_epoch(epoch: Ballot, writer: &mut Writer<'_>);

    /// Reads an epoch back.
    ///
    /// # Errors
    /// The bytes are none.
    fn decode_epoch(reader: &mut Reader<'_>) -> Result<Ballot, DecodeError>;

    /// Asks whether the receiver would help `machine` to lead the next epoch. It costs nobody an
    /// epoch (section 9.6 of the thesis), and is answered by [`Body::PreVoteReply`].
    fn pre_vote(machine: &Machine<Self>) -> Self::Ask;

    /// Opens an epoch and asks the others to lead it.
    fn stand(machine: &mut Machine<Self>, now: Time, handed_over: bool);

    /// `from` says this in the current epoch.
    fn hear(machine: &mut Machine<Self>, now: Time, from: NodeId, ask: Self::Ask);

    /// The candidate `machine` asked, and enough are in favour.
    fn elected(machine: &mut Machine<Self>, now: Time);

    /// What the candidate `machine` wrote is durable up to `op`.
    fn persisted(machine: &mut Machine<Self>, now: Time, op: Op);

    /// The log of the follower `machine` agrees with its leader's up to `matched`.
    fn agreed(machine: &mut Machine<Self>, matched: Index);

    /// Whether the leader `machine` may call `reached` committed once a quorum holds it.
    fn is_decided(machine: &Machine<Self>, reached: Index) -> bool;
}

/// What candidates and their electors say to each other.
pub trait Ask:
    Clone + fmt::Debug + fmt::Display + PartialEq + Eq + Send + Sync + Sized + 'static
{
    /// Whether its sender wants to lead though nobody told it to: then a member that hears its
    /// leader does not even listen.
    fn disturbs(&self) -> bool;

    /// Whether its sender waits for an answer.
    fn is_question(&self) -> bool;

    /// What its sender is told if it comes from an epoch that is over.
    fn refusal<P: Protocol<Ask = Self>>(&self) -> Option<Body<P>>;

    /// Appends it to `writer`, its tag first.
    fn encode(&self, writer: &mut Writer<'_>);

    /// Reads what comes after the tag.
    ///
    /// # Errors
    /// The tag or the bytes are not of this protocol.
    fn decode(tag: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}
