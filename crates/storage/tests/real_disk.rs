//! The store on a folder of the operating system.
#![cfg(feature = "real-disk")]
#![allow(clippy::disallowed_methods, reason = "spares are made on a real thread")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use althing_core::{
    Ballot, ClusterId, Configuration, Disk, DiskErrorKind, DiskFile, Entry, Index, LogId, NodeId,
    Payload, Record,
};
use althing_storage::{Identity, OpenError, Opened, Options, RealDisk, Store};

fn id(index: u64) -> LogId {
    LogId::new(Ballot::new(1, NodeId::new(1).expect("not zero")), Index(index))
}

fn append(index: u64, size: usize) -> Record {
    let payload = Payload::Command(vec![index as u8; size].into());
    Record::Append(vec![Entry { id: id(index), payload }])
}

fn open(disk: &RealDisk, seed: u64) -> Opened<RealDisk> {
    let node = NodeId::new(1).expect("not zero");
    let identity = Identity { cluster: ClusterId(1), node, protocol: "raft".into() };
    let options = Options { segment_size: 64 << 10, first_segment_size: 16 << 10 };
    Store::open(disk.clone(), identity, options, seed).expect("nothing is damaged")
}

#[test]
fn a_log_is_found_again_after_rotations_and_a_snapshot() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let disk = RealDisk::open(folder.path()).expect("nobody holds it");
    let mut opened = open(&disk, 1);
    assert!(opened.is_new);
    for index in 1..=100 {
        if opened.wal.wants_spare() {
            let maker = opened.wal.spare_maker();
            let made = std::thread::spawn(move || maker.make()).join().expect("no panic");
            opened.wal.offer_spare(made.expect("there is room")).expect("nothing failed");
        }
        opened.wal.commit(&[append(index, 3000)]).expect("there is room");
    }
    let mut writer = opened
        .snapshots
        .write(id(60), &Configuration::of(id(60).ballot.node))
        .expect("there is room");
    writer.write(&[1; 100_000]).expect("there is room");
    writer.finish().expect("there is room");
    opened.wal.commit(&[Record::Begin(id(60))]).expect("there is room");
    opened.wal.purge_before(id(60)).expect("nothing failed");
    drop(opened);

    let opened = open(&disk, 2);
    assert!(!opened.is_new);
    assert_eq!(opened.snapshot, Some(id(60)));
    assert_eq!(opened.recovered.begin, id(60));
    assert_eq!(opened.recovered.entries.len(), 40);
    let mut reader = opened.snapshots.read(id(60)).expect("it is there");
    let mut total = 0;
    while let Some(block) = reader.next_block().expect("nothing is damaged") {
        total += block.len();
    }
    assert_eq!(total, 100_000);
}

#[test]
fn a_folder_is_held_by_one_and_private() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let path = folder.path().join("data").join("node");
    let disk = RealDisk::open(&path).expect("nobody holds it");
    let clone = disk.clone();
    drop(disk);
    let folder = clone.path().display().to_string();
    let error = RealDisk::open(&path).expect_err("a clone holds it");
    assert_eq!(error, OpenError::InUse { folder, process: Some(std::process::id()) });
    assert!(error.to_string().contains(&std::process::id().to_string()));
    open(&clone, 1);
    let mode = |path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(path.clone()), 0o700);
    for name in clone.list().expect("it can be read") {
        assert_eq!(mode(path.join(&name)), 0o600, "{name}");
    }
    drop(clone);
    RealDisk::open(&path).expect("nobody holds it any more");
}

/// Run by the test below in a process of its own, which is then killed; elsewhere it has no folder
/// to hold.
#[test]
fn hold_a_folder() {
    let Some(path) = std::env::var_os("ALTHING_TEST_FOLDER") else { return };
    let _disk = RealDisk::open(path).expect("nobody holds it");
    println!("holding");
    std::io::stdin().read_line(&mut String::new()).expect("the test keeps it open");
}

#[test]
fn another_process_is_kept_out_until_the_holder_dies() {
    use std::io::{BufRead as _, BufReader};
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let mut holder = Command::new(std::env::current_exe().expect("this is a program"))
        .args(["--exact", "hold_a_folder", "--nocapture"])
        .env("ALTHING_TEST_FOLDER", folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program runs");
    let mut lines = BufReader::new(holder.stdout.take().expect("it is piped")).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("holding"))));
    let error = RealDisk::open(folder.path()).expect_err("it is held");
    assert!(matches!(error, OpenError::InUse { process: Some(id), .. } if id == holder.id()));
    holder.kill().expect("it runs");
    holder.wait().expect("it was killed");
    RealDisk::open(folder.path()).expect("the holder is dead");
}

#[test]
fn a_file_reserves_its_space_and_reads_as_zeros() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let disk = RealDisk::open(folder.path()).expect("nobody holds it");
    let mut file = disk.create("some-file", 1 << 20).expect("there is room");
    assert_eq!(file.length(), Ok(1 << 20));
    let blocks = std::fs::metadata(folder.path().join("some-file")).expect("it is there").blocks();
    assert!(blocks * 512 >= 1 << 20, "{blocks} blocks");
    let mut buffer = [1; 10];
    assert_eq!(file.read_at((1 << 20) - 4, &mut buffer), Ok(4));
    assert_eq!(buffer, [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
    file.write_at((1 << 20) - 1, &[5; 3]).expect("it grows");
    file.sync().expect("nothing failed");
    assert_eq!(file.length(), Ok((1 << 20) + 2));
    assert_eq!(disk.create("some-file", 0).and_then(|file| file.length()), Ok(0), "emptied");
}

#[test]
fn only_plain_names_are_files() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let disk = RealDisk::open(folder.path()).expect("nobody holds it");
    for name in ["", ".", "..", "../x", "a/b", "lock", ".hidden", "a\0b"] {
        assert!(disk.create(name, 0).is_err(), "{name:?}");
        assert!(disk.remove(name).is_err(), "{name:?}");
        assert!(disk.rename("log", name).is_err(), "{name:?}");
    }
    let missing = disk.open("missing").expect_err("it is not there");
    assert_eq!(missing.kind, DiskErrorKind::NotFound);
    assert_eq!(disk.list(), Ok(Vec::new()));
}
