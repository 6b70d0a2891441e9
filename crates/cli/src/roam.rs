//! A connection that outlives its server: where one endpoint fails, the next one is tried.

use std::time::Duration;

use tokio::time::timeout;

use crate::client::{Address, Client};
use crate::failure::{Failure, Kind};
use crate::transport::{Channel, Transport};

/// One connection at a time, to one of several endpoints.
#[derive(Debug)]
pub(crate) struct Roaming {
    endpoints: Vec<Address>,
    transport: Transport,
    position: usize,
    channel: Option<Channel>,
    connect_time_max: Duration,
}

impl Roaming {
    /// Over the endpoints of `client`, with the first one first. Nothing is connected yet.
    pub(crate) fn new(client: &Client) -> Self {
        let endpoints = client.endpoints().to_vec();
        let count = u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
        let connect_time_max = client.timeout() / count;
        let transport = client.transport().clone();
        Self { endpoints, transport, position: 0, channel: None, connect_time_max }
    }

    /// The endpoint that is connected, or will be next.
    pub(crate) fn address(&self) -> &Address {
        &self.endpoints[self.position]
    }

    /// How many endpoints there are.
    pub(crate) fn count(&self) -> usize {
        self.endpoints.len()
    }

    /// The connection to [`Self::address`], made where there is none.
    pub(crate) async fn channel(&mut self) -> Result<Channel, Failure> {
        if let Some(channel) = &self.channel {
            return Ok(channel.clone());
        }
        let address = self.address();
        let channel = self.transport.connect(address, self.connect_time_max).await;
        let channel = channel.map_err(|cause| {
            Failure::new(Kind::Unreachable, format!("cannot reach {address}"))
                .cause(cause)
                .hint("`althing status` shows which nodes are up; --endpoints names others")
        })?;
        let entering = timeout(self.connect_time_max, self.transport.enter(channel, address));
        let channel = entering.await.unwrap_or_else(|_| {
            let message = format!("{address} did not let the user in in time");
            Err(Failure::new(Kind::Unknown, message))
        })?;
        Ok(self.channel.insert(channel).clone())
    }

    /// Gives up on this endpoint and turns to the next one. The token may be at fault, too.
    pub(crate) fn move_on(&mut self) {
        self.transport.credentials().forget();
        self.channel = None;
        self.position = (self.position + 1) % self.endpoints.len();
    }
}
