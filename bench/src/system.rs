//! The systems under test: how one node of each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;

use crate::Plan;

/// Which system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// This project
    Althing,
    /// Its measure
    Etcd,
}

impl Name {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Althing => "althing",
            Self::Etcd => "etcd",
        }
    }
}

/// A system and the program that runs it.
#[derive(Clone, Debug)]
pub(crate) struct System {
    pub(crate) name: Name,
    program: PathBuf,
    pub(crate) version: String,
}

/// One node of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// `host:port` for clients.
    pub(crate) client: String,
    /// `host:port` for the other nodes.
    pub(crate) peer: String,
}

/// So much may be stored before writes are refused: more than any run writes.
const QUOTA_BYTES: u64 = 8 << 30;

impl System {
    /// Finds the program; where there is none the error says how to get it.
    pub(crate) fn find(name: Name, plan: &Plan) -> Result<Self> {
        let program = match name {
            Name::Althing => match &plan.althing {
                Some(program) => program.clone(),
                None => beside_us("althing")?,
            },
            Name::Etcd => plan.etcd.clone().unwrap_or_else(|| "etcd".into()),
        };
        let hint = match name {
            Name::Althing => "build it: cargo build --release -p althing-cli",
            Name::Etcd => "install it (Debian: apt-get install etcd-server) or name it with --etcd",
        };
        let output = Command::new(&program).arg("--version").output();
        let output = output.with_context(|| format!("no {}; {hint}", program.display()))?;
        ensure!(output.status.success(), "{} does not run; {hint}", program.display());
        let text = String::from_utf8_lossy(&output.stdout);
        let first = text.lines().next().unwrap_or_default();
        let version = first.rsplit(' ').next().unwrap_or_default().to_owned();
        Ok(Self { name, program, version })
    }

    /// The command that runs `member` of the cluster of `members`, with its data in `folder`.
    ///
    /// Both get the same: an fsync for every acknowledgement, elections after a second, heartbeats
    /// every 100 ms. All of these are also their defaults, and so is when either takes snapshots.
    pub(crate) fn command(&self, member: &Member, members: &[Member], folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        match self.name {
            Name::Althing => {
                let peers = members.iter().map(|peer| format!("{}={}", peer.name, peer.peer));
                command
                    .args(["serve", "--name", &member.name])
                    .args(["--listen-client", &member.client, "--listen-peer", &member.peer])
                    .args(["--initial-cluster", &peers.collect::<Vec<_>>().join(",")])
                    .args(["--quota", &QUOTA_BYTES.to_string()])
                    .args(["--election-timeout", "1s", "--heartbeat-interval", "100ms"])
                    .arg("--data")
                    .arg(folder);
            }
            Name::Etcd => {
                let peers =
                    members.iter().map(|peer| format!("{}=http://{}", peer.name, peer.peer));
                let (client, peer) =
                    (format!("http://{}", member.client), format!("http://{}", member.peer));
                command
                    .args(["--name", &member.name, "--logger", "zap"])
                    .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                    .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                    .args(["--initial-cluster", &peers.collect::<Vec<_>>().join(",")])
                    .args(["--quota-backend-bytes", &QUOTA_BYTES.to_string()])
                    .args(["--election-timeout", "1000", "--heartbeat-interval", "100"])
                    .arg("--data-dir")
                    .arg(folder)
                    .env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH);
            }
        }
        command
    }
}

fn beside_us(program: &str) -> Result<PathBuf> {
    let us = std::env::current_exe().context("cannot tell where this program lies")?;
    Ok(us.with_file_name(program))
}
