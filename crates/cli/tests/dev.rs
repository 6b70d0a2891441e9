//! The first thing a user runs, and every sample of the README.

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{PATIENCE, althing, http, http_get, tool};

/// An `althing dev` with what it said about itself.
struct Dev {
    process: Child,
    about: Value,
    /// From the start of the process to its first word.
    ready: Duration,
}

impl Dev {
    fn start(arguments: &[&str]) -> Self {
        let started = Instant::now();
        let mut process = althing()
            .args(["dev", "--ports", "random", "-o", "json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let mut line = String::new();
        let out = process.stdout.take().expect("it was asked for");
        BufReader::new(out).read_line(&mut line).expect("it says where it is");
        let ready = started.elapsed();
        let about = serde_json::from_str(&line).expect("one line of JSON");
        Self { process, about, ready }
    }

    fn ports(&self) -> Vec<u16> {
        let endpoints = self.about["endpoints"].as_array().expect("a list");
        endpoints
            .iter()
            .filter_map(|endpoint| endpoint.as_str()?.rsplit_once(':')?.1.parse().ok())
            .collect()
    }

    fn endpoints(&self) -> String {
        let ports = self.ports();
        ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    }

    /// Ctrl-C; the exit code.
    fn interrupt(mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status().expect("kill runs");
        assert!(sent.success());
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("it was started here") {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may be gone already; that is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn put(port: u16, key: &str, value: &str) {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let body = format!("{{\"key\": \"{}\", \"value\": \"{}\"}}", encode(key), encode(value));
    let (status, answer) = http(port, "POST", "/v3/kv/put", &body).expect("an answer");
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn a_cluster_starts_serves_and_ends_with_control_c() {
    let dev = Dev::start(&[]);
    put(dev.ports()[0], "a", "b");
    println!("from the start of the process to readiness: {:?}", dev.ready);
    assert_eq!(dev.about["nodes"].as_array().map(Vec::len), Some(3));
    let is_told = |node: &Value| node["leads"].is_boolean();
    assert!(dev.about["nodes"].as_array().expect("nodes").iter().all(is_told));
    let data = dev.about["nodes"][0]["data"].as_str().expect("a folder").to_owned();
    assert!(std::path::Path::new(&data).is_dir());
    assert_eq!(dev.interrupt(), Some(0));
    assert!(!std::path::Path::new(&data).exists(), "the temporary folder is left behind");
}

#[test]
fn kept_data_is_there_after_a_restart_on_other_ports() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().display().to_string();
    let first = Dev::start(&["--data", &data, "--nodes", "1"]);
    put(first.ports()[0], "kept", "yes");
    assert_eq!(first.interrupt(), Some(0));

    let second = Dev::start(&["--data", &data, "--nodes", "1"]);
    let got = althing()
        .args(["kv", "get", "kept", "-o", "raw", "--endpoints", &second.endpoints()])
        .output()
        .expect("it runs");
    assert_eq!(String::from_utf8_lossy(&got.stdout).trim_end(), "yes");
    assert_eq!(second.interrupt(), Some(0));

    let other = althing()
        .args(["dev", "--data", &data, "--nodes", "3", "--ports", "random"])
        .output()
        .expect("it runs");
    assert_eq!(other.status.code(), Some(1), "another cluster's folder: {other:?}");
}

#[test]
fn a_cluster_by_multi_paxos_serves_and_goes_on_as_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().display().to_string();
    let dev = Dev::start(&["--consensus", "paxos", "--data", &data]);
    assert_eq!(dev.about["consensus"], "paxos");
    put(dev.ports()[1], "kept", "yes");
    assert_eq!(dev.interrupt(), Some(0));
    let other =
        althing().args(["dev", "--data", &data, "--ports", "random"]).output().expect("it runs");
    let told = String::from_utf8_lossy(&other.stderr);
    assert!(other.status.code() == Some(1) && told.contains("--consensus paxos"), "{told}");
    let again = Dev::start(&["--consensus", "paxos", "--data", &data]);
    let got = althing()
        .args(["kv", "get", "kept", "-o", "raw", "--endpoints", &again.endpoints()])
        .output()
        .expect("it runs");
    assert_eq!(got.stdout, b"yes", "{got:?}");
    assert_eq!(again.interrupt(), Some(0));
}

#[test]
fn a_cluster_under_tls_says_what_its_clients_need() {
    let dev = Dev::start(&["--tls"]);
    let flags = ["cacert", "cert", "key"].map(|name| {
        let file = dev.about[name].as_str().expect("a file").to_owned();
        [format!("--{name}"), file]
    });
    let endpoint = dev.about["endpoints"][1].as_str().expect("an endpoint");
    assert!(endpoint.starts_with("https://"), "{endpoint}");
    let run = |arguments: &[&str]| {
        let mut command = althing();
        command.args(["--endpoints", endpoint]).args(arguments);
        command.output().expect("it runs")
    };
    assert!(run(&[&["kv", "put", "a", "b"], &flat(&flags)[..]].concat()).status.success());
    assert!(!run(&["kv", "get", "a"]).status.success());
    let status = run(&[&["status", "-o", "raw"], &flat(&flags)[..]].concat());
    assert_eq!(String::from_utf8_lossy(&status.stdout).matches("follower").count(), 2);
    assert_eq!(dev.interrupt(), Some(0));
}

fn flat(flags: &[[String; 2]]) -> Vec<&str> {
    flags.iter().flatten().map(String::as_str).collect()
}

#[test]
fn operators_pages_answer_on_every_node() {
    let dev = Dev::start(&[]);
    for port in dev.ports() {
        for (path, expected) in [
            ("/version", "\"etcdserver\""),
            ("/health", "\"health\":\"true\""),
            ("/livez", "ok"),
            ("/readyz?verbose", "[+]linearizable_read ok"),
            ("/metrics", "althing_server_has_leader 1"),
        ] {
            // While an election is under way, a node is right to say that it is not ready.
            let start = Instant::now();
            loop {
                let (status, body) = http_get(port, path).expect("an answer");
                if status == 200 && body.contains(expected) {
                    break;
                }
                assert!(start.elapsed() < PATIENCE, "{path}: {status} {body}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// A command of a document, and what it says that comes out.
struct Sample {
    command: String,
    expected: String,
}

/// The `console` blocks: lines that begin with `$` are typed, the others come out.
fn samples(document: &str) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    for block in document.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        for line in block.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => {
                    samples.push(Sample { command: command.to_owned(), expected: String::new() });
                }
                None => {
                    let sample = samples.last_mut().expect("a block begins with a command");
                    sample.expected.push_str(line);
                    sample.expected.push('\n');
                }
            }
        }
    }
    samples
}

#[test]
fn every_sample_of_the_readme_does_what_it_says() {
    let test = "every_sample_of_the_readme_does_what_it_says";
    if tool(test, "etcdctl", "etcd-client").is_none() || tool(test, "curl", "curl").is_none() {
        return;
    }
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_althing"));
    let folder = program.parent().expect("it lies in a folder").display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    for document in ["README.md", "README.zh-CN.md"] {
        let file = format!("{}/../../{document}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(file).expect("the document");
        let samples = samples(&text);
        assert!(samples.len() >= 8, "{document} has only {} samples", samples.len());
        let dev = Dev::start(&[]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        for Sample { command, expected } in samples {
            let output = Command::new("sh")
                .args(["-c", &command])
                .current_dir(folder.path())
                .env("PATH", &path)
                .env("ETCDCTL_API", "3")
                .env("ETCDCTL_ENDPOINTS", dev.endpoints())
                .env("ALTHING_ENDPOINTS", dev.endpoints())
                // As on a terminal.
                .env("ALTHING_OUTPUT", "table")
                .env("ALTHING", format!("http://127.0.0.1:{}", dev.ports()[0]))
                .output()
                .expect("sh runs");
            let printed = String::from_utf8_lossy(&output.stdout);
            assert_eq!(printed.trim_end(), expected.trim_end(), "{document}: {command}");
        }
    }
}
