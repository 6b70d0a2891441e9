//! How long a commit takes on this machine's disk, by how its segment came to be.
//!
//! `cargo run --release -p althing-storage --features real-disk --example commit_latency -- FOLDER`
//!
//! The folder must be on the disk in question and empty, or absent; it is not removed.

#![allow(clippy::disallowed_methods, reason = "it measures the real disk with the real clock")]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use althing_core::{
    Ballot, ClusterId, Configuration, Entry, Index, LogId, NodeId, Payload, Record,
};
use althing_storage::{Identity, Opened, Options, RealDisk, Store};

/// Fewer than a segment holds.
const COMMITS: u64 = 3500;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: commit_latency FOLDER")?;
    let folder = Path::new(&folder);
    let options = Options::default();

    let started = Instant::now();
    let threads: Vec<_> = (0..3)
        .map(|node| folder.join(format!("open-{node}")))
        .map(|path| std::thread::spawn(move || open(&path, options).map(|_| started.elapsed())))
        .collect();
    for thread in threads {
        let taken = thread.join().map_err(|_| "a thread panicked")?;
        println!("open, three fresh stores at once: {:.1} ms", milliseconds(taken?));
    }

    let mut next = 1;
    let mut reserved = open(&folder.join("reserved"), options)?;
    fill_first_segment(&mut reserved, &mut next, options)?;
    report("space reserved only", commits(&mut reserved, &mut next)?);

    let mut next = 1;
    let mut zeroed = open(&folder.join("zeroed"), options)?;
    let started = Instant::now();
    let spare = zeroed.wal.spare_maker().make()?;
    println!("a spare is made in {:.1} ms", milliseconds(started.elapsed()));
    zeroed.wal.offer_spare(spare)?;
    fill_first_segment(&mut zeroed, &mut next, options)?;
    report("zeros written", commits(&mut zeroed, &mut next)?);

    // Leave the segment and drop it, so that the next one but one is one that was used before.
    for _ in 0..1000 {
        commit(&mut zeroed, &mut next)?;
    }
    let end = LogId::new(ballot()?, Index(next - 1));
    let members = Configuration::of(ballot()?.node);
    zeroed.snapshots.write(end, &members)?.finish()?;
    zeroed.wal.commit(&[Record::Begin(end)])?;
    zeroed.wal.purge_before(end)?;
    for _ in 0..3800 {
        commit(&mut zeroed, &mut next)?;
    }
    report("recycled", commits(&mut zeroed, &mut next)?);

    let maker = zeroed.wal.spare_maker();
    let making = std::thread::spawn(move || maker.make());
    let mut during = Vec::new();
    while !making.is_finished() {
        during.push(commit(&mut zeroed, &mut next)?);
    }
    report("while a spare is made", during);
    Ok(())
}

fn ballot() -> Result<Ballot, &'static str> {
    NodeId::new(1).map(|node| Ballot::new(1, node)).ok_or("one is not zero")
}

fn open(path: &Path, options: Options) -> Result<Opened<RealDisk>, String> {
    let node = NodeId::new(1).ok_or("one is not zero")?;
    let identity = Identity { cluster: ClusterId(1), node, protocol: "raft".into() };
    let disk = RealDisk::open(path).map_err(|error| error.to_string())?;
    Store::open(disk, identity, options, u64::from(std::process::id()))
        .map_err(|error| error.to_string())
}

/// Commits until the small first segment is full.
fn fill_first_segment(
    store: &mut Opened<RealDisk>,
    next: &mut u64,
    options: Options,
) -> Result<(), Box<dyn Error>> {
    for _ in 0..options.first_segment_size / 4096 {
        commit(store, next)?;
    }
    Ok(())
}

fn commits(store: &mut Opened<RealDisk>, next: &mut u64) -> Result<Vec<Duration>, Box<dyn Error>> {
    (0..COMMITS).map(|_| commit(store, next)).collect()
}

/// Commits one entry of 256 bytes: a frame of 4 KiB.
fn commit(store: &mut Opened<RealDisk>, next: &mut u64) -> Result<Duration, Box<dyn Error>> {
    let payload = Payload::Command(vec![*next as u8; 256].into());
    let records =
        [Record::Append(vec![Entry { id: LogId::new(ballot()?, Index(*next)), payload }])];
    *next += 1;
    let started = Instant::now();
    store.wal.commit(&records)?;
    Ok(started.elapsed())
}

fn report(what: &str, mut taken: Vec<Duration>) {
    taken.sort_unstable();
    let at = |share: usize| milliseconds(taken[(taken.len() - 1) * share / 1000]) * 1000.0;
    println!(
        "{what}: {} commits, p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us",
        taken.len(),
        at(500),
        at(990),
        at(999)
    );
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
