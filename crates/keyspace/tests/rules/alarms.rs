use althing_core::Index;
use althing_keyspace::{
    Alarm, AlarmKind, Command, DeleteRange, Keyspace, Operation, Put, Range, Rejection, Reply,
    Restore, Txn,
};

fn apply(keyspace: &mut Keyspace, command: Command) -> Result<Reply, Rejection> {
    keyspace.apply_command(keyspace.applied().next(), command)
}

fn put() -> Put {
    Put { key: "a".into(), value: "b".into(), ..Put::default() }
}

fn delete() -> DeleteRange {
    DeleteRange { key: "a".into(), ..DeleteRange::default() }
}

fn txn(operation: Operation) -> Command {
    Command::Txn(Txn { success: vec![operation], ..Txn::default() })
}

fn set(keyspace: &mut Keyspace, kind: AlarmKind, is_raised: bool) -> bool {
    let alarm = Alarm { kind, member: 7 };
    match apply(keyspace, Command::Alarm { alarm, is_raised }) {
        Ok(Reply::Alarm { is_changed, .. }) => is_changed,
        other => panic!("{other:?}"),
    }
}

/// What of these is refused: putting, putting in a transaction within one, deleting in one,
/// deleting, a lease, compacting.
fn refused(keyspace: &mut Keyspace) -> Vec<Option<Rejection>> {
    let within = Txn { success: vec![Operation::Put(put())], ..Txn::default() };
    let commands = [
        Command::Put(put()),
        txn(Operation::Txn(within)),
        txn(Operation::DeleteRange(delete())),
        Command::DeleteRange(delete()),
        Command::LeaseGrant { id: 1 + keyspace.applied().0 as i64, ttl: 10 },
    ];
    let mut outcomes = commands.map(|command| apply(keyspace, command).err()).to_vec();
    // What was compacted already would be refused for that.
    let revision = keyspace.revision().max(keyspace.compacted_revision() + 1);
    let outcome = apply(keyspace, Command::Compact { revision }).err();
    outcomes.push(outcome.filter(|why| *why != Rejection::FutureRevision));
    outcomes
}

#[test]
fn without_space_nothing_is_put_and_with_corruption_nothing_is_written() {
    let mut keyspace = Keyspace::new();
    assert_eq!(refused(&mut keyspace), [None; 6]);
    assert!(set(&mut keyspace, AlarmKind::NoSpace, true));
    assert!(!set(&mut keyspace, AlarmKind::NoSpace, true), "it is raised already");
    let none = Some(Rejection::NoSpace);
    assert_eq!(refused(&mut keyspace), [none, none, None, None, none, None]);
    assert!(set(&mut keyspace, AlarmKind::Corrupt, true));
    assert_eq!(refused(&mut keyspace), [Some(Rejection::Corrupt); 6]);
    assert!(keyspace.range(&Range { key: "a".into(), ..Range::default() }).is_ok());
    assert!(set(&mut keyspace, AlarmKind::NoSpace, false));
    assert!(set(&mut keyspace, AlarmKind::Corrupt, false));
    assert!(!set(&mut keyspace, AlarmKind::Corrupt, false), "it is cleared already");
    assert_eq!(refused(&mut keyspace), [None; 6]);
}

#[test]
fn alarms_are_in_the_snapshot_and_in_the_hash() {
    let [mut keyspace, mut other] = [Keyspace::new(), Keyspace::new()];
    for keyspace in [&mut keyspace, &mut other] {
        apply(keyspace, Command::Put(put())).expect("it is put");
    }
    set(&mut keyspace, AlarmKind::Corrupt, true);
    other.pass(Index(2));
    assert_ne!(keyspace.hash(), other.hash());
    let mut restore = Restore::new();
    keyspace.snapshot().write(&mut |block| restore.feed(block)).expect("it is whole");
    let restored = restore.finish().expect("it is whole");
    assert_eq!(restored.alarms(), keyspace.alarms());
    assert_eq!(restored.hash(), keyspace.hash());
}

#[test]
fn there_is_a_bound_to_alarms() {
    let mut keyspace = Keyspace::new();
    let raise = |member| Command::Alarm {
        alarm: Alarm { kind: AlarmKind::NoSpace, member },
        is_raised: true,
    };
    let raised = (0..1000).filter(|member| apply(&mut keyspace, raise(*member)).is_ok()).count();
    assert_eq!(raised, 256);
    assert!(apply(&mut keyspace, raise(0)).is_ok(), "that one is raised already");
}
