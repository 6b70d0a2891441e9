use std::fmt;
use std::sync::Arc;

use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{
    Acceptances, Ballot, Change, Configuration, Entry, Gated, Index, LogId, Misfit, NodeId, Op,
    Record, Time,
};

/// One member of a group that agrees on a log.
///
/// Methods come in three kinds. **Inputs** ([`receive`](Self::receive) to
/// [`chunk_stored`](Self::chunk_stored)) tell the replica what happened; any number may be given
/// before the next drain, which is how requests that arrive together share one write and one
/// message. **[`drain`](Self::drain)** hands over what must happen now. **Views** show the state.
///
/// Whoever drives a replica owes it five things:
/// - [`Output::Persist`] is written in the order of its `op` and reported by
///   [`persisted`](Self::persisted) once durable;
/// - [`Output::Send`] goes through an [`althing_core::Outbox`];
/// - [`Output::Commit`] and [`Output::Install`] are carried out in order;
/// - [`tick`](Self::tick) is called no later than [`wake_at`](Self::wake_at);
/// - a failed write ends the replica: nothing more is given to it.
pub trait Replica {
    /// What replicas of this protocol say to each other.
    type Message: Message;

    /// A message came from another member. Messages may be lost, repeated, delayed and reordered.
    fn receive(&mut self, now: Time, from: NodeId, message: Self::Message);

    /// Time passed.
    fn tick(&mut self, now: Time);

    /// A client wants `command` in the log. `Ok` says under whose leadership it was submitted, here
    /// or at the leader; from then on it may be committed. It can be committed no more once the
    /// [`Opening`](althing_core::Payload::Opening) entry of a later ballot is, or once
    /// [`Output::Refused`] names it.
    ///
    /// # Errors
    /// The command was not submitted and never will be.
    fn propose(&mut self, now: Time, id: ProposalId, command: Arc<[u8]>)
    -> Result<Ballot, Refusal>;

    /// A client wants to read what was committed before now. Answered by [`Output::ReadReady`] or
    /// [`Output::ReadRefused`], or not at all when a message is lost: ask again with a new id,
    /// never with the old one.
    fn read(&mut self, now: Time, id: ReadId);

    /// The group's members should change so, all of it at once. `Ok` names the entry that says so
    /// in the log of this leader. Once that very entry is committed, the change is decided; once a
    /// configuration that is not joint is committed at or after it, the change is complete. If
    /// another entry is committed at its place, the change was never made.
    ///
    /// # Errors
    /// Nothing was begun.
    fn reconfigure(&mut self, now: Time, changes: &[Change]) -> Result<LogId, ChangeRefusal>;

    /// The leadership should go to `to`. The leader takes no proposals while it brings `to` up to
    /// date and lets it stand for election at once; what came of it is told by
    /// [`Output::Transfer`]. It is given up after an election timeout.
    ///
    /// # Errors
    /// Nothing was begun.
    fn transfer(&mut self, now: Time, to: NodeId) -> Result<(), TransferRefusal>;

    /// Every write up to `op` is durable.
    fn persisted(&mut self, now: Time, op: Op);

    /// A snapshot of the state machine up to and including `snapshot` is durable here, so the log
    /// may begin after it.
    fn snapshotted(&mut self, now: Time, snapshot: LogId);

    /// Answers [`Output::LoadChunk`]; `None` when that snapshot is no longer there.
    fn chunk_loaded(&mut self, now: Time, to: NodeId, chunk: Option<Chunk>);

    /// Answers [`Output::StoreChunk`].
    fn chunk_stored(&mut self, now: Time, snapshot: LogId, stored: Stored);

    /// Appends to `outputs` everything that must happen now.
    fn drain(&mut self, now: Time, outputs: &mut Vec<Output<Self::Message>>);

    /// When [`tick`](Self::tick) must be called at the latest.
    fn wake_at(&self) -> Time;

    /// The committed entries after `after`, up to about `bytes_max` bytes and at least one if there
    /// is one.
    ///
    /// # Panics
    /// The log begins later than `after`.
    fn committed(&self, after: Index, bytes_max: usize) -> impl Iterator<Item = &Entry>;

    /// The group's members as of the entry at `index`, which goes with a snapshot of the state
    /// there; `None` while this member, new to the group, has not been told yet: then it takes no
    /// snapshot.
    fn configuration_at(&self, index: Index) -> Option<&Arc<Configuration>>;

    /// What the replica is at this moment.
    fn status(&self) -> Status;
}

/// What a protocol's messages must be able to do: travel.
pub trait Message: Clone + fmt::Debug + fmt::Display + Send + Sized + 'static {
    /// Names the protocol and the version of its encoding, for the handshake between peers.
    const PROTOCOL: &'static str;

    /// Appends the message to `writer`.
    fn encode(&self, writer: &mut Writer<'_>);

    /// Reads a message back.
    ///
    /// # Errors
    /// The bytes are not a message of this version; the peer misbehaved.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// What must happen in the world.
#[derive(Clone, Debug)]
pub enum Output<M> {
    /// Write these records behind all earlier ones, sync, then call [`Replica::persisted`].
    Persist {
        /// The number of this write.
        op: Op,
        /// What to write, in this order.
        records: Vec<Record>,
    },
    /// Send this, when its write allows.
    Send(Gated<M>),
    /// Entries up to `to` are committed; [`Replica::committed`] gives them out.
    Commit {
        /// The last committed entry's place.
        to: Index,
    },
    /// A proposal that [`Replica::propose`] accepted was refused further on; it is not in the log
    /// and never will be.
    Refused {
        /// The proposal.
        id: ProposalId,
        /// Why.
        reason: Refusal,
    },
    /// Once the state machine has applied `index`, it shows every write that was acknowledged
    /// before the read was asked for.
    ReadReady {
        /// The read.
        id: ReadId,
        /// How far the state machine must have come.
        index: Index,
    },
    /// The read has no answer; ask again with a new id.
    ReadRefused {
        /// The read.
        id: ReadId,
        /// Why.
        reason: ReadRefusal,
    },
    /// Read a piece of a snapshot and answer with [`Replica::chunk_loaded`].
    LoadChunk {
        /// The member that needs it.
        to: NodeId,
        /// The snapshot.
        snapshot: LogId,
        /// Where the piece begins, in bytes.
        offset: u64,
    },
    /// Store a piece of a snapshot and answer with [`Replica::chunk_stored`].
    StoreChunk(Chunk),
    /// Replace the state machine by the stored snapshot. Commits that follow continue after it.
    Install {
        /// The snapshot.
        snapshot: LogId,
    },
    /// The log, as it now stands, says that these are the group's members. It comes before what
    /// must be sent to them; it may be taken back by another as long as it is not committed.
    Configured {
        /// The place of the entry; that of the snapshot, or zero, if there is none.
        index: Index,
        /// The members.
        configuration: Arc<Configuration>,
    },
    /// A transfer of the leadership that was begun here is over.
    Transfer {
        /// Who was to lead.
        to: NodeId,
        /// What came of it.
        outcome: TransferOutcome,
    },
    /// Another leadership is known, or none.
    Leader {
        /// What the leadership is named by, and nothing else: two of them may share a round. Under
        /// Raft the term alone, under Multi-Paxos the ballot.
        epoch: Ballot,
        /// Who leads; `None` while nobody is known to.
        leader: Option<NodeId>,
    },
}

/// A piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The last entry that the snapshot covers.
    pub snapshot: LogId,
    /// Where the piece begins, in bytes.
    pub offset: u64,
    /// The bytes.
    pub data: Arc<[u8]>,
    /// Whether the snapshot ends here.
    pub last: bool,
}

/// What became of a piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was not usable: start over.
    Rejected,
    /// It is stored, and others follow.
    Piece,
    /// It was the last one: the snapshot is complete, verified and durable.
    Whole {
        /// The group's members, as the snapshot says.
        configuration: Arc<Configuration>,
    },
}

/// Names a proposal at the node where it was made. It never names another one, not even after a
/// restart, and it is submitted once under a ballot: a leader takes each name once, since the
/// network may repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProposalId(pub u64);

/// A command on its way to the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// How the node where it was made knows it.
    pub id: ProposalId,
    /// The command.
    pub command: Arc<[u8]>,
}

/// Names one attempt to read, at the node where it was made. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// Why a proposal is not taken. It was not submitted, so it is safe to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody is known to lead.
    NoLeader,
    /// The leader holds as many uncommitted bytes as it may.
    Overloaded,
    /// The leader is handing its leadership over; the next one will take it.
    Transferring,
}

/// Why the members are not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeRefusal {
    /// Only the leader changes the members; it is this one, as far as is known here.
    NotLeader(Option<NodeId>),
    /// The leader was elected just now, and does not know yet which change was the last. Ask again.
    NotYet,
    /// Another change is not complete; it is in the log up to this entry. Ask again.
    UnderWay(Index),
    /// The leadership is being handed over. Ask the next leader.
    Transferring,
    /// A learner that should vote lacks too much of the log. Ask again when it has come nearer.
    Behind {
        /// The learner.
        node: NodeId,
        /// Its log is known to match up to here.
        matched: Index,
        /// The leader's log ends here.
        last: Index,
    },
    /// The change makes no sense for these members.
    Misfit(Misfit),
}

/// Why a transfer of the leadership is not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferRefusal {
    /// Only the leader gives its leadership away; it is this one, as far as is known here.
    NotLeader(Option<NodeId>),
    /// It leads already.
    AlreadyLeads,
    /// It is no voter, so it cannot lead.
    NotAVoter,
    /// A transfer to this node is under way.
    UnderWay(NodeId),
}

/// What came of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferOutcome {
    /// The other leads.
    Done,
    /// It was given up: the other did not come up to date, did not answer or was not elected in
    /// time. If nobody else was elected meanwhile, this server leads on.
    Abandoned,
}

/// Why a read is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadRefusal {
    /// Nobody is known to lead.
    NoLeader,
    /// The leader was deposed before it knew that it still led.
    Deposed,
}

/// What a replica remembers across a restart: the sum of its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restart {
    /// The last promise.
    pub promise: Ballot,
    /// The group's members as of `begin`: what the snapshot says, or, without one, those that the
    /// group was founded with. Empty for a node that waits to be added to a group.
    pub configuration: Configuration,
    /// The snapshot that the state machine was restored from; zero without one.
    pub begin: LogId,
    /// The entries after it.
    pub entries: Vec<Entry>,
    /// Under which ballots they were accepted, where those are not the ones that name them.
    pub acceptances: Acceptances,
}

/// What a replica is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It takes entries from a leader, or waits for one.
    Follower,
    /// It asks for votes.
    Candidate,
    /// It leads.
    Leader,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        })
    }
}

/// What a replica is to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It votes and counts, or did as far as is known to be committed.
    Voter,
    /// It receives the log only.
    Learner,
    /// It is no member as far as it knows: it waits to be added.
    Outsider,
    /// It was a member and never will be again.
    Removed,
}

/// A replica at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it is doing.
    pub role: Role,
    /// Its promise: term and vote, or ballot.
    pub promise: Ballot,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// Its last entry.
    pub last: LogId,
    /// Its own entries are durable up to here.
    pub durable: Index,
    /// The last entry that it knows to be committed.
    pub commit: Index,
    /// The entry after which its log begins.
    pub begin: LogId,
    /// On a leader: how far each other member's log is known to match.
    pub matched: Vec<(NodeId, Index)>,
    /// What it is to its group.
    pub standing: Standing,
    /// The group's members according to its log.
    pub configuration: Arc<Configuration>,
    /// The place of the entry that says so; that of a snapshot, or zero, if there is none.
    pub configured: Index,
    /// To whom this server is handing its leadership over.
    pub transferring: Option<NodeId>,
    /// Until when a leader may read by lease, by the clock that it is driven by; zero without one.
    pub lease_until: Time,
}
