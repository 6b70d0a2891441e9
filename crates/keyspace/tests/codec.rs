//! Bytes that are no command never panic, and a command is read back as it was written.

use althing_core::codec::DecodeError;
use althing_keyspace::{Command, Key, Keyspace, Operation, Put, Range, Txn};
use proptest::prelude::*;

fn sample() -> Vec<u8> {
    let mut bytes = Vec::new();
    Command::Txn(Txn {
        compare: Vec::new(),
        success: vec![
            Operation::Put(Put::new("key", "value")),
            Operation::Range(Range { limit: 3, ..Range::prefix("k") }),
        ],
        failure: vec![Operation::Txn(Txn::default())],
    })
    .encode(&mut bytes);
    bytes
}

#[test]
fn every_cut_of_a_command_is_noticed() {
    let bytes = sample();
    assert!(Command::decode(&bytes).is_ok());
    for length in 0..bytes.len() {
        assert_eq!(Command::decode(&bytes[..length]), Err(DecodeError::EndOfInput), "{length}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(Command::decode(&longer), Err(DecodeError::Invalid { what: "bytes after the end" }));
}

#[test]
fn what_is_not_known_or_over_a_limit_is_refused() {
    let put = |key_length: u32| [&[1, 1][..], &key_length.to_le_bytes()].concat();
    let cases = [
        (vec![3, 1], DecodeError::UnknownTag { what: "command version", tag: 3 }),
        (vec![2, 3], DecodeError::UnknownTag { what: "principal", tag: 3 }),
        (vec![1, 13], DecodeError::UnknownTag { what: "command", tag: 13 }),
        (vec![1, 12, 3], DecodeError::UnknownTag { what: "alarm", tag: 3 }),
        (put(5), DecodeError::EndOfInput),
        (put(u32::MAX), DecodeError::TooLong { length: u32::MAX as usize, max: 16 << 20 }),
        (
            [&[1, 3][..], &129_u32.to_le_bytes()].concat(),
            DecodeError::Invalid { what: "a list over its limit" },
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(Command::decode(&bytes), Err(expected), "{bytes:?}");
    }
}

#[test]
fn text_of_any_bytes_can_be_a_key() {
    let bytes: Vec<u8> = (0..=255).collect();
    let put = Command::Put(Put::new(Key::from(bytes.as_slice()), ""));
    let mut encoded = Vec::new();
    put.encode(&mut encoded);
    assert_eq!(Command::decode(&encoded), Ok(put));
}

proptest! {
    #[test]
    fn garbage_is_an_error_or_a_command_but_never_a_panic(
        garbage in prop::collection::vec(any::<u8>(), 0..200),
        tag in 1..12_u8,
    ) {
        let _ = Command::decode(&garbage);
        let plausible = [&[1, tag][..], &garbage].concat();
        let _ = Keyspace::new().apply(althing_core::Index(1), &plausible);
        let by_a_server = [&[2, 2, tag][..], &garbage].concat();
        let _ = Keyspace::new().apply(althing_core::Index(1), &by_a_server);
    }

    #[test]
    fn a_damaged_command_is_an_error_or_a_command_but_never_a_panic(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = sample();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Keyspace::new().apply(althing_core::Index(1), &bytes);
    }
}
