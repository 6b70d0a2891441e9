//! Paxos, in the words of Leslie Lamport's *Paxos Made Simple* (2001): here "the paper".
//!
//! [`synod`] decides one value, or keeps one that changes. It is the part of the paper that is
//! proven in two pages, and it is usable alone. [`MultiPaxos`] decides a log.
//!
//! # Multi-Paxos in one page
//! Every place in the log is an instance of Paxos (section 3 of the paper), and all instances share
//! their ballots. A member that wants to lead opens a **ballot** of its own, greater than every one
//! it knows, and asks all for a promise for it, for every place at once: **phase one** is carried
//! out once for a leadership. Whoever promises never accepts anything under a smaller ballot again,
//! and says what it accepted so far. A **quorum** of promises makes a leader, *whichever member
//! asked*: what it lacks, it learns from them. What it learned, it proposes again under its own
//! ballot; it then opens its leadership with an entry that says nothing, and adds what clients
//! propose. An entry that a quorum **accepted** under one ballot is chosen.
//!
//! # The form that this takes here
//! An entry is named by the ballot that proposed it *first*, and keeps its name when it is proposed
//! again. So a name says what an entry is, and proposing again what a follower already holds costs
//! a word instead of the entry: [`Accept`](althing_core::Record::Accept), everything up to there is
//! accepted under this ballot.
//!
//! Acceptors accept places in order. Hence
//! - **no log has a hole**, and a leader has none to fill; the entry that says nothing stands once
//!   at the beginning of each leadership;
//! - a follower that accepts another entry at a place than it held drops what it held behind it.
//!   That could have been chosen only together with the entry that was replaced, and then the
//!   leader would have found both in phase one. For the same reason what stands behind a received
//!   snapshot goes if the log does not hold the snapshot's last entry, and stays if it does;
//! - where one acceptor's log parts from what is proposed again, the rest of it counts for nothing,
//!   whatever its ballots: see `found` in `phase_one.rs`;
//! - whoever holds an entry holds the same before it as all who hold it, as in Raft, and the
//!   replication is the same code.
//!
//! # Where each rule lives
//! "Parliament" is *The Part-Time Parliament* (1998), "Live" is *Paxos Made Live* (2007). A file
//! stands here or, if it is marked with an r, in `replication`.
//!
//! | rule | place |
//! |---|---|
//! | ballots are unique: a round and a node (2.5) | `core::Ballot` |
//! | a ballot is never used twice, not even after a restart (2.5) | `phase_one.rs`, `prepare` |
//! | a promise forbids all smaller ballots, and is durable (2.2, P1a; 2.5) | r `mod.rs`, `follow` |
//! | phase one for all places at once (3) | `phase_one.rs` |
//! | what was accepted under the greatest ballot (2.2, P2c) | `phase_one.rs`, `found` |
//! | what was accepted is told in parts | `phase_one.rs`, `tell_accepted` |
//! | proposing again, accepting again (2.2, phase 2) | `rules.rs`, `accept_through` |
//! | chosen: accepted by a quorum under one ballot (2.2) | `rules.rs`, `is_decided` |
//! | no hole, the entry that says nothing (3) | r `leader.rs`, `lead` |
//! | only phase one and phase two must meet (*Flexible Paxos*) | `core::Quorum` |
//! | members change inside the log (3; Parliament 3.3) | r `membership.rs`, here `learn` |
//! | a restart loses no promise and no acceptance (2.5) | r `journal.rs` |
//! | snapshots, and catching up by them (Live 5.5) | r `snapshot.rs` |
//! | a leader that is alive is not outbid (Live 4.2) | r `mod.rs`, `follows_a_live_leader` |
//! | a leader whose disk stands still hands over | r `stall.rs` |
//! | who is outbid waits at random (2.4) | r `mod.rs`, `follow` |
//! | who should lead, if nobody does | `phase_one.rs`, `would_help` |
//! | reads by a round of confirmation, without a lease | r `reads.rs` |
//! | reads by lease, where they are asked for (Live 5.2) | r `lease.rs` |
//!
//! # Left out
//! Quorums other than majorities in a configuration.

mod ask;
mod phase_one;
mod rules;
pub mod synod;

use crate::replication::{self, Machine};

pub use crate::replication::{Bug, Options};
pub use ask::{Ask, Outline, Promise};
pub use phase_one::{Phase, Promised};
pub use rules::Ballots;

/// A Multi-Paxos server: proposer, acceptor and learner in one.
pub type MultiPaxos = Machine<Ballots>;
/// What one Multi-Paxos server says to another.
pub type Message = replication::Message<Ballots>;
