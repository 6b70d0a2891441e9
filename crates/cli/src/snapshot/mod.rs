//! `althing snapshot`: backups of a cluster, and clusters founded on them.

mod restore;
mod save;
mod status;

use std::path::Path;

use althing_node::backup::{BackupError, BackupSummary};
use clap::Subcommand;
use serde_json::{Value, json};

use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::failure::{Failure, Kind};
use crate::output::{self, Format, print, print_line};

/// What there is to do with backups.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Save the whole state of a running node to a file
    Save(save::SaveArguments),
    /// Show what is in a saved file
    Status(status::StatusArguments),
    /// Found a new cluster on a saved file: make it the memory of one of its nodes
    Restore(Box<restore::RestoreArguments>),
}

/// Does it.
pub(crate) async fn run(
    global: &GlobalArguments,
    command: SnapshotCommand,
) -> Result<Outcome, Failure> {
    match command {
        SnapshotCommand::Save(arguments) => save::run(global, arguments).await,
        SnapshotCommand::Status(arguments) => status::run(global, &arguments),
        SnapshotCommand::Restore(arguments) => restore::run(global, &arguments),
    }
}

fn show(file: &Path, summary: &BackupSummary, format: Format) -> Result<(), Failure> {
    let name = file.display().to_string();
    match format {
        Format::Json => print_line(as_json(&name, summary)),
        Format::Raw | Format::Table => {
            let rows = [
                ("file", name),
                ("revision", summary.revision.to_string()),
                ("compacted", summary.compacted_revision.max(0).to_string()),
                ("keys", summary.keys.to_string()),
                ("leases", summary.leases.to_string()),
                ("users count", summary.has_users.to_string()),
                ("bytes", summary.bytes.to_string()),
                ("hash", format!("{:016x}", summary.hash)),
            ];
            if format == Format::Raw {
                let lines = rows.map(|(key, value)| format!("{key}\t{value}\n"));
                return print(lines.concat().as_bytes());
            }
            let mut table = output::table(&["", ""]);
            table.add_rows(rows.map(|(key, value)| [key.to_owned(), value]));
            print(output::table_text(&table).as_bytes())
        }
    }
}

fn as_json(file: &str, summary: &BackupSummary) -> Value {
    json!({
        "file": file,
        "revision": summary.revision,
        "compacted_revision": summary.compacted_revision.max(0),
        "keys": summary.keys,
        "leases": summary.leases,
        "users_count": summary.has_users,
        "bytes": summary.bytes,
        "hash": format!("{:016x}", summary.hash),
    })
}

fn no_backup(file: &Path, error: &BackupError) -> Failure {
    let failure = |message: String| Failure::new(Kind::Other, message).cause(error);
    let name = file.display();
    match error {
        BackupError::Read(_) => failure(format!("cannot read {name}")),
        BackupError::Foreign | BackupError::Seal | BackupError::State(_) => {
            failure(format!("{name} is no backup"))
                .hint("make one with `althing snapshot save FILE`")
        }
        BackupError::InUse => failure("a new cluster needs a new folder".to_owned())
            .hint("name one that is not there or is empty with --data"),
        BackupError::Settings(_) => failure("the settings contradict themselves".to_owned()),
        BackupError::Ahead => failure("the revision cannot go so far ahead".to_owned())
            .hint("choose a smaller --bump-revision"),
        BackupError::Open(_) | BackupError::Write(_) => {
            failure("the data folder cannot be written".to_owned())
                .hint("make room, or name another folder with --data")
        }
    }
}
