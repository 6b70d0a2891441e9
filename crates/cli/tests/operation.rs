//! What operators are given agrees with what the program does.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{Cluster, althing, http_get, tool, wait_until};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn file(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect("it is part of the checkout")
}

/// The metrics that a text names.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c));
    words.filter(|word| word.starts_with("althing_")).map(str::to_owned).collect()
}

#[test]
fn every_metric_of_the_alerts_the_dashboard_and_the_runbook_is_there() {
    let cluster = Cluster::start(3, &[]);
    let page = || http_get(cluster.servers[0].client, "/metrics").expect("it answers").1;
    let peers = |page: &str| page.matches("round_trip_time_seconds_count{To=").count();
    wait_until("both peers have answered", || peers(&page()) == 2);
    let there = metrics_in(&page());
    let mut texts = vec![file("ops/alerts.yml"), file("ops/grafana.json")];
    for entry in fs::read_dir(root().join("docs/runbook")).expect("the runbook") {
        texts.push(fs::read_to_string(entry.expect("a page").path()).expect("text"));
    }
    let named: BTreeSet<String> = texts.iter().flat_map(|text| metrics_in(text)).collect();
    assert!(named.len() >= 15, "{named:?}");
    for metric in named.difference(&BTreeSet::from(["althing_node".to_owned()])) {
        let is_there = there.contains(metric)
            || there.contains(&format!("{metric}_bucket"))
            || there.contains(&format!("{metric}_total"));
        assert!(is_there, "{metric} is on no page");
    }
    serde_json::from_str::<Value>(&file("ops/grafana.json")).expect("the dashboard is JSON");
}

#[test]
fn every_alert_has_its_page() {
    let alerts = file("ops/alerts.yml");
    let index = file("docs/runbook/README.md");
    let after = |line: &str, key: &str| line.trim().strip_prefix(key).map(str::to_owned);
    let names: Vec<String> = alerts.lines().filter_map(|line| after(line, "- alert: ")).collect();
    let pages: Vec<String> = alerts.lines().filter_map(|line| after(line, "runbook: ")).collect();
    assert!(names.len() >= 10 && names.len() == pages.len(), "{names:?} {pages:?}");
    for (name, page) in names.iter().zip(&pages) {
        let text = file(page);
        assert!(text.starts_with(&format!("# {name}\n")), "{page} is not about {name}");
        assert!(text.contains("**Seen.**") && text.contains("**Do.**"), "{page}");
        assert!(index.contains(&format!("[{name}](")), "the index lacks {name}");
    }
}

#[test]
fn the_settings_of_the_package_start_a_node() {
    let output = althing()
        .args(["serve", "--check", "-o", "json", "--config"])
        .arg(root().join("ops/althing.toml"))
        .output()
        .expect("the program was built");
    assert!(output.status.success(), "{output:?}");
    let settings: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(settings["initial-cluster"]["value"], "n1=127.0.0.1:2380");
}

#[test]
fn the_unit_is_one() {
    let Some(analyze) = tool("the_unit_is_one", "systemd-analyze", "systemd") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    // What the unit starts must be there, under the name that it will have.
    let unit =
        file("ops/althing.service").replace("/usr/bin/althing", env!("CARGO_BIN_EXE_althing"));
    let unit = unit.lines().filter(|line| !line.starts_with("Documentation=")).collect::<Vec<_>>();
    let path = folder.path().join("althing.service");
    fs::write(&path, unit.join("\n")).expect("writable");
    let output = Command::new(analyze).arg("verify").arg(&path).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!told.contains("althing.service"), "{told}");
}

#[test]
fn every_command_has_a_page_of_the_manual() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let written = althing().arg("manual").arg(folder.path()).output().expect("it was built");
    assert!(written.status.success(), "{written:?}");
    let page = |name: &str| {
        let path = folder.path().join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    assert!(page("althing.1").contains("Exit codes"));
    for name in ["althing-serve.1", "althing-kv-put.1", "althing-certificate-node.1"] {
        assert!(page(name).contains(".SH SYNOPSIS"), "{name}");
    }
}
