//! What must hold whatever bytes come.
//!
//! A target takes bytes from a fuzzer or from `corpus`, and panics if they break something.
//! Decoders must refuse what they did not write, or read it so that writing it again gives the
//! same; a log must not take damage for data; and a life in which the bytes choose the faults is a
//! life as any.

mod bytes;
mod disk;
mod log;
pub mod seeds;

use althing_consensus::Message as _;
use althing_consensus::{paxos, raft};
use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{Configuration, Index, Record};
use althing_keyspace::{Command, Keyspace, Restore, RestoreError};
use althing_sim::{Consensus, Diary, Options, run_bytes};

pub use log::log;

/// A target, by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 10] = [
    ("raft_message", raft_message),
    ("paxos_message", paxos_message),
    ("record", record),
    ("configuration", configuration),
    ("command", command),
    ("state", state),
    ("snapshot", snapshot),
    ("log", log),
    ("raft_life", raft_life),
    ("paxos_life", paxos_life),
];

/// What one Raft server says to another.
///
/// # Panics
/// The decoder is wrong.
pub fn raft_message(bytes: &[u8]) {
    stays_the_same(bytes, raft::Message::decode, raft::Message::encode);
}

/// What one Multi-Paxos server says to another.
///
/// # Panics
/// The decoder is wrong.
pub fn paxos_message(bytes: &[u8]) {
    stays_the_same(bytes, paxos::Message::decode, paxos::Message::encode);
}

/// A record of the log.
///
/// # Panics
/// The decoder is wrong.
pub fn record(bytes: &[u8]) {
    stays_the_same(bytes, Record::decode, Record::encode);
}

/// A group's members.
///
/// # Panics
/// The decoder is wrong.
pub fn configuration(bytes: &[u8]) {
    stays_the_same(bytes, Configuration::decode, Configuration::encode);
}

/// A command to the state machine.
///
/// # Panics
/// The decoder is wrong.
pub fn command(bytes: &[u8]) {
    let Ok(command) = Command::decode(bytes) else { return };
    let mut again = Vec::new();
    command.encode(&mut again);
    assert_eq!(Command::decode(&again), Ok(command), "it reads back as another");
}

/// Commands to a state machine, each after a byte that says how long it is.
///
/// # Panics
/// The state machine gave up, or another one that is restored from it is not the same.
pub fn state(bytes: &[u8]) {
    let mut keyspace = Keyspace::new();
    let mut rest = bytes;
    let mut index = Index::ZERO;
    while let Some((length, after)) = rest.split_first() {
        let (command, after) = after.split_at(after.len().min(usize::from(*length)));
        index = index.next();
        // Most are refused, and every node refuses the same.
        let _ = keyspace.apply(index, command);
        rest = after;
    }
    restores(&bytes::of_snapshot(&keyspace)).expect("it was just written");
}

/// A snapshot of the state machine, which arrives in pieces of as many bytes as the first one says.
///
/// # Panics
/// The reader is wrong.
pub fn snapshot(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let mut restore = Restore::new();
    for piece in rest.chunks(usize::from(*first) + 1) {
        if restore.feed(piece).is_err() {
            return;
        }
    }
    let Ok(keyspace) = restore.finish() else { return };
    restores(&bytes::of_snapshot(&keyspace)).expect("it was just written");
}

/// What is restored from a snapshot gives the same snapshot again.
fn restores(snapshot: &[u8]) -> Result<(), RestoreError> {
    let mut restore = Restore::new();
    restore.feed(snapshot)?;
    let restored = restore.finish()?;
    assert!(bytes::of_snapshot(&restored) == snapshot, "what was restored is another");
    Ok(())
}

/// A life of a cluster that agrees by Raft: the first eight bytes are its seed, and each bit of the
/// others lets one thing go wrong.
///
/// # Panics
/// An invariant is broken.
pub fn raft_life(bytes: &[u8]) {
    live(bytes, Consensus::Raft);
}

/// As [`raft_life`], by Multi-Paxos.
///
/// # Panics
/// An invariant is broken.
pub fn paxos_life(bytes: &[u8]) {
    live(bytes, Consensus::Paxos);
}

fn live(bytes: &[u8], consensus: Consensus) {
    let options = Options { consensus, diary: Diary::Never, ..Options::default() };
    let outcome = run_bytes(bytes, &options);
    assert!(outcome.is_clean(), "{outcome}");
}

/// What is read is what writing it gives.
fn stays_the_same<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    decode: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
    encode: impl Fn(&T, &mut Writer<'_>),
) {
    let mut reader = Reader::new(bytes);
    let Ok(value) = decode(&mut reader) else { return };
    let read = bytes.len() - reader.remaining();
    let mut again = Vec::new();
    encode(&value, &mut Writer(&mut again));
    assert_eq!(again, bytes[..read], "{value:?} has two shapes");
}
