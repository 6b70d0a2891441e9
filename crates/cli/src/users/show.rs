//! Results in their three shapes.

use althing_etcd_api::authpb::Permission;
use serde_json::{Value, json};

use super::permission::{Access, keys_of};
use crate::output::{self, Format, json_bytes};

/// What was done, to whom.
pub(crate) fn done(format: Format, text: &str, name: &str, document: Value) -> Vec<u8> {
    match format {
        Format::Json => line(document),
        Format::Raw => line(name),
        Format::Table => line(text),
    }
}

/// Names below a heading, one a line.
pub(crate) fn names(format: Format, heading: &str, names: &[String]) -> Vec<u8> {
    match format {
        Format::Json => line(json!({ heading: names })),
        Format::Raw => names.iter().flat_map(line).collect(),
        Format::Table => [heading.to_uppercase()].iter().chain(names).flat_map(line).collect(),
    }
}

/// A role and its rights. Raw output is what, key and range end, with tabs between.
pub(crate) fn rights(format: Format, role: &str, rights: &[Permission]) -> Vec<u8> {
    match format {
        Format::Json => {
            let rights = rights.iter().map(|right| {
                let (key, end) = (json_bytes(&right.key), json_bytes(&right.range_end));
                json!({ "access": Access::of(right), "key": key, "range_end": end })
            });
            line(json!({ "role": role, "permissions": rights.collect::<Vec<_>>() }))
        }
        Format::Raw => rights
            .iter()
            .flat_map(|right| {
                let (key, end) =
                    (output::printable(&right.key), output::printable(&right.range_end));
                line(format!("{}\t{key}\t{end}", Access::of(right)))
            })
            .collect(),
        Format::Table => {
            let mut table = output::table(&["access", "keys"]);
            table.add_rows(
                rights.iter().map(|right| [Access::of(right).to_owned(), keys_of(right)]),
            );
            output::table_text(&table).into_bytes()
        }
    }
}

fn line(text: impl std::fmt::Display) -> Vec<u8> {
    format!("{text}\n").into_bytes()
}
