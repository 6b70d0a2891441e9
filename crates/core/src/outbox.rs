use alloc::collections::VecDeque;
use core::fmt;

use crate::NodeId;

/// Numbers a write. Writes are issued and become durable in this order: when one is durable, so are
/// all before it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Op(pub u64);

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "op{}", self.0)
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A message that may have to wait for a write.
///
/// Its content cannot be reached but through an [`Outbox`], which gives it out once the write it
/// depends on is durable: "durable before send" is a matter of types, not of discipline.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Gated<M> {
    to: NodeId,
    after: Option<Op>,
    message: M,
}

impl<M> Gated<M> {
    /// A message to `to`, to be sent once `after` is durable, or at once if that is `None`.
    pub const fn new(to: NodeId, after: Option<Op>, message: M) -> Self {
        Self { to, after, message }
    }

    /// Whom it is for.
    pub const fn to(&self) -> NodeId {
        self.to
    }

    /// The write it waits for.
    pub const fn after(&self) -> Option<Op> {
        self.after
    }
}

impl<M: fmt::Display> fmt::Display for Gated<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "→ {} {}", self.to, self.message)?;
        match self.after {
            Some(op) => write!(f, " after {op}"),
            None => Ok(()),
        }
    }
}

/// Holds messages back until the writes they depend on are durable.
///
/// # Invariants
/// - A message is given out only when its write is covered by [`Outbox::persisted`].
/// - Messages that wait are given out in the order in which they were pushed.
#[derive(Clone, Debug)]
pub struct Outbox<M> {
    durable: Option<Op>,
    ready: VecDeque<(NodeId, M)>,
    waiting: VecDeque<Gated<M>>,
}

impl<M> Default for Outbox<M> {
    fn default() -> Self {
        Self { durable: None, ready: VecDeque::new(), waiting: VecDeque::new() }
    }
}

impl<M> Outbox<M> {
    /// Takes a message in.
    pub fn push(&mut self, gated: Gated<M>) {
        if gated.after <= self.durable {
            self.ready.push_back((gated.to, gated.message));
        } else {
            self.waiting.push_back(gated);
        }
    }

    /// All writes up to `op` are durable.
    pub fn persisted(&mut self, op: Op) {
        self.durable = self.durable.max(Some(op));
        while let Some(first) = self.waiting.pop_front_if(|gated| gated.after <= self.durable) {
            self.ready.push_back((first.to, first.message));
        }
    }

    /// The next message that may be sent now, with its destination.
    pub fn pop(&mut self) -> Option<(NodeId, M)> {
        self.ready.pop_front()
    }

    /// How many messages still wait for a write.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_waits_for_its_write_and_no_longer() {
        let peer = NodeId::new(2).expect("not zero");
        let mut outbox = Outbox::default();
        outbox.push(Gated::new(peer, Some(Op(2)), "after two"));
        outbox.push(Gated::new(peer, None, "at once"));
        outbox.push(Gated::new(peer, Some(Op(3)), "after three"));
        assert_eq!(outbox.pop(), Some((peer, "at once")));
        assert_eq!(outbox.pop(), None);
        outbox.persisted(Op(1));
        assert_eq!(outbox.pop(), None);
        outbox.persisted(Op(2));
        assert_eq!(outbox.pop(), Some((peer, "after two")));
        assert_eq!(outbox.pop(), None);
        outbox.push(Gated::new(peer, Some(Op(2)), "already durable"));
        assert_eq!(outbox.pop(), Some((peer, "already durable")));
        assert_eq!(outbox.waiting(), 1);
    }
}
