use althing_core::{Index, NodeId};
use althing_keyspace::{Command, Keyspace, Member, Put, Range, Rejection};

fn put(keyspace: &mut Keyspace, index: u64, key: &str, value: &str) {
    let put = Put { key: key.into(), value: value.into(), ..Put::default() };
    keyspace.apply_command(Index(index), Command::Put(put)).expect("it is put");
}

fn founded() -> Keyspace {
    let mut keyspace = Keyspace::new();
    put(&mut keyspace, 1, "a", "1");
    put(&mut keyspace, 2, "a", "2");
    let member = Member {
        id: NodeId::new(7).expect("not zero"),
        name: "old".to_owned(),
        peer_urls: Vec::new(),
        client_urls: Vec::new(),
    };
    keyspace.apply_command(Index(3), Command::PublishMember(member)).expect("it is known");
    keyspace
}

fn read(keyspace: &Keyspace, revision: i64) -> Result<Vec<u8>, Rejection> {
    let range = Range { key: "a".into(), revision, ..Range::default() };
    let reply = keyspace.range(&range)?;
    Ok(reply.kvs[0].value.as_bytes().to_vec())
}

#[test]
fn a_new_cluster_has_the_keys_and_goes_on_at_later_revisions() {
    let mut keyspace = founded();
    keyspace.refound(1000).expect("there is room");
    assert_eq!(keyspace.revision(), 1003);
    assert!(keyspace.members().is_empty());
    assert_eq!(read(&keyspace, 0).expect("it is there"), b"2");
    assert_eq!(read(&keyspace, 1002), Err(Rejection::Compacted));
    assert!(keyspace.happened_since(3).is_err(), "a watch of the former cluster is told");
    put(&mut keyspace, 4, "a", "3");
    assert_eq!(keyspace.revision(), 1004);
    assert_eq!(read(&keyspace, 1003).expect("it is the first of its own"), b"2");
}

#[test]
fn a_new_cluster_that_stays_where_it_was_keeps_its_history() {
    let mut keyspace = founded();
    keyspace.refound(0).expect("there is room");
    assert_eq!(keyspace.revision(), 3);
    assert!(keyspace.members().is_empty());
    assert_eq!(read(&keyspace, 2).expect("it is kept"), b"1");
}

#[test]
fn two_nodes_founded_alike_are_alike() {
    let (mut one, mut other) = (founded(), founded());
    one.refound(5).expect("there is room");
    other.refound(5).expect("there is room");
    assert_eq!(one.hash(), other.hash());
    other.refound(1).expect("there is room");
    assert_ne!(one.hash(), other.hash());
}
