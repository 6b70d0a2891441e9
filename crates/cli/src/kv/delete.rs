//! `althing kv del`.

use althing_etcd_api::etcdserverpb::DeleteRangeRequest;
use clap::Args;

use super::keys::KeyArguments;
use super::{show, stub};
use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::client::Effect;
use crate::failure::Failure;
use crate::output::{Format, print, print_line};

/// Arguments of `althing kv del`.
#[derive(Args, Debug)]
#[command(after_help = "\
Prints how many keys were deleted. To delete nothing is no failure.

Examples:
  althing kv del greeting
  althing kv del --prefix jobs/done/
  althing kv del --prev greeting -o json")]
pub(crate) struct DeleteArguments {
    #[command(flatten)]
    keys: KeyArguments,
    /// Show the pairs that were deleted
    #[arg(long, visible_alias = "prev-kv")]
    prev: bool,
}

/// Deletes the keys.
pub(crate) async fn run(
    global: &GlobalArguments,
    arguments: DeleteArguments,
) -> Result<Outcome, Failure> {
    let keys = arguments.keys.keys()?;
    let request = DeleteRangeRequest {
        key: keys.key.into(),
        range_end: keys.range_end.into(),
        prev_kv: arguments.prev,
    };
    let send = |channel| {
        let request = request.clone();
        async move { stub(channel).delete_range(request).await }
    };
    let response = global.client()?.call(Effect::Write, send).await?;
    match global.format() {
        Format::Json => print_line(show::delete_json(&response))?,
        Format::Raw if arguments.prev => print(&show::pairs_raw(&response.prev_kvs, false))?,
        Format::Raw => print_line(response.deleted)?,
        Format::Table => {
            let noun = if response.deleted == 1 { "key" } else { "keys" };
            print_line(format!("{} {noun} deleted", response.deleted))?;
            if !response.prev_kvs.is_empty() {
                print(show::pairs_table(&response.prev_kvs, false).as_bytes())?;
            }
        }
    }
    Ok(Outcome::Done)
}
