use std::fs::File;
use std::path::PathBuf;

use althing_node::backup::{self, BackupError};
use clap::Args;

use super::{no_backup, show};
use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::failure::Failure;
use crate::serve;
use crate::settings::{self, ServeArguments};

/// Arguments of `althing snapshot restore`.
#[derive(Args, Debug)]
#[command(after_help = "\
Do it once for every node of the new cluster, from the same file and with the settings that
`althing serve` will have: the name, the folder, the token and the initial cluster. Then start them.

The revision goes ahead by --bump-revision, and the history before is compacted: whoever has watched
the former cluster is told so, instead of taking new writes for those that it knows.

Examples:
  althing snapshot restore backup.snapshot --name n1 --data /var/lib/althing/data
  althing snapshot restore backup.snapshot --config /etc/althing/althing.toml")]
pub(crate) struct RestoreArguments {
    /// The file
    file: PathBuf,
    /// How far ahead the revision goes; 0 keeps it, and the history
    #[arg(long, value_name = "COUNT", default_value = "1000000000")]
    bump_revision: u32,
    #[command(flatten)]
    serve: ServeArguments,
}

pub(super) fn run(
    global: &GlobalArguments,
    arguments: &RestoreArguments,
) -> Result<Outcome, Failure> {
    let Some(settings) = settings::resolve(&arguments.serve, global.format())? else {
        return Ok(Outcome::Done);
    };
    let file = &arguments.file;
    let node = serve::node_settings(settings, Default::default());
    let summary = File::open(file)
        .map_err(BackupError::Read)
        .and_then(|source| backup::restore(&node, source, arguments.bump_revision));
    let summary = summary.map_err(|error| no_backup(file, &error))?;
    show(&node.data, &summary, global.format()).map(|()| Outcome::Done)
}
