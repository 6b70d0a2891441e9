//! Load balancing by key for [`tower`](https://docs.rs/tower) services: the same key goes to the
//! same node, over to the next one when that is full, and there again when it fails.
//!
//! There are no clocks, threads or runtimes in it: everything happens where it is polled. It is
//! behind the feature `tower`, which needs the standard library.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use althing_ring::Ring;
//! use althing_ring::tower::BalanceLayer;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let echo = |node: &'static str| {
//!     service_fn(move |key: &'static str| async move { Ok::<_, std::io::Error>((node, key)) })
//! };
//! let nodes = BTreeMap::from(["a", "b", "c"].map(|node| (node, echo(node))));
//! let ring = Ring::new(["a", "b", "c"])?;
//! let owner = *ring.owner("user:42").expect("there are nodes");
//!
//! let layer = BalanceLayer::new(ring, |key: &&'static str| *key).attempts(2);
//! let mut service = ServiceBuilder::new().layer(layer).service(nodes);
//! assert_eq!(service.ready().await?.call("user:42").await?, (owner, "user:42"));
//! # Ok(())
//! # }
//! ```

mod balance;
mod flight;
mod layer;
mod response;

pub use balance::{Balance, BalanceError};
pub use layer::BalanceLayer;
pub use response::Response;
