//! One Althing server.
//!
//! A [`Node`] drives a [`Replica`](althing_consensus::Replica), a
//! [`Keyspace`](althing_keyspace::Keyspace) and a [`Store`](althing_storage::Store), and serves
//! etcd's clients. It is the only crate with an async runtime, sockets and a clock. What it is not:
//! it decides nothing. Who leads, what is committed and what a command does is decided by the pure
//! machines below; a node moves bytes and waits.
//!
//! # Threads
//! - **consensus**: a current-thread runtime with the driver and the peers'
//!   sockets, and with the clients' sockets too unless they have threads of their own. Hopping
//!   between threads costs more than most of the work, so what can stay on one thread does.
//! - **log**: writes and syncs, one group commit after the other.
//! - **snapshots**: writes, reads and sends snapshots, away from the log's path.
//!
//! A value's way, of a put on the leader: client socket → [`Handle::propose`] → driver → log thread
//! and peers at the same time → driver, when a majority holds it → keyspace → client.

pub mod backup;
mod chores;
mod clock;
mod comparison;
mod consensus;
mod driver;
mod envelope;
mod founding;
mod handle;
mod history;
mod leases;
mod log_thread;
mod members;
mod memory;
pub mod metrics;
mod node;
mod peers;
mod probes;
mod proposals;
mod questions;
mod reads;
mod renewal;
mod serving;
mod settings;
mod snapshots;
mod tls;
mod tokens;
mod watches;

pub mod client;

pub use althing_storage::OpenError;
pub use consensus::Consensus;
pub use handle::{Applied, Handle, MemberStatus, RequestError, Status};
pub use history::Retention;
pub use members::{ChangeError, MemberError};
pub use metrics::Metrics;
pub use node::{Listeners, Node, NodeError};
pub use peers::OtherProtocol;
pub use settings::{MemberAddress, Settings, SettingsError};
pub use tls::{TlsError, TlsFiles};
