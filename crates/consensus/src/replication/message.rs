use std::fmt;

use althing_core::{Ballot, Entry, Index, LogId};

use super::Protocol;
use crate::{Chunk, Proposal, ProposalId, ReadId, Refusal};

/// What one server says to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<P: Protocol> {
    /// The sender's current epoch.
    pub epoch: Ballot,
    /// What it says.
    pub body: Body<P>,
}

/// What the members say. Each message says who sends it to whom, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<P: Protocol> {
    /// Everyone → would-be candidate, whose question belongs to the protocol.
    PreVoteReply {
        /// Whether the sender would.
        granted: bool,
    },
    /// Candidate ↔ everyone: how this protocol elects.
    Ask(P::Ask),
    /// Leader → follower: entries to append (AppendEntries, section 5.3 of the paper). Without
    /// entries it is a heartbeat or a probe.
    Append {
        /// The entry that comes right before `entries`; zero at the beginning of the log.
        previous: LogId,
        /// Contiguous entries after `previous`.
        entries: Vec<Entry>,
        /// The leader's commit index.
        commit: Index,
        /// The last round of read confirmation that was started; the answer repeats it.
        round: u64,
    },
    /// Follower → leader: the answer to `Append`, and to the last chunk of a snapshot.
    AppendReply {
        /// The greatest round seen in this epoch.
        round: u64,
        /// Since it heard of that round, the sender helps nobody else to lead for so many
        /// milliseconds of its clock.
        loyal_for: u32,
        /// Whether the logs met.
        outcome: AppendOutcome,
    },
    /// Leader → follower: this entry and all before it are committed. Needs no answer; a lost one
    /// is made good by the next `Append`.
    Commit {
        /// The last committed entry.
        commit: LogId,
    },
    /// Leader → follower: a piece of the snapshot that replaces entries the leader has compacted
    /// away (InstallSnapshot, section 7 of the paper).
    Snapshot(Chunk),
    /// Follower → leader: the next piece of that snapshot I need begins here.
    SnapshotReply {
        /// The snapshot.
        snapshot: LogId,
        /// In bytes; zero starts over.
        offset: u64,
    },
    /// Leader → follower: your log is as long as mine, so stand for election now (TimeoutNow,
    /// section 3.10 of the thesis).
    TimeoutNow,
    /// Member → node: you were removed from the group; that is committed, and for good.
    Removed,
    /// Follower → leader: clients of mine want these in the log, under your leadership of this very
    /// epoch. A leader of a later one never takes them.
    Propose {
        /// The commands, with the names that the sender knows them by.
        proposals: Vec<Proposal>,
    },
    /// Leader → follower: these proposals of yours are not in the log and never will be.
    Refuse {
        /// Which.
        ids: Vec<ProposalId>,
        /// Why.
        reason: Refusal,
    },
    /// Follower → leader: a client of mine wants to read (section 6.4 of the thesis).
    Read {
        /// The attempt.
        id: ReadId,
    },
    /// Leader → follower: I still lead; wait until you have applied `index`.
    ReadReply {
        /// The attempt.
        id: ReadId,
        /// Where the reader must have come.
        index: Index,
    },
}

/// How an `Append` was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// The follower's log agrees with the leader's up to here, durably.
    Accepted {
        /// The last place at which they agree.
        matched: Index,
    },
    /// The follower does not hold the entry before the ones sent.
    Rejected {
        /// Where the entry that was missed would be; tells stale rejections from fresh ones.
        previous: Index,
        /// The last entry of the follower's that the leader may hold.
        hint: LogId,
    },
}

impl fmt::Display for AppendOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { matched } => write!(f, "accepted matched={matched}"),
            Self::Rejected { previous, hint } => {
                write!(f, "rejected previous={previous} hint={hint}")
            }
        }
    }
}

impl<P: Protocol> fmt::Display for Message<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} {}", P::EPOCH, self.epoch, self.body)
    }
}

impl<P: Protocol> fmt::Display for Body<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreVoteReply { granted } => write!(f, "PreVoteReply granted={granted}"),
            Self::Ask(ask) => ask.fmt(f),
            Self::Append { previous, entries, commit, round } => {
                write!(f, "Append previous={previous} entries=[")?;
                for (position, entry) in entries.iter().enumerate() {
                    let space = if position == 0 { "" } else { " " };
                    write!(f, "{space}{}", entry.id)?;
                }
                write!(f, "] commit={commit} round={round}")
            }
            Self::AppendReply { round, loyal_for, outcome } => {
                write!(f, "AppendReply {outcome} round={round}")?;
                if *loyal_for > 0 { write!(f, " loyal-for={loyal_for}ms") } else { Ok(()) }
            }
            Self::Commit { commit } => write!(f, "Commit {commit}"),
            Self::Snapshot(chunk) => {
                let Chunk { snapshot, offset, data, last } = chunk;
                write!(f, "Snapshot {snapshot} offset={offset} bytes={} last={last}", data.len())
            }
            Self::SnapshotReply { snapshot, offset } => {
                write!(f, "SnapshotReply {snapshot} offset={offset}")
            }
            Self::TimeoutNow => f.write_str("TimeoutNow"),
            Self::Removed => f.write_str("Removed"),
            Self::Propose { proposals } => {
                write!(f, "Propose {}", Ids(proposals.iter().map(|p| p.id)))
            }
            Self::Refuse { ids, reason } => {
                write!(f, "Refuse {} {reason:?}", Ids(ids.iter().copied()))
            }
            Self::Read { id } => write!(f, "Read {}", id.0),
            Self::ReadReply { id, index } => write!(f, "ReadReply {} index={index}", id.0),
        }
    }
}

struct Ids<I>(I);

impl<I: Iterator<Item = ProposalId> + Clone> fmt::Display for Ids<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (position, id) in self.0.clone().enumerate() {
            let space = if position == 0 { "" } else { " " };
            write!(f, "{space}{}", id.0)?;
        }
        f.write_str("]")
    }
}
