//! A circle of 0 to 359 with points set by hand: A at 0, 120, 240, B at 60, 180, 300, C at 120,
//! 240, 0, and then D at 90, 210, 330.
//!
//! Where the circle is told as a story, key 100 goes to B and, once D is there, to D. Those are
//! the answers of the *predecessor* rule, the nearest point behind: 60, then 90. Consistent
//! hashing goes forward: the next point from 100 is 120, which A and C share, and D's 90 lies
//! behind. So a ring answers A, before and after. The table has both rules for every hash.

use althing_ring::{Node, Placement as _, Ring, hash_of_u32};

const TABLE: &str = include_str!("article_circle.csv");

fn node(id: &'static str, points: [u32; 3]) -> Node<&'static str> {
    Node::new(id).points(points.map(hash_of_u32))
}

fn before() -> Ring<&'static str> {
    let [a, b] = [node("A", [0, 120, 240]), node("B", [60, 180, 300])];
    Ring::new([a, b, node("C", [120, 240, 0])]).expect("the ids are different")
}

fn after() -> Ring<&'static str> {
    let mut ring = before();
    ring.add(node("D", [90, 210, 330])).expect("D is new");
    ring
}

fn predecessor(ring: &Ring<&'static str>, hash: u64) -> &'static str {
    let position = ring.circle().predecessor(hash).expect("there are points");
    ring.points().nth(position).map(|(_, id)| *id).expect("the position is of a point")
}

fn answers(degree: u32) -> String {
    let (before, after, hash) = (before(), after(), hash_of_u32(degree));
    let successor = |ring: &Ring<_>| ring.owner_of(hash).copied().expect("there are points");
    let three = |ring: &Ring<_>| ring.replicas_of(hash, 3).into_iter().copied().collect::<String>();
    format!(
        "{degree},{},{},{},{},{},{}",
        successor(&before),
        successor(&after),
        three(&before),
        three(&after),
        predecessor(&before, hash),
        predecessor(&after, hash)
    )
}

#[test]
fn both_rules_answer_as_the_table_says_for_every_hash() {
    assert_eq!(TABLE.lines().count(), 361);
    for (degree, row) in TABLE.lines().skip(1).enumerate() {
        assert_eq!(answers(degree as u32), row);
    }
}

#[test]
fn key_100_belongs_to_a_before_and_after() {
    assert_eq!(before().owner_of(hash_of_u32(100)), Some(&"A"));
    assert_eq!(after().owner_of(hash_of_u32(100)), Some(&"A"));
}

#[test]
fn the_predecessor_rule_says_b_and_then_d() {
    assert_eq!(predecessor(&before(), hash_of_u32(100)), "B");
    assert_eq!(predecessor(&after(), hash_of_u32(100)), "D");
}

#[test]
fn d_takes_a_quarter_of_the_circle_and_all_of_it_from_a() {
    let (before, after) = (before(), after());
    let moves = before.diff(&after);
    assert!(moves.iter().all(|one| (one.from, one.to) == (Some(&"A"), Some(&"D"))));
    let degrees = |hash: u64| hash >> 32;
    let arcs: Vec<_> =
        moves.iter().map(|one| (degrees(*one.range.start()), degrees(*one.range.end()))).collect();
    assert_eq!(arcs, [(60, 90), (180, 210), (300, 330)]);
    assert!(moves.iter().all(|one| *one.range.start() & 0xffff_ffff == 1 << 20));
}

#[test]
fn shared_points_are_kept_so_c_loses_nothing_when_a_goes() {
    let mut ring = before();
    ring.remove("A").expect("A is there");
    let c = node("C", [120, 240, 0]);
    let alone = Ring::new([node("B", [60, 180, 300]), c]).expect("the ids are different");
    assert_eq!(ring, alone);
    assert_eq!(ring.owner_of(hash_of_u32(100)), Some(&"C"));
}
