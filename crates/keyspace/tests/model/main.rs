//! Random commands against a model that is too simple to be wrong: it keeps a whole copy of the
//! keys for every revision, and follows etcd's steps one by one.

mod generate;
mod naive;

use std::collections::BTreeMap;

use althing_core::Index;
use althing_keyspace::{
    Command, Key, KeyValue, Keyspace, Put, Rejection, Restore, Snapshot, validate_txn,
};
use naive::{Change, Naive};
use proptest::prelude::*;

fn restored(snapshot: Snapshot, piece: usize) -> Keyspace {
    let mut stream = Vec::new();
    let Ok(()) = snapshot.write::<std::convert::Infallible>(&mut |block| {
        stream.extend_from_slice(block);
        Ok(())
    });
    let mut restore = Restore::new();
    for piece in stream.chunks(piece) {
        restore.feed(piece).expect("an undamaged snapshot is taken");
    }
    restore.finish().expect("the whole snapshot came")
}

fn leases(keyspace: &Keyspace) -> Vec<(i64, i64, i64, Vec<Key>)> {
    keyspace
        .leases()
        .map(|(id, lease)| (id, lease.ttl(), lease.remaining(), lease.keys().cloned().collect()))
        .collect()
}

/// What happened as the model tells it: of each key and revision only what was there before and
/// afterwards, whatever came in between.
fn happened_since(
    keyspace: &Keyspace,
    model: &Naive,
    revision: i64,
) -> Result<Vec<Change>, Rejection> {
    let mut changes: BTreeMap<_, (Option<KeyValue>, Option<KeyValue>)> = BTreeMap::new();
    for happened in keyspace.happened_since(revision)? {
        let Some(event) = happened.event(true) else { continue };
        assert_eq!(event.kv.mod_revision, happened.revision());
        let at = (happened.revision(), happened.key().as_bytes().to_vec());
        let after = (!event.is_delete).then_some(event.kv);
        changes.insert(at, (event.previous, after));
    }
    let known = changes.into_iter().map(|((at, key), (before, after))| (at, key, before, after));
    // The model does not know of keys that came and went within one revision.
    let is_something = |change: &Change| {
        let (at, key, _, after) = change;
        after.is_some() || model.existed_before(*at, key)
    };
    Ok(known.filter(is_something).collect())
}

fn sweep_all(keyspace: &mut Keyspace) {
    while keyspace.sweep(3) {}
}

proptest! {
    #[test]
    fn replies_and_reads_are_the_models(
        commands in prop::collection::vec(generate::command(), 1..60),
        ranges in prop::collection::vec(generate::range(), 20),
        compares in prop::collection::vec(generate::read_txn(), 5),
        snapshot_at in 0..60_usize,
        piece in 1..200_usize,
    ) {
        let mut keyspace = Keyspace::new();
        let mut model = Naive::default();
        let mut early = None;
        for (at, command) in commands.iter().enumerate() {
            let mut bytes = Vec::new();
            command.encode(&mut bytes);
            prop_assert_eq!(Command::decode(&bytes), Ok(command.clone()));
            let reply = keyspace.apply(Index(at as u64 + 1), &bytes);
            prop_assert_eq!(reply, model.apply(command), "command {}", at);
            prop_assert_eq!(keyspace.revision(), model.revision());
            prop_assert_eq!(keyspace.compacted_revision(), model.compacted.max(0));
            prop_assert_eq!(keyspace.key_count(), model.present().len());
            if at == snapshot_at {
                early = Some((keyspace.snapshot(), keyspace.hash()));
            }
        }
        for range in &ranges {
            prop_assert_eq!(keyspace.range(range), model.range(range), "{:?}", range);
        }
        for txn in &compares {
            prop_assert_eq!(keyspace.read_txn(txn), model.txn(txn), "{:?}", txn);
        }
        prop_assert_eq!(leases(&keyspace), model.leases());
        let since = [-1, 0, 1, 2, 5, model.compacted - 1, model.compacted, model.compacted + 1];
        for revision in since {
            let expected = model.happened_since(revision);
            let told = happened_since(&keyspace, &model, revision);
            prop_assert_eq!(told, expected, "since {}", revision);
        }

        // Garbage is nothing that can be seen, and a snapshot leaves it out.
        let mut copy = restored(keyspace.snapshot(), piece);
        prop_assert_eq!(copy.hash(), keyspace.hash());
        prop_assert_eq!(copy.applied_hash(), keyspace.applied_hash());
        prop_assert_eq!(copy.key_count(), keyspace.key_count());
        prop_assert_eq!(copy.applied(), keyspace.applied());
        prop_assert_eq!(copy.members(), keyspace.members());
        prop_assert_eq!(leases(&copy), leases(&keyspace));
        let unswept = keyspace.hash();
        sweep_all(&mut keyspace);
        prop_assert_eq!(keyspace.hash(), unswept);
        for range in &ranges {
            prop_assert_eq!(keyspace.range(range), model.range(range), "swept: {:?}", range);
            prop_assert_eq!(copy.range(range), model.range(range), "restored: {:?}", range);
        }
        for revision in since {
            let expected = model.happened_since(revision);
            prop_assert_eq!(happened_since(&keyspace, &model, revision), expected.clone(), "swept");
            prop_assert_eq!(happened_since(&copy, &model, revision), expected, "restored");
        }
        // What was restored goes on like what was replayed, to the last version swept away.
        let last = Command::Put(Put::new("last", ""));
        let compact = Command::Compact { revision: keyspace.revision() + 1 };
        for command in [last, compact] {
            let index = keyspace.applied().next();
            let reply = keyspace.apply_command(index, command.clone());
            prop_assert_eq!(reply, copy.apply_command(index, command));
        }
        sweep_all(&mut keyspace);
        sweep_all(&mut copy);
        prop_assert_eq!(copy.size_bytes(), keyspace.size_bytes());
        prop_assert_eq!(copy.hash(), keyspace.hash());
        prop_assert_eq!(copy.applied_hash(), keyspace.applied_hash());

        // A snapshot is of its own moment, whatever came after.
        if let Some((snapshot, hash)) = early {
            prop_assert_eq!(snapshot.hash(), hash);
            prop_assert_eq!(restored(snapshot, piece).hash(), hash);
        }
    }

    #[test]
    fn transactions_are_judged_as_etcd_judges_them(txn in generate::txn()) {
        prop_assert_eq!(validate_txn(&txn), naive::validate_txn(&txn));
    }
}
