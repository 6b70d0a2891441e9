use std::fmt;

use althing_core::{Entry, Index, LogId};

use crate::{Chunk, Proposal, ProposalId, ReadId, Refusal};

/// What one server says to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The sender's current term.
    pub term: u64,
    /// What it says.
    pub body: Body,
}

/// The messages of Raft. Each says who sends it to whom, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Would-be candidate → everyone: would you vote for me in the next term? Costs nobody a term
    /// (section 9.6 of the thesis).
    PreVote {
        /// The sender's last entry; zero for an empty log.
        last: LogId,
    },
    /// Everyone → would-be candidate.
    PreVoteReply {
        /// Whether the sender would.
        granted: bool,
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
        /// The greatest round seen in this term.
        round: u64,
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
    /// term. A leader of a later term never takes them.
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

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{} {}", self.term, self.body)
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreVote { last } => write!(f, "PreVote last={last}"),
            Self::PreVoteReply { granted } => write!(f, "PreVoteReply granted={granted}"),
            Self::Vote { last, handed_over: false } => write!(f, "Vote last={last}"),
            Self::Vote { last, handed_over: true } => write!(f, "Vote last={last} handed-over"),
            Self::VoteReply { granted } => write!(f, "VoteReply granted={granted}"),
            Self::Append { previous, entries, commit, round } => {
                write!(f, "Append previous={previous} entries=[")?;
                for (position, entry) in entries.iter().enumerate() {
                    let space = if position == 0 { "" } else { " " };
                    write!(f, "{space}{}", entry.id)?;
                }
                write!(f, "] commit={commit} round={round}")
            }
            Self::AppendReply { round, outcome: AppendOutcome::Accepted { matched } } => {
                write!(f, "AppendReply accepted matched={matched} round={round}")
            }
            Self::AppendReply { round, outcome: AppendOutcome::Rejected { previous, hint } } => {
                write!(f, "AppendReply rejected previous={previous} hint={hint} round={round}")
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
