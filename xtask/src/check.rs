//! Everything that can be judged without running the product.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::command::{cargo, find, succeeds};
use crate::{layering, tidy};

/// Runs every check, also after one failed, cheapest first; whether all passed.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let steps: [(&str, Step); 6] = [
        ("layering", layering::check),
        ("tidiness", tidy::check),
        ("dependency policy", dependency_policy),
        ("format", format),
        ("clippy", clippy),
        ("documentation", documentation),
    ];
    run_steps(root, &steps)
}

/// Runs only the checks that need no compiler.
pub(crate) fn run_tidy(root: &Path) -> Result<bool> {
    run_steps(root, &[("layering", layering::check), ("tidiness", tidy::check)])
}

type Step = fn(&Path) -> Result<bool>;

fn run_steps(root: &Path, steps: &[(&str, Step)]) -> Result<bool> {
    let mut failed = Vec::new();
    for (name, step) in steps {
        let start = Instant::now();
        println!("== {name}");
        let passed = step(root)?;
        let verdict = if passed { "ok" } else { "FAILED" };
        println!("== {name}: {verdict} ({:.1} s)", start.elapsed().as_secs_f64());
        if !passed {
            failed.push(*name);
        }
    }
    if failed.is_empty() {
        println!("check: ok");
    } else {
        println!("check: FAILED: {}", failed.join(", "));
    }
    Ok(failed.is_empty())
}

fn format(root: &Path) -> Result<bool> {
    succeeds(&mut cargo(root, &["fmt", "--all", "--check"]))
}

fn clippy(root: &Path) -> Result<bool> {
    let arguments =
        ["clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    succeeds(&mut cargo(root, &arguments))
}

fn documentation(root: &Path) -> Result<bool> {
    let arguments =
        ["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items", "--locked"];
    succeeds(cargo(root, &arguments).env("RUSTDOCFLAGS", "-D warnings"))
}

fn dependency_policy(root: &Path) -> Result<bool> {
    if !root.join("deny.toml").is_file() {
        println!("deny.toml is missing: it says which licences and sources are allowed");
        return Ok(false);
    }
    if find("cargo-deny").is_none() {
        println!("skipped: cargo-deny is not installed (cargo install --locked cargo-deny)");
        return Ok(true);
    }
    let deny = |arguments: &[&str]| {
        succeeds(&mut cargo(root, &[&["deny", "--workspace", "--locked"], arguments].concat()))
    };
    let keeps_rules = deny(&["check", "bans", "licenses", "sources"])?;
    if !deny(&["fetch", "db"])? {
        println!("skipped: known vulnerabilities, since their list cannot be fetched from here");
        return Ok(keeps_rules);
    }
    Ok(deny(&["check", "--disable-fetch", "advisories"])? && keeps_rules)
}
