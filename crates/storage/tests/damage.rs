//! What was durable once and does not check any more is named, never guessed around.

mod common;

use althing_core::{Ballot, ClusterId, Disk, Random, Record};
use althing_storage::{Identity, OpenError, SnapshotError, Store};
use common::{MemoryDisk, Model, SMALL, Survival, entries, id, identity, members, open};

/// A log of several segments, and where in each the last frame ends that is followed by another.
fn written() -> (MemoryDisk, Model) {
    let disk = MemoryDisk::default();
    let mut opened = open(&disk, 1).expect("a new disk");
    let mut records = vec![Record::Promise(Ballot::new(1, common::node(1)))];
    records.extend(
        (1..=14).map(|index| Record::Append(entries(index, 1, 1, 100 + index as usize * 400))),
    );
    for record in records.chunks(1) {
        opened.wal.commit(record).expect("there is room");
    }
    (disk.restart(Survival::Nothing), Model::default().with(&records))
}

fn segments(disk: &MemoryDisk) -> Vec<String> {
    let names = disk.list().expect("the power is on");
    names.into_iter().filter(|name| name.starts_with("log-")).collect()
}

/// Where the frames of a segment begin: blocks that carry its salt where a header has it.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let salt = &bytes[8..16];
    (0..bytes.len())
        .step_by(4096)
        .filter(|offset| &bytes[offset + 8..offset + 16] == salt)
        .collect()
}

#[test]
fn every_flipped_bit_of_a_frame_that_is_followed_by_another_is_damage() {
    let (disk, _) = written();
    let names = segments(&disk);
    assert!(names.len() >= 3, "{names:?}");
    let mut random = Random::new(5);
    for (number, name) in names.iter().enumerate() {
        let bytes = disk.bytes(name);
        let starts = frames(&bytes);
        let last = *starts.last().expect("there is a head");
        let is_newest = number == names.len() - 1;
        // In the newest segment the last frame cannot be told from a torn one, wherever it is hit.
        let last_size =
            32 + u32::from_le_bytes(bytes[last + 24..last + 28].try_into().expect("4")) as usize;
        let end = if is_newest { last } else { last + last_size.next_multiple_of(4096) };
        assert!(end > 4096, "{name} has a frame");
        for byte in 0..end {
            let mut harmed = bytes.clone();
            harmed[byte] ^= 1 << random.below(8);
            let disk = disk.restart(Survival::Nothing);
            disk.put(name, harmed);
            match open(&disk, 2) {
                Err(OpenError::Damaged { file, offset, .. }) => {
                    let frame = starts.iter().rev().find(|start| **start <= byte);
                    assert_eq!((&file, Some(&(offset as usize))), (name, frame), "byte {byte}");
                }
                Err(other) => panic!("byte {byte} of {name}: {other}"),
                Ok(_) => panic!("byte {byte} of {name} was not noticed"),
            }
        }
    }
}

#[test]
fn a_log_that_was_closed_or_opened_again_guards_its_last_record_too() {
    let harm = |disk: &MemoryDisk, offset: usize| {
        let name = segments(disk).pop().expect("there is a segment");
        let mut bytes = disk.bytes(&name);
        let salt = bytes[8..16].to_vec();
        assert_eq!(bytes[offset + 8..offset + 16], salt, "a frame is there");
        bytes[offset + 40] ^= 1;
        let harmed = disk.restart(Survival::Nothing);
        harmed.put(&name, bytes);
        open(&harmed, 9).map(|opened| opened.recovered.torn.is_some())
    };
    let records = [Record::Append(entries(1, 1, 1, 100))];
    let disk = MemoryDisk::default();
    let mut opened = open(&disk, 1).expect("a new disk");
    opened.wal.commit(&records).expect("there is room");
    assert_eq!(harm(&disk, 4096), Ok(true), "it may never have been acknowledged");
    opened.wal.close().expect("there is room");
    assert!(matches!(harm(&disk, 4096), Err(OpenError::Damaged { offset: 4096, .. })));

    let disk = MemoryDisk::default();
    let mut opened = open(&disk, 1).expect("a new disk");
    opened.wal.commit(&records).expect("there is room");
    open(&disk, 2).expect("nothing is damaged");
    assert!(matches!(harm(&disk, 4096), Err(OpenError::Damaged { offset: 4096, .. })));
}

#[test]
fn the_message_names_the_file_the_place_and_the_way_out() {
    let (disk, _) = written();
    let name = segments(&disk)[0].clone();
    let mut bytes = disk.bytes(&name);
    bytes[4096 + 40] ^= 1;
    disk.put(&name, bytes);
    let message = open(&disk, 2).expect_err("it is damaged").to_string();
    for part in [name.as_str(), "byte 4096", "rebuilt from its peers"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_missing_or_shortened_segment_is_damage() {
    let (disk, _) = written();
    for name in segments(&disk) {
        let lost = disk.restart(Survival::Nothing);
        lost.remove(&name).expect("it is there");
        let is_newest = segments(&disk).last() == Some(&name);
        match open(&lost, 2) {
            Err(OpenError::Damaged { file, .. }) => assert_eq!(file, name),
            // A newest segment that went without a trace is one that was never there.
            other => assert!(is_newest, "{name}: {other:?}"),
        }
        for length in [0, 100, 4096, 8192] {
            let short = disk.restart(Survival::Nothing);
            let bytes = disk.bytes(&name);
            short.put(&name, bytes[..length].to_vec());
            let found = open(&short, 2);
            assert!(
                matches!(found, Err(OpenError::Damaged { .. })),
                "{name} of {length}: {found:?}"
            );
        }
    }
}

#[test]
fn a_log_that_is_gone_as_a_whole_is_damage() {
    let (disk, _) = written();
    for name in segments(&disk) {
        disk.remove(&name).expect("it is there");
    }
    assert!(matches!(open(&disk, 2), Err(OpenError::Damaged { .. })));
}

#[test]
fn client_data_that_looks_like_a_frame_is_data() {
    let disk = MemoryDisk::default();
    let mut opened = open(&disk, 1).expect("a new disk");
    let mut model = Model::default();
    // Real frames of this very log, as content, at every offset they may come to stand at.
    let stolen = disk.bytes(&segments(&disk)[0]);
    for index in 1..=20 {
        let mut entries = entries(index, 1, 1, 0);
        let shift = (index as usize * 211) % 4096;
        let content = [&vec![0; shift][..], &stolen[..8192]].concat();
        entries[0].payload = althing_core::Payload::Command(content.into());
        let record = [Record::Append(entries)];
        opened.wal.commit(&record).expect("there is room");
        model = model.with(&record);
    }
    let found = open(&disk.restart(Survival::Nothing), 2).expect("nothing is damaged");
    assert_eq!(Model::of(&found.recovered), model);
}

#[test]
fn garbage_is_refused_without_a_panic() {
    let (disk, model) = written();
    let names = segments(&disk);
    let mut random = Random::new(9);
    for round in 0..2000 {
        let disk = disk.restart(Survival::Nothing);
        let name = &names[random.below(names.len() as u64) as usize];
        let mut bytes = disk.bytes(name);
        let from = random.below(bytes.len() as u64) as usize;
        let to = from + random.below((bytes.len() - from) as u64 + 1) as usize;
        for byte in &mut bytes[from..to] {
            *byte = random.next_u64() as u8;
        }
        disk.put(name, bytes);
        if let Ok(opened) = open(&disk, 2) {
            // What is gone at the very end cannot be told from what was never written; anything
            // else must have been noticed.
            let found = Model::of(&opened.recovered);
            let is_prefix = model.entries.starts_with(&found.entries);
            let is_end = name == names.last().expect("there are segments");
            assert!(found == model || is_prefix && is_end, "round {round} in {name} from {from}");
        }
    }
}

#[test]
fn a_folder_of_someone_else_is_refused() {
    let (disk, _) = written();
    let other = |change: fn(&mut Identity)| {
        let mut wanted = identity();
        change(&mut wanted);
        Store::open(disk.clone(), wanted, SMALL, 2).expect_err("it is not theirs").to_string()
    };
    let cases = [
        (other(|wanted| wanted.cluster = ClusterId(0xb2)), ["a1", "b2"]),
        (other(|wanted| wanted.node = common::node(2)), ["n1", "n2"]),
        (other(|wanted| wanted.protocol = "paxos".into()), ["raft", "paxos"]),
    ];
    for (message, values) in cases {
        assert!(values.iter().all(|value| message.contains(value)), "{message}");
    }
}

#[test]
fn every_flipped_bit_of_the_identity_is_damage() {
    let (disk, _) = written();
    let bytes = disk.bytes("identity");
    for bit in 0..bytes.len() * 8 {
        let mut harmed = bytes.clone();
        harmed[bit / 8] ^= 1 << (bit % 8);
        disk.put("identity", harmed);
        assert!(matches!(open(&disk, 2), Err(OpenError::Damaged { .. })), "bit {bit}");
    }
}

#[test]
fn a_newer_format_is_said_to_be_newer() {
    let (disk, _) = written();
    let mut bytes = disk.bytes("identity");
    bytes[8] = 9;
    let body = bytes.len() - 4;
    let checksum = crc32c::crc32c(&bytes[..body]);
    bytes[body..].copy_from_slice(&checksum.to_le_bytes());
    disk.put("identity", bytes);
    let error = open(&disk, 2).expect_err("it is newer");
    assert_eq!(error, OpenError::NewerFormat { file: "identity".into(), found: 9, supported: 3 });
}

#[test]
fn a_folder_with_a_log_and_no_identity_is_refused() {
    let (disk, _) = written();
    disk.remove("identity").expect("it is there");
    assert!(matches!(open(&disk, 2), Err(OpenError::NoIdentity { .. })));
}

#[test]
fn a_folder_of_the_first_format_is_read_and_then_is_of_this_one() {
    let (disk, expected) = written();
    let first = |bytes: &mut Vec<u8>, version: usize, body: std::ops::Range<usize>, sum: usize| {
        assert_eq!(bytes[version], 3);
        bytes[version] = 1;
        let checksum = crc32c::crc32c(&bytes[body]);
        bytes[sum..sum + 4].copy_from_slice(&checksum.to_le_bytes());
    };
    let mut bytes = disk.bytes("identity");
    let body = bytes.len() - 4;
    first(&mut bytes, 8, 0..body, body);
    disk.put("identity", bytes);
    for name in Disk::list(&disk).expect("the power is on") {
        if name.starts_with("log-") {
            let mut bytes = disk.bytes(&name);
            first(&mut bytes, 32, 4..4096, 0);
            disk.put(&name, bytes);
        }
    }
    let opened = open(&disk, 2).expect("it is read");
    assert_eq!(Model::of(&opened.recovered), expected);
    assert_eq!(disk.bytes("identity")[8], 3, "older programs must refuse it from now on");

    // The header of the first format: magic, version, name, checksum.
    let mut header = b"ALTHSNAP".to_vec();
    let mut writer = althing_core::codec::Writer(&mut header);
    writer.u32(1);
    writer.log_id(id(5, 1));
    let checksum = crc32c::crc32c(&header);
    header.extend_from_slice(&checksum.to_le_bytes());
    let seed = crc32c::crc32c(&header);
    let mut sums = vec![0; 16];
    let checksum = crc32c::crc32c_append(crc32c::crc32c_append(seed, &[0; 8]), &sums);
    let mut file = header;
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(&checksum.to_le_bytes());
    file.append(&mut sums);
    disk.put("snapshot-0000000000000005-0000000000000001-0000000000000001", file);
    let mut reader = opened.snapshots.read(id(5, 1)).expect("it is read");
    assert_eq!(reader.next_block(), Ok(None));
    assert_eq!(opened.snapshots.configuration(id(5, 1)), Ok(None));
}

#[test]
fn a_log_that_begins_after_a_missing_snapshot_is_damage() {
    let (disk, _) = written();
    let mut opened = open(&disk, 2).expect("nothing is damaged");
    opened
        .snapshots
        .write(id(5, 1), &members())
        .and_then(|writer| writer.finish())
        .expect("there is room");
    opened.wal.commit(&[Record::Begin(id(5, 1))]).expect("there is room");
    let name = "snapshot-0000000000000005-0000000000000001-0000000000000001";
    disk.remove(name).expect("it is there");
    match open(&disk, 3) {
        Err(OpenError::Damaged { file, .. }) => assert_eq!(file, name),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_flipped_bit_of_a_snapshot_and_every_shortening_is_noticed() {
    let disk = MemoryDisk::default();
    let store = open(&disk, 1).expect("a new disk").snapshots;
    let mut writer = store.write(id(5, 1), &members()).expect("there is room");
    let content: Vec<u8> = (0..140_000).map(|byte| (byte / 1000) as u8).collect();
    writer.write(&content).expect("there is room");
    writer.finish().expect("there is room");
    let name = "snapshot-0000000000000005-0000000000000001-0000000000000001";
    let bytes = disk.bytes(name);
    let mut random = Random::new(3);
    let check = |harmed: Vec<u8>, what: &dyn Fn() -> String| {
        disk.put(name, harmed);
        let found = store.read(id(5, 1)).and_then(|mut reader| {
            while reader.next_block()?.is_some() {}
            Ok(())
        });
        assert!(matches!(found, Err(SnapshotError::Damaged { .. })), "{}: {found:?}", what());
    };
    let ends = (0..300).chain(65_000..66_000).chain(bytes.len() - 300..bytes.len());
    for byte in ends {
        let mut harmed = bytes.clone();
        harmed[byte] ^= 1 << random.below(8);
        check(harmed, &|| format!("byte {byte}"));
        check(bytes[..byte].to_vec(), &|| format!("cut at {byte}"));
    }
    check([&bytes[..], &[0]].concat(), &|| "a byte more".into());
    let header = 73;
    let (first, second, rest) = (header, header + 65_544, header + 2 * 65_544);
    let parts = [&bytes[..first], &bytes[second..rest], &bytes[first..second], &bytes[rest..]];
    check(parts.concat(), &|| "two blocks exchanged".into());
}
