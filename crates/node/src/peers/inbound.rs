use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use althing_consensus::Message;
use althing_core::NodeId;
use tokio::io::{AsyncWriteExt, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::either::Either;

use super::frame::{Frame, FrameError, FrameReader};
use super::handshake::{Admission, Answer, Founder, Greeting, Hello, Inquiry, Opinion};
use super::outbound::prepare;
use super::parcel::Parcel;
use super::{Membership, Tls};
use crate::handle::Handle;
use crate::members::Roster;
use crate::tls::Stream;

/// How long a stranger may take to greet.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the leader may take to confirm that a member never started.
const CONFIRMATION_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections that are served at a time, greeted or not: one from each of as many members as there
/// can be, and as many again for those that are on their way in or out.
const CONNECTIONS_MAX: usize = 128;

/// What came from a peer.
#[derive(Debug)]
pub(crate) struct Inbound<M> {
    pub(crate) from: NodeId,
    pub(crate) word: Word<M>,
}

/// What a peer has to say.
#[derive(Debug)]
pub(crate) enum Word<M> {
    /// It was let in, and knows better than we do where it is found.
    Hello { addresses: Vec<String> },
    /// It says this.
    Parcel(Parcel<M>),
}

/// Whoever opens the door to peers, and what it needs for that.
pub(super) struct Reception<M> {
    pub(super) membership: Membership,
    pub(super) tls: Tls,
    pub(super) roster: watch::Receiver<Roster>,
    /// For the questions of those who join.
    pub(super) handle: Handle,
    pub(super) received: mpsc::Sender<Inbound<M>>,
    /// The members that were let in since this node has started.
    pub(super) met: Mutex<BTreeSet<NodeId>>,
}

impl<M: Message> Reception<M> {
    /// Accepts peers and hands on what they say, until dropped.
    pub(super) async fn accept(self, listener: TcpListener) {
        let this = Arc::new(self);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!("cannot accept a peer: {error}");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!("{address} is refused: {CONNECTIONS_MAX} peer connections are open");
                continue;
            };
            let this = Arc::clone(&this);
            connections.spawn(async move {
                if let Err(error) = this.listen(stream).await {
                    tracing::debug!("connection from {address}: {error}");
                }
                drop(place);
            });
        }
    }

    async fn listen(&self, stream: TcpStream) -> Result<(), FrameError> {
        prepare(&stream)?;
        let deadline = Instant::now() + GREETING_TIMEOUT;
        let stream = timeout_at(deadline, accept_under(&self.tls, stream)).await??;
        let (reader, mut writer) = split(stream);
        let mut reader = FrameReader::new(reader);
        let greeting = timeout_at(deadline, reader.next()).await?;
        let hello = match Greeting::decode(greeting?)? {
            Greeting::Hello(hello) => hello,
            Greeting::Inquiry(inquiry) => {
                let admission = self.admit(&inquiry).await;
                return reply(&mut writer, |payload| admission.encode(payload)).await;
            }
            Greeting::Founder(founder) => {
                let opinion = self.opinion(&founder).await;
                return reply(&mut writer, |payload| opinion.encode(payload)).await;
            }
        };
        let (answer, knows_better) = consider(self.membership, &self.roster.borrow(), &hello);
        let answer = match hello.protocol == M::PROTOCOL {
            true => answer,
            false => Answer::OtherProtocol(M::PROTOCOL.to_owned()),
        };
        reply(&mut writer, |payload| answer.encode(payload)).await?;
        let from = hello.from;
        match answer {
            Answer::Welcome => {
                if self.roster.borrow().knows(from) {
                    self.met.lock().unwrap_or_else(PoisonError::into_inner).insert(from);
                }
            }
            // It will not ask for long.
            Answer::Removed => return Ok(()),
            Answer::OtherCluster(_)
            | Answer::OtherNode(_)
            | Answer::NotAMember
            | Answer::OtherProtocol(_) => {
                let Hello { cluster, protocol, .. } = hello;
                tracing::warn!("refused {from} of cluster {cluster} by {protocol}: {answer:?}");
                return Ok(());
            }
        }
        if knows_better {
            let word = Word::Hello { addresses: hello.addresses };
            if self.received.send(Inbound { from, word }).await.is_err() {
                return Ok(());
            }
        }
        let mut roster = self.roster.clone();
        let removed = roster.wait_for(|roster| roster.has_removed(from));
        tokio::select! {
            ended = self.hand_on(from, &mut reader) => ended,
            // It dials again, and is told then.
            _ = removed => Ok(()),
        }
    }

    async fn hand_on(
        &self,
        from: NodeId,
        reader: &mut FrameReader<tokio::io::ReadHalf<Stream>>,
    ) -> Result<(), FrameError> {
        loop {
            let word = Word::Parcel(Parcel::decode(reader.next().await?)?);
            if self.received.send(Inbound { from, word }).await.is_err() {
                return Ok(());
            }
        }
    }

    /// What is known here of a founding member that holds nothing. Before a leader confirms
    /// anything only bad news are certain.
    async fn opinion(&self, founder: &Founder) -> Opinion {
        if founder.cluster != self.membership.cluster {
            return Opinion::OtherCluster(self.membership.cluster);
        }
        if founder.protocol != M::PROTOCOL {
            return Opinion::OtherProtocol(M::PROTOCOL.to_owned());
        }
        if let Some(opinion) = self.past_of(founder.node) {
            return opinion;
        }
        if self.handle.is_blank() {
            return Opinion::Nothing;
        }
        if self.handle.status().leader.is_none() {
            return Opinion::Unknown;
        }
        match timeout(CONFIRMATION_TIMEOUT, self.handle.linearizable()).await {
            Ok(Ok(())) => self.past_of(founder.node).unwrap_or(Opinion::NeverStarted),
            Ok(Err(_)) | Err(_) => Opinion::Unknown,
        }
    }

    /// What speaks against it that a member has no past, as far as is known here.
    fn past_of(&self, node: NodeId) -> Option<Opinion> {
        if self.roster.borrow().has_removed(node) {
            return Some(Opinion::Removed);
        }
        self.has_started(node).then_some(Opinion::StartedBefore)
    }

    /// Whether a member has spoken to this node, or has said where its clients find it.
    fn has_started(&self, node: NodeId) -> bool {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).contains(&node)
            || self.handle.keyspace().members().contains_key(&node)
    }

    /// Tells a node that was added who it is, as the cluster has it by now.
    async fn admit(&self, inquiry: &Inquiry) -> Admission {
        if inquiry.protocol != M::PROTOCOL {
            return Admission::OtherProtocol(M::PROTOCOL.to_owned());
        }
        if self.handle.linearizable().await.is_err() {
            return Admission::Unknown;
        }
        let members = self.handle.status().members;
        let is_there = |url: &String| crate::members::address(url) == inquiry.address;
        let found = members.iter().find(|member| member.peer_urls.iter().any(is_there));
        match found {
            None => Admission::NotAMember,
            Some(member) if self.has_started(member.id) => Admission::StartedBefore(member.id),
            Some(member) => Admission::Member { cluster: self.membership.cluster, node: member.id },
        }
    }
}

pub(super) async fn accept_under(tls: &Tls, stream: TcpStream) -> io::Result<Stream> {
    let Some(tls) = tls else { return Ok(Either::Left(stream)) };
    Ok(Either::Right(Box::new(tls.get().acceptor.accept(stream).await?.into())))
}

pub(super) async fn reply(
    writer: &mut WriteHalf<Stream>,
    encode: impl FnOnce(&mut Vec<u8>),
) -> Result<(), FrameError> {
    let mut reply = Vec::new();
    Frame::write(&mut reply, encode);
    writer.write_all(&reply).await?;
    Ok(writer.flush().await?)
}

/// Whether a caller is let in, and whether it may know better than we do where it is found.
///
/// Who is unknown here may be a member all the same, a leader even, that was added while we were
/// away: then it knows of later changes than we do, and without its word we never would.
fn consider(membership: Membership, roster: &Roster, hello: &Hello) -> (Answer, bool) {
    let knows_better = roster.settled.is_empty() || hello.settled_at > roster.settled_at;
    let answer = if hello.cluster != membership.cluster {
        Answer::OtherCluster(membership.cluster)
    } else if hello.to != membership.node {
        Answer::OtherNode(membership.node)
    } else if roster.has_removed(hello.from) {
        Answer::Removed
    } else if roster.knows(hello.from) || knows_better {
        Answer::Welcome
    } else {
        Answer::NotAMember
    };
    (answer, knows_better)
}

#[cfg(test)]
mod tests {
    use althing_core::{Change, ClusterId, Configuration, Index};

    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("not zero")
    }

    fn hello(from: u64, settled_at: u64) -> Hello {
        Hello {
            cluster: ClusterId(7),
            from: node(from),
            to: node(1),
            protocol: String::new(),
            settled_at: Index(settled_at),
            addresses: Vec::new(),
        }
    }

    fn roster(settled: Configuration, settled_at: u64) -> Roster {
        let settled = Arc::new(settled);
        let settled_at = Index(settled_at);
        Roster { current: Arc::clone(&settled), settled, settled_at, ..Roster::default() }
    }

    #[test]
    fn members_come_in_strangers_do_not_and_who_was_removed_is_told() {
        let membership = Membership { cluster: ClusterId(7), node: node(1) };
        let removal = [Change::Remove { node: node(3) }];
        let joint = Configuration::of((1..=3).map(node)).changed(&removal).expect("it fits");
        let roster = roster(joint.settled(), 10);
        let consider = |hello: &Hello| consider(membership, &roster, hello);
        assert_eq!(consider(&hello(2, 10)), (Answer::Welcome, false));
        assert_eq!(consider(&hello(2, 11)), (Answer::Welcome, true), "it may have moved");
        assert_eq!(consider(&hello(3, 11)), (Answer::Removed, true), "for good");
        assert_eq!(consider(&hello(4, 10)), (Answer::NotAMember, false));
        assert_eq!(consider(&hello(4, 11)), (Answer::Welcome, true), "added meanwhile");
        let elsewhere = Hello { cluster: ClusterId(8), ..hello(2, 10) };
        assert_eq!(consider(&elsewhere).0, Answer::OtherCluster(ClusterId(7)));
        let mistaken = Hello { to: node(2), ..hello(2, 10) };
        assert_eq!(consider(&mistaken).0, Answer::OtherNode(node(1)));
    }

    #[test]
    fn a_node_that_knows_nobody_yet_lets_the_cluster_in() {
        let membership = Membership { cluster: ClusterId(7), node: node(1) };
        let nobody = roster(Configuration::default(), 0);
        assert_eq!(consider(membership, &nobody, &hello(2, 0)), (Answer::Welcome, true));
    }
}
