//! Whatever happens between two calls to the disk, what was acknowledged is there afterwards.

mod common;

use althing_core::codec::Writer;
use althing_core::{Acceptance, Ballot, Index, LogId, Random, Record};
use althing_storage::{OpenError, Opened, ReceiveOutcome, SnapshotStore, WalError};
use common::{Fault, MemoryDisk, Model, Survival, entries, id, members, open};

/// What a replica does to its store.
#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Record>),
    /// Writes the snapshot of a state, tells the log, and lets go of what it covers.
    Snapshot(LogId),
    /// Receives a snapshot, and tells the log.
    Receive(LogId),
    MakeSpare,
}

/// A life that rotates, recycles, overwrites, spans segments, and takes snapshots of both kinds.
fn life(seed: u64, length: usize) -> Vec<Step> {
    let mut random = Random::new(seed);
    let mut model = Model::default();
    let mut steps = Vec::new();
    let mut round = 1;
    while steps.len() < length {
        let last = model.last().0;
        let step = match random.below(11) {
            0 => {
                round += 1;
                Step::Commit(vec![Record::Promise(Ballot::new(round, common::node(1)))])
            }
            1 if last > model.begin.index.0 => {
                // A new leader overwrites the tail.
                let first = last - random.below((last - model.begin.index.0).min(3));
                round += 1;
                let new = Record::Append(entries(first, 2, round, 100));
                Step::Commit(vec![Record::Promise(Ballot::new(round, common::node(1))), new])
            }
            2 if model.entries.len() > 4 => {
                let covered = random.below(model.entries.len() as u64) as usize;
                Step::Snapshot(model.entries[covered].id)
            }
            3 if random.chance(0.5) => Step::Receive(id(last + random.below(4), round + 1)),
            4 => Step::MakeSpare,
            10 if last > model.begin.index.0 => {
                // A new leader of Multi-Paxos proposes again what it found.
                round += 1;
                let ballot = Ballot::new(round, common::node(1));
                let through = Index(last - random.below((last - model.begin.index.0).min(5)));
                let accept = Record::Accept(Acceptance { ballot, through });
                Step::Commit(vec![Record::Promise(ballot), accept])
            }
            5 => Step::Commit(vec![Record::Append(entries(last + 1, 3, round, 20_000))]),
            _ => {
                let size = random.below(9000) as usize;
                Step::Commit(vec![Record::Append(entries(
                    last + 1,
                    1 + random.below(3),
                    round,
                    size,
                ))])
            }
        };
        match &step {
            Step::Commit(records) => model = model.with(records),
            Step::Snapshot(id) | Step::Receive(id) => model = model.with(&[Record::Begin(*id)]),
            Step::MakeSpare => {}
        }
        round = round.max(model.begin.ballot.round);
        steps.push(step);
    }
    steps
}

/// The bytes of a snapshot's file, as a peer would send them.
fn snapshot_bytes(from: &SnapshotStore<MemoryDisk>, id: LogId) -> Vec<u8> {
    let mut writer = from.write(id, &members()).expect("there is room");
    writer.write(&[7; 3000]).expect("there is room");
    writer.finish().expect("there is room");
    from.read_chunk(id, 0, usize::MAX).expect("it was just written").bytes
}

/// Lives until the end or until the disk fails. `states` gets every state that may be found
/// afterwards: the last acknowledged one, and those that an unfinished step may have reached.
fn run(store: &mut Opened<MemoryDisk>, steps: &[Step], states: &mut Vec<Model>) -> Result<(), ()> {
    let peer = open(&MemoryDisk::default(), 1).expect("a new disk").snapshots;
    for step in steps {
        let now = states.last().expect("there is always one").clone();
        *states = vec![now.clone()];
        match step {
            Step::Commit(records) => {
                states.push(now.with(records));
                store.wal.commit(records).map_err(|_| ())?;
            }
            Step::Snapshot(id) => {
                let mut writer = store.snapshots.write(*id, &members()).map_err(|_| ())?;
                writer.write(&[7; 3000]).map_err(|_| ())?;
                writer.finish().map_err(|_| ())?;
                states.push(now.with(&[Record::Begin(*id)]));
                tell(store, *id)?;
            }
            Step::Receive(id) => {
                states.push(now.with(&[Record::Begin(*id)]));
                let bytes = snapshot_bytes(&peer, *id);
                let (one, other) = bytes.split_at(bytes.len() / 2);
                let middle = one.len() as u64;
                let outcome = store.snapshots.receive_chunk(*id, 0, one, false);
                assert_eq!(outcome.map_err(|_| ())?, ReceiveOutcome::Accepted { next: middle });
                let outcome = store.snapshots.receive_chunk(*id, middle, other, true);
                assert_eq!(outcome.map_err(|_| ())?, ReceiveOutcome::Complete);
                tell(store, *id)?;
            }
            Step::MakeSpare => {
                if store.wal.wants_spare() {
                    let spare = store.wal.spare_maker().make().map_err(|_| ())?;
                    store.wal.offer_spare(spare).map_err(|_| ())?;
                }
            }
        }
        *states = vec![states.last().expect("there is always one").clone()];
    }
    Ok(())
}

fn tell(store: &mut Opened<MemoryDisk>, id: LogId) -> Result<(), ()> {
    store.wal.commit(&[Record::Begin(id)]).map_err(|_| ())?;
    store.wal.purge_before(id).map_err(|_| ())?;
    store.snapshots.remove_older_than(id).map_err(|_| ())
}

/// Opens the store and checks that it holds one of the states; then that it can go on.
fn check(disk: &MemoryDisk, states: &[Model], seed: u64, story: &dyn Fn() -> String) {
    let mut opened = open(disk, seed).unwrap_or_else(|error| panic!("{}: {error}", story()));
    let found = Model::of(&opened.recovered);
    assert!(
        states.contains(&found),
        "{}: found {:?} {:?} up to {}, wanted one of {:?}",
        story(),
        found.promise,
        found.begin,
        found.last(),
        states.iter().map(|state| (state.promise, state.begin, state.last())).collect::<Vec<_>>()
    );
    let round = found.promise.round.max(found.begin.ballot.round) + 1;
    let next = [Record::Append(entries(found.last().0 + 1, 1, round, 5000))];
    opened.wal.commit(&next).unwrap_or_else(|error| panic!("{}: {error}", story()));
    let again = open(&disk.restart(Survival::Nothing), seed + 1)
        .unwrap_or_else(|error| panic!("{}, a second time: {error}", story()));
    assert_eq!(Model::of(&again.recovered), found.with(&next), "{}, a second time", story());
    assert_eq!(again.recovered.torn, None, "{}, a second time", story());
}

/// Runs a life once for each call to the disk, with a fault there.
fn fail_everywhere(life_seed: u64, fault: Fault, survivals: &[Survival]) {
    let steps = life(life_seed, 30);
    let whole = MemoryDisk::default();
    let mut states = vec![Model::default()];
    let mut opened = open(&whole, 1).expect("a new disk");
    run(&mut opened, &steps, &mut states).expect("nothing fails");
    let calls = whole.calls();
    assert!(calls > 100, "{calls} calls are no life");
    for call in 0..calls {
        let disk = MemoryDisk::default();
        disk.plan(call, fault);
        let mut states = vec![Model::default()];
        if let Ok(mut opened) = open(&disk, 1) {
            let _ = run(&mut opened, &steps, &mut states);
        }
        for (number, survival) in survivals.iter().enumerate() {
            let after = disk.restart(*survival);
            let story = || format!("life {life_seed}, {fault:?} at call {call}, {survival:?}");
            check(&after, &states, 100 + number as u64, &story);
        }
    }
}

#[test]
fn a_power_loss_at_any_call_loses_nothing_acknowledged() {
    let mut survivals = vec![Survival::Nothing, Survival::Everything, Survival::Process];
    survivals.extend((0..5).map(Survival::Some));
    for seed in 0..5 {
        fail_everywhere(seed, Fault::PowerLoss, &survivals);
    }
}

#[test]
fn a_write_torn_at_some_byte_of_any_call_loses_nothing_acknowledged() {
    for (seed, byte) in [(20, 1), (21, 31), (22, 4096), (23, 5000), (24, 16_000)] {
        let survivals = [Survival::Everything, Survival::Some(seed), Survival::Some(seed + 1)];
        fail_everywhere(seed, Fault::TornWrite(byte), &survivals);
    }
}

#[test]
fn a_full_disk_at_any_call_loses_nothing_acknowledged() {
    for seed in 30..33 {
        fail_everywhere(seed, Fault::Full, &[Survival::Nothing, Survival::Process]);
    }
}

#[test]
fn a_failed_call_loses_nothing_acknowledged_whether_or_not_the_power_goes() {
    for seed in 40..43 {
        let survivals = [Survival::Nothing, Survival::Process, Survival::Some(seed)];
        fail_everywhere(seed, Fault::Failure, &survivals);
    }
}

#[test]
fn a_power_loss_at_any_call_of_opening_loses_nothing_acknowledged() {
    for seed in 50..60 {
        let steps = life(seed, 30);
        let disk = MemoryDisk::default();
        disk.plan(40 + seed, Fault::PowerLoss);
        let mut states = vec![Model::default()];
        let mut opened = open(&disk, 1).expect("it fails later");
        run(&mut opened, &steps, &mut states).expect_err("the power goes");
        for first in [Survival::Process, Survival::Some(seed), Survival::Everything] {
            let whole = disk.restart(first);
            open(&whole, 2).expect("nothing is damaged");
            for call in 0..whole.calls() {
                for second in [Survival::Nothing, Survival::Some(call), Survival::Some(call + 1)] {
                    let disk = disk.restart(first);
                    disk.plan(call, Fault::PowerLoss);
                    open(&disk, 2).expect_err("the power goes");
                    let story = || format!("life {seed}, {first:?}, call {call}, {second:?}");
                    check(&disk.restart(second), &states, 3, &story);
                }
            }
        }
    }
}

#[test]
fn a_frame_whose_sync_failed_is_durable_once_it_was_recovered() {
    let disk = MemoryDisk::default();
    let mut opened = open(&disk, 1).expect("a new disk");
    disk.plan(1, Fault::Failure);
    let records = [Record::Append(entries(1, 1, 1, 100))];
    assert!(matches!(opened.wal.commit(&records), Err(WalError::Disk(_))));
    // The process starts again and finds the frame in the memory of the system ...
    let disk = disk.restart(Survival::Process);
    let found = open(&disk, 2).expect("nothing is damaged").recovered;
    assert_eq!(found.entries.len(), 1);
    // ... so it must still be there when the power goes after that.
    let found = open(&disk.restart(Survival::Nothing), 3).expect("nothing is damaged").recovered;
    assert_eq!(found.entries.len(), 1);
}

#[test]
fn a_last_frame_torn_at_any_byte_is_cut() {
    let disk = MemoryDisk::default();
    let mut opened = open(&disk, 1).expect("a new disk");
    // The first fills the first segment, so that the second is in a new one, with room left.
    let kept = [Record::Append(entries(1, 2, 1, 6000)), Record::Append(entries(3, 2, 1, 100))];
    for record in kept.chunks(1) {
        opened.wal.commit(record).expect("there is room");
    }
    let before = Model::default().with(&kept);
    let torn = [Record::Append(entries(5, 2, 1, 4500))];
    let mut encoded = Vec::new();
    torn[0].encode(&mut Writer(&mut encoded));
    let end = 32 + encoded.len();
    for byte in 0..=3 * 4096 {
        // The bytes before the tear stand, those after it are as they were before the write.
        let disk = disk.restart(Survival::Nothing);
        let mut opened = open(&disk, 2).expect("nothing is damaged");
        disk.plan(0, Fault::TornWrite(byte));
        opened.wal.commit(&torn).expect_err("the power goes");
        let disk = disk.restart(Survival::Everything);
        let opened = open(&disk, 3).unwrap_or_else(|error| panic!("byte {byte}: {error}"));
        let found = Model::of(&opened.recovered);
        // The end of the frame is padding, which was zero before.
        let is_whole = found == before.with(&torn);
        assert!(is_whole || found == before, "byte {byte}: {found:?}");
        assert_eq!(is_whole, byte >= end, "byte {byte}");
        let is_begun = (16..end).contains(&byte);
        assert!(!is_begun || opened.recovered.torn.is_some(), "byte {byte} is not reported");
        let opened = open(&disk, 4).unwrap_or_else(|error| panic!("byte {byte}: {error}"));
        assert_eq!(opened.recovered.torn, None, "byte {byte} is reported again");
    }
}

#[test]
fn after_an_error_nothing_is_committed() {
    let disk = MemoryDisk::default();
    let mut opened = open(&disk, 1).expect("a new disk");
    disk.plan(1, Fault::Failure);
    let records = [Record::Append(entries(1, 1, 1, 100))];
    assert!(matches!(opened.wal.commit(&records), Err(WalError::Disk(_))));
    let calls = disk.calls();
    assert_eq!(opened.wal.commit(&records), Err(WalError::Poisoned));
    assert_eq!(opened.wal.commit(&[]), Err(WalError::Poisoned));
    assert_eq!(opened.wal.purge_before(LogId::ZERO), Err(WalError::Poisoned));
    assert!(!opened.wal.wants_spare());
    assert_eq!(disk.calls(), calls, "the disk was not touched again");
}

#[test]
fn a_commit_is_one_write_and_one_sync() {
    let disk = MemoryDisk::default();
    let mut opened = open(&disk, 1).expect("a new disk");
    let calls = disk.calls();
    let records =
        [Record::Promise(Ballot::new(1, common::node(1))), Record::Append(entries(1, 20, 1, 200))];
    opened.wal.commit(&records).expect("there is room");
    assert_eq!(disk.calls() - calls, 2);
}

#[test]
fn segments_are_recycled_and_spares_are_few() {
    let disk = MemoryDisk::default();
    let mut opened = open(&disk, 1).expect("a new disk");
    let mut model = Model::default();
    for index in 1..=200 {
        let records = [Record::Append(entries(index, 1, 1, 6000))];
        opened.wal.commit(&records).expect("there is room");
        model = model.with(&records);
        if index % 20 == 0 {
            opened
                .snapshots
                .write(id(index, 1), &members())
                .and_then(|writer| writer.finish())
                .expect("room");
            let begin = [Record::Begin(id(index - 5, 1))];
            opened.wal.commit(&begin).expect("there is room");
            model = model.with(&begin);
            opened.wal.purge_before(id(index - 5, 1)).expect("there is room");
            opened.snapshots.remove_older_than(id(index, 1)).expect("nothing fails");
            assert!(!opened.wal.wants_spare());
        }
        let names = althing_core::Disk::list(&disk).expect("the power is on");
        let count = |prefix| names.iter().filter(|name| name.starts_with(prefix)).count();
        assert!(count("log-") <= 12, "{names:?}");
        assert!(count("spare-") <= 2, "{names:?}");
    }
    let found = open(&disk.restart(Survival::Nothing), 2).expect("nothing is damaged");
    assert_eq!(Model::of(&found.recovered), model);
}

#[test]
fn a_store_that_was_never_made_whole_is_made_anew() {
    let whole = MemoryDisk::default();
    open(&whole, 1).expect("a new disk");
    for call in 0..whole.calls() {
        let disk = MemoryDisk::default();
        disk.plan(call, Fault::PowerLoss);
        match open(&disk, 1) {
            Err(OpenError::Disk(_)) => {}
            other => panic!("call {call}: {other:?}"),
        }
        let opened = open(&disk.restart(Survival::Some(call)), 2).expect("nothing is damaged");
        assert_eq!(Model::of(&opened.recovered), Model::default());
    }
}
