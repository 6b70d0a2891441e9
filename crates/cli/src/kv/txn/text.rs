//! Transactions as lines of text, in the form that etcdctl reads.

use althing_etcd_api::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use althing_etcd_api::etcdserverpb::request_op::Request;
use althing_etcd_api::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest,
};
use clap::Parser;

use crate::kv::get::RangeOptions;
use crate::kv::keys::KeyArguments;

/// Reads three lists with an empty line after each; what is missing at the end is empty. An error
/// names the line.
pub(super) fn parse(input: &str) -> Result<TxnRequest, String> {
    let mut request = TxnRequest::default();
    let mut list = 0;
    for (number, line) in (1..).zip(input.lines()) {
        let line = line.trim();
        let wrong = |cause: String| format!("line {number}: {cause}");
        match (list, line) {
            (_, "") => list += 1,
            (0, line) => request.compare.push(comparison(line).map_err(wrong)?),
            (1, line) => request.success.push(operation(line).map_err(wrong)?),
            (2, line) => request.failure.push(operation(line).map_err(wrong)?),
            (_, _) => return Err(wrong("there are three lists, and this is a fourth".to_owned())),
        }
    }
    Ok(request)
}

/// One comparison, with its relation and its value given as words.
pub(super) fn compare(
    target: &str,
    key: Vec<u8>,
    relation: &str,
    value: &[u8],
) -> Result<Compare, String> {
    let result = match relation {
        "=" | "==" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        ">" => CompareResult::Greater,
        "<" => CompareResult::Less,
        _ => return Err(format!("`{relation}` is no relation; write =, !=, < or >")),
    };
    let number = || {
        let text = String::from_utf8_lossy(value);
        text.parse::<i64>().map_err(|_| format!("`{text}` is no whole number"))
    };
    let (target, given) = match target {
        "ver" | "version" => (CompareTarget::Version, TargetUnion::Version(number()?)),
        "c" | "create" => (CompareTarget::Create, TargetUnion::CreateRevision(number()?)),
        "m" | "mod" => (CompareTarget::Mod, TargetUnion::ModRevision(number()?)),
        "val" | "value" => (CompareTarget::Value, TargetUnion::Value(value.to_vec().into())),
        "lease" => (CompareTarget::Lease, TargetUnion::Lease(number()?)),
        _ => {
            let known = "version, create, mod, value or lease";
            return Err(format!("`{target}` cannot be compared; write {known}"));
        }
    };
    if key.is_empty() {
        return Err("the key is empty".to_owned());
    }
    Ok(Compare {
        result: result.into(),
        target: target.into(),
        key: key.into(),
        target_union: Some(given),
        ..Compare::default()
    })
}

/// `target("key") relation "value"`.
fn comparison(line: &str) -> Result<Compare, String> {
    let shape = || "a comparison looks like mod(\"KEY\") > \"VALUE\"".to_owned();
    let (target, rest) = line.split_once('(').ok_or_else(shape)?;
    let (key, rest) = word(rest.trim_start())?.ok_or_else(shape)?;
    let rest = rest.trim_start().strip_prefix(')').ok_or_else(shape)?.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_punctuation() || is_quote(c)).ok_or_else(shape)?;
    let (relation, rest) = rest.split_at(end);
    let (value, rest) = word(rest.trim_start())?.ok_or_else(shape)?;
    if !rest.trim().is_empty() {
        return Err(shape());
    }
    compare(target.trim(), key.into_bytes(), relation, value.as_bytes())
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'')
}

/// An operation, with the options of the command of its name.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true, disable_help_subcommand = true)]
enum Operation {
    Put {
        key: String,
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    Get {
        #[command(flatten)]
        keys: KeyArguments,
        #[command(flatten)]
        options: RangeOptions,
    },
    #[command(alias = "delete")]
    Del {
        #[command(flatten)]
        keys: KeyArguments,
        #[arg(long, alias = "prev-kv")]
        prev: bool,
    },
}

fn operation(line: &str) -> Result<RequestOp, String> {
    let operation = Operation::try_parse_from(words(line)?).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        first.strip_prefix("error: ").unwrap_or(first).to_owned()
    })?;
    let request = match operation {
        Operation::Put { key, value } => {
            if key.is_empty() {
                return Err("the key is empty".to_owned());
            }
            let (key, value) = (key.into_bytes().into(), value.into_bytes().into());
            Request::RequestPut(PutRequest { key, value, ..PutRequest::default() })
        }
        Operation::Get { keys, options } => {
            Request::RequestRange(options.request(&keys).map_err(|failure| failure.message)?)
        }
        Operation::Del { keys, prev } => {
            let keys = keys.keys().map_err(|failure| failure.message)?;
            let (key, range_end) = (keys.key.into(), keys.range_end.into());
            Request::RequestDeleteRange(DeleteRangeRequest { key, range_end, prev_kv: prev })
        }
    };
    Ok(RequestOp { request: Some(request) })
}

fn words(mut line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    while let Some((next, rest)) = word(line.trim_start())? {
        words.push(next);
        line = rest;
    }
    Ok(words)
}

/// The first word and what follows it; quotes hold blanks together, and double ones read escapes.
fn word(text: &str) -> Result<Option<(String, &str)>, String> {
    let mut characters = text.char_indices();
    match characters.next() {
        None => Ok(None),
        Some((_, '\'')) => {
            let (inside, rest) = text[1..].split_once('\'').ok_or("a quote is not closed")?;
            Ok(Some((inside.to_owned(), rest)))
        }
        Some((_, '"')) => {
            let mut out = String::new();
            while let Some((at, c)) = characters.next() {
                match c {
                    '"' => return Ok(Some((out, &text[at + 1..]))),
                    '\\' => out.push(escape(&mut characters)?),
                    _ => out.push(c),
                }
            }
            Err("a quote is not closed".to_owned())
        }
        Some(_) => {
            let end = text.find(|c: char| c.is_whitespace() || c == ')').unwrap_or(text.len());
            Ok((end > 0).then(|| (text[..end].to_owned(), &text[end..])))
        }
    }
}

fn escape(characters: &mut std::str::CharIndices<'_>) -> Result<char, String> {
    let unknown = |c: char| {
        format!("`\\{c}` is no escape that stands for text; the JSON form takes {{\"b64\": ..}}")
    };
    match characters.next().map(|(_, c)| c) {
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some('x') => {
            let digits: String = characters.by_ref().take(2).map(|(_, c)| c).collect();
            let code = u8::from_str_radix(&digits, 16).map_err(|_| unknown('x'))?;
            if code.is_ascii() { Ok(code.into()) } else { Err(unknown('x')) }
        }
        Some(c @ ('"' | '\\' | '\'')) => Ok(c),
        Some(c) => Err(unknown(c)),
        None => Err("a quote is not closed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_would() {
        for (line, expected) in [
            ("put a b", &["put", "a", "b"][..]),
            ("  put 'a b'  \"c\\\"d\\n\\x41\" ", &["put", "a b", "c\"d\nA"]),
            ("put a ''", &["put", "a", ""]),
            ("", &[]),
        ] {
            assert_eq!(words(line).expect(line), expected, "{line}");
        }
        for line in ["put 'a", "put \"a", "put \"\\xff\"", "put \"\\q\""] {
            assert!(words(line).is_err(), "{line}");
        }
    }

    #[test]
    fn comparisons_take_short_names_and_any_spacing() {
        for (line, target, result) in [
            ("mod(\"a\") > \"0\"", CompareTarget::Mod, CompareResult::Greater),
            ("m(\"a\")=\"0\"", CompareTarget::Mod, CompareResult::Equal),
            ("create( \"a\" ) < 7", CompareTarget::Create, CompareResult::Less),
            ("ver(a) != 0", CompareTarget::Version, CompareResult::NotEqual),
            ("val(\"a)\") = \"(\"", CompareTarget::Value, CompareResult::Equal),
        ] {
            let compare = comparison(line).expect(line);
            assert_eq!((compare.target(), compare.result()), (target, result), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        for (text, expected) in [
            ("mod(\"a\") > \"x\"\n", "line 1: `x` is no whole number"),
            ("mod(\"a\") ~ \"1\"\n", "line 1: `~` is no relation"),
            ("size(\"a\") = \"1\"\n", "line 1: `size` cannot be compared"),
            ("mod(\"\") = \"1\"\n", "line 1: the key is empty"),
            ("a = b\n", "line 1: a comparison looks like"),
            ("\nput a\n", "line 2: the following required arguments"),
            ("\nfetch a\n", "line 2: unrecognized subcommand 'fetch'"),
            ("\nget ''\n", "line 2: the key is empty"),
            ("\n\n\nget a\n", "line 4: there are three lists"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }
}
