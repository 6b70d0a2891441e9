//! A node's memory on disk: a write-ahead log and snapshots, over a [`Disk`](althing_core::Disk).
//!
//! [`Store::open`] is the only door. It checks whose folder this is, reads the log back, reconciles
//! it with the newest snapshot and hands out two parts that live on different threads:
//!
//! - [`Wal`], on the log thread: one [`Wal::commit`] is one write and one sync, whatever the number
//!   of records in it. When it returned, the records survive the loss of power.
//! - [`SnapshotStore`], elsewhere: writes, reads, sends and receives whole states as files, block
//!   by block, so that no state needs to fit into a buffer.
//!
//! What the bytes mean is written in `docs/log-format.md`. The rules everything here serves:
//!
//! - What was acknowledged is never lost without notice. A *torn tail*, the last write of a node
//!   that lost power, was never acknowledged and is cut. Anything else that does not check is
//!   *damage* and refuses to open: a node that guessed what it had promised could break every
//!   promise of the cluster.
//! - After a disk error nothing more is written. A second sync may succeed although the first one
//!   dropped the pages.
//!
//! What it does not do: it starts no thread, reads no clock, keeps no entries in memory, and
//! repairs nothing. A damaged node is rebuilt from its peers.

mod error;
mod frame;
mod head;
mod identity;
mod outline;
pub mod planted;
#[cfg(feature = "real-disk")]
mod real_disk;
mod recovery;
mod replay;
mod scan;
mod snapshot;
mod spare;
mod store;
mod transfer;
mod wal;

pub use error::{OpenError, SnapshotError, WalError};
pub use frame::FRAME_SIZE_MAX;
pub use identity::Identity;
#[cfg(feature = "real-disk")]
pub use real_disk::{RealDisk, RealFile};
pub use recovery::{Recovered, TornTail};
pub use snapshot::{SnapshotReader, SnapshotStore, SnapshotWriter};
pub use spare::{Spare, SpareMaker};
pub use store::{Opened, Options, Store};
pub use transfer::{Chunk, ReceiveOutcome};
pub use wal::{COMMIT_SIZE_MAX, Wal};
