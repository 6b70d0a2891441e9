//! Clients of etcd in other languages, for the tests: taken from PyPI and npm into a folder beside
//! what cargo builds.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::command::{succeeds, target};

/// What is taken from PyPI.
const PYTHON: [&str; 2] = ["etcd3gw==2.7.0", "aetcd==1.0.0"];
/// What is taken from npm.
const NODE: &str = "etcd3@1.1.2";

/// What the tests say that miss them. It is no failure where every test must run: a registry that
/// cannot be reached is nothing that a change can mend.
pub(crate) const REASON: &str = "the clients are not installed";

/// Installs them unless they are there, and says so when it cannot.
pub(crate) fn install(root: &Path) -> Result<()> {
    let folder = target(root).join("clients");
    let complete = folder.join("complete");
    let wanted = format!("{} {NODE}\n", PYTHON.join(" "));
    if fs::read_to_string(&complete).is_ok_and(|present| present == wanted) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove the former clients")?;
    }
    fs::create_dir_all(&folder).context("cannot make the folder of the clients")?;
    println!("installing {}, {NODE}", PYTHON.join(", "));
    if install_python(&folder) && install_node(&folder) {
        fs::write(complete, wanted).context("cannot write into the folder of the clients")?;
    } else {
        println!("cannot install them from PyPI and npm");
    }
    Ok(())
}

fn install_python(folder: &Path) -> bool {
    let folder = folder.join("python");
    let makes = |python: &str| {
        let mut command = Command::new(python);
        runs(command.args(["-m", "venv"]).arg(&folder))
    };
    // Debian keeps what makes environments in a package of its own.
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--quiet", "python3-venv"]);
    let is_made =
        makes("python3") || (runs(&mut apt) && (makes("python3") || makes("/usr/bin/python3")));
    let mut pip = Command::new(folder.join("bin/pip"));
    is_made && runs(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(PYTHON))
}

fn install_node(folder: &Path) -> bool {
    let folder = folder.join("node");
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--silent", NODE]).current_dir(&folder);
    fs::create_dir_all(&folder).is_ok() && runs(&mut npm)
}

fn runs(command: &mut Command) -> bool {
    succeeds(command.stdin(Stdio::null()).stdout(Stdio::null())).unwrap_or(false)
}
