use std::collections::BTreeSet;
use std::fmt;

use althing_consensus::replication::{Message, Protocol};
use althing_core::NodeId;

use super::command::Order;

/// Messages under way, which arrive only when the script says so.
#[derive(Clone)]
pub(super) struct Network<P: Protocol> {
    flying: Vec<Flight<P>>,
    /// Parted from all others.
    isolated: BTreeSet<NodeId>,
}

/// A message under way.
#[derive(Clone)]
pub(super) struct Flight<P: Protocol> {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) message: Message<P>,
}

impl<P: Protocol> fmt::Display for Flight<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, message } = self;
        write!(f, "{from}@{} → {to} {}", message.epoch, message.body)
    }
}

/// Which messages a command means.
#[derive(Default)]
pub(super) struct Selection {
    pub(super) to: Option<NodeId>,
    pub(super) from: Option<NodeId>,
    /// The message's name, such as `Append`.
    pub(super) kind: Option<String>,
    pub(super) count: Option<usize>,
    pub(super) order: Order,
}

impl Selection {
    fn contains<P: Protocol>(&self, flight: &Flight<P>) -> bool {
        let body = flight.message.body.to_string();
        let name = body.split(' ').next().unwrap_or_default();
        self.to.is_none_or(|to| to == flight.to)
            && self.from.is_none_or(|from| from == flight.from)
            && self.kind.as_ref().is_none_or(|kind| kind == name)
    }
}

impl<P: Protocol> Default for Network<P> {
    fn default() -> Self {
        Self { flying: Vec::new(), isolated: BTreeSet::new() }
    }
}

impl<P: Protocol> Network<P> {
    /// Takes a message in; `false` if no way leads to its destination.
    pub(super) fn send(&mut self, flight: Flight<P>) -> bool {
        let reaches = self.reaches(flight.from, flight.to);
        if reaches {
            self.flying.push(flight);
        }
        reaches
    }

    pub(super) fn reaches(&self, from: NodeId, to: NodeId) -> bool {
        self.isolated.contains(&from) == self.isolated.contains(&to)
    }

    pub(super) fn isolate(&mut self, nodes: BTreeSet<NodeId>) {
        self.isolated = nodes;
    }

    pub(super) fn flying(&self) -> &[Flight<P>] {
        &self.flying
    }

    /// Takes the selected messages out, in the order asked for.
    pub(super) fn take(&mut self, selection: &Selection) -> Vec<Flight<P>> {
        let mut chosen: Vec<usize> =
            (0..self.flying.len()).filter(|at| selection.contains(&self.flying[*at])).collect();
        if selection.order == Order::Newest {
            chosen.reverse();
        }
        chosen.truncate(selection.count.unwrap_or(usize::MAX));
        let taken = chosen.iter().map(|at| self.flying[*at].clone()).collect();
        let mut at = 0;
        self.flying.retain(|_| {
            at += 1;
            !chosen.contains(&(at - 1))
        });
        taken
    }

    /// Takes one message out, counted from the oldest.
    pub(super) fn take_at(&mut self, at: usize) -> Flight<P> {
        self.flying.remove(at)
    }

    /// Sends the selected messages a second time.
    pub(super) fn duplicate(&mut self, selection: &Selection) -> Vec<Flight<P>> {
        let chosen = self.flying.iter().filter(|flight| selection.contains(flight));
        let copies: Vec<Flight<P>> =
            chosen.take(selection.count.unwrap_or(usize::MAX)).cloned().collect();
        self.flying.extend(copies.iter().cloned());
        copies
    }
}
