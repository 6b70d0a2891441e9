//! `althing user`, `althing role` and `althing auth`: who may do what.

pub(crate) mod auth;
mod permission;
pub(crate) mod role;
mod show;
pub(crate) mod user;

use althing_etcd_api::etcdserverpb::auth_client::AuthClient;
use tonic::{Response, Status};

use crate::client::{Client, Effect};
use crate::failure::{Failure, Kind};
use crate::transport::Channel;

/// The service, over a connection.
fn stub(channel: Channel) -> AuthClient<Channel> {
    AuthClient::new(channel)
}

/// Calls; a change whose outcome is not known is not made again.
async fn change<T, F>(
    client: &Client,
    call: impl Fn(AuthClient<Channel>) -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let made = client.call(Effect::Write, |channel| call(stub(channel))).await;
    made.map_err(|failure| match failure.kind {
        Kind::Unknown => failure.hint("`althing user list` and `role list` show what there is"),
        _ => failure,
    })
}

/// Calls what changes nothing.
async fn look<T, F>(client: &Client, call: impl Fn(AuthClient<Channel>) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    client.call(Effect::Read, |channel| call(stub(channel))).await
}
