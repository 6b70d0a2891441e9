//! `althing ring owner`, key by key: against the recorded answers of real programs, and against an
//! nginx that runs.

mod support;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use support::althing;

/// Runs the command with `input` on its standard input.
fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut process = althing()
        .args(["ring", "owner"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program was built");
    let mut stdin = process.stdin.take().expect("it was asked for");
    let input = input.to_vec();
    // From a thread, because more may come out than a pipe holds while keys still go in.
    let writer = std::thread::spawn(move || {
        // The command may refuse its arguments before it reads anything.
        let _ = stdin.write_all(&input);
    });
    let output = process.wait_with_output().expect("it ends");
    writer.join().expect("writing does not panic");
    output
}

/// The output of a run that has to work.
fn told(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let output = run(arguments, input);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output.stdout
}

/// The exit code and the error of a run that has to fail, as JSON.
fn refused(arguments: &[&str], input: &[u8]) -> (i32, Value) {
    let output = run(&[arguments, &["-o", "json"]].concat(), input);
    let error = serde_json::from_slice(&output.stderr);
    let error = error.unwrap_or_else(|_| panic!("{arguments:?}: no JSON: {output:?}"));
    (output.status.code().expect("no signal"), error)
}

fn with_weights(addresses: &[String], weights: &[u32]) -> String {
    let mut list = String::new();
    for (address, weight) in addresses.iter().zip(weights) {
        write!(list, ",{address}={weight}").expect("a string takes it");
    }
    list.split_off(1)
}

fn addresses(prefix: &str, count: u32, suffix: &str) -> Vec<String> {
    (1..=count).map(|number| format!("{prefix}{number}{suffix}")).collect()
}

#[test]
fn every_key_of_every_vector_agrees() {
    let ones = [1; 5];
    let rising = [1, 2, 3, 5, 10];
    let nginx = addresses("127.0.0.1:1900", 5, "");
    let local = addresses("127.0.0.1:1910", 5, "");
    let named: Vec<String> =
        local.iter().enumerate().map(|(number, server)| format!("srv{number}@{server}")).collect();
    let ten = addresses("10.0.1.", 8, ":11211");
    for (format, nodes, vectors) in [
        (
            "nginx",
            with_weights(&nginx, &ones),
            include_str!("../../ring/tests/vectors/nginx-equal.csv"),
        ),
        (
            "nginx",
            with_weights(&nginx, &rising),
            include_str!("../../ring/tests/vectors/nginx-weighted.csv"),
        ),
        (
            "libmemcached",
            with_weights(&local, &ones),
            include_str!("../../ring/tests/vectors/libmemcached-ketama-unweighted5.csv"),
        ),
        (
            "libmemcached-weighted",
            with_weights(&ten, &[600, 300, 200, 350, 1000, 800, 950, 100]),
            include_str!("../../ring/tests/vectors/libmemcached-weighted-w8.csv"),
        ),
        (
            "twemproxy-fnv1a_64",
            with_weights(&named, &ones),
            include_str!("../../ring/tests/vectors/twemproxy-fnv1a_64_equal_named.csv"),
        ),
        (
            "twemproxy-md5",
            with_weights(&local, &rising),
            include_str!("../../ring/tests/vectors/twemproxy-md5_weighted_plain.csv"),
        ),
    ] {
        let (mut keys, mut expected) = (String::new(), String::new());
        for row in vectors.lines().skip(1) {
            let fields: Vec<&str> = row.split(',').collect();
            writeln!(keys, "{}", fields[0]).expect("a string takes it");
            writeln!(expected, "{} {}", fields[0], fields[2]).expect("a string takes it");
        }
        assert_eq!(expected.lines().count(), 200, "{format}");
        let told = told(&["--format", format, "--nodes", &nodes], keys.as_bytes());
        assert_eq!(String::from_utf8_lossy(&told), expected, "{format}");
    }
}

#[test]
fn keys_are_bytes_and_lines_end_as_they_like() {
    let nodes = ["--format", "nginx", "--nodes", "a:1"];
    assert_eq!(told(&nodes, b"\xff\x01 x\r\ny"), b"\xff\x01 x a:1\ny a:1\n");
    assert_eq!(told(&nodes, b""), b"");
    let json = told(&[&nodes[..], &["-o", "json"]].concat(), b"\xff\nk\n");
    let lines: Vec<Value> = json
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| serde_json::from_slice(line).expect("a line is an object"))
        .collect();
    let expected =
        [json!({"key": {"b64": "/w=="}, "owner": "a:1"}), json!({"key": "k", "owner": "a:1"})];
    assert_eq!(lines, expected);
}

#[test]
fn an_owner_comes_as_soon_as_its_key_is_there() {
    use std::io::{BufRead as _, BufReader};
    let mut process = althing()
        .args(["ring", "owner", "--format", "nginx", "--nodes", "a:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program was built");
    let mut stdin = process.stdin.take().expect("it was asked for");
    let mut stdout = BufReader::new(process.stdout.take().expect("it was asked for"));
    for key in ["one", "two"] {
        // The input stays open: an answer that waited for its end would never come.
        writeln!(stdin, "{key}").expect("it reads");
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it answers");
        assert_eq!(line, format!("{key} a:1\n"));
    }
    drop(stdin);
    assert!(process.wait().expect("it ends").success());
}

#[test]
fn what_makes_no_ring_is_a_usage_error_that_says_why() {
    for (nodes, cause) in [
        ("a:1,", "no address"),
        ("a:1,a:1", "a:1 stands there twice"),
        ("a:1=0", "a:1 has the weight 0"),
        ("a:1=99999999999", "no whole number"),
        ("::1:80", "in brackets"),
        ("a:1=4294967295", "687194767200 points"),
        ("@a:1", "no name"),
        ("a b:1", "a blank"),
    ] {
        let (code, error) = refused(&["--format", "nginx", "--nodes", nodes], b"key\n");
        assert_eq!(code, 2, "{nodes}: {error}");
        let told = error["cause"].as_str().expect("a cause");
        assert!(told.contains(cause), "{nodes}: {told}");
    }
    let (code, error) = refused(&["--format", "twemproxy-md5", "--nodes", "a"], b"");
    assert_eq!(code, 2);
    assert!(error["cause"].as_str().expect("a cause").contains("port"), "{error}");
    for arguments in [&["--format", "ketama", "--nodes", "a:1"][..], &["--format", "nginx"]] {
        assert_eq!(refused(arguments, b"").0, 2, "{arguments:?}");
    }
}

#[test]
fn a_bad_line_is_told_by_its_number_after_the_good_ones() {
    let nodes = ["--format", "nginx", "--nodes", "a:1"];
    let output = run(&nodes, b"x\n\ny\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"x a:1\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 2"), "{output:?}");

    let mut endless = b"x\n".to_vec();
    endless.resize(3 << 20, b'z');
    let output = run(&nodes, &endless);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"x a:1\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 2 is longer"), "{output:?}");
}

#[test]
fn more_nodes_than_fit_on_a_command_line_come_from_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("nodes");
    let mut list = String::new();
    for number in 0..20_000 {
        writeln!(list, "10.{}.{}.{}:80", number / 65_536, number / 256 % 256, number % 256)
            .expect("a string takes it");
    }
    std::fs::write(&path, &list).expect("a temporary file");
    let path = path.to_str().expect("text");
    let told = told(&["--format", "nginx", "--nodes-file", path], b"key\n");
    let owner = String::from_utf8(told).expect("text");
    assert!(list.contains(owner.trim_end().trim_start_matches("key ")), "{owner}");

    let (code, error) = refused(&["--nodes-file", "/nowhere/at/all"], b"");
    assert_eq!((code, error["cause"].is_string()), (1, true), "{error}");
    assert_eq!(refused(&["--nodes-file", path, "--nodes", "a:1"], b"").0, 2);
}

#[test]
fn althings_own_ring_gives_each_node_its_share_without_the_traps_of_the_others() {
    // With 25 equal servers the 32-bit formats cut every one short, and the order of the
    // configuration decides ties; neither is so here.
    let nodes: Vec<String> = (0..25).map(|number| format!("n{number}@10.0.0.{number}:1")).collect();
    let keys: String = (0..50_000).map(|number| format!("user:{number}\n")).collect();
    let told_by = |nodes: &[String]| {
        String::from_utf8(told(&["--nodes", &nodes.join(",")], keys.as_bytes())).expect("text")
    };
    let forward = told_by(&nodes);
    let mut reversed = nodes.clone();
    reversed.reverse();
    assert!(forward == told_by(&reversed), "the order of the nodes counts");

    // A 26th takes what it gets from the others, and nothing moves between those.
    let mut more = nodes.clone();
    more.push("n25@10.0.0.25:1".to_owned());
    let after = told_by(&more);
    let moved: Vec<&str> =
        forward.lines().zip(after.lines()).filter(|(a, b)| a != b).map(|(_, b)| b).collect();
    assert!(moved.iter().all(|line| line.ends_with(" n25")), "{moved:?}");
    assert!((1_000..3_500).contains(&moved.len()), "{} of 50,000", moved.len());
    for number in 0..25 {
        let owner = format!(" n{number}");
        assert!(forward.lines().any(|line| line.ends_with(&owner)), "n{number} owns nothing");
    }

    // A node that is being emptied is known and owns nothing; alone it makes no ring.
    let drained = told(&["--nodes", "a:1=0,b:1"], b"x\ny\nz\n");
    assert_eq!(drained, b"x b:1\ny b:1\nz b:1\n");
    let (code, error) = refused(&["--nodes", "a:1=0"], b"");
    assert_eq!(code, 2, "{error}");
    let (code, error) = refused(&["--nodes", "a:1,a:1"], b"");
    assert_eq!(code, 2, "{error}");
}

#[test]
fn hostile_arguments_and_files_get_an_error() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let output = althing()
        .args(["ring", "owner", "--nodes"])
        .arg(OsStr::from_bytes(b"a\xff:1"))
        .output()
        .expect("the program was built");
    assert_eq!(output.status.code(), Some(2), "{output:?}");

    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("nodes");
    let file = path.to_str().expect("text");
    for (content, code) in [
        (&b"\xff\xfe\n"[..], 1),
        (b"", 2),
        (b"\n\r\n  \n", 2),
        (b"a:1\nb:1 c:1\n", 2),
        (b"a:1\r\nb:1=2\r\n", 0),
    ] {
        std::fs::write(&path, content).expect("a temporary file");
        let output = run(&["--format", "nginx", "--nodes-file", file], b"key\n");
        assert_eq!(output.status.code(), Some(code), "{content:?}: {output:?}");
    }
    let (code, _) = refused(&["--nodes-file", folder.path().to_str().expect("text")], b"");
    assert_eq!(code, 1, "a folder is no file");

    // A node that is named over a whole command line.
    let long = format!("{}:1", "x".repeat(100_000));
    assert_eq!(told(&["--nodes", &long], b"k\n").len(), 100_000 + 5);
    let (code, error) = refused(&["--nodes", &format!("{long}=x")], b"");
    assert_eq!(code, 2);
    assert!(error["message"].as_str().expect("a message").len() < 200, "{error}");
}

#[test]
fn an_output_that_cannot_be_written_is_a_failure_and_one_that_is_closed_is_none() {
    let nodes = ["ring", "owner", "--nodes", "a:1"];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "key\n".repeat(200_000)).expect("a temporary file");
    let input = || std::fs::File::open(&keys).expect("it was just written");

    let mut process = althing()
        .args(nodes)
        .stdin(input())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program was built");
    // The reader leaves at once, as `head` does.
    drop(process.stdout.take());
    assert!(process.wait().expect("it ends").success());

    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    if let Ok(full) = full {
        let output = althing()
            .args(nodes)
            .stdin(input())
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .expect("the program was built");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
}
