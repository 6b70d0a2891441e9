//! `althing kv txn`.

mod json;
mod text;

use std::io::{BufRead, IsTerminal as _, Read as _};
use std::path::PathBuf;

use althing_etcd_api::etcdserverpb::request_op::Request;
use althing_etcd_api::etcdserverpb::{RequestOp, TxnRequest};
use clap::Args;

use super::{show, stub};
use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::client::Effect;
use crate::failure::{Failure, Kind};
use crate::output::{Format, print, print_line};

/// A transaction longer than this is not read to its end: no server takes it.
const INPUT_BYTES_MAX: u64 = 64 << 20;

/// Arguments of `althing kv txn`.
#[derive(Args, Debug)]
#[command(after_help = "\
A transaction is three lists, a line each, with an empty line after each list: comparisons, what to
do if all of them hold, what to do otherwise. Exit code 4 says that the second was done.

  comparisons   version|create|mod|value|lease (\"KEY\") =|!=|<|> \"VALUE\"
  operations    put KEY VALUE, get KEY [options of kv get], del KEY [options of kv del]

As JSON: {\"compare\": [{\"key\": .., \"target\": \"version\", \"op\": \"=\", \"value\": 0}],
\"success\": [{\"put\": {\"key\": .., \"value\": ..}}],
\"failure\": [{\"get\": {\"key\": ..}}]}, with \"delete\" and \"txn\" besides, and
{\"b64\": \"..\"} for a key or value that is not text.

Examples:
  printf 'version(\"job\") = \"0\"\\n\\nput job mine\\n\\nget job\\n' | althing kv txn
  althing kv txn swap.json -o json")]
pub(crate) struct TxnArguments {
    /// The file with the transaction, as text or as JSON; `-` is the standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Accepted for etcdctl's sake: prompts are shown wherever the input is a terminal
    #[arg(short, long, hide = true)]
    interactive: bool,
}

/// Runs the transaction.
pub(crate) async fn run(
    global: &GlobalArguments,
    arguments: TxnArguments,
) -> Result<Outcome, Failure> {
    let input = read(&arguments)?;
    let request = parse(&input)?;
    let effect = if is_read(&request) { Effect::Read } else { Effect::Write };
    let send = |channel| {
        let request = request.clone();
        async move { stub(channel).txn(request).await }
    };
    let response = global.client()?.call(effect, send).await?;
    match global.format() {
        Format::Json => print_line(show::txn_json(&response))?,
        format => print(&show::txn_text(&response, format == Format::Table))?,
    }
    Ok(if response.succeeded { Outcome::Done } else { Outcome::CompareFailed })
}

fn parse(input: &str) -> Result<TxnRequest, Failure> {
    let parsed =
        if input.trim_start().starts_with('{') { json::parse(input) } else { text::parse(input) };
    parsed.map_err(|cause| {
        Failure::usage("the transaction cannot be read")
            .cause(cause)
            .hint("`althing kv txn --help` shows both forms")
    })
}

/// Whether it changes nothing, so that it may be sent twice.
fn is_read(request: &TxnRequest) -> bool {
    let is_read = |operation: &RequestOp| match &operation.request {
        Some(Request::RequestRange(_)) | None => true,
        Some(Request::RequestTxn(txn)) => is_read(txn),
        Some(Request::RequestPut(_) | Request::RequestDeleteRange(_)) => false,
    };
    request.success.iter().chain(&request.failure).all(is_read)
}

fn read(arguments: &TxnArguments) -> Result<String, Failure> {
    let name = arguments.file.display();
    let failed = |error| {
        Failure::new(Kind::Other, format!("cannot read the transaction from {name}")).cause(error)
    };
    if arguments.file.as_os_str() != "-" {
        let file = std::fs::File::open(&arguments.file).map_err(failed)?;
        return read_all(file).map_err(failed);
    }
    let input = std::io::stdin();
    if input.is_terminal() {
        return converse(input.lock()).map_err(failed);
    }
    read_all(input.lock()).map_err(failed)
}

fn read_all(input: impl std::io::Read) -> std::io::Result<String> {
    let mut text = String::new();
    input.take(INPUT_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Asks a person for the three lists.
fn converse(mut input: impl BufRead) -> std::io::Result<String> {
    let mut text = String::new();
    for list in ["compares", "success requests (get, put, del)", "failure requests (get, put, del)"]
    {
        eprintln!("{list}:");
        loop {
            let mut line = String::new();
            let is_end = input.read_line(&mut line)? == 0;
            text.push_str(&line);
            if is_end || line.trim().is_empty() {
                break;
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let text = "mod(\"a\") > \"3\"\nvalue(\"b\") != \"x y\"\n\n\
            put c \"d e\"\nget f --prefix --limit 5\n\ndel g h\n\n";
        let json = r#"{
            "compare": [{"key": "a", "target": "mod", "op": ">", "value": 3},
                        {"key": "b", "target": "value", "op": "!=", "value": "x y"}],
            "success": [{"put": {"key": "c", "value": "d e"}},
                        {"get": {"key": "f", "prefix": true, "limit": 5}}],
            "failure": [{"delete": {"key": "g", "range_end": "h"}}]}"#;
        let request = parse(text).expect("well formed");
        assert_eq!(Ok(&request), parse(json).as_ref());
        assert_eq!(request.compare.len(), 2);
        assert_eq!((request.success.len(), request.failure.len()), (2, 1));
        assert!(!is_read(&request));
    }

    #[test]
    fn only_a_transaction_without_writes_may_be_sent_twice() {
        for (text, expected) in
            [("\nget a\n\nget b\n", true), ("\nget a\n\nput b c\n", false), ("\ndel a\n\n", false)]
        {
            assert_eq!(is_read(&parse(text).expect("well formed")), expected, "{text}");
        }
        let nested = r#"{"success": [{"txn": {"failure": [{"put": {"key": "a", "value": ""}}]}}]}"#;
        assert!(!is_read(&parse(nested).expect("well formed")));
    }

    #[test]
    fn a_conversation_ends_after_three_lists() {
        let input = "\nput a b\n\nget a\n\nmore\n";
        assert_eq!(converse(input.as_bytes()).expect("readable"), "\nput a b\n\nget a\n\n");
    }
}
