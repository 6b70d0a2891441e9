//! `althing kv put`.

use std::io::Read as _;

use althing_etcd_api::etcdserverpb::PutRequest;
use clap::Args;

use super::{show, stub};
use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::client::Effect;
use crate::failure::{Failure, Kind};
use crate::lease;
use crate::output::{Format, print, print_line};

/// A value longer than this is not read to its end: no server takes it.
const VALUE_BYTES_MAX: u64 = 64 << 20;

/// Arguments of `althing kv put`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  althing kv put greeting hello
  althing kv put --prev greeting 'good morning'
  althing kv put config/app - < app.toml
  althing kv put --lease $(althing lease grant 60s -o raw) workers/1 busy
  althing kv put -- -key-with-a-dash value")]
pub(crate) struct PutArguments {
    /// The key
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key: String,
    /// The value; `-` reads it from the standard input, byte for byte
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// The lease that the key ends with, in hex
    #[arg(long, value_name = "ID", value_parser = lease::id::parse)]
    lease: Option<i64>,
    /// Show the pair that was there before
    #[arg(long, visible_alias = "prev-kv")]
    prev: bool,
}

/// Writes the key.
pub(crate) async fn run(
    global: &GlobalArguments,
    arguments: PutArguments,
) -> Result<Outcome, Failure> {
    let value = if arguments.value == "-" { read_value()? } else { arguments.value.into_bytes() };
    let request = PutRequest {
        key: arguments.key.into_bytes().into(),
        value: value.into(),
        lease: arguments.lease.unwrap_or_default(),
        prev_kv: arguments.prev,
        ..PutRequest::default()
    };
    let send = |channel| {
        let request = request.clone();
        async move { stub(channel).put(request).await }
    };
    let response = global.client()?.call(Effect::Write, send).await?;
    let previous = response.prev_kv.as_slice();
    match global.format() {
        Format::Json => print_line(show::put_json(&response))?,
        Format::Raw if arguments.prev => {
            print(previous.first().map_or(&[], |pair| &pair.value[..]))?;
        }
        Format::Raw => print_line(show::revision(response.header.as_ref()))?,
        Format::Table => {
            print_line(format!("OK  revision {}", show::revision(response.header.as_ref())))?;
            if !previous.is_empty() {
                print(show::pairs_table(previous, false).as_bytes())?;
            }
        }
    }
    Ok(Outcome::Done)
}

fn read_value() -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    let mut input = std::io::stdin().lock().take(VALUE_BYTES_MAX + 1);
    input.read_to_end(&mut value).map_err(|error| {
        Failure::new(Kind::Other, "cannot read the value from the standard input").cause(error)
    })?;
    if value.len() as u64 > VALUE_BYTES_MAX {
        return Err(Failure::usage("the value on the standard input is over 64 MiB")
            .hint("store the data elsewhere and its place here"));
    }
    Ok(value)
}
