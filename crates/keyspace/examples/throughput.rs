//! What one apply costs: nanoseconds for each kind of command and memory for each key.
//!
//! `cargo run --release --package althing-keyspace --example throughput [KEYS]`

#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::convert::Infallible;
use std::time::Instant;

use althing_core::{Index, Random};
use althing_keyspace::{
    Command, Compare, CompareResult, CompareTarget, Keyspace, Operation, Put, Range, Restore, Txn,
};

const KEYS: usize = 1_000_000;
const VALUE_SIZE: usize = 256;

fn main() {
    let argument = std::env::args().nth(1);
    let keys = argument.map_or(KEYS, |text| text.parse().expect("the number of keys"));
    let mut order: Vec<usize> = (0..keys).collect();
    let mut random = Random::new(1);
    for at in (1..keys).rev() {
        order.swap(at, random.below(at as u64 + 1) as usize);
    }
    println!("{keys} keys of 16 bytes in random order, values of {VALUE_SIZE} bytes");

    let before = resident_bytes();
    let mut keyspace = Keyspace::new();
    apply_all(&mut keyspace, "put, new keys", order.iter().map(|number| put(*number)));
    let taken = resident_bytes().saturating_sub(before);
    let accounted = keyspace.size_bytes();
    println!(
        "memory: {} bytes per key taken, {} accounted for",
        taken / keys as u64,
        accounted / keys as u64
    );

    get_all(&keyspace, "get, random", &order);
    list(&keyspace);
    apply_all(&mut keyspace, "put, existing keys", order.iter().map(|number| put(*number)));
    apply_all(&mut keyspace, "txn, compare and put", order.iter().map(|number| txn(*number)));

    let snapshot = keyspace.snapshot();
    apply_all(&mut keyspace, "put, under a snapshot", order.iter().map(|number| put(*number)));
    drop(snapshot);

    let start = Instant::now();
    let compact = Command::Compact { revision: keyspace.revision() };
    let index = keyspace.applied().next();
    keyspace.apply_command(index, compact).expect("the present can be compacted to");
    println!("{:<24}{:>8.0} us", "compact", start.elapsed().as_secs_f64() * 1e6);
    measure("sweep, each change", 4 * keys, || while keyspace.sweep(1000) {});
    stream(&keyspace, keys);
}

fn key(number: usize) -> [u8; 16] {
    let mut key = *b"key/000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

fn put(number: usize) -> Command {
    Command::Put(Put::new(key(number).as_slice(), vec![number as u8; VALUE_SIZE]))
}

fn txn(number: usize) -> Command {
    let Command::Put(put) = put(number) else { return put(number) };
    Command::Txn(Txn {
        compare: vec![Compare {
            key: put.key.clone(),
            range_end: "".into(),
            result: CompareResult::Greater,
            target: CompareTarget::ModRevision(1),
        }],
        success: vec![Operation::Put(put)],
        failure: Vec::new(),
    })
}

/// Encodes a batch, then measures applying it, so that only the applying is counted.
fn apply_all(keyspace: &mut Keyspace, what: &str, mut commands: impl Iterator<Item = Command>) {
    const BATCH: usize = 10_000;
    let mut batch: Vec<Vec<u8>> = Vec::new();
    let (mut seconds, mut count) = (0.0, 0);
    loop {
        batch.clear();
        batch.extend(commands.by_ref().take(BATCH).map(|command| {
            let mut bytes = Vec::new();
            command.encode(&mut bytes);
            bytes
        }));
        if batch.is_empty() {
            break;
        }
        count += batch.len();
        let first = keyspace.applied().0 + 1;
        let start = Stopwatch::start();
        for (at, command) in batch.iter().enumerate() {
            let reply = keyspace.apply(Index(first + at as u64), command);
            reply.expect("none of these is rejected");
        }
        seconds += start.seconds();
    }
    report(what, seconds, count);
}

fn get_all(keyspace: &Keyspace, what: &str, order: &[usize]) {
    let ranges: Vec<Range> = order.iter().rev().map(|at| Range::key(key(*at).as_slice())).collect();
    measure(what, ranges.len(), || {
        for range in &ranges {
            assert_eq!(keyspace.range(range).expect("the present is readable").count, 1);
        }
    });
}

fn list(keyspace: &Keyspace) {
    let count = keyspace.range(&Range::all()).expect("the present is readable").count;
    measure("list all, each key", count as usize, || {
        keyspace.range(&Range::all()).expect("the present is readable")
    });
    let page = Range { limit: 500, ..Range::all() };
    measure("count beside a page", count as usize, || {
        keyspace.range(&page).expect("the present is readable")
    });
}

fn stream(keyspace: &Keyspace, keys: usize) {
    measure("hash, each key", keys, || keyspace.hash());
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    measure("snapshot, each key", keys, || {
        let Ok(()) = keyspace.snapshot().write::<Infallible>(&mut |block| {
            blocks.push(block.to_vec());
            Ok(())
        });
    });
    let mut restore = Restore::new();
    measure("restore, each key", keys, || {
        for block in &blocks {
            restore.feed(block).expect("an undamaged snapshot");
        }
    });
    let restored = restore.finish().expect("a whole snapshot");
    assert_eq!(restored.hash(), keyspace.hash());
}

fn measure<T>(what: &str, count: usize, work: impl FnOnce() -> T) {
    let start = Stopwatch::start();
    drop(work());
    report(what, start.seconds(), count);
}

fn report(what: &str, seconds: f64, count: usize) {
    println!("{what:<24}{:>8.0} ns", seconds * 1e9 / count as f64);
}

/// Measures the time this thread spent on a processor, where the system tells (Linux), so that a
/// busy machine does not spoil the figures; otherwise the time that passed.
struct Stopwatch {
    wall: Instant,
    on_processor: Option<u64>,
}

impl Stopwatch {
    fn start() -> Self {
        Self { wall: Instant::now(), on_processor: on_processor_nanos() }
    }

    fn seconds(&self) -> f64 {
        match (self.on_processor, on_processor_nanos()) {
            (Some(start), Some(end)) => (end - start) as f64 / 1e9,
            _ => self.wall.elapsed().as_secs_f64(),
        }
    }
}

fn on_processor_nanos() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

/// What the system has given this process, where it tells; otherwise zero.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
