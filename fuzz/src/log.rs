use althing_core::{
    Ballot, ClusterId, Configuration, Entry, Index, LogId, NodeId, Payload, Record,
};
use althing_storage::{Identity, OpenError, Opened, Options, Store};

use crate::disk::MemoryDisk;

/// How many commits the log was written in.
const COMMITS: u64 = 24;

/// Damages a log and opens it. Five bytes are one damage: the file, the offset as two bytes, and
/// what is flipped there, in one byte or, if the last byte is odd, in the eight from there on. The
/// last byte's being 254 cuts the file off.
///
/// What is read from it must be what was written, up to some entry. If one byte alone was damaged,
/// that is all of it but for the last commit, which looks like one that was being written when the
/// power went.
///
/// # Panics
/// Damage was taken for data, or data for a torn write.
pub fn log(bytes: &[u8]) {
    let (disk, written) = written();
    let disk = disk.copied();
    let damages = bytes.chunks_exact(5);
    let is_one_byte = damages.len() == 1 && bytes[4].is_multiple_of(2) && bytes[4] != 254;
    for damage in damages {
        let &[file, high, low, flip, how] = damage else { unreachable!("five at a time") };
        let offset = usize::from(u16::from_be_bytes([high, low]));
        disk.damage(file.into(), |bytes| {
            let length = if how.is_multiple_of(2) { 1 } else { 8 };
            if how == 254 {
                bytes.truncate(offset);
            } else {
                bytes.iter_mut().skip(offset).take(length).for_each(|byte| *byte ^= flip);
            }
        });
    }
    let Ok(opened) = open(disk) else { return };
    let read = opened.recovered.entries;
    let begin = read.first().map_or(0, |entry| entry.id.index.0 - 1) as usize;
    assert!(begin + read.len() <= written.len(), "more was read than was written");
    assert!(read[..] == written[begin..begin + read.len()], "another entry was read");
    let lost = written.len() - begin - read.len();
    assert!(!is_one_byte || lost <= ENTRIES_A_COMMIT as usize, "{lost} entries were lost");
}

/// So many entries go into a commit.
const ENTRIES_A_COMMIT: u64 = 2;

/// A log of several segments, with a snapshot beside it, and its entries.
fn written() -> (MemoryDisk, Vec<Entry>) {
    thread_local! {
        static WRITTEN: (MemoryDisk, Vec<Entry>) = write();
    }
    WRITTEN.with(Clone::clone)
}

fn write() -> (MemoryDisk, Vec<Entry>) {
    let node = NodeId::new(1).expect("not zero");
    let disk = MemoryDisk::default();
    let mut opened = open(disk.clone()).expect("nothing is in its way");
    let mut entries = Vec::new();
    for commit in 0..COMMITS {
        let ballot = Ballot::new(1 + commit / 8, node);
        let first = commit * ENTRIES_A_COMMIT + 1;
        let news = (first..first + ENTRIES_A_COMMIT).map(|index| Entry {
            id: LogId::new(ballot, Index(index)),
            payload: Payload::Command(vec![index as u8; 40 * (index as usize % 7)].into()),
        });
        let news: Vec<Entry> = news.collect();
        entries.extend(news.iter().cloned());
        let records = [Record::Promise(ballot), Record::Append(news)];
        opened.wal.commit(&records).expect("there is room");
        if commit == 3 {
            let configuration = Configuration::of([node]);
            let id = entries[4].id;
            let mut writer = opened.snapshots.write(id, &configuration).expect("there is room");
            writer.write(b"the state").expect("there is room");
            writer.finish().expect("there is room");
        }
    }
    opened.wal.close().expect("nothing is in its way");
    (disk, entries)
}

fn open(disk: MemoryDisk) -> Result<Opened<MemoryDisk>, OpenError> {
    let node = NodeId::new(1).expect("not zero");
    let cluster = ClusterId(7);
    let identity = Identity { cluster, node, protocol: "raft".to_owned() };
    let options = Options { segment_size: 8 << 10, first_segment_size: 8 << 10 };
    Store::open(disk, identity, options, 42)
}
