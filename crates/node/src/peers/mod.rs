//! How members talk to each other: TCP, one connection each way for every pair, frames of our own.
//!
//! Every member dials every other and only speaks on the connections that it dialled. A connection
//! begins with a handshake in which each side learns that the other is of the same cluster and
//! speaks the same protocol; after that it carries messages. What cannot be sent is dropped:
//! consensus repeats what matters.

mod frame;
mod handshake;
mod inbound;
mod outbound;
mod parcel;

use std::collections::BTreeMap;
use std::sync::Arc;

use althing_consensus::Message;
use althing_core::codec::Writer;
use althing_core::{ClusterId, NodeId};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use frame::Frame;
pub(crate) use inbound::Inbound;
use outbound::Queue;
pub(crate) use parcel::Parcel;

use crate::leases::LeaseMessage;
use crate::tls::{Current, PeerTls};

/// What connections between members are under, if anything.
pub(crate) type Tls = Option<Arc<Current<PeerTls>>>;

/// Who we are to our peers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
}

/// The other members, as the driver sees them.
#[derive(Debug)]
pub(crate) struct Peers {
    queues: BTreeMap<NodeId, Arc<Queue>>,
    _tasks: JoinSet<()>,
}

impl Peers {
    /// Starts to dial every peer and to accept theirs. Ends when dropped.
    pub(crate) fn start<M: Message>(
        membership: Membership,
        addresses: BTreeMap<NodeId, String>,
        listener: TcpListener,
        tls: Tls,
        received: mpsc::Sender<Inbound<M>>,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let known = Arc::new(addresses.keys().copied().collect());
        tasks.spawn(inbound::accept(membership, known, listener, tls.clone(), received));
        let mut queues = BTreeMap::new();
        for (peer, address) in addresses {
            let queue = Arc::new(Queue::default());
            tasks.spawn(outbound::keep_speaking(
                membership,
                peer,
                address,
                M::PROTOCOL,
                tls.clone(),
                Arc::clone(&queue),
            ));
            queues.insert(peer, queue);
        }
        Self { queues, _tasks: tasks }
    }

    /// Queues a message. It leaves with the next [`Self::flush`].
    pub(crate) fn push<M: Message>(&self, to: NodeId, message: &M) {
        self.push_frame(to, |writer| Parcel::encode_consensus(message, writer));
    }

    /// As [`Self::push`], about leases.
    pub(crate) fn push_lease(&self, to: NodeId, message: &LeaseMessage) {
        self.push_frame(to, |writer| parcel::encode_lease(message, writer));
    }

    fn push_frame(&self, to: NodeId, encode: impl FnOnce(&mut Writer<'_>)) {
        if let Some(queue) = self.queues.get(&to) {
            queue.push(|buffer| Frame::write(buffer, |payload| encode(&mut Writer(payload))));
        }
    }

    /// Lets go what was queued.
    pub(crate) fn flush(&self) {
        for queue in self.queues.values() {
            queue.flush();
        }
    }
}
