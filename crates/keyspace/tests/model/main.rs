//! Random commands against a model that is too simple to be wrong: it keeps a whole copy of the
//! keys for every revision, and follows etcd's steps one by one.

mod generate;
mod naive;

use althing_core::Index;
use althing_keyspace::{Command, Keyspace, Restore, Snapshot, validate_txn};
use naive::Naive;
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

        // Garbage is nothing that can be seen, and a snapshot leaves it out.
        let mut copy = restored(keyspace.snapshot(), piece);
        prop_assert_eq!(copy.hash(), keyspace.hash());
        prop_assert_eq!(copy.applied_hash(), keyspace.applied_hash());
        prop_assert_eq!(copy.key_count(), keyspace.key_count());
        prop_assert_eq!(copy.applied(), keyspace.applied());
        prop_assert_eq!(copy.members(), keyspace.members());
        let unswept = keyspace.hash();
        sweep_all(&mut keyspace);
        prop_assert_eq!(keyspace.hash(), unswept);
        prop_assert_eq!(copy.size_bytes(), keyspace.size_bytes());
        for range in &ranges {
            prop_assert_eq!(keyspace.range(range), model.range(range), "swept: {:?}", range);
            prop_assert_eq!(copy.range(range), model.range(range), "restored: {:?}", range);
        }
        // What was restored goes on like what was replayed, to the last version swept away.
        let compact = Command::Compact { revision: keyspace.revision() };
        let index = keyspace.applied().next();
        prop_assert_eq!(
            keyspace.apply_command(index, compact.clone()),
            copy.apply_command(index, compact)
        );
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
