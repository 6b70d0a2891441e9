//! `althing lease`: begin, keep and end leases.

pub(crate) mod id;
pub(crate) mod keep_alive;
pub(crate) mod keeper;
mod show;
pub(crate) mod term;

use std::time::Duration;

use althing_etcd_api::etcdserverpb::lease_client::LeaseClient;
use althing_etcd_api::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseLeasesRequest, LeaseRevokeRequest,
    LeaseRevokeResponse, LeaseTimeToLiveRequest,
};
use clap::{Args, Subcommand};

use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::client::{ANSWER_BYTES_MAX, Client, Effect};
use crate::duration;
use crate::failure::{Failure, Kind};
use crate::output::print;
use crate::transport::Channel;

/// What there is to do with leases.
#[derive(Debug, Subcommand)]
pub(crate) enum LeaseCommand {
    /// Begin a lease
    Grant(GrantArguments),
    /// End a lease, and delete its keys
    Revoke(RevokeArguments),
    /// Keep a lease alive until this command is stopped
    KeepAlive(keep_alive::KeepAliveArguments),
    /// Show how long a lease still has
    #[command(visible_alias = "timetolive")]
    Ttl(TtlArguments),
    /// List the leases
    #[command(after_help = "Example:\n  althing lease list -o json")]
    List,
}

/// Arguments of `althing lease grant`.
#[derive(Args, Debug)]
#[command(after_help = "\
Keys that are put with the lease are deleted when it ends. The cluster may grant more time than was
asked for.

Examples:
  althing lease grant 60s
  althing lease grant 5m --id 0x1f
  id=$(althing lease grant 10 -o raw)")]
pub(crate) struct GrantArguments {
    /// How long it lasts if nobody keeps it alive, in whole seconds: 60, 60s or 5m
    #[arg(value_parser = duration::parse)]
    ttl: Duration,
    /// Its number, in hex; the cluster chooses one unless it is given
    #[arg(long, value_parser = id::parse)]
    id: Option<i64>,
}

/// Arguments of `althing lease revoke`.
#[derive(Args, Debug)]
#[command(after_help = "\
A lease that does not exist is exit code 3.

Example:
  althing lease revoke 694d5765fc71500b")]
pub(crate) struct RevokeArguments {
    /// The number of the lease, in hex
    #[arg(value_parser = id::parse)]
    id: i64,
}

/// Arguments of `althing lease ttl`.
#[derive(Args, Debug)]
#[command(after_help = "\
Raw output is the seconds that are left, then a line for each key. A lease that does not exist is
exit code 3.

Examples:
  althing lease ttl 694d5765fc71500b
  althing lease ttl 694d5765fc71500b --keys -o json")]
pub(crate) struct TtlArguments {
    /// The number of the lease, in hex
    #[arg(value_parser = id::parse)]
    id: i64,
    /// Show its keys too
    #[arg(long)]
    keys: bool,
}

/// Does it.
pub(crate) async fn run(
    global: &GlobalArguments,
    command: LeaseCommand,
) -> Result<Outcome, Failure> {
    let client = global.client()?;
    let format = global.format();
    let result = match command {
        LeaseCommand::Grant(arguments) => {
            let (ttl, id) = (arguments.ttl, arguments.id.unwrap_or_default());
            show::granted(&grant(&client, ttl, id, Effect::Write).await?, format)
        }
        LeaseCommand::Revoke(arguments) => {
            let response = revoke(&client, arguments.id, Effect::Write).await?;
            show::revoked(arguments.id, response.header.as_ref(), format)
        }
        LeaseCommand::KeepAlive(arguments) => {
            return keep_alive::run(&client, &arguments, format).await;
        }
        LeaseCommand::Ttl(arguments) => time_to_live(&client, &arguments)
            .await
            .map(|response| show::time_to_live(&response, arguments.keys, format))?,
        LeaseCommand::List => {
            let send =
                |channel| async move { stub(channel).lease_leases(LeaseLeasesRequest {}).await };
            let response = client.call(Effect::Read, send).await?;
            show::list(&response, format)
        }
    };
    print(&result).map(|()| Outcome::Done)
}

/// Begins a lease, with the number `id` or, for zero, one that the cluster chooses.
///
/// Where `effect` is a read, a request whose outcome is not known is sent again: what it left
/// behind is a lease that nobody keeps alive.
pub(crate) async fn grant(
    client: &Client,
    ttl: Duration,
    id: i64,
    effect: Effect,
) -> Result<LeaseGrantResponse, Failure> {
    let seconds = ttl.as_millis().div_ceil(1000);
    let ttl = i64::try_from(seconds).map_err(|_| Failure::usage("the lease is too long"))?;
    let send =
        |channel| async move { stub(channel).lease_grant(LeaseGrantRequest { ttl, id }).await };
    client.call(effect, send).await.map_err(|failure| match failure.kind {
        Kind::Unknown => failure.hint("`althing lease list` shows whether it was granted"),
        _ => failure,
    })
}

/// Ends a lease. Where `effect` is a read, a request whose outcome is not known is sent again.
pub(crate) async fn revoke(
    client: &Client,
    id: i64,
    effect: Effect,
) -> Result<LeaseRevokeResponse, Failure> {
    let send = |channel| async move { stub(channel).lease_revoke(LeaseRevokeRequest { id }).await };
    client.call(effect, send).await.map_err(|failure| match failure.kind {
        Kind::NotFound => missing(id),
        Kind::Unknown => failure.hint("revoke it again: a lease that is gone is exit code 3"),
        _ => failure,
    })
}

async fn time_to_live(
    client: &Client,
    arguments: &TtlArguments,
) -> Result<althing_etcd_api::etcdserverpb::LeaseTimeToLiveResponse, Failure> {
    let (id, keys) = (arguments.id, arguments.keys);
    let send = |channel| async move {
        stub(channel).lease_time_to_live(LeaseTimeToLiveRequest { id, keys }).await
    };
    let response = client
        .call(Effect::Read, send)
        .await
        .map_err(|failure| if failure.kind == Kind::NotFound { missing(id) } else { failure })?;
    if response.ttl < 0 { Err(missing(id)) } else { Ok(response) }
}

/// There is no lease of this number, or no longer.
pub(crate) fn missing(id: i64) -> Failure {
    Failure::new(Kind::NotFound, format!("there is no lease {}", id::show(id)))
        .hint("`althing lease list` shows those that there are")
}

fn stub(channel: Channel) -> LeaseClient<Channel> {
    LeaseClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}
