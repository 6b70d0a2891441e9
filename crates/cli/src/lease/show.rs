//! Answers about leases, in each of the output's shapes.

use std::time::Duration;

use althing_etcd_api::etcdserverpb::{
    LeaseGrantResponse, LeaseLeasesResponse, LeaseTimeToLiveResponse, ResponseHeader,
};
use serde_json::{Value, json};

use super::id;
use crate::kv::show::{KEY_COLUMNS_MAX, revision};
use crate::output::{Format, json_bytes, printable_cut};

/// A lease that has begun.
pub(crate) fn granted(response: &LeaseGrantResponse, format: Format) -> Vec<u8> {
    let number = id::show(response.id);
    match format {
        Format::Json => line(json!({
            "id": number,
            "ttl": response.ttl,
            "revision": revision(response.header.as_ref()),
        })),
        Format::Raw => line(number),
        Format::Table => line(format!("lease {number} granted for {}s", response.ttl)),
    }
}

/// A lease that has ended.
pub(crate) fn revoked(lease: i64, header: Option<&ResponseHeader>, format: Format) -> Vec<u8> {
    let number = id::show(lease);
    match format {
        Format::Json => line(json!({ "id": number, "revision": revision(header) })),
        Format::Raw => line(number),
        Format::Table => line(format!("lease {number} revoked")),
    }
}

/// A lease that has its whole time again.
pub(crate) fn kept(lease: i64, ttl: Duration, format: Format) -> Vec<u8> {
    let (number, ttl) = (id::show(lease), ttl.as_secs());
    match format {
        Format::Json => line(json!({ "id": number, "ttl": ttl })),
        Format::Raw => line(ttl),
        Format::Table => line(format!("lease {number} kept alive for {ttl}s")),
    }
}

/// How long a lease still has, and its keys where they were asked for.
pub(crate) fn time_to_live(
    response: &LeaseTimeToLiveResponse,
    with_keys: bool,
    format: Format,
) -> Vec<u8> {
    let number = id::show(response.id);
    let (left, whole) = (response.ttl, response.granted_ttl);
    match format {
        Format::Json => {
            let keys: Vec<Value> = response.keys.iter().map(|key| json_bytes(key)).collect();
            let keys = if with_keys { json!(keys) } else { Value::Null };
            line(json!({ "id": number, "ttl": left, "granted_ttl": whole, "keys": keys }))
        }
        Format::Raw => {
            let mut out = line(left);
            for key in &response.keys {
                out.extend_from_slice(key);
                out.push(b'\n');
            }
            out
        }
        Format::Table => {
            let mut out = line(format!("lease {number} granted for {whole}s, {left}s are left"));
            for key in &response.keys {
                out.extend(line(format!("  {}", printable_cut(key, KEY_COLUMNS_MAX))));
            }
            out
        }
    }
}

/// Every lease, lowest number first.
pub(crate) fn list(response: &LeaseLeasesResponse, format: Format) -> Vec<u8> {
    let mut numbers: Vec<String> = response.leases.iter().map(|lease| id::show(lease.id)).collect();
    numbers.sort_unstable();
    match format {
        Format::Json => line(json!({ "leases": numbers })),
        Format::Raw => numbers.iter().flat_map(line).collect(),
        Format::Table => ["LEASE".to_owned()].iter().chain(&numbers).flat_map(line).collect(),
    }
}

fn line(text: impl std::fmt::Display) -> Vec<u8> {
    format!("{text}\n").into_bytes()
}
