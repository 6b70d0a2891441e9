//! The balancer: a service made of one service for each node of a ring.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::vec::Vec;

use tower_service::Service;

use super::flight::{Flight, Flying};
use super::response::{Response, Retry};
use crate::hasher::KeyHasher;
use crate::name::NodeName;
use crate::placement::Placement;
use crate::ring::Ring;

/// Sends each request to the node that owns its key.
///
/// **Spilling over.** A node is full while its service is not ready, or while it has as many
/// requests under way as bounded loads allow: `ceil((1 + slack) * n * w / W)` for a weight `w` of
/// `W` and `n` requests under way, this one included. The next node of the ring that is not full
/// takes it.
///
/// **Retrying.** With more than one [attempt](Self::attempts) a request that failed goes to the
/// next replica that is ready, whatever that has under way: the alternative would be to fail. It
/// must be safe to repeat then.
///
/// **Backpressure.** It is ready if and only if some node is not full. It keeps no queue: a request
/// that it takes is with a node at once. It is woken when a node turns ready or a request ends. A
/// node that is ready stays reserved until a request comes for it, as `tower` has it, so put it
/// into a buffer to share it.
///
/// To be ready takes a look at every node, so this is for hundreds of them, not for millions.
///
/// A node whose service fails when it is asked whether it is ready is not asked again, until
/// [`insert`](Self::insert) brings another service for it.
///
/// ```
/// use althing_ring::Ring;
/// use althing_ring::tower::Balance;
/// use tower::{Service, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let shout = service_fn(|word: String| async move { Ok::<_, std::io::Error>(word.to_uppercase())
/// }); let ring = Ring::new(["a", "b"])?;
/// let mut balance = Balance::new(ring, [("a", shout), ("b", shout)], |word: &String|
/// word.clone()); assert_eq!(balance.ready().await?.call("hey".to_owned()).await?, "HEY");
/// # Ok(())
/// # }
/// ```
pub struct Balance<Id, S, K, H = crate::ring::DefaultHash> {
    ring: Ring<Id, H>,
    nodes: BTreeMap<Id, Served<S>>,
    key: K,
    slack_percent: u16,
    attempts: usize,
    flight: Arc<Flight>,
}

/// A node's service.
struct Served<S> {
    service: S,
    state: State,
    load: Arc<AtomicU64>,
}

/// What a node's service said when it was asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Ready,
    Failed,
}

/// Why a request was not answered.
///
/// ```
/// use althing_ring::tower::BalanceError;
///
/// let error = BalanceError::Node("reset by peer");
/// assert_eq!(error.to_string(), "reset by peer");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BalanceError<E> {
    /// No node of the ring has both weight and a service that works.
    NoNodes,
    /// What the last node that was tried said.
    Node(E),
}

impl<E: fmt::Display> fmt::Display for BalanceError<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNodes => write!(formatter, "no node has weight and a service that works"),
            Self::Node(error) => error.fmt(formatter),
        }
    }
}

impl<E: std::error::Error> std::error::Error for BalanceError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoNodes => None,
            // It is shown in place of this, so that its cause is the next one.
            Self::Node(error) => error.source(),
        }
    }
}

impl<Id: NodeName, S, K, H: KeyHasher> Balance<Id, S, K, H> {
    /// A balancer over the nodes of `ring`, with a slack of 25 percent and one attempt; `key` takes
    /// the key out of a request. A node without a service is passed over, a service without a node
    /// is not used.
    ///
    /// ```
    /// use althing_ring::Ring;
    /// use althing_ring::tower::Balance;
    ///
    /// let balance = Balance::new(Ring::new(["a"])?, [("a", "service"), ("b", "unused")], ());
    /// assert_eq!(balance.loads().collect::<Vec<_>>(), [(&"a", 0)]);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn new(ring: Ring<Id, H>, services: impl IntoIterator<Item = (Id, S)>, key: K) -> Self {
        let mut balance = Self {
            ring,
            nodes: BTreeMap::new(),
            key,
            slack_percent: 25,
            attempts: 1,
            flight: Arc::default(),
        };
        for (id, service) in services {
            if balance.ring.node(&id).is_some() {
                balance.nodes.insert(id, Served::new(service));
            }
        }
        balance
    }

    /// The same with another slack: how far above its share a node may go, in percent.
    ///
    /// ```
    /// # use althing_ring::{Ring, tower::Balance};
    /// let balance = Balance::new(Ring::new(["a"])?, [("a", "service")], ()).slack_percent(100);
    /// # assert_eq!(balance.loads().len(), 1);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[must_use]
    pub fn slack_percent(self, slack_percent: u16) -> Self {
        Self { slack_percent, ..self }
    }

    /// The same with so many attempts in all, each on another node; 0 is taken as 1. With more than
    /// one, requests have to be safe to repeat.
    ///
    /// ```
    /// # use althing_ring::{Ring, tower::Balance};
    /// let balance = Balance::new(Ring::new(["a"])?, [("a", "service")], ()).attempts(3);
    /// # assert_eq!(balance.loads().len(), 1);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    #[must_use]
    pub fn attempts(self, attempts: usize) -> Self {
        Self { attempts: attempts.max(1), ..self }
    }

    /// The ring.
    ///
    /// ```
    /// # use althing_ring::{Ring, tower::Balance};
    /// let balance = Balance::new(Ring::new(["a"])?, [("a", "service")], ());
    /// assert_eq!(balance.ring().len(), 1);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn ring(&self) -> &Ring<Id, H> {
        &self.ring
    }

    /// The nodes that have a service, by id, each with its requests under way.
    ///
    /// ```
    /// # use althing_ring::{Ring, tower::Balance};
    /// let balance = Balance::new(Ring::new(["a"])?, [("a", "service")], ());
    /// assert!(balance.loads().eq([(&"a", 0)]));
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn loads(&self) -> impl ExactSizeIterator<Item = (&Id, u64)> {
        self.nodes.iter().map(|(id, served)| (id, served.load.load(Ordering::Acquire)))
    }

    /// Adds a node with its service. If the ring has the node already, only its service is
    /// replaced; requests under way on the old one end there.
    ///
    /// ```
    /// # use althing_ring::{Ring, tower::Balance};
    /// let mut balance = Balance::new(Ring::new(["a"])?, [("a", "service")], ());
    /// balance.insert(althing_ring::Node::new("b").weight(2), "another")?;
    /// assert_eq!(balance.ring().len(), 2);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    ///
    /// # Errors
    /// More nodes or points than a ring may have.
    pub fn insert(
        &mut self,
        node: impl crate::IntoNode<Id = Id>,
        service: S,
    ) -> Result<(), crate::RingError> {
        let node = node.into_node();
        let id = node.id.clone();
        if self.ring.node(&id).is_none() {
            self.ring.add(node)?;
        }
        self.nodes.insert(id, Served::new(service));
        Ok(())
    }

    /// Takes a node out of the ring and hands its service back; `None` if it had none. Requests
    /// under way on it end there.
    ///
    /// ```
    /// # use althing_ring::{Ring, tower::Balance};
    /// let mut balance = Balance::new(Ring::new(["a"])?, [("a", "service")], ());
    /// assert_eq!(balance.remove(&"a"), Some("service"));
    /// assert_eq!(balance.remove(&"a"), None);
    /// # Ok::<(), althing_ring::RingError>(())
    /// ```
    pub fn remove(&mut self, id: &Id) -> Option<S> {
        // A ring that does not know it has nothing to take out.
        let _ = self.ring.remove(id);
        self.nodes.remove(id).map(|served| served.service)
    }
}

impl<Id: Ord + fmt::Debug, S, K, H> fmt::Debug for Balance<Id, S, K, H> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.nodes.iter().map(|(id, served)| (id, (served.state, &served.load)));
        formatter
            .debug_struct("Balance")
            .field("nodes", &nodes.collect::<BTreeMap<_, _>>())
            .field("slack_percent", &self.slack_percent)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl<S> Served<S> {
    fn new(service: S) -> Self {
        Self { service, state: State::Waiting, load: Arc::default() }
    }
}

impl<Id: NodeName, S, K, H: KeyHasher> Balance<Id, S, K, H> {
    /// Whether a node may have one more request under way. All loads may shrink while it is asked.
    fn has_room(&self, id: &Id, served: &Served<S>) -> bool {
        let weight = self.ring.node(id).map_or(0, |node| node.weight);
        // At most 2^17 * 2^64 * 2^32.
        let percent = u128::from(self.slack_percent) + 100;
        let share = percent * (u128::from(self.flight.total()) + 1) * u128::from(weight);
        let bound = share.div_ceil(100 * u128::from(self.ring.weight.max(1)));
        u128::from(served.load.load(Ordering::Acquire)) < bound
    }

    /// The node that takes a request of this hash: the first that is ready and has room.
    fn choose(&self, hash: u64) -> Option<&Id> {
        let mut ready = None;
        for slot in self.ring.circle().walk(hash) {
            let id = self.ring.id(slot);
            let Some(served) = self.nodes.get(id) else { continue };
            if served.state == State::Ready {
                if self.has_room(id, served) {
                    return Some(id);
                }
                ready = ready.or(Some(id));
            }
        }
        // Between being ready and being called others may have ended, which lowers the bounds.
        ready
    }

    /// The next nodes in the order of the ring, which could repeat what fails on `first`.
    fn retries<R>(&self, hash: u64, first: &Id) -> Vec<Retry<S>>
    where
        S: Service<R> + Clone,
    {
        let mut retries = Vec::new();
        if self.attempts > 1 {
            let others = self.ring.replicas_of(hash, self.ring.len());
            for id in others.into_iter().filter(|id| *id != first) {
                let working = self.nodes.get(id).filter(|served| served.state != State::Failed);
                if let Some(served) = working {
                    retries.push(Retry {
                        service: served.service.clone(),
                        load: Arc::clone(&served.load),
                    });
                }
                if self.attempts == retries.len() + 1 {
                    break;
                }
            }
        }
        retries
    }
}

impl<Id, S, K, H, R, B> Service<R> for Balance<Id, S, K, H>
where
    Id: NodeName,
    S: Service<R> + Clone,
    K: Fn(&R) -> B,
    B: AsRef<[u8]>,
    H: KeyHasher,
    R: Clone,
{
    type Response = S::Response;
    type Error = BalanceError<S::Error>;
    type Future = Response<S, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Before anybody's load is looked at, so that one that ends meanwhile is not missed.
        self.flight.wake_when_one_ends(context.waker());
        let mut error = None;
        for served in self.nodes.values_mut().filter(|served| served.state == State::Waiting) {
            match served.service.poll_ready(context) {
                Poll::Ready(Ok(())) => served.state = State::Ready,
                Poll::Ready(Err(reason)) => {
                    served.state = State::Failed;
                    error = Some(reason);
                }
                Poll::Pending => {}
            }
        }
        let mut is_anybody_left = false;
        for (id, served) in &self.nodes {
            let has_weight = self.ring.node(id).is_some_and(|node| node.weight > 0);
            is_anybody_left |= has_weight && served.state != State::Failed;
            if served.state == State::Ready && self.has_room(id, served) {
                return Poll::Ready(Ok(()));
            }
        }
        if is_anybody_left {
            return Poll::Pending;
        }
        Poll::Ready(Err(error.map_or(BalanceError::NoNodes, BalanceError::Node)))
    }

    /// # Panics
    /// If it was not ready: it was not asked, or it said no.
    fn call(&mut self, request: R) -> Self::Future {
        let hash = self.ring.hash((self.key)(&request));
        let id = self.choose(hash).expect("a service is called only when it was ready").clone();
        let retries = self.retries::<R>(hash, &id);
        let served = self.nodes.get_mut(&id).expect("it was just chosen from these");
        served.state = State::Waiting;
        let again = (!retries.is_empty()).then(|| request.clone());
        let flying = Flying::new(&self.flight, &served.load);
        let answer = served.service.call(request);
        Response::new(answer, flying, again, retries, Arc::clone(&self.flight))
    }
}
