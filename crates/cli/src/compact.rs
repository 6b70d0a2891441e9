//! `althing compact`: forget history.

use althing_etcd_api::etcdserverpb::{CompactionRequest, RangeRequest};
use clap::Args;
use serde_json::json;

use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::client::{Client, Effect};
use crate::failure::Failure;
use crate::kv;
use crate::output::{Format, print_line};

/// Arguments of `althing compact`.
#[derive(Args, Debug)]
#[command(after_help = "\
What keys were before that revision can be read no more, and no watch can begin there; what they are
stays. A cluster does it by itself as its --retention says, so that this is for those that keep all.

Examples:
  althing compact 1200
  althing compact --keep 10000      all but the last 10,000 revisions")]
pub(crate) struct CompactArguments {
    /// Forget what is older than this revision
    #[arg(
        required_unless_present = "keep",
        conflicts_with = "keep",
        value_parser = clap::value_parser!(i64).range(1..)
    )]
    revision: Option<i64>,
    /// Forget all but so many revisions
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(0..))]
    keep: Option<i64>,
}

/// Compacts, and says up to where.
pub(crate) async fn run(
    global: &GlobalArguments,
    arguments: CompactArguments,
) -> Result<Outcome, Failure> {
    let client = global.client()?;
    let revision = match (arguments.revision, arguments.keep) {
        (Some(revision), _) => revision,
        (None, keep) => present(&client).await?.saturating_sub(keep.unwrap_or(0)),
    };
    // Of a keyspace that is younger than what is to be kept, nothing is forgotten.
    if revision > 0 {
        let request = CompactionRequest { revision, physical: false };
        client
            .call(Effect::Write, |channel| async move { kv::stub(channel).compact(request).await })
            .await?;
    }
    match global.format() {
        Format::Json => print_line(json!({ "compacted_revision": revision.max(0) }))?,
        Format::Raw => print_line(revision.max(0))?,
        Format::Table => print_line(format!("compacted up to revision {}", revision.max(0)))?,
    }
    Ok(Outcome::Done)
}

/// The newest revision.
async fn present(client: &Client) -> Result<i64, Failure> {
    let any = RangeRequest { key: b"\0".to_vec().into(), limit: 1, ..RangeRequest::default() };
    let ask = |channel| {
        let any = any.clone();
        async move { kv::stub(channel).range(any).await }
    };
    let answer = client.call(Effect::Read, ask).await?;
    Ok(answer.header.map_or(0, |header| header.revision))
}
