//! Raft.
//!
//! # The protocol in one page
//! Time is divided into **terms**; each has at most one **leader**. Servers start as **followers**.
//! A follower that hears from no leader for an election timeout becomes a **candidate**: first it
//! asks everyone whether they would vote for it (pre-vote), and only when a majority would does it
//! open a new term, vote for itself and ask for real votes. A server votes once a term, for a
//! candidate whose log is at least as up to date as its own, and its vote is durable before it is
//! sent. A majority of votes makes a leader.
//!
//! The leader appends commands to its **log** and sends them to the followers, each message naming
//! the entry that comes right before; a follower that lacks that entry says where the logs may
//! still agree, and the leader goes back. When an entry of the leader's own term is durable on a
//! majority, it and everything before it is **committed**: every later leader has it.
//!
//! # Where each rule lives
//! In `replication`, unless the table says otherwise.
//!
//! | rule | place |
//! |---|---|
//! | terms: a greater one is adopted, a smaller one refused (5.1) | `mod.rs`, `receive` |
//! | who gets a vote (5.2, 5.4.1) | `election.rs` here, `vote` |
//! | pre-vote (thesis 9.6) | `candidate.rs` |
//! | a live leader is not voted against (thesis 4.2.3) | `mod.rs`, `follows_a_live_leader` |
//! | the consistency check, conflicts (5.3) | `follower.rs`, `append` |
//! | commitment, only of the own term by counting (5.4.2) | `election.rs` here, `is_decided` |
//! | the window of messages and bytes per follower | `progress.rs` |
//! | a follower's proposal is appended once, however often it comes | `taken.rs` |
//! | linearizable reads (thesis 6.4) | `reads.rs` |
//! | reads by lease, where they are asked for (thesis 6.4.1) | `lease.rs` |
//! | snapshots in chunks (7) | `snapshot.rs` |
//! | what is durable | `journal.rs` |
//! | a leader that hears from no majority steps down (thesis 6.2) | `leader.rs`, `check_quorum` |
//! | leadership transfer (thesis 3.10) | `handover.rs` |
//! | a leader whose disk stands still hands over | `stall.rs` |
//! | members come and go (6, thesis chapter 4) | `membership.rs` |

mod election;

use crate::replication::{self, Machine};

pub use crate::replication::{AppendOutcome, Bug, Options};
pub use election::{Ask, Terms};

/// A Raft server.
pub type Raft = Machine<Terms>;
/// What one Raft server says to another.
pub type Message = replication::Message<Terms>;
