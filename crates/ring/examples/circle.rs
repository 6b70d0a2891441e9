//! A circle of 0 to 359 with points set by hand, and who owns key 100 under either rule.
//!
//! `cargo run -p althing-ring --example circle`

use althing_ring::{Node, Placement as _, Ring, RingError, hash_of_u32};

fn main() -> Result<(), RingError> {
    let node = |id, points: [u32; 3]| Node::new(id).points(points.map(hash_of_u32));
    let mut ring =
        Ring::new([node("A", [0, 120, 240]), node("B", [60, 180, 300]), node("C", [120, 240, 0])])?;
    println!("A has 0, 120, 240; B has 60, 180, 300; C has 120, 240, 0.");
    tell(&ring);

    let before = ring.clone();
    ring.add(node("D", [90, 210, 330]))?;
    println!("\nD comes with 90, 210, 330.");
    tell(&ring);

    println!("\nWhat moves, by the successor rule:");
    for moved in before.diff(&ring) {
        let (from, to) = (moved.from.unwrap_or(&"nobody"), moved.to.unwrap_or(&"nobody"));
        let (start, end) = (moved.range.start() >> 32, moved.range.end() >> 32);
        println!("  hashes above {start} and up to {end}: from {from} to {to}");
    }
    println!("Key 100 stays where it was: 90 lies behind it, and B loses nothing at all.");
    Ok(())
}

fn tell(ring: &Ring<&str>) {
    let key = hash_of_u32(100);
    let copies: Vec<&str> = ring.replicas_of(key, 4).into_iter().copied().collect();
    println!("  successor rule, the next point from 100 on:    {}", copies.join(", then "));
    let behind = ring.circle().predecessor(key).and_then(|position| ring.points().nth(position));
    if let Some((point, id)) = behind {
        println!("  predecessor rule, the last point up to 100:    {id}, at {}", point >> 32);
    }
}
