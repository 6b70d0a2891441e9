//! What every Althing machine stands on: who it is, what time it is, what a quorum is, what it
//! writes and when it may speak.
//!
//! A *machine* here is a value that takes inputs and hands back outputs. It has no clock, no
//! random source, no thread and no socket: the time is an argument, the seed is an argument, and
//! what should happen in the world is returned to the caller. The same machine therefore runs in a
//! server, in the simulator, in a model checker and in a browser.
//!
//! This crate has no dependencies and needs no operating system.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod acceptance;
mod ballot;
pub mod codec;
mod configuration;
mod disk;
mod identity;
mod outbox;
mod quorum;
mod random;
mod record;
mod time;

pub use acceptance::{Acceptance, Acceptances};
pub use ballot::{Ballot, Index, LogId};
pub use configuration::{Change, Configuration, Misfit};
pub use disk::{Disk, DiskError, DiskErrorKind, DiskFile};
pub use identity::{ClusterId, NodeId};
pub use outbox::{Gated, Op, Outbox};
pub use quorum::{Majority, Quorum};
pub use random::Random;
pub use record::{Entry, Payload, Record, decode_entries, encode_entries};
pub use time::Time;
