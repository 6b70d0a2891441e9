//! The order of things: round by round, system by system, point by point.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bytes::Bytes;

use crate::Plan;
use crate::cluster::Cluster;
use crate::figures::Figures;
use crate::load::{self, Load};
use crate::system::{Name, System};

/// Everything that was measured, with where.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) systems: Vec<System>,
    pub(crate) runs: Vec<Run>,
    /// The file system that the servers synced to.
    pub(crate) file_system: String,
    /// How many programs wanted the processor in the minute before.
    pub(crate) load_before: f64,
}

/// One system at one point in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) round: u32,
    pub(crate) system: Name,
    pub(crate) clients: u32,
    pub(crate) figures: Figures,
}

/// Runs the plan, telling on the standard error how it goes.
pub(crate) async fn run(plan: &Plan) -> Result<Measured> {
    let names = match plan.only {
        Some(only) => vec![only],
        None => vec![Name::Althing, Name::Etcd],
    };
    let systems = names.iter().map(|name| System::find(*name, plan)).collect::<Result<Vec<_>>>()?;
    let place = match &plan.data {
        Some(place) => place.clone(),
        None => beside_us()?,
    };
    let file_system = file_system(&place);
    if matches!(&*file_system, "tmpfs" | "ramfs") {
        eprintln!("warning: {} is in memory, where an fsync costs nothing", place.display());
    }
    let load_before = load_average().unwrap_or(0.0);
    if load_before > 0.5 {
        eprintln!(
            "warning: the machine is busy (load {load_before}), and the figures will show it"
        );
    }
    let mut measured = Measured { systems, runs: Vec::new(), file_system, load_before };
    for round in 1..=plan.rounds {
        // Who begins changes with the round, in case the first always finds another machine.
        let mut systems = measured.systems.clone();
        if round % 2 == 0 {
            systems.reverse();
        }
        for system in systems {
            let runs = one_system(plan, round, &system, &place).await;
            let name = system.name.text();
            measured.runs.extend(runs.with_context(|| format!("round {round}, {name}"))?);
        }
    }
    Ok(measured)
}

/// One system at every point, on a fresh cluster that is gone afterwards.
async fn one_system(plan: &Plan, round: u32, system: &System, place: &Path) -> Result<Vec<Run>> {
    let cluster = Cluster::start(system, place).await?;
    let mut runs = Vec::new();
    for clients in &plan.clients {
        let load = Load {
            prefix: format!("bench/{clients}/"),
            clients: *clients,
            connections: plan.connections,
            value: Bytes::from(vec![b'v'; plan.value_bytes as usize]),
            warm_up: plan.warm_up(),
            measured: plan.measured(),
        };
        let figures = load::run(&cluster, &load).await?;
        eprintln!(
            "round {round}/{}  {:7}  {clients:>4} clients  {:>8.0} puts/s  p50 {:>7.2} ms  \
             p99 {:>7.2} ms",
            plan.rounds,
            system.name.text(),
            figures.puts_per_second,
            figures.p50_ms,
            figures.p99_ms
        );
        runs.push(Run { round, system: system.name, clients: *clients, figures });
    }
    Ok(runs)
}

fn beside_us() -> Result<PathBuf> {
    let us = std::env::current_exe().context("cannot tell where this program lies")?;
    Ok(us.parent().unwrap_or_else(|| Path::new(".")).to_owned())
}

fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// The kind of file system that holds `place`: the mount with the longest path above it.
fn file_system(place: &Path) -> String {
    let place = place.canonicalize().unwrap_or_else(|_| place.to_owned());
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((Path::new(fields.next()?), fields.next()?))
    });
    let above = mounts.filter(|(path, _)| place.starts_with(path));
    above
        .max_by_key(|(path, _)| path.as_os_str().len())
        .map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}
