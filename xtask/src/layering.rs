//! Arrows between the crates point one way. The order below is the whole rule; what `cargo
//! metadata` reports is held against it, for ordinary, build and test dependencies alike.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::command::cargo;

/// Each row: what stands on the right may use what stands on the left, and through it everything
/// that is further down. Crates on one side of a row never see each other by virtue of that row.
const ORDER: &[(&[&str], &[&str])] = &[
    (
        &["althing-core"],
        &[
            "althing-ring",
            "althing-consensus",
            "althing-atomic-commit",
            "althing-keyspace",
            "althing-storage",
        ],
    ),
    (
        &[
            "althing-ring",
            "althing-consensus",
            "althing-atomic-commit",
            "althing-keyspace",
            "althing-storage",
        ],
        &["althing-sim", "althing-node"],
    ),
    (&["althing-etcd-api"], &["althing-node", "althing"]),
    (&["althing-node", "althing", "althing-sim"], &["althing-cli"]),
];

/// What only uses: these may depend on every crate, and no crate may depend on them.
const TOOLS: &[&str] = &["althing-bench", "althing-fuzz", "xtask"];

/// Asks cargo for the arrows and prints those that point the wrong way.
pub(crate) fn check(root: &Path) -> Result<bool> {
    let output = cargo(root, &["metadata", "--no-deps", "--format-version", "1"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed");
    let arrows = arrows(&serde_json::from_slice(&output.stdout)?)?;
    let violations = violations(&arrows);
    for violation in &violations {
        println!("{violation}");
    }
    Ok(violations.is_empty())
}

/// Each member of the workspace with the members it depends on, whatever the kind of dependency.
fn arrows(metadata: &Value) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let packages = metadata["packages"].as_array().context("cargo metadata: no packages")?;
    let name = |value: &Value| value["name"].as_str().map(str::to_owned);
    let members: BTreeSet<String> = packages.iter().filter_map(name).collect();
    let mut arrows = BTreeMap::new();
    for package in packages {
        let dependencies = package["dependencies"].as_array().context("no dependencies")?;
        let inside = dependencies.iter().filter_map(name).filter(|name| members.contains(name));
        arrows.insert(name(package).context("a package without a name")?, inside.collect());
    }
    Ok(arrows)
}

fn violations(arrows: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut violations = Vec::new();
    for (from, targets) in arrows {
        if !is_known(from) {
            violations.push(format!(
                "{from}: has no place in the order of crates; give it one in {}",
                file!()
            ));
            continue;
        }
        for to in targets {
            // A crate may name itself as a test dependency to switch on its own features.
            if to == from || TOOLS.contains(&from.as_str()) && !TOOLS.contains(&to.as_str()) {
                continue;
            }
            if !below(from).contains(to.as_str()) {
                let may = Vec::from_iter(below(from)).join(", ");
                let may = if may.is_empty() { "none of the crates here" } else { &may };
                violations.push(format!("{from} -> {to}: wrong way; {from} may use {may}"));
            }
        }
    }
    violations
}

fn is_known(name: &str) -> bool {
    TOOLS.contains(&name)
        || ORDER.iter().any(|(lower, upper)| lower.contains(&name) || upper.contains(&name))
}

/// Every crate that `name` may use, near or far.
fn below(name: &str) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for (lower, upper) in ORDER {
        if upper.contains(&name) {
            for crate_below in *lower {
                found.insert(*crate_below);
                found.extend(below(crate_below));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(from: &str, to: &str) -> Vec<String> {
        violations(&BTreeMap::from([(from.to_owned(), BTreeSet::from([to.to_owned()]))]))
    }

    #[test]
    fn arrows_down_the_order_pass() {
        for (from, to) in [
            ("althing-consensus", "althing-core"),
            ("althing-sim", "althing-storage"),
            ("althing-node", "althing-core"),
            ("althing-node", "althing-etcd-api"),
            ("althing-cli", "althing-etcd-api"),
            ("althing-cli", "althing-consensus"),
            ("althing-bench", "althing-etcd-api"),
            ("althing-keyspace", "althing-keyspace"),
        ] {
            assert_eq!(judge(from, to), Vec::<String>::new(), "{from} -> {to}");
        }
    }

    #[test]
    fn arrows_up_sideways_or_into_a_tool_fail() {
        for (from, to) in [
            ("althing-core", "althing-consensus"),
            ("althing-consensus", "althing-storage"),
            ("althing-storage", "althing-consensus"),
            ("althing-sim", "althing-node"),
            ("althing-node", "althing-sim"),
            ("althing-sim", "althing-etcd-api"),
            ("althing-etcd-api", "althing-core"),
            ("althing-node", "althing-cli"),
            ("althing-cli", "althing-bench"),
            ("althing-bench", "xtask"),
        ] {
            let found = judge(from, to);
            assert_eq!(found.len(), 1, "{from} -> {to}");
            assert!(found[0].starts_with(&format!("{from} -> {to}: ")), "{found:?}");
        }
    }

    #[test]
    fn a_crate_without_a_place_fails_by_name() {
        let found = judge("althing-extra", "althing-core");
        assert!(found[0].starts_with("althing-extra: has no place"), "{found:?}");
    }

    #[test]
    fn test_and_build_dependencies_count_and_strangers_do_not() {
        let metadata = serde_json::json!({"packages": [
            {"name": "althing-core", "dependencies": [
                {"name": "serde", "kind": null},
                {"name": "althing-sim", "kind": "dev"},
                {"name": "althing-node", "kind": "build"}]},
            {"name": "althing-sim", "dependencies": []},
            {"name": "althing-node", "dependencies": []},
        ]});
        let arrows = arrows(&metadata).expect("well formed");
        assert_eq!(violations(&arrows).len(), 2);
    }
}
