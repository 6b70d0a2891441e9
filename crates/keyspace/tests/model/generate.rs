use althing_core::NodeId;
use althing_keyspace::{
    Command, Compare, CompareResult, CompareTarget, DeleteRange, Key, Member, Operation, Put,
    Range, SortOrder, SortTarget, Txn, Value,
};
use proptest::prelude::*;

/// Few keys, so that they meet; among them the least key, the greatest byte, and prefixes.
fn key() -> impl Strategy<Value = Key> {
    let common = vec!["a", "aa", "ab", "b", "c", "d/1", "d/2"];
    prop_oneof![
        30 => prop::sample::select(common).prop_map(Key::from),
        2 => Just(Key::from([0_u8].as_slice())),
        2 => Just(Key::from([b'a', 0].as_slice())),
        2 => Just(Key::from([0xff_u8, 0xff].as_slice())),
        1 => Just(Key::from("a key that is too long to be kept in place, whatever the limit is")),
        1 => Just(Key::default()),
    ]
}

fn range_end() -> impl Strategy<Value = Key> {
    prop_oneof![
        4 => Just(Key::default()),
        2 => Just(Key::from([0_u8].as_slice())),
        4 => key(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop::sample::select(vec!["", "1", "2", "3"]).prop_map(Value::from)
}

/// Some before the first, most among those that exist, some in the future.
fn revision() -> impl Strategy<Value = i64> {
    prop_oneof![2 => -2..2_i64, 6 => 2..30_i64, 1 => 30..90_i64]
}

fn revision_or_none() -> impl Strategy<Value = i64> {
    prop_oneof![4 => Just(0), 1 => revision()]
}

fn sometimes() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.2)
}

fn lease() -> impl Strategy<Value = i64> {
    0..4_i64
}

fn put() -> impl Strategy<Value = Put> {
    let lease = prop_oneof![4 => Just(0_i64), 2 => lease()];
    (key(), value(), lease, prop::bool::weighted(0.1), prop::bool::weighted(0.1), sometimes())
        .prop_map(|(key, value, lease, ignore_value, ignore_lease, prev_kv)| {
            // Mostly valid, so that the state is met and not only the validation.
            let keep = ignore_value && value != Value::from("1");
            let value = if keep { Value::default() } else { value };
            Put { key, value, lease, ignore_value, ignore_lease, prev_kv }
        })
}

fn delete() -> impl Strategy<Value = DeleteRange> {
    (key(), range_end(), sometimes()).prop_map(|(key, range_end, prev_kv)| DeleteRange {
        key,
        range_end,
        prev_kv,
    })
}

pub(crate) fn range() -> impl Strategy<Value = Range> {
    let order = prop::sample::select(vec![SortOrder::None, SortOrder::Ascend, SortOrder::Descend]);
    let target = prop::sample::select(vec![
        SortTarget::Key,
        SortTarget::Version,
        SortTarget::CreateRevision,
        SortTarget::ModRevision,
        SortTarget::Value,
    ]);
    let filters = (revision_or_none(), revision_or_none(), revision_or_none(), revision_or_none());
    let flags = (any::<bool>(), sometimes(), prop::bool::weighted(0.1));
    ((key(), range_end(), -1..5_i64, revision_or_none()), order, target, flags, filters).prop_map(
        |((key, range_end, limit, revision), sort_order, sort_target, flags, filters)| Range {
            key,
            range_end,
            limit,
            revision,
            sort_order,
            sort_target,
            serializable: flags.0,
            keys_only: flags.1,
            count_only: flags.2,
            min_mod_revision: filters.0,
            max_mod_revision: filters.1,
            min_create_revision: filters.2,
            max_create_revision: filters.3,
        },
    )
}

fn compare() -> impl Strategy<Value = Compare> {
    let result = prop::sample::select(vec![
        CompareResult::Equal,
        CompareResult::Greater,
        CompareResult::Less,
        CompareResult::NotEqual,
    ]);
    let target = prop_oneof![
        (0..3_i64).prop_map(CompareTarget::Version),
        revision_or_none().prop_map(CompareTarget::CreateRevision),
        revision_or_none().prop_map(CompareTarget::ModRevision),
        value().prop_map(CompareTarget::Value),
        lease().prop_map(CompareTarget::Lease),
    ];
    (key(), range_end(), result, target).prop_map(|(key, range_end, result, target)| Compare {
        key,
        range_end,
        result,
        target,
    })
}

fn leaf() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => range().prop_map(Operation::Range),
        4 => put().prop_map(Operation::Put),
        2 => delete().prop_map(Operation::DeleteRange),
    ]
}

fn txn_of(operation: BoxedStrategy<Operation>) -> impl Strategy<Value = Txn> {
    let operations = prop::collection::vec(operation, 0..4);
    (prop::collection::vec(compare(), 0..3), operations.clone(), operations)
        .prop_map(|(compare, success, failure)| Txn { compare, success, failure })
}

pub(crate) fn txn() -> impl Strategy<Value = Txn> {
    let operation = leaf().boxed().prop_recursive(
        3,
        12,
        3,
        |inner| prop_oneof![3 => leaf(), 2 => txn_of(inner.boxed()).prop_map(Operation::Txn)],
    );
    txn_of(operation.boxed())
}

pub(crate) fn read_txn() -> impl Strategy<Value = Txn> {
    txn_of(range().prop_map(Operation::Range).boxed())
}

/// Some of them no time at all, or too long.
fn ttl() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 1..100_i64, 1 => -1..1_i64, 1 => Just(9_000_000_001)]
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    let member = (1..4_u64, "[a-z]{0,3}").prop_map(|(id, name)| Member {
        id: NodeId::new(id).expect("not zero"),
        client_urls: vec![format!("http://{name}:2379")],
        peer_urls: Vec::new(),
        name,
    });
    prop_oneof![
        10 => put().prop_map(Command::Put),
        4 => delete().prop_map(Command::DeleteRange),
        6 => txn().prop_map(Command::Txn),
        2 => revision().prop_map(|revision| Command::Compact { revision }),
        1 => member.prop_map(Command::PublishMember),
        4 => (lease(), ttl()).prop_map(|(id, ttl)| Command::LeaseGrant { id, ttl }),
        1 => lease().prop_map(|id| Command::LeaseRevoke { id }),
        1 => prop::collection::vec(lease(), 0..3).prop_map(|ids| Command::LeaseExpire { ids }),
        1 => prop::collection::vec((lease(), ttl()), 0..3)
            .prop_map(|remaining| Command::LeaseNote { remaining }),
    ]
}
