use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use althing_etcd_api::etcdserverpb::maintenance_client::MaintenanceClient;
use althing_etcd_api::etcdserverpb::{SnapshotRequest, SnapshotResponse};
use althing_node::backup::{BackupReader, BackupSummary};
use clap::Args;
use indicatif::ProgressBar;
use tokio::time::timeout;
use tonic::Streaming;

use super::{no_backup, show};
use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::client::{ANSWER_BYTES_MAX, Address, Effect, judge};
use crate::failure::{Failure, Kind};

/// Arguments of `althing snapshot save`.
#[derive(Args, Debug)]
#[command(after_help = "\
Asks the first endpoint that answers, for the state as that node has it: with no majority left, the
backup of a node that still runs is what there is. The file appears when all of it came and was
checked; one of that name is replaced.

Examples:
  althing snapshot save backup.snapshot
  althing snapshot save /backup/$(date +%F).snapshot --endpoints 10.0.0.2:2379")]
pub(crate) struct SaveArguments {
    /// The file to make
    file: PathBuf,
}

pub(super) async fn run(
    global: &GlobalArguments,
    arguments: SaveArguments,
) -> Result<Outcome, Failure> {
    let client = global.client()?;
    let file = arguments.file;
    let beside = file.with_added_extension("part");
    let answers = client
        .call(Effect::Read, |channel| async move {
            MaintenanceClient::new(channel)
                .max_decoding_message_size(ANSWER_BYTES_MAX)
                .snapshot(SnapshotRequest {})
                .await
        })
        .await?;
    let saved = receive(answers, &beside, &client.endpoints()[0], client.timeout()).await;
    let kept = saved.and_then(|summary| {
        keep(&beside, &file).map_err(|error| cannot_write(&file, &error))?;
        Ok(summary)
    });
    if kept.is_err() {
        // What is there of it is of no use.
        let _ = fs::remove_file(&beside);
    }
    show(&file, &kept?, global.format()).map(|()| Outcome::Done)
}

/// Writes what comes, and checks it. A server that is silent for longer than `patience` is given
/// up.
async fn receive(
    mut answers: Streaming<SnapshotResponse>,
    path: &Path,
    address: &Address,
    patience: std::time::Duration,
) -> Result<BackupSummary, Failure> {
    let mut file = File::create(path).map_err(|error| cannot_write(path, &error))?;
    let mut reader = BackupReader::default();
    let progress = ProgressBar::hidden();
    if io::stderr().is_terminal() {
        progress.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    }
    loop {
        let answer = timeout(patience, answers.message())
            .await
            .map_err(|_| {
                Failure::new(Kind::Unknown, "the backup broke off")
                    .cause("the server says nothing any more")
                    .hint("try again, or through another endpoint")
            })?
            .map_err(|status| judge(&status, address, Effect::Read).0)?;
        let Some(answer) = answer else { break };
        let length = answer.blob.len() as u64;
        progress.set_length(progress.position() + length + answer.remaining_bytes);
        progress.inc(length);
        reader.feed(&answer.blob).map_err(|error| no_backup(path, &error))?;
        file.write_all(&answer.blob).map_err(|error| cannot_write(path, &error))?;
    }
    progress.finish_and_clear();
    file.sync_all().map_err(|error| cannot_write(path, &error))?;
    reader.finish().map_err(|error| no_backup(path, &error))
}

fn keep(beside: &Path, file: &Path) -> io::Result<()> {
    fs::rename(beside, file)?;
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Kind::Other, format!("cannot write {}", path.display()))
        .cause(error)
        .hint("make room, or choose another file")
}
