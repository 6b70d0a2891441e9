//! Agreement as deterministic machines: a replicated log by [`raft`] or by Multi-Paxos ([`paxos`]),
//! behind one contract, and a single value by [`paxos::synod`].
//!
//! A [`Replica`] is one member of a group that agrees on a sequence of commands. It is a plain
//! value: inputs go in (a message, the time, a proposal, "this write is durable"), outputs are
//! drained into a buffer that the caller owns. What it is not: it has no socket, no file, no clock,
//! no thread and no random source but the seed it was given.
//!
//! ```
//! use std::time::Duration;
//! use althing_consensus::{Output, ProposalId, Replica, Restart};
//! use althing_consensus::raft::{Options, Raft};
//! use althing_core::{Configuration, NodeId, Outbox, Time};
//!
//! let me = NodeId::new(1).expect("not zero");
//! let founded = Restart { configuration: Configuration::of([me]), ..Restart::default() };
//! let mut replica = Raft::new(me, Options::default(), founded, 42, Time::ZERO);
//! let mut outbox = Outbox::default();
//! let mut outputs = Vec::new();
//! let mut now = Time::ZERO;
//! let mut committed = 0;
//! while committed < 2 {
//!     // Wait for a message, a durable write or the deadline; here only deadlines come.
//!     now = replica.wake_at().max(now);
//!     replica.tick(now);
//!     replica.drain(now, &mut outputs);
//!     for output in outputs.drain(..) {
//!         match output {
//!             Output::Persist { op, records } => {
//!                 drop(records); // write them, sync, and then:
//!                 outbox.persisted(op);
//!                 replica.persisted(now, op);
//!             }
//!             Output::Send(message) => outbox.push(message),
//!             Output::Commit { to } => committed = to.0,
//!             Output::Leader { leader, .. } if leader == Some(me) => {
//!                 replica.propose(now, ProposalId(1), b"hello"[..].into()).expect("we lead");
//!             }
//!             _ => {}
//!         }
//!     }
//!     while let Some((to, message)) = outbox.pop() {
//!         println!("send {message} to {to}");
//!     }
//! }
//! ```
//!
//! Papers: Diego Ongaro and John Ousterhout, *In Search of an Understandable Consensus Algorithm*
//! (2014), here "the paper"; Diego Ongaro, *Consensus: Bridging Theory and Practice* (2014), here
//! "the thesis".

mod contract;
mod log;
pub mod paxos;
pub mod raft;
pub mod replication;

pub use contract::{
    ChangeRefusal, Chunk, Message, Output, Proposal, ProposalId, ReadId, ReadRefusal, Refusal,
    Replica, Restart, Role, Standing, Status, Stored, TransferOutcome, TransferRefusal,
};
pub use log::Log;
