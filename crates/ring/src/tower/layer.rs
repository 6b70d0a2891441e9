//! The balancer as a layer, for whoever builds services from layers.

use std::collections::BTreeMap;

use tower_layer::Layer;

use super::balance::Balance;
use crate::hasher::KeyHasher;
use crate::name::NodeName;
use crate::ring::{DefaultHash, Ring};

/// Makes a [`Balance`] of a map from nodes to their services.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use althing_ring::Ring;
/// use althing_ring::tower::BalanceLayer;
/// use tower_layer::Layer as _;
///
/// let layer = BalanceLayer::new(Ring::new(["a", "b"])?, |key: &String| key.clone())
///     .slack_percent(50)
///     .attempts(2);
/// let balance = layer.layer(BTreeMap::from([("a", "service"), ("b", "service")]));
/// assert_eq!(balance.loads().len(), 2);
/// # Ok::<(), althing_ring::RingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BalanceLayer<Id: Ord, K, H = DefaultHash> {
    ring: Ring<Id, H>,
    key: K,
    slack_percent: u16,
    attempts: usize,
}

impl<Id: Ord, K, H> BalanceLayer<Id, K, H> {
    /// A layer over the nodes of `ring`, with the defaults of [`Balance::new`].
    ///
    /// ```
    /// # use althing_ring::{Ring, tower::BalanceLayer};
    /// let layer = BalanceLayer::new(Ring::new(["a", "b"])?, |key: &String| key.clone());
    /// # let _ = layer;
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn new(ring: Ring<Id, H>, key: K) -> Self {
        Self { ring, key, slack_percent: 25, attempts: 1 }
    }

    /// See [`Balance::slack_percent`].
    ///
    /// ```
    /// # use althing_ring::{Ring, tower::BalanceLayer};
    /// let layer = BalanceLayer::new(Ring::new(["a", "b"])?, ()).slack_percent(50);
    /// # let _ = layer;
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[must_use]
    pub fn slack_percent(self, slack_percent: u16) -> Self {
        Self { slack_percent, ..self }
    }

    /// See [`Balance::attempts`].
    ///
    /// ```
    /// # use althing_ring::{Ring, tower::BalanceLayer};
    /// let layer = BalanceLayer::new(Ring::new(["a", "b"])?, ()).attempts(3);
    /// # let _ = layer;
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[must_use]
    pub fn attempts(self, attempts: usize) -> Self {
        Self { attempts, ..self }
    }
}

impl<Id, S, K, H> Layer<BTreeMap<Id, S>> for BalanceLayer<Id, K, H>
where
    Id: NodeName,
    K: Clone,
    H: KeyHasher + Clone,
{
    type Service = Balance<Id, S, K, H>;

    fn layer(&self, services: BTreeMap<Id, S>) -> Self::Service {
        Balance::new(self.ring.clone(), services, self.key.clone())
            .slack_percent(self.slack_percent)
            .attempts(self.attempts)
    }
}
