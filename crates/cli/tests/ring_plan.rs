//! `althing ring plan`: the figures add up, and what cannot be planned is refused.

mod support;

use std::collections::BTreeMap;
use std::process::Output;

use serde_json::Value;
use support::althing;

fn run(arguments: &[&str]) -> Output {
    althing().args(["ring", "plan"]).args(arguments).output().expect("the program was built")
}

fn text(arguments: &[&str], format: &str) -> String {
    let output = run(&[arguments, &["-o", format]].concat());
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&text(arguments, "json")).expect("a document")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

const SMALL: [&str; 6] = ["--nodes", "a=1,b=2", "--add", "c=1", "--keys", "100000"];

#[test]
fn people_see_tables_and_a_picture() {
    let expected = "\
NODE  WEIGHT    BEFORE   AFTER    KEYS BEFORE  KEYS AFTER
a     1         31.68 %  22.21 %  31,451       22,178
b     2         68.32 %  49.26 %  68,549       49,484
c     1, comes  0.00 %   28.53 %  0            28,338

peak to mean: 1.025 before, 1.141 after

FROM  TO  MOVES    KEYS
b     c   19.07 %  19,065
a     c   9.47 %   9,273

28.53 % of all hashes move, in 119 ranges; fair shares alone would move 25.00 %
of 100,000 keys 28,338 move; 58,049 would by modulo hashing

a       ████████████████░░░░░░
b       ███████████████████████████████████░░░░░░░░░░░░░
c       ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒
        █ stays  ▒ comes  ░ goes

ring    ▒▒▒▒▒▒▒▒▒▒▒▒▒▒                                   28.53 % of all keys move
modulo  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒                     58.05 % of all keys move
";
    assert_eq!(text(&SMALL, "table"), expected);
}

#[test]
fn programs_get_lines() {
    let expected = "\
node a 1 1 0.316788023 0.222119743 31451 22178
node b 2 2 0.683211977 0.492558960 68549 49484
node c - 1 0.000000000 0.285321296 0 28338
move b c 0.190653017 19065
move a c 0.094668279 9273
moved 0.285321296 28338
modulo 0.580490000 58049
";
    assert_eq!(text(&SMALL, "raw"), expected);
}

#[test]
fn the_figures_add_up_and_the_keys_bear_them_out() {
    let nodes: Vec<String> =
        (0..20).map(|number| format!("n{number}={}", 1 + number % 3)).collect();
    let plan = json(&[
        "--nodes",
        &nodes.join(","),
        "--add",
        "x=3,y@10.0.0.1:1",
        "--remove",
        "n3,n4",
        "--reweight",
        "n5=6,n6=0",
        "--keys",
        "400000",
    ]);
    let (mut gained, mut lost) = (BTreeMap::new(), BTreeMap::new());
    for moved in list(&plan["moves"]) {
        let (from, to) = (moved["from"].as_str(), moved["to"].as_str());
        let (from, to) = (from.expect("a name"), to.expect("a name"));
        *gained.entry(to).or_insert(0.0) += number(&moved["share"]);
        *lost.entry(from).or_insert(0.0) += number(&moved["share"]);
        // Keys go to who gains weight or from who loses it, never between the others.
        let is_changed = |name: &str| ["x", "y", "n3", "n4", "n5", "n6"].contains(&name);
        assert!(is_changed(from) || is_changed(to), "{from} to {to}");
        assert!(!["n3", "n4", "n6"].contains(&to) && !["x", "y"].contains(&from));
    }
    let (mut before, mut after, mut keys) = (0.0, 0.0, 0.0);
    for node in list(&plan["nodes"]) {
        let name = node["name"].as_str().expect("a name");
        let shares = (number(&node["share_before"]), number(&node["share_after"]));
        let of = |sums: &BTreeMap<&str, f64>| sums.get(name).copied().unwrap_or(0.0);
        assert!((shares.0 + of(&gained) - of(&lost) - shares.1).abs() < 1e-9, "{node}");
        let counted = number(&node["keys_after"]) / 400_000.0;
        // Five standard deviations of what chance does to so many keys.
        assert!((counted - shares.1).abs() <= 5.0 * (shares.1 / 400_000.0).sqrt(), "{node}");
        before += shares.0;
        after += shares.1;
        keys += number(&node["keys_before"]);
    }
    assert!((before - 1.0).abs() < 1e-9 && (after - 1.0).abs() < 1e-9);
    assert!((keys - 400_000.0).abs() < 0.5);
    let moved = number(&plan["moved_share"]);
    assert!((moved - gained.values().sum::<f64>()).abs() < 1e-9);
    assert!((number(&plan["moved_keys"]) / 400_000.0 - moved).abs() < 0.005);
    assert!(number(&plan["fair_moved_share"]) > 0.1);
    assert!(number(&plan["modulo_moved_share"]) > 2.0 * moved, "{plan}");
    assert!(number(&plan["peak_to_mean_after"]) > 1.0);
    assert!(number(&plan["ranges"]) > 100.0);
}

#[test]
fn a_plan_that_changes_nothing_moves_nothing() {
    let plan = json(&["--nodes", "a,b,c", "--keys", "1000"]);
    assert_eq!(list(&plan["moves"]).len(), 0);
    assert_eq!((number(&plan["moved_share"]), number(&plan["modulo_moved_share"])), (0.0, 0.0));
    assert!(text(&["--nodes", "a,b,c", "--keys", "0"], "table").ends_with("nothing moves\n"));
}

#[test]
fn the_ring_of_the_plan_is_the_ring_of_owner() {
    use std::io::Write as _;
    use std::process::Stdio;
    // The plan counts keys of eight bytes; of those, 32 are no line of text.
    let plan = json(&["--nodes", "a@h:1,b@h:2=3", "--keys", "8"]);
    let mut process = althing()
        .args(["ring", "owner", "--nodes", "a@h:1,b@h:2=3"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program was built");
    let mut stdin = process.stdin.take().expect("it was asked for");
    for key in 0_u64..8 {
        stdin.write_all(&key.to_le_bytes()).expect("it reads");
        stdin.write_all(b"\n").expect("it reads");
    }
    drop(stdin);
    let output = process.wait_with_output().expect("it ends");
    let of_a = output.stdout.windows(3).filter(|end| end == b" a\n").count();
    let counted = &plan["nodes"][0]["keys_after"];
    assert_eq!(counted.as_u64(), Some(of_a as u64), "{plan}");
}

#[test]
fn many_nodes_are_planned_and_too_many_points_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("nodes");
    let write = |count: u32| {
        let list: String = (0..count).map(|number| format!("node-{number}\n")).collect();
        std::fs::write(&path, list).expect("a temporary file");
    };
    let file = path.to_str().expect("text");
    write(3_000);
    let arguments = ["--nodes-file", file, "--add", "new", "--keys", "20000"];
    let table = text(&arguments, "table");
    assert!(table.contains("and 2,977 more nodes; `-o json` has them all"), "{table}");
    assert!(table.lines().any(|line| line.starts_with("new ")), "{table}");
    assert!(table.contains("more moves"), "{table}");
    let plan = json(&arguments);
    assert_eq!(list(&plan["nodes"]).len(), 3_001);
    assert!(list(&plan["moves"]).iter().all(|moved| moved["to"] == "new"));

    write(1_000_000);
    let output = run(&["--nodes-file", file, "-o", "json"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let error: Value = serde_json::from_slice(&output.stderr).expect("JSON");
    assert!(error["cause"].as_str().expect("a cause").contains("160000000 points"), "{error}");
    assert!(error["hint"].as_str().expect("a hint").contains("--points"), "{error}");
}

#[test]
fn what_cannot_be_planned_is_a_usage_error() {
    for (arguments, wrong) in [
        (&["--nodes", "a,b", "--remove", "c"][..], "there is no node `c`"),
        (&["--nodes", "a,b", "--remove", "a,b"], "after the change"),
        (&["--nodes", "a,b", "--add", "b=2"], "`b` in --add is there already"),
        (&["--nodes", "a,b", "--reweight", "a"], "has no weight"),
        (&["--nodes", "a,b", "--reweight", "a=1", "--remove", "a"], "changed twice"),
        (&["--nodes", "a=4294967295"], "make no ring"),
        (&["--nodes", "a,b", "--keys", "1000000001"], "1000000001"),
        (&["--nodes", "a,b", "--points", "0"], "0"),
        (&["--add", "b"], "required"),
    ] {
        let output = run(&[arguments, &["-o", "json"]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        let error: Value = serde_json::from_slice(&output.stderr).expect("JSON");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(wrong), "{arguments:?}: {message}");
    }
}
