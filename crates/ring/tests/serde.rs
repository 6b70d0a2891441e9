//! A ring as data: what comes back is what went out, and what is wrong is refused.

use althing_ring::{KeyHasher, Md5, Node, Ring, Settings};

fn ring() -> Ring<String> {
    let node = |id: &str| Node::new(id.to_owned());
    Ring::new([node("a").weight(2).zone("z").rack("r"), node("b"), node("c").points([1 << 60])])
        .expect("the nodes are different")
}

#[test]
fn a_ring_that_is_read_is_the_one_that_was_written() {
    let text = serde_json::to_string(&ring()).expect("a ring can be written");
    let read: Ring<String> = serde_json::from_str(&text).expect("and read");
    assert_eq!(read, ring());
    assert_eq!(read.replicas("key", 3), ring().replicas("key", 3));
}

#[test]
fn the_text_is_small_and_says_what_the_ring_is() {
    let ring = Ring::new(["a"]).expect("one node");
    let check = althing_ring::RapidHash.hash_bytes(b"althing-ring");
    let expected = format!(
        concat!(
            r#"{{"settings":{{"points_per_weight":160,"point_bits":"SixtyFour"}},"#,
            r#""hash_check":{},"nodes":[{{"id":"a","weight":1}}]}}"#
        ),
        check
    );
    assert_eq!(serde_json::to_string(&ring).expect("a ring can be written"), expected);
}

#[test]
fn what_is_wrong_is_refused_and_named() {
    let good = serde_json::to_value(ring()).expect("a ring can be written");
    let refusal = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = good.clone();
        change(&mut value);
        serde_json::from_value::<Ring<String>>(value).expect_err("it is wrong").to_string()
    };
    let twice = refusal(&|value| value["nodes"][1]["id"] = "a".into());
    assert_eq!(twice, "two nodes have the same id");
    let heavy = refusal(&|value| value["nodes"][0]["weight"] = u32::MAX.into());
    assert!(heavy.ends_with("points, and no more than 16777216 are allowed"), "{heavy}");
    let none = refusal(&|value| value["settings"]["points_per_weight"] = 0.into());
    assert_eq!(none, "no points for a unit of weight");
    let other = serde_json::from_value::<Ring<String, Md5>>(good).expect_err("another hash");
    assert_eq!(other.to_string(), "the ring was written by a program with another hash");
}

#[test]
fn nobody_can_raise_the_limit_on_points_from_outside() {
    let mut value = serde_json::to_value(ring()).expect("a ring can be written");
    value["settings"]["points_max"] = (1_u64 << 40).into();
    let read: Result<Ring<String>, _> = serde_json::from_value(value);
    let settings = read.map_or_else(|_| Settings::default(), |ring| ring.settings());
    assert_eq!(settings.points_max, Settings::default().points_max);
}
