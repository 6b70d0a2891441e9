//! Keeping a lease alive over a connection of its own.

use std::time::Duration;

use althing_etcd_api::etcdserverpb::{LeaseKeepAliveRequest, LeaseKeepAliveResponse};
use tokio::time::timeout;
use tonic::{Code, Status};

use super::stub;
use crate::client::{Client, Effect, judge};
use crate::clock;
use crate::failure::{Failure, Kind};
use crate::roam::Roaming;
use crate::transport::Channel;

/// Sends the keep-alives of one lease.
#[derive(Debug)]
pub(crate) struct Keeper {
    roaming: Roaming,
    lease: i64,
}

/// What the cluster said to a keep-alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// The lease has its whole time again.
    Kept {
        /// When the keep-alive was sent, by [`clock::now`]: the lease ends no earlier than `ttl`
        /// after this, whatever happened to the answer on its way.
        sent: Duration,
        /// The whole time.
        ttl: Duration,
    },
    /// There is no such lease any more.
    Gone,
}

impl Keeper {
    /// A keeper of `lease` with the endpoints of `client`. Nothing is sent yet.
    pub(crate) fn new(client: &Client, lease: i64) -> Self {
        Self { roaming: Roaming::new(client), lease }
    }

    /// Sends one keep-alive to one endpoint, and waits for the answer for `time_max` at most. After
    /// a failure the next one goes to the next endpoint.
    pub(crate) async fn renew(&mut self, time_max: Duration) -> Result<Renewal, Failure> {
        let renewed = match timeout(time_max, self.ask()).await {
            Ok(renewed) => renewed,
            Err(_) => {
                let address = self.roaming.address();
                let message = format!("{address} did not answer in {} ms", time_max.as_millis());
                Err(Failure::new(Kind::Unknown, message))
            }
        };
        if renewed.is_err() {
            self.roaming.move_on();
        }
        renewed
    }

    async fn ask(&mut self) -> Result<Renewal, Failure> {
        let channel = self.roaming.channel().await?;
        let sent = clock::now();
        match send(channel, self.lease).await {
            Ok(answer) if answer.ttl > 0 => {
                Ok(Renewal::Kept { sent, ttl: Duration::from_secs(answer.ttl.unsigned_abs()) })
            }
            Ok(_) => Ok(Renewal::Gone),
            Err(status) if status.code() == Code::NotFound => Ok(Renewal::Gone),
            Err(status) => Err(judge(&status, self.roaming.address(), Effect::Read).0),
        }
    }
}

async fn send(channel: Channel, lease: i64) -> Result<LeaseKeepAliveResponse, Status> {
    let request = tokio_stream::once(LeaseKeepAliveRequest { id: lease });
    let mut answers = stub(channel).lease_keep_alive(request).await?.into_inner();
    let closed = || Status::unavailable("the server closed the stream without an answer");
    answers.message().await?.ok_or_else(closed)
}
