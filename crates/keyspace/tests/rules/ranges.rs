//! What a range finds, in which order.

use althing_keyspace::{Key, Range, Rejection, SortOrder, SortTarget, prefix_end, validate_range};

use super::{between, four_keys};

#[test]
fn a_range_ends_where_etcds_does() {
    let keyspace = four_keys();
    let cases = [
        (between("a", ""), "a", 1),
        (between("aa", ""), "", 0),
        (between("a", "c"), "ab", 2),
        (between("b", "\0"), "bcd", 3),
        (between("\0", "\0"), "abcd", 4),
        (between("c", "a"), "", 0),
        (between("c", "c"), "", 0),
        (Range::prefix("b"), "b", 1),
        (Range::prefix(""), "abcd", 4),
        (Range { limit: 2, ..Range::all() }, "ab+", 4),
        (Range { limit: 4, ..Range::all() }, "abcd", 4),
        (Range { limit: -1, ..Range::all() }, "abcd", 4),
        (Range { limit: 2, count_only: true, ..Range::all() }, "", 4),
        (Range { min_mod_revision: 5, ..Range::all() }, "bd", 4),
        (Range { max_mod_revision: 4, ..Range::all() }, "ac", 4),
        (Range { min_create_revision: 4, limit: 1, ..Range::all() }, "c+", 4),
        (Range { max_create_revision: 3, ..Range::all() }, "ab", 4),
        (Range { min_mod_revision: 99, ..Range::key("a") }, "", 1),
    ];
    for (range, expected, count) in cases {
        let reply = keyspace.range(&range).expect("it is readable");
        let mut keys: String =
            reply.kvs.iter().map(|kv| String::from_utf8_lossy(kv.key.as_bytes())).collect();
        if reply.more {
            keys.push('+');
        }
        assert_eq!((keys.as_str(), reply.count), (expected, count), "{range:?}");
        assert_eq!(reply.revision, 7);
    }
}

#[test]
fn a_range_is_sorted_as_etcd_sorts() {
    use SortOrder::{Ascend, Descend};
    use SortTarget::{CreateRevision, ModRevision, Value, Version};
    let keyspace = four_keys();
    let cases = [
        (SortOrder::None, SortTarget::Key, 0, "abcd"),
        (Ascend, SortTarget::Key, 2, "ab+"),
        (Descend, SortTarget::Key, 2, "dc+"),
        (Descend, SortTarget::Key, 0, "dcba"),
        (Ascend, Value, 0, "dcba"),
        (Ascend, Value, 2, "dc+"),
        (Descend, Value, 3, "abc+"),
        (Descend, CreateRevision, 0, "dcba"),
        (Ascend, ModRevision, 0, "acdb"),
        (Descend, Version, 0, "bacd"),
        (SortOrder::None, Value, 0, "dcba"),
        // Without an order the limit comes first: three of four are fetched, then sorted.
        (SortOrder::None, Value, 2, "cb+"),
    ];
    for (sort_order, sort_target, limit, expected) in cases {
        for keys_only in [false, true] {
            let range = Range { sort_order, sort_target, limit, keys_only, ..Range::all() };
            let reply = keyspace.range(&range).expect("it is readable");
            let mut keys: String =
                reply.kvs.iter().map(|kv| String::from_utf8_lossy(kv.key.as_bytes())).collect();
            if reply.more {
                keys.push('+');
            }
            assert_eq!(keys, expected, "{range:?}");
            assert!(reply.kvs.iter().all(|kv| kv.value.is_empty() == keys_only));
        }
    }
}

#[test]
fn a_prefix_ends_at_the_next_key_that_does_not_have_it() {
    let cases: [(&[u8], &[u8]); 6] = [
        (b"a", b"b"),
        (b"a/", b"a0"),
        (b"a\xff", b"b"),
        (b"\xff", b"\0"),
        (b"\xff\xff", b"\0"),
        (b"", b"\0"),
    ];
    for (prefix, end) in cases {
        assert_eq!(prefix_end(prefix).as_bytes(), end, "{prefix:?}");
    }
    assert_eq!(validate_range(&Range::prefix("")), Ok(()));
    assert_eq!(validate_range(&Range::key("")), Err(Rejection::KeyNotProvided));
}

#[test]
fn keys_are_ordered_as_bytes_wherever_they_are_kept() {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    for length in [0, 1, 2, 15, 16, 17, 29, 30, 31, 40] {
        for last in [0_u8, 1, 0x7f, 0xff] {
            for fill in [0_u8, b'k', 0xff] {
                let mut key = vec![fill; length];
                if let Some(byte) = key.last_mut() {
                    *byte = last;
                }
                keys.push(key);
            }
        }
    }
    for one in &keys {
        for other in &keys {
            let ordering = Key::from(one.as_slice()).cmp(&Key::from(other.as_slice()));
            assert_eq!(ordering, one.cmp(other), "{one:?} and {other:?}");
        }
    }
}
