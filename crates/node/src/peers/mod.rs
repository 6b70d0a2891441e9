//! How members talk to each other: TCP, one connection each way for every pair, frames of our own.
//!
//! Every member dials every other and only speaks on the connections that it dialled. A connection
//! begins with a handshake in which each side learns that the other is of the same cluster and
//! speaks the same protocol; after that it carries messages. What cannot be sent is dropped:
//! consensus repeats what matters.
//!
//! Who is dialled follows the configuration in force. Beside the members there are **guests**: who
//! was a member a moment ago, for it may have to be told that it is none any more, and who was let
//! in though it is not known here, for it may know of later changes and must be answered.

mod founding;
mod frame;
mod handshake;
mod inbound;
mod joining;
mod outbound;
mod parcel;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use althing_consensus::Message;
use althing_core::codec::Writer;
use althing_core::{ClusterId, NodeId};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

pub(crate) use founding::{Founding, NotFounding};
use frame::Frame;
pub(crate) use handshake::Founder;
pub use handshake::OtherProtocol;
use inbound::Reception;
pub(crate) use inbound::{Inbound, Word};
pub(crate) use joining::{Joining, NotAdmitted};
use outbound::{Queue, Speaker, Whereabouts};
pub(crate) use parcel::Parcel;

use crate::comparison::ComparisonMessage;
use crate::driver::Event;
use crate::handle::Handle;
use crate::leases::LeaseMessage;
use crate::members::{Card, MemberMessage, Roster};
use crate::probes::Probe;
use crate::tls::{Current, PeerTls};

/// What connections between members are under, if anything.
pub(crate) type Tls = Option<Arc<Current<PeerTls>>>;

/// Who we are to our peers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
}

/// What connections to peers need to know.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) membership: Membership,
    pub(crate) tls: Tls,
    pub(crate) roster: watch::Receiver<Roster>,
    /// Where our peers find us, as `host:port`.
    pub(crate) own: Arc<[String]>,
    pub(crate) handle: Handle,
    /// Told if a peer says that we were removed.
    pub(crate) events: mpsc::UnboundedSender<Event>,
}

/// The other members, as the driver sees them.
#[derive(Debug)]
pub(crate) struct Peers {
    surroundings: Surroundings,
    protocol: &'static str,
    lines: BTreeMap<NodeId, Line>,
    tasks: JoinSet<()>,
}

/// What leads to one peer.
#[derive(Debug)]
struct Line {
    queue: Arc<Queue>,
    whereabouts: watch::Sender<Whereabouts>,
    task: AbortHandle,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peers {
    /// The most guests that are dialled.
    const GUESTS_MAX: usize = 64;

    /// Starts to accept peers; nobody is dialled yet. Ends when dropped.
    pub(crate) fn start<M: Message>(
        surroundings: Surroundings,
        listener: TcpListener,
        received: mpsc::Sender<Inbound<M>>,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let reception = Reception {
            membership: surroundings.membership,
            tls: surroundings.tls.clone(),
            roster: surroundings.roster.clone(),
            handle: surroundings.handle.clone(),
            received,
            met: Mutex::default(),
        };
        tasks.spawn(reception.accept(listener));
        Self { surroundings, protocol: M::PROTOCOL, lines: BTreeMap::new(), tasks }
    }

    /// Dials these members from now on. Those that are none any more become guests.
    pub(crate) fn follow(&mut self, members: &BTreeMap<NodeId, Card>) {
        while self.tasks.try_join_next().is_some() {}
        for (peer, line) in &self.lines {
            if !members.contains_key(peer) {
                line.whereabouts
                    .send_if_modified(|known| std::mem::replace(&mut known.is_member, false));
            }
        }
        let others = members.iter().filter(|(peer, _)| **peer != self.surroundings.membership.node);
        let others: Vec<_> = others.map(|(peer, card)| (*peer, card.addresses())).collect();
        for (peer, addresses) in others {
            self.dial(peer, Whereabouts { addresses, is_member: true });
        }
    }

    /// A peer that may know better where it is found was let in.
    pub(crate) fn greeted(&mut self, peer: NodeId, mut addresses: Vec<String>) {
        while self.tasks.try_join_next().is_some() {}
        let known = self.lines.get(&peer).filter(|line| !line.task.is_finished());
        let (known, is_member) = match known {
            Some(line) => {
                let known = line.whereabouts.borrow();
                (known.addresses.clone(), known.is_member)
            }
            None => (Vec::new(), false),
        };
        for address in known {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses.truncate(2 * Card::URLS_MAX);
        self.dial(peer, Whereabouts { addresses, is_member });
    }

    fn dial(&mut self, peer: NodeId, whereabouts: Whereabouts) {
        if let Some(line) = self.lines.get(&peer).filter(|line| !line.task.is_finished()) {
            line.whereabouts.send_if_modified(|known| {
                let is_news = *known != whereabouts;
                *known = whereabouts;
                is_news
            });
            return;
        }
        if !whereabouts.is_member && !self.has_room_for_a_guest() {
            return;
        }
        let queue = Arc::new(Queue::default());
        let (whereabouts, seen) = watch::channel(whereabouts);
        let speaker = Speaker {
            membership: self.surroundings.membership,
            peer,
            protocol: self.protocol,
            tls: self.surroundings.tls.clone(),
            queue: Arc::clone(&queue),
            whereabouts: seen,
            roster: self.surroundings.roster.clone(),
            own: Arc::clone(&self.surroundings.own),
            events: self.surroundings.events.clone(),
        };
        let task = self.tasks.spawn(speaker.keep_speaking());
        self.lines.insert(peer, Line { queue, whereabouts, task });
    }

    fn has_room_for_a_guest(&mut self) -> bool {
        self.lines.retain(|_, line| !line.task.is_finished());
        let guests = self.lines.values().filter(|line| !line.whereabouts.borrow().is_member);
        guests.count() < Self::GUESTS_MAX
    }

    /// Whether this peer can be reached, as far as is known.
    pub(crate) fn is_connected(&self, peer: NodeId) -> bool {
        self.lines.get(&peer).is_some_and(|line| line.queue.is_connected())
    }

    /// The members that can be reached, as far as is known.
    pub(crate) fn reached(&self) -> impl Iterator<Item = NodeId> {
        let is_reached =
            |line: &Line| line.queue.is_connected() && line.whereabouts.borrow().is_member;
        self.lines.iter().filter(move |(_, line)| is_reached(line)).map(|(peer, _)| *peer)
    }

    /// Queues a message. It leaves with the next [`Self::flush`].
    pub(crate) fn push<M: Message>(&self, to: NodeId, message: &M) {
        self.push_frame(to, |writer| Parcel::encode_consensus(message, writer));
    }

    /// As [`Self::push`], about leases.
    pub(crate) fn push_lease(&self, to: NodeId, message: &LeaseMessage) {
        self.push_frame(to, |writer| parcel::encode_lease(message, writer));
    }

    /// As [`Self::push`], about a change of members.
    pub(crate) fn push_members(&self, to: NodeId, message: &MemberMessage) {
        self.push_frame(to, |writer| parcel::encode_members(message, writer));
    }

    /// As [`Self::push`], to learn how far away the peer is.
    pub(crate) fn push_probe(&self, to: NodeId, probe: Probe) {
        self.push_frame(to, |writer| parcel::encode_probe(probe, writer));
    }

    /// As [`Self::push`], to find out whether the peer holds the same.
    pub(crate) fn push_comparison(&self, to: NodeId, message: ComparisonMessage) {
        self.push_frame(to, |writer| parcel::encode_comparison(message, writer));
    }

    fn push_frame(&self, to: NodeId, encode: impl FnOnce(&mut Writer<'_>)) {
        if let Some(line) = self.lines.get(&to) {
            line.queue.push(|buffer| Frame::write(buffer, |payload| encode(&mut Writer(payload))));
        }
    }

    /// Lets go what was queued.
    pub(crate) fn flush(&self) {
        for line in self.lines.values() {
            line.queue.flush();
        }
    }
}
