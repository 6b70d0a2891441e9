//! `althing kv get`.

use std::io::IsTerminal as _;

use althing_etcd_api::etcdserverpb::range_request::{SortOrder, SortTarget};
use althing_etcd_api::etcdserverpb::{RangeRequest, RangeResponse};
use clap::{Args, ValueEnum};

use super::keys::KeyArguments;
use super::{show, stub};
use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::client::Effect;
use crate::failure::{Failure, Kind};
use crate::output::{Format, print, print_line, printable};

/// Arguments of `althing kv get`.
#[derive(Args, Debug)]
#[command(after_help = "\
Raw output of one key is its value byte for byte; of a range, a line each with a tab between key and
value. A single key that does not exist is exit code 3; an empty range is not.

Examples:
  althing kv get greeting
  althing kv get --prefix config/ --limit 10
  althing kv get config/a config/m            from the first key, up to the second
  althing kv get --prefix '' --keys-only      every key there is
  althing kv get --prefix jobs/ --sort-by create --order descend -o json
  althing kv get greeting --revision 7")]
pub(crate) struct GetArguments {
    #[command(flatten)]
    keys: KeyArguments,
    #[command(flatten)]
    options: RangeOptions,
}

/// How to read a range.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RangeOptions {
    /// At most so many keys; 0 for all
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) limit: i64,
    /// As the store was at this revision; 0 for the newest
    #[arg(
        long,
        visible_alias = "rev",
        default_value_t = 0,
        value_parser = clap::value_parser!(i64).range(0..)
    )]
    pub(crate) revision: i64,
    /// Without the values
    #[arg(long)]
    pub(crate) keys_only: bool,
    /// Only how many there are
    #[arg(long, conflicts_with = "keys_only")]
    pub(crate) count_only: bool,
    /// By what to sort
    #[arg(long, value_enum)]
    pub(crate) sort_by: Option<SortBy>,
    /// In which order
    #[arg(long, value_enum)]
    pub(crate) order: Option<Order>,
    /// Read what the answering node has, which may be old, without asking the others
    #[arg(long)]
    pub(crate) serializable: bool,
}

/// By what to sort.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SortBy {
    /// The key
    Key,
    /// How often it was written
    Version,
    /// When it was created
    Create,
    /// When it was last written
    Modify,
    /// The value
    Value,
}

/// In which order.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Order {
    /// Lowest first
    Ascend,
    /// Highest first
    Descend,
}

impl RangeOptions {
    /// The request for the range of `keys`.
    pub(crate) fn request(&self, keys: &KeyArguments) -> Result<RangeRequest, Failure> {
        let range = keys.keys()?;
        let target = match self.sort_by.unwrap_or(SortBy::Key) {
            SortBy::Key => SortTarget::Key,
            SortBy::Version => SortTarget::Version,
            SortBy::Create => SortTarget::Create,
            SortBy::Modify => SortTarget::Mod,
            SortBy::Value => SortTarget::Value,
        };
        let order = match (self.order, self.sort_by) {
            (Some(Order::Descend), _) => SortOrder::Descend,
            (Some(Order::Ascend), _) | (None, Some(_)) => SortOrder::Ascend,
            (None, None) => SortOrder::None,
        };
        Ok(RangeRequest {
            key: range.key.into(),
            range_end: range.range_end.into(),
            limit: self.limit,
            revision: self.revision,
            sort_order: order.into(),
            sort_target: target.into(),
            serializable: self.serializable,
            keys_only: self.keys_only,
            count_only: self.count_only,
            ..RangeRequest::default()
        })
    }
}

/// Reads the keys.
pub(crate) async fn run(
    global: &GlobalArguments,
    arguments: GetArguments,
) -> Result<Outcome, Failure> {
    let request = arguments.options.request(&arguments.keys)?;
    let send = |channel| {
        let request = request.clone();
        async move { stub(channel).range(request).await }
    };
    let response = global.client()?.call(Effect::Read, send).await?;
    let is_single = arguments.keys.is_single();
    if is_single && response.count == 0 && !arguments.options.count_only {
        let key = printable(arguments.keys.key.as_bytes());
        return Err(Failure::new(Kind::NotFound, format!("there is no key `{key}`"))
            .hint(format!("`althing kv get --prefix --keys-only '{key}'` shows longer ones")));
    }
    show(&response, &arguments.options, is_single, global.format())?;
    Ok(Outcome::Done)
}

fn show(
    response: &RangeResponse,
    options: &RangeOptions,
    is_single: bool,
    format: Format,
) -> Result<(), Failure> {
    match format {
        Format::Json => print_line(show::range_json(response)),
        Format::Table | Format::Raw if options.count_only => print_line(response.count),
        Format::Table => {
            print(show::pairs_table(&response.kvs, options.keys_only).as_bytes())?;
            if response.more {
                let shown = response.kvs.len();
                eprintln!("{shown} of {} keys; --limit 0 shows all", response.count);
            }
            Ok(())
        }
        Format::Raw if is_single && !options.keys_only => {
            print(response.kvs.first().map_or(&[], |pair| &pair.value[..]))?;
            // Bytes alone in a pipe; on a terminal the prompt needs a line of its own.
            if std::io::stdout().is_terminal() { print(b"\n") } else { Ok(()) }
        }
        Format::Raw => print(&show::pairs_raw(&response.kvs, options.keys_only)),
    }
}
