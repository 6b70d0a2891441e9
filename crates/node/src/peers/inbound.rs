use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use althing_consensus::Message;
use althing_core::NodeId;
use tokio::io::{AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::either::Either;

use super::frame::{Frame, FrameError, FrameReader};
use super::handshake::{Answer, Hello};
use super::outbound::prepare;
use super::parcel::Parcel;
use super::{Membership, Tls};
use crate::tls::Stream;

/// How long a stranger may take to greet.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that are served at a time, greeted or not.
const CONNECTIONS_MAX: usize = 64;

/// What came from a peer.
#[derive(Debug)]
pub(crate) struct Inbound<M> {
    pub(crate) from: NodeId,
    pub(crate) parcel: Parcel<M>,
}

/// Accepts peers and hands on what they say, until dropped.
pub(super) async fn accept<M: Message>(
    membership: Membership,
    known: Arc<BTreeSet<NodeId>>,
    listener: TcpListener,
    tls: Tls,
    received: mpsc::Sender<Inbound<M>>,
) {
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
        let known = Arc::clone(&known);
        let (tls, received) = (tls.clone(), received.clone());
        connections.spawn(async move {
            if let Err(error) = listen(membership, &known, stream, &tls, &received).await {
                tracing::debug!("connection from {address}: {error}");
            }
            drop(place);
        });
    }
}

async fn listen<M: Message>(
    membership: Membership,
    known: &BTreeSet<NodeId>,
    stream: TcpStream,
    tls: &Tls,
    received: &mpsc::Sender<Inbound<M>>,
) -> Result<(), FrameError> {
    prepare(&stream)?;
    let deadline = Instant::now() + GREETING_TIMEOUT;
    let stream = timeout_at(deadline, accept_under(tls, stream)).await??;
    let (reader, mut writer) = split(stream);
    let mut reader = FrameReader::new(reader);
    let greeting = timeout_at(deadline, reader.next()).await?;
    let hello = Hello::decode(greeting?)?;
    let answer = consider(membership, known, &hello, M::PROTOCOL);
    let mut reply = Vec::new();
    Frame::write(&mut reply, |payload| answer.encode(payload));
    writer.write_all(&reply).await?;
    writer.flush().await?;
    if answer != Answer::Welcome {
        tracing::warn!("refused {} of cluster {}: {answer:?}", hello.from, hello.cluster);
        return Ok(());
    }
    let from = hello.from;
    loop {
        let parcel = Parcel::decode(reader.next().await?)?;
        if received.send(Inbound { from, parcel }).await.is_err() {
            return Ok(());
        }
    }
}

async fn accept_under(tls: &Tls, stream: TcpStream) -> io::Result<Stream> {
    let Some(tls) = tls else { return Ok(Either::Left(stream)) };
    Ok(Either::Right(Box::new(tls.get().acceptor.accept(stream).await?.into())))
}

fn consider(
    membership: Membership,
    known: &BTreeSet<NodeId>,
    hello: &Hello,
    protocol: &str,
) -> Answer {
    if hello.cluster != membership.cluster {
        Answer::OtherCluster(membership.cluster)
    } else if hello.to != membership.node {
        Answer::OtherNode(membership.node)
    } else if !known.contains(&hello.from) {
        Answer::NotAMember
    } else if hello.protocol != protocol {
        Answer::OtherProtocol
    } else {
        Answer::Welcome
    }
}
