//! Snapshots are written, read, sent and received whole or not at all.

mod common;

use althing_core::{Disk, LogId, Record};
use althing_storage::{ReceiveOutcome, SnapshotError, SnapshotStore};
use common::{Fault, MemoryDisk, Survival, entries, id, members, open};

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|byte| (byte % 251) as u8).collect()
}

fn write(store: &SnapshotStore<MemoryDisk>, id: LogId, content: &[u8]) {
    let mut writer = store.write(id, &members()).expect("there is room");
    for piece in content.chunks(1000) {
        writer.write(piece).expect("there is room");
    }
    writer.finish().expect("there is room");
}

fn read(store: &SnapshotStore<MemoryDisk>, id: LogId) -> Result<Vec<u8>, SnapshotError> {
    let mut reader = store.read(id)?;
    let mut content = Vec::new();
    while let Some(block) = reader.next_block()? {
        assert!(!block.is_empty());
        content.extend_from_slice(block);
    }
    Ok(content)
}

#[test]
fn what_was_written_is_read() {
    let disk = MemoryDisk::default();
    let store = open(&disk, 1).expect("a new disk").snapshots;
    for (index, size) in [0, 1, 65_535, 65_536, 65_537, 300_000, 3 << 20].into_iter().enumerate() {
        let id = id(1 + index as u64, 1);
        write(&store, id, &content(size));
        assert_eq!(store.latest(), Ok(Some(id)));
        let restarted = open(&disk.restart(Survival::Nothing), 2).expect("nothing is damaged");
        assert_eq!(restarted.snapshot, Some(id));
        assert_eq!(read(&restarted.snapshots, id), Ok(content(size)));
        assert_eq!(restarted.snapshots.configuration(id), Ok(Some(members())));
    }
    store.remove_older_than(id(6, 1)).expect("nothing fails");
    assert_eq!(read(&store, id(5, 1)), Err(SnapshotError::Missing(id(5, 1))));
    assert_eq!(read(&store, id(6, 1)), Ok(content(300_000)));
}

#[test]
fn an_unfinished_snapshot_leaves_nothing() {
    let disk = MemoryDisk::default();
    let store = open(&disk, 1).expect("a new disk").snapshots;
    let names = disk.list();
    let mut writer = store.write(id(5, 1), &members()).expect("there is room");
    writer.write(&content(100_000)).expect("there is room");
    assert_ne!(disk.list(), names);
    let crashed = disk.restart(Survival::Everything);
    drop(writer);
    assert_eq!(disk.list(), names, "dropped");
    let store = open(&crashed, 2).expect("nothing is damaged").snapshots;
    assert_eq!(crashed.list(), names, "after a crash");
    assert_eq!(store.latest(), Ok(None));
}

#[test]
fn a_snapshot_that_could_not_be_written_never_appears() {
    // Seven writes, a sync and a renaming; a full disk minds only the writes.
    let full = (0..7).map(|call| (call, Fault::Full));
    for (call, fault) in full.chain((0..9).map(|call| (call, Fault::Failure))) {
        let disk = MemoryDisk::default();
        let store = open(&disk, 1).expect("a new disk").snapshots;
        let names = disk.list();
        disk.plan(call, fault);
        let written = store.write(id(5, 1), &members()).and_then(|mut writer| {
            // Whoever overlooks the first error must not get a snapshot with a hole.
            let _ = writer.write(&content(200_000));
            writer.finish()
        });
        assert!(
            matches!(written, Err(SnapshotError::Disk(_))),
            "{fault:?} at call {call}: {written:?}"
        );
        assert_eq!(disk.list(), names, "{fault:?} at call {call}");
    }
}

#[test]
fn a_snapshot_travels_in_chunks_of_any_size() {
    let from = open(&MemoryDisk::default(), 1).expect("a new disk").snapshots;
    write(&from, id(9, 2), &content(150_000));
    for size in [1_000, 65_536, 100_000, 1 << 20] {
        let disk = MemoryDisk::default();
        let mut to = open(&disk, 1).expect("a new disk").snapshots;
        let mut offset = 0;
        loop {
            let chunk = from.read_chunk(id(9, 2), offset, size).expect("it is there");
            let outcome = to.receive_chunk(id(9, 2), offset, &chunk.bytes, chunk.last);
            offset += chunk.bytes.len() as u64;
            if chunk.last {
                assert_eq!(outcome, Ok(ReceiveOutcome::Complete));
                break;
            }
            assert_eq!(outcome, Ok(ReceiveOutcome::Accepted { next: offset }));
        }
        let opened = open(&disk.restart(Survival::Nothing), 2).expect("nothing is damaged");
        assert_eq!(read(&opened.snapshots, id(9, 2)), Ok(content(150_000)));
        assert_eq!(opened.recovered.begin, id(9, 2), "the log was told when it was opened");
    }
}

#[test]
fn chunks_out_of_order_change_nothing() {
    let from = open(&MemoryDisk::default(), 1).expect("a new disk").snapshots;
    write(&from, id(9, 2), &content(5_000));
    let bytes = from.read_chunk(id(9, 2), 0, usize::MAX).expect("it is there").bytes;
    let mut to = open(&MemoryDisk::default(), 1).expect("a new disk").snapshots;
    let due = |expected| Ok(ReceiveOutcome::OutOfOrder { expected });
    assert_eq!(to.receive_chunk(id(9, 2), 1000, &bytes[1000..], true), due(0));
    let next = Ok(ReceiveOutcome::Accepted { next: 1000 });
    assert_eq!(to.receive_chunk(id(9, 2), 0, &bytes[..1000], false), next);
    assert_eq!(to.receive_chunk(id(9, 2), 2000, &bytes[2000..], true), due(1000));
    assert_eq!(to.receive_chunk(id(8, 2), 1000, &bytes[1000..], true), due(0));
    assert_eq!(to.receive_chunk(id(9, 2), 0, &bytes[..1000], false), next, "it begins anew");
    let last = to.receive_chunk(id(9, 2), 1000, &bytes[1000..], true);
    assert_eq!(last, Ok(ReceiveOutcome::Complete));
    assert_eq!(read(&to, id(9, 2)), Ok(content(5_000)));
}

#[test]
fn what_is_not_the_snapshot_it_claims_to_be_is_rejected() {
    let from = open(&MemoryDisk::default(), 1).expect("a new disk").snapshots;
    write(&from, id(9, 2), &content(5_000));
    let bytes = from.read_chunk(id(9, 2), 0, usize::MAX).expect("it is there").bytes;
    let mut flipped = bytes.clone();
    flipped[100] ^= 1;
    let cases = [
        ("another state's", id(10, 2), bytes.clone()),
        ("a flipped bit", id(9, 2), flipped),
        ("cut short", id(9, 2), bytes[..bytes.len() - 1].to_vec()),
        ("too long", id(9, 2), [&bytes[..], &[0]].concat()),
        ("nothing", id(9, 2), Vec::new()),
    ];
    for (what, id, bytes) in cases {
        let disk = MemoryDisk::default();
        let mut to = open(&disk, 1).expect("a new disk").snapshots;
        let names = disk.list();
        let outcome = to.receive_chunk(id, 0, &bytes, true);
        assert!(matches!(outcome, Err(SnapshotError::Rejected { .. })), "{what}: {outcome:?}");
        assert_eq!(disk.list(), names, "{what}");
    }
}

#[test]
fn a_log_meets_a_newer_snapshot() {
    // The log holds 1 to 6 of round 1; what it holds after it met a snapshot at each of these.
    let cases = [
        ("its own entry: the rest stays", id(4, 1), LogId::ZERO, 6),
        ("a conflict: all goes", id(4, 2), id(4, 2), 0),
        ("beyond its end: all goes", id(9, 1), id(9, 1), 0),
    ];
    for (what, snapshot, begin, count) in cases {
        let disk = MemoryDisk::default();
        let mut opened = open(&disk, 1).expect("a new disk");
        opened.wal.commit(&[Record::Append(entries(1, 6, 1, 10))]).expect("there is room");
        write(&opened.snapshots, snapshot, b"state");
        for _ in 0..2 {
            let disk = disk.restart(Survival::Nothing);
            let found = open(&disk, 2).expect("nothing is damaged").recovered;
            assert_eq!((found.begin, found.entries.len()), (begin, count), "{what}");
            let again = open(&disk.restart(Survival::Nothing), 3).expect("nothing is damaged");
            assert_eq!(again.recovered, found, "{what}");
        }
    }
}
