//! Clients of etcd in other languages, unchanged: the programs in `clients` do with each what
//! people do with it. They run against etcd too, so that it is known who is wrong where one fails.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use support::{PATIENCE, skip, systems};

/// Where `cargo xtask test` puts what it takes from PyPI and npm.
fn installed() -> PathBuf {
    let targets = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in a folder");
    targets.join("clients")
}

/// Runs one of the programs, with these words before the endpoint, against each kind of server.
fn works(test: &str, interpreter: &Path, script: &str, words: &[&str]) {
    if !interpreter.exists() || !installed().join("complete").exists() {
        return skip(
            test,
            "the clients are not installed (`cargo xtask test` takes them from PyPI \
                           and npm)",
        );
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    for system in systems(test) {
        let mut program = Command::new(interpreter)
            .arg(&script)
            .args(words)
            .arg(&system.endpoint)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it is installed");
        let start = Instant::now();
        while program.try_wait().expect("it was started here").is_none() {
            if start.elapsed() > PATIENCE {
                program.kill().expect("it runs");
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let output = program.wait_with_output().expect("it has ended");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.ends_with("ok\n"), "{system:?}: {output:?}");
    }
}

#[test]
fn etcd3gw_over_the_gateway() {
    let python = installed().join("python/bin/python");
    works("etcd3gw_over_the_gateway", &python, "python_gateway.py", &[]);
}

#[test]
fn aetcd_over_grpc() {
    let python = installed().join("python/bin/python");
    works("aetcd_over_grpc", &python, "python_grpc.py", &[]);
}

#[test]
fn etcd3_for_node_over_grpc() {
    let test = "etcd3_for_node_over_grpc";
    let Some(node) = support::tool(test, "node", "npm") else { return };
    let modules = installed().join("node");
    works(test, &node, "node.mjs", &[&modules.display().to_string()]);
}
