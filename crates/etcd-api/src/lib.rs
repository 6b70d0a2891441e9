//! The etcd v3 wire types and stubs, client and server side, with the JSON mapping of etcd's
//! gateway.
//!
//! Everything here is generated from `proto/`, where names and numbers are exactly etcd 3.5's: the
//! services KV, Watch, Lease, Cluster, Maintenance, Auth, Lock and Election.
//!
//! The JSON mapping (the `serde` implementations) is the gateway's: field names as in the protocol
//! file, 64-bit integers as strings, bytes as base64, fields that hold their default left out.
//! It reads camel case names, numbers for integers and numbers for enums as well, and passes over
//! names it does not know.

mod codec;
mod secrets;

pub use codec::{FittedCodec, FittedEncoder};

/// The protocol files, compiled: what a server that can be asked for its services answers with.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// What users may do.
#[allow(missing_docs, unused_qualifications, reason = "generated code")]
#[allow(
    clippy::all,
    clippy::use_self,
    clippy::allow_attributes_without_reason,
    reason = "the same"
)]
pub mod authpb {
    include!(concat!(env!("OUT_DIR"), "/authpb.rs"));
    include!(concat!(env!("OUT_DIR"), "/authpb.serde.rs"));
}

/// A key-value pair, and what can happen to it.
#[allow(missing_docs, unused_qualifications, reason = "generated code")]
#[allow(
    clippy::all,
    clippy::use_self,
    clippy::allow_attributes_without_reason,
    reason = "the same"
)]
pub mod mvccpb {
    include!(concat!(env!("OUT_DIR"), "/mvccpb.rs"));
    include!(concat!(env!("OUT_DIR"), "/mvccpb.serde.rs"));
}

/// The services and their messages.
#[allow(missing_docs, unused_qualifications, reason = "generated code")]
#[allow(
    clippy::all,
    clippy::use_self,
    clippy::allow_attributes_without_reason,
    reason = "the same"
)]
pub mod etcdserverpb {
    include!(concat!(env!("OUT_DIR"), "/etcdserverpb.rs"));
    include!(concat!(env!("OUT_DIR"), "/etcdserverpb.serde.rs"));
}

/// The lock service and its messages.
#[allow(missing_docs, unused_qualifications, reason = "generated code")]
#[allow(
    clippy::all,
    clippy::use_self,
    clippy::allow_attributes_without_reason,
    reason = "the same"
)]
pub mod v3lockpb {
    include!(concat!(env!("OUT_DIR"), "/v3lockpb.rs"));
    include!(concat!(env!("OUT_DIR"), "/v3lockpb.serde.rs"));
}

/// The election service and its messages.
#[allow(missing_docs, unused_qualifications, reason = "generated code")]
#[allow(
    clippy::all,
    clippy::use_self,
    clippy::allow_attributes_without_reason,
    reason = "the same"
)]
pub mod v3electionpb {
    include!(concat!(env!("OUT_DIR"), "/v3electionpb.rs"));
    include!(concat!(env!("OUT_DIR"), "/v3electionpb.serde.rs"));
}

#[cfg(test)]
mod tests;
