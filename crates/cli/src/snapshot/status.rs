use std::fs::File;
use std::path::PathBuf;

use althing_node::backup::{self, BackupError};
use clap::Args;

use super::{no_backup, show};
use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::failure::Failure;

/// Arguments of `althing snapshot status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Reads the whole file and checks it, so that a backup that passes can be restored.

Example:
  althing snapshot status backup.snapshot -o json")]
pub(crate) struct StatusArguments {
    /// The file
    file: PathBuf,
}

pub(super) fn run(
    global: &GlobalArguments,
    arguments: &StatusArguments,
) -> Result<Outcome, Failure> {
    let file = &arguments.file;
    let summary = File::open(file).map_err(BackupError::Read).and_then(backup::examine);
    let summary = summary.map_err(|error| no_backup(file, &error))?;
    show(file, &summary, global.format()).map(|()| Outcome::Done)
}
