//! How many requests are under way, on each node and in all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

/// What a balancer shares with its responses.
#[derive(Debug, Default)]
pub(super) struct Flight {
    total: AtomicU64,
    /// Who waits for room on a node.
    waiting: Mutex<Option<Waker>>,
}

impl Flight {
    /// How many requests are under way on all nodes.
    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Acquire)
    }

    /// Has `waker` woken when the next request ends.
    pub(super) fn wake_when_one_ends(&self, waker: &Waker) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *waiting {
            Some(known) => known.clone_from(waker),
            None => *waiting = Some(waker.clone()),
        }
    }
}

/// A request that is under way on a node, until it is dropped: answered, failed, or given up.
#[derive(Debug)]
pub(super) struct Flying {
    flight: Arc<Flight>,
    load: Arc<AtomicU64>,
}

impl Flying {
    /// One more request on the node of this load.
    pub(super) fn new(flight: &Arc<Flight>, load: &Arc<AtomicU64>) -> Self {
        flight.total.fetch_add(1, Ordering::AcqRel);
        load.fetch_add(1, Ordering::AcqRel);
        Self { flight: Arc::clone(flight), load: Arc::clone(load) }
    }
}

impl Drop for Flying {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::AcqRel);
        self.flight.total.fetch_sub(1, Ordering::AcqRel);
        let waiting = self.flight.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Outside of the lock, because a waker runs what it likes.
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}
