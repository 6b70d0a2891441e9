//! A snapshot is whole or refused, and writing it holds nobody up.

use std::convert::Infallible;

use althing_core::{Index, NodeId};
use althing_keyspace::{
    Access, AuthChange, BLOCK_SIZE_MAX, Command, DeleteRange, Grant, Keyspace, Member,
    PasswordHash, Put, Range, Rejection, Restore, RestoreError, Snapshot,
};
use proptest::prelude::*;

fn sample() -> Keyspace {
    let mut keyspace = Keyspace::new();
    let commands = [
        Command::Put(Put::new("a", "1")),
        Command::Put(Put::new("a", "2")),
        Command::PublishMember(Member {
            id: NodeId::new(7).expect("not zero"),
            name: "seven".into(),
            peer_urls: vec!["http://127.0.0.1:2380".into()],
            client_urls: Vec::new(),
        }),
        Command::Put(Put::new("b", "gone")),
        Command::Compact { revision: 3 },
        Command::DeleteRange(DeleteRange::key("b")),
        Command::Put(Put::new("b", "born again")),
        Command::LeaseGrant { id: 5, ttl: 60 },
        Command::LeaseNote { remaining: vec![(5, 30)] },
        Command::Put(Put { lease: 5, ..Put::new("tied", "4") }),
        Command::Auth(AuthChange::UserAdd {
            name: "ann".into(),
            password: Some(PasswordHash::new("hash")),
        }),
        Command::Auth(AuthChange::RoleAdd { name: "reader".into() }),
        Command::Auth(AuthChange::RoleGrant {
            name: "reader".into(),
            grant: Grant { key: "a".into(), range_end: "b".into(), access: Access::Read },
        }),
        Command::Auth(AuthChange::UserGrantRole { name: "ann".into(), role: "reader".into() }),
        Command::Put(Put::new("a key that is longer than what is kept in place", "3")),
    ];
    for (at, command) in commands.into_iter().enumerate() {
        let reply = keyspace.apply_command(Index(at as u64 + 1), command);
        reply.expect("none of these is rejected");
    }
    keyspace
}

fn stream(snapshot: Snapshot) -> Vec<u8> {
    let mut stream = Vec::new();
    let Ok(()) = snapshot.write::<Infallible>(&mut |block| {
        assert!((1..=BLOCK_SIZE_MAX).contains(&block.len()));
        stream.extend_from_slice(block);
        Ok(())
    });
    stream
}

fn restore(stream: &[u8]) -> Result<Keyspace, RestoreError> {
    let mut restore = Restore::new();
    restore.feed(stream)?;
    restore.finish()
}

#[test]
fn a_snapshot_is_the_same_bytes_on_every_node() {
    assert_eq!(stream(sample().snapshot()), stream(sample().snapshot()));
    let restored = restore(&stream(sample().snapshot())).expect("it is undamaged");
    assert_eq!(stream(restored.snapshot()), stream(sample().snapshot()));
    assert_eq!(restored.hash(), sample().hash());
    assert_eq!(restored.size_bytes(), sample().size_bytes());
    assert_eq!(restored.auth(), sample().auth());
    let empty = restore(&stream(Keyspace::new().snapshot())).expect("it is undamaged");
    assert_eq!(empty.hash(), Keyspace::new().hash());
}

#[test]
fn every_cut_and_every_flipped_bit_is_noticed() {
    let whole = stream(sample().snapshot());
    for length in 0..whole.len() {
        let error = restore(&whole[..length]).expect_err("a part is not a snapshot");
        assert_eq!(error, RestoreError::Truncated, "cut at {length}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            assert!(restore(&damaged).is_err(), "byte {at}, bit {bit}");
        }
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert!(restore(&longer).is_err());
}

/// What a build from before there were users wrote: two keys, one of them tied to a lease, and a
/// member.
const FORMER: &str = "\
    2a00000001616c74686b657973020300000000000000ffffffffffffffff0400000000000000b8e7f8af6d49\
    2f291a00000002070000000000000005000000736576656e0000000000000000190000000605000000000000\
    003c000000000000003c00000000000000060000000301000000612b00000004020000000000000000000000\
    020000000000000001000000000000000000000000000000010100000031090000000304000000746965642b\
    0000000403000000000000000000000003000000000000000100000000000000050000000000000001010000\
    00341100000005020000000000000044fb2323b9378b48";

#[test]
fn a_snapshot_of_the_former_format_is_read() {
    let digits = FORMER.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).expect("ASCII"));
    let bytes = digits.map(|pair| u8::from_str_radix(pair, 16).expect("a hex number"));
    let restored = restore(&bytes.collect::<Vec<u8>>()).expect("it is undamaged");
    assert_eq!(restored.hash(), 11_117_738_252_904_557_476, "what that build said");
    assert_eq!((restored.key_count(), restored.leases().len()), (2, 1));
    assert!(!restored.auth().is_enabled());
}

#[test]
fn a_failed_restore_stays_failed() {
    let whole = stream(sample().snapshot());
    let mut restore = Restore::new();
    assert_eq!(restore.feed(b"not a snapshot at all"), Err(RestoreError::Foreign));
    assert_eq!(restore.feed(&whole), Err(RestoreError::Foreign));
    assert_eq!(restore.finish().map(drop), Err(RestoreError::Foreign));
}

#[test]
fn a_value_longer_than_a_block_is_cut_and_put_together() {
    let mut keyspace = Keyspace::new();
    let value: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
    let put = Command::Put(Put::new("large", value.clone()));
    keyspace.apply_command(Index(1), put).expect("a plain put is not rejected");
    let restored = restore(&stream(keyspace.snapshot())).expect("it is undamaged");
    let found = restored.range(&Range::key("large")).expect("it is readable");
    assert_eq!(found.kvs[0].value.as_bytes(), value);
}

#[test]
fn a_snapshot_is_read_at_its_own_moment() {
    fn goes_to_other_threads<T: Send + Sync>(_: &T) {}
    let mut keyspace = sample();
    let snapshot = keyspace.snapshot();
    goes_to_other_threads(&keyspace);
    goes_to_other_threads(&snapshot);
    let (range, before) = (Range::all(), keyspace.range(&Range::all()));
    let delete = DeleteRange { range_end: [0_u8].as_slice().into(), ..DeleteRange::key("a") };
    keyspace
        .apply_command(keyspace.applied().next(), Command::DeleteRange(delete))
        .expect("a plain delete is not rejected");
    assert_eq!(keyspace.range(&range).map(|reply| reply.count), Ok(0));
    assert_eq!(snapshot.range(&range), before);
    let future = Range { revision: keyspace.revision(), ..range };
    assert_eq!(snapshot.range(&future), Err(Rejection::FutureRevision));
}

#[test]
fn the_sinks_error_ends_the_writing() {
    let mut blocks = 0;
    let result = sample().snapshot().write(&mut |_| {
        blocks += 1;
        Err("the disk is full")
    });
    assert_eq!((result, blocks), (Err("the disk is full"), 1));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what the server does with a snapshot is tested")]
fn writes_go_on_while_another_thread_writes_the_snapshot() {
    let mut keyspace = Keyspace::new();
    let apply = |keyspace: &mut Keyspace, number: u64| {
        let key = format!("key/{}", number % 500);
        let put = Command::Put(Put::new(key.as_str(), "value"));
        let index = keyspace.applied().next();
        keyspace.apply_command(index, put).expect("a plain put is not rejected");
    };
    for number in 0..2_000 {
        apply(&mut keyspace, number);
    }
    let (snapshot, hash) = (keyspace.snapshot(), keyspace.hash());
    let writer = std::thread::spawn(move || stream(snapshot));
    for number in 0..2_000 {
        apply(&mut keyspace, number);
    }
    let revision = keyspace.revision();
    let compact = Command::Compact { revision };
    let index = keyspace.applied().next();
    keyspace.apply_command(index, compact).expect("the present can be compacted to");
    while keyspace.sweep(100) {}
    let written = writer.join().expect("writing does not panic");
    assert_eq!(restore(&written).expect("it is undamaged").hash(), hash);
}

proptest! {
    #[test]
    fn garbage_is_refused_without_a_panic(
        garbage in prop::collection::vec(any::<u8>(), 0..300),
        keep in any::<prop::sample::Index>(),
    ) {
        prop_assert!(restore(&garbage).is_err());
        let whole = stream(sample().snapshot());
        let keep = keep.index(whole.len());
        let spliced = [&whole[..keep], &garbage].concat();
        prop_assert!(restore(&spliced).is_err() || spliced == whole);
    }
}
