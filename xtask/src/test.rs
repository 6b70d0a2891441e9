//! Runs every test, and says aloud which did not run: a test that was skipped in silence is one
//! that passes for ever.
//!
//! A test that lacks a tool appends a line `SKIPPED: its name: why` to the file that the
//! environment variable `ALTHING_SKIPPED` names, and returns.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::clients;
use crate::command::{cargo, find, succeeds};

/// What the tests use beside Rust: the program, the Debian package that has it, and what for.
const TOOLS: [(&str, &str, &str); 8] = [
    ("etcdctl", "etcd-client", "the tests that speak to Althing with etcd's own client"),
    ("etcd", "etcd-server", "the tests that compare Althing with etcd"),
    ("patroni", "patroni", "the test in which Patroni keeps a pair of PostgreSQL servers"),
    ("psql", "postgresql", "the test in which Patroni keeps a pair of PostgreSQL servers"),
    ("npm", "npm", "the test that speaks to Althing from Node.js"),
    ("systemd-analyze", "systemd", "the test of the unit that systemd starts"),
    ("nginx", "nginx-light", "the tests that compare owners of keys with those of nginx"),
    ("memcached", "memcached", "the test that kills one of several memcached servers"),
];

/// The tests that plant bugs and look whether they are found. They need a build of the pure crates
/// in which bugs can be planted, which no other test should run on.
const PLANTED: [&str; 14] = [
    "test",
    "--locked",
    "--package",
    "althing-consensus",
    "--package",
    "althing-sim",
    "--features",
    "althing-consensus/planted-bugs,althing-sim/planted-bugs",
    "--test",
    "golden",
    "--test",
    "planted",
    "--test",
    "synod_model",
];

/// The test that needs a program built with traces, which no other should run on.
const TRACED: [&str; 8] =
    ["test", "--locked", "--package", "althing-cli", "--features", "traces", "--test", "traces"];

/// The tests of real servers whose outcome could depend on how these agree. That is by Raft unless
/// `ALTHING_CONSENSUS` says otherwise, which every such test heeds; these run on both.
const ON_PAXOS: [&str; 16] = [
    "api",
    "catch_up",
    "coordination",
    "corruption",
    "elect",
    "etcdctl",
    "founding",
    "kill",
    "lease",
    "lock",
    "maintenance",
    "members",
    "misuse",
    "snapshot",
    "users",
    "watch",
];

/// What the command line asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    no_skip: bool,
    soak: bool,
    passed_on: Vec<String>,
}

impl Options {
    /// Reads the arguments after `test`; an error says which one is unknown.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self { no_skip: is_set("CI"), ..Self::default() };
        for (position, argument) in arguments.iter().enumerate() {
            match argument.as_str() {
                "--no-skip" => options.no_skip = true,
                "--soak" => options.soak = true,
                "--" => {
                    options.passed_on = arguments[position + 1..].to_vec();
                    break;
                }
                other => return Err(format!("`test` has no option `{other}`")),
            }
        }
        Ok(options)
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| !matches!(&*value, "" | "0" | "false"))
}

/// Runs the tests; whether all that ran passed and, where asked, all ran.
pub(crate) fn run(root: &Path, options: &Options) -> Result<bool> {
    let mut skipped = find_tools();
    clients::install(root)?;
    let file = SkippedFile::create()?;
    let mut command = cargo(root, &["test", "--locked", "--no-fail-fast"]);
    if !options.passed_on.iter().any(|argument| argument == "-p" || argument == "--package") {
        command.arg("--workspace");
    }
    command.args(&options.passed_on).env("ALTHING_SKIPPED", &file.0);
    if options.soak {
        command.env("ALTHING_SOAK", "1");
    }
    let (mut passed, mut tally) = run_and_count(&mut command)?;
    if options.passed_on.is_empty() {
        let mut hunt = cargo(root, &PLANTED);
        let (found, hunted) = run_and_count(hunt.env("ALTHING_SKIPPED", &file.0))?;
        passed &= found;
        tally.add(hunted);
        let (traced, counted) = run_and_count(&mut cargo(root, &TRACED))?;
        passed &= traced;
        tally.add(counted);
        let on_paxos =
            ["test", "--locked", "--no-fail-fast", "-p", "althing-cli", "-p", "althing-node"];
        let mut again = cargo(root, &on_paxos);
        again.args(ON_PAXOS.iter().flat_map(|test| ["--test", test]));
        again.env("ALTHING_SKIPPED", &file.0).env("ALTHING_CONSENSUS", "paxos");
        let (agreed, counted) = run_and_count(&mut again)?;
        passed &= agreed;
        tally.add(counted);
    }
    let reported = std::fs::read_to_string(&file.0).context("cannot read what was skipped")?;
    skipped.extend(reported.lines().map(str::to_owned));
    skipped.extend(tally.ignored.iter().map(|test| format!("SKIPPED: {test}: marked #[ignore]")));
    skipped.sort();
    skipped.dedup();

    println!("\n{} tests passed, {} failed, {} skipped", tally.passed, tally.failed, skipped.len());
    for line in &skipped {
        println!("{line}");
    }
    let must_run = |line: &String| !line.contains(clients::REASON);
    if options.no_skip && skipped.iter().any(must_run) {
        println!("FAILED: every test must run here (--no-skip, or CI is set)");
        return Ok(false);
    }
    Ok(passed)
}

/// A file in the temporary folder, gone when the run ends.
struct SkippedFile(PathBuf);

impl SkippedFile {
    fn create() -> Result<Self> {
        let name = format!("althing-skipped-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for SkippedFile {
    fn drop(&mut self) {
        // A leftover in the temporary folder harms nobody.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Installs what is missing where that is possible, and names what stays missing.
fn find_tools() -> Vec<String> {
    let missing = || TOOLS.iter().filter(|(program, ..)| find_tool(program).is_none());
    let packages: Vec<&str> = missing().map(|(_, package, _)| *package).collect();
    if !packages.is_empty() && can_install() {
        install(&packages);
    }
    let name = |(program, package, purpose): &(&str, &str, &str)| {
        format!("SKIPPED: {program}: not found, so {purpose} (Debian: apt-get install {package})")
    };
    missing().map(name).collect()
}

/// Debian keeps servers in `sbin` at times, which not every PATH has.
fn find_tool(program: &str) -> Option<PathBuf> {
    find(program).or_else(|| Some(Path::new("/usr/sbin").join(program)).filter(|p| p.is_file()))
}

/// Whether this is Debian, or built on it, and ours to install on.
fn can_install() -> bool {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let is_debian = release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .any(|value| value.trim_matches('"').split(' ').any(|id| id == "debian"));
    let user = Command::new("id").arg("-u").output();
    let is_root = user.is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    is_debian && is_root && find("apt-get").is_some()
}

/// Installs `packages`; what fails is told and shows again as a missing tool.
fn install(packages: &[&str]) {
    println!("installing {}", packages.join(", "));
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments).stdout(Stdio::null());
        succeeds(&mut command).unwrap_or(false)
    };
    let mut arguments = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    arguments.extend(packages);
    // The lists of packages of a fresh container are empty or old: then a second try helps.
    let installed = apt_get(&arguments) || (apt_get(&["update", "--quiet"]) && apt_get(&arguments));
    if !installed {
        println!("cannot install {}", packages.join(", "));
    }
}

/// What the test programs said of themselves.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: usize,
    ignored: Vec<String>,
}

impl Tally {
    fn read(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, " passed");
            self.failed += count(counts, " failed");
        } else if let Some(test) = line.strip_prefix("test ") {
            // `test name ... ignored, reason`; doc tests name their file and line before the dots.
            let ignored = test.split_once(" ... ignored").map(|(name, _)| name.to_owned());
            self.ignored.extend(ignored);
        }
    }
}

fn count(counts: &str, what: &str) -> usize {
    let before = counts.split(what).next().unwrap_or_default();
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored.extend(other.ignored);
    }
}

/// Runs `command` with its output passed through line by line, and reads along.
fn run_and_count(command: &mut Command) -> Result<(bool, Tally)> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().context("cannot start cargo to run the tests")?;
    let output = child.stdout.take().expect("the output was asked for");
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read what the tests print")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.read(&line);
    }
    Ok((child.wait()?.success(), tally))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        Options::parse(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_follows_two_dashes_is_passed_on() {
        let options = parse(&["--soak", "--no-skip", "--", "-p", "xtask", "--soak"]);
        let options = options.expect("known options");
        assert!(options.soak && options.no_skip);
        assert_eq!(options.passed_on, ["-p", "xtask", "--soak"]);
        assert!(parse(&["--sake"]).expect_err("unknown").contains("--sake"));
    }

    #[test]
    fn results_of_many_programs_add_up() {
        let mut tally = Tally::default();
        for line in [
            "running 2 tests",
            "test a::b ... ok",
            "test a::c ... ignored, too long",
            "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
            "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            tally.read(line);
        }
        assert_eq!(tally, Tally { passed: 16, failed: 3, ignored: vec!["a::c".to_owned()] });
    }
}
