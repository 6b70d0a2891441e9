use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use althing_core::NodeId;
use althing_core::codec::DecodeError;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::either::Either;

use super::frame::{Frame, FrameReader};
use super::handshake::{
    Admission, Answer, Founder, Greeting, Hello, Inquiry, Opinion, OtherProtocol,
};
use super::{Arc, Membership, Tls};
use crate::driver::Event;
use crate::members::Roster;
use crate::tls::Stream;

/// How long a peer may take to accept a connection and to answer the greeting.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a peer may take to say who we are, for which it asks the cluster.
const INQUIRY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer may take to say what it knows of a founding member: it may ask its leader.
const CONSULTATION_TIMEOUT: Duration = Duration::from_secs(2);
/// How long unacknowledged bytes may stay in the network before the connection is given up.
const SILENCE_MAX: Duration = Duration::from_secs(5);
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Frames that wait to be sent to one peer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    frames: Mutex<Vec<u8>>,
    is_connected: AtomicBool,
    filled: Notify,
}

impl Queue {
    /// The most bytes that wait. Windows keep consensus far below; a peer that does not read at all
    /// costs no more than this.
    const BYTES_MAX: usize = 64 << 20;

    /// Appends a frame, unless the peer cannot be reached or does not read.
    pub(super) fn push(&self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.is_connected.load(Ordering::Relaxed) {
            return;
        }
        let mut frames = self.lock();
        if frames.len() < Self::BYTES_MAX {
            write(&mut frames);
        }
    }

    pub(super) fn flush(&self) {
        if !self.lock().is_empty() {
            self.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the peer can be reached, as far as is known.
    pub(super) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    fn open(&self) {
        self.lock().clear();
        self.is_connected.store(true, Ordering::Relaxed);
    }

    fn close(&self) {
        self.is_connected.store(false, Ordering::Relaxed);
    }
}

/// Where a peer is dialled, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Whereabouts {
    /// As `host:port`, the likeliest first.
    pub(super) addresses: Vec<String>,
    /// Whether it is a member. Who is not, or not any more, is given up on when it is gone.
    pub(super) is_member: bool,
}

/// What is spoken to one peer, and on whose behalf.
pub(super) struct Speaker {
    pub(super) membership: Membership,
    pub(super) peer: NodeId,
    pub(super) protocol: &'static str,
    pub(super) tls: Tls,
    pub(super) queue: Arc<Queue>,
    pub(super) whereabouts: watch::Receiver<Whereabouts>,
    pub(super) roster: watch::Receiver<Roster>,
    /// Where we are found ourselves.
    pub(super) own: Arc<[String]>,
    /// Told if the peer says that we were removed.
    pub(super) events: mpsc::UnboundedSender<Event>,
}

impl Speaker {
    /// How often who is no member is dialled in vain.
    const TRIES_MAX: usize = 5;

    /// Dials the peer, again and again, and sends it what is queued.
    pub(super) async fn keep_speaking(mut self) {
        let mut backoff = BACKOFF_MIN;
        let mut told = String::new();
        let mut failures = 0_usize;
        loop {
            let Whereabouts { addresses, is_member } = self.whereabouts.borrow_and_update().clone();
            if !is_member && failures >= Self::TRIES_MAX {
                return;
            }
            match addresses.get(failures % addresses.len().max(1)) {
                Some(address) => match self.connect(address).await {
                    Ok((reader, writer)) => {
                        tracing::debug!("connected to {} at {address}", self.peer);
                        told.clear();
                        backoff = BACKOFF_MIN;
                        self.queue.open();
                        let end = speak(reader, writer, &self.queue).await;
                        self.queue.close();
                        tracing::debug!("lost {} at {address}: {end}", self.peer);
                        failures = 0;
                    }
                    Err(why) => {
                        failures += 1;
                        // Once, not once a second.
                        if why != told {
                            tracing::info!("cannot reach {} at {address}: {why}", self.peer);
                            told = why;
                        }
                    }
                },
                None => failures += 1,
            }
            tokio::select! {
                () = sleep(backoff) => backoff = (backoff * 2).min(BACKOFF_MAX),
                changed = self.whereabouts.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    (failures, backoff) = (0, BACKOFF_MIN);
                }
            }
        }
    }

    async fn connect(
        &self,
        address: &str,
    ) -> Result<(FrameReader<ReadHalf<Stream>>, WriteHalf<Stream>), String> {
        let hello = Greeting::Hello(Hello {
            cluster: self.membership.cluster,
            from: self.membership.node,
            to: self.peer,
            protocol: self.protocol.to_owned(),
            settled_at: self.roster.borrow().settled_at,
            addresses: self.own.to_vec(),
        });
        let connection = async {
            let (mut reader, writer) = greet(&self.tls, address, &hello).await?;
            let answer = reader.next().await.map_err(|error| error.to_string())?;
            match Answer::decode(answer) {
                Ok(Answer::Welcome) => Ok((reader, writer)),
                Ok(refusal) => {
                    if refusal == Answer::Removed {
                        // Without a driver nobody is left to care.
                        let _ = self.events.send(Event::ToldRemoved { by: self.peer });
                    }
                    Err(self.explain(refusal))
                }
                Err(error) => Err(not_a_peer(&error)),
            }
        };
        timeout(HANDSHAKE_TIMEOUT, connection).await.unwrap_or_else(|_| Err("no answer".to_owned()))
    }

    fn explain(&self, refusal: Answer) -> String {
        match refusal {
            Answer::OtherProtocol(theirs) => {
                let ours = self.protocol.to_owned();
                OtherProtocol { ours, theirs }.to_string()
            }
            refusal => refusal.to_string(),
        }
    }
}

/// Asks whoever listens at `address` which member we are.
pub(super) async fn inquire(
    tls: &Tls,
    address: &str,
    inquiry: Inquiry,
) -> Result<Admission, String> {
    let question = ask(tls, address, Greeting::Inquiry(inquiry), Admission::decode);
    timeout(INQUIRY_TIMEOUT, question).await.unwrap_or_else(|_| Err("no answer".to_owned()))
}

/// Asks whoever listens at `address` what it knows of a founding member that holds nothing.
pub(super) async fn consult(tls: &Tls, address: &str, founder: Founder) -> Result<Opinion, String> {
    let question = ask(tls, address, Greeting::Founder(founder), Opinion::decode);
    timeout(CONSULTATION_TIMEOUT, question).await.unwrap_or_else(|_| Err("no answer".to_owned()))
}

async fn ask<A>(
    tls: &Tls,
    address: &str,
    greeting: Greeting,
    decode: fn(&[u8]) -> Result<A, DecodeError>,
) -> Result<A, String> {
    let (mut reader, _writer) = greet(tls, address, &greeting).await?;
    let answer = reader.next().await.map_err(|error| error.to_string())?;
    decode(answer).map_err(|error| not_a_peer(&error))
}

fn not_a_peer(error: &DecodeError) -> String {
    format!("what answers there is not a peer: {error}")
}

async fn greet(
    tls: &Tls,
    address: &str,
    greeting: &Greeting,
) -> Result<(FrameReader<ReadHalf<Stream>>, WriteHalf<Stream>), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    prepare(&stream).map_err(|error| error.to_string())?;
    let (reader, mut writer) = split(dial_under(tls, address, stream).await?);
    let mut frame = Vec::new();
    Frame::write(&mut frame, |payload| greeting.encode(payload));
    writer.write_all(&frame).await.map_err(|error| error.to_string())?;
    writer.flush().await.map_err(|error| error.to_string())?;
    Ok((FrameReader::new(reader), writer))
}

async fn dial_under(tls: &Tls, address: &str, stream: TcpStream) -> Result<Stream, String> {
    let Some(tls) = tls else { return Ok(Either::Left(stream)) };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
    let dialled = tls.get().connector.connect(name, stream).await;
    let stream = dialled.map_err(|error| format!("no TLS with it: {error}"))?;
    Ok(Either::Right(Box::new(stream.into())))
}

/// A peer that vanished without a word is noticed within seconds.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(SILENCE_MAX).with_interval(SILENCE_MAX / 5);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(SILENCE_MAX))?;
    Ok(())
}

/// Sends until the connection ends; returns why it did.
async fn speak(
    mut reader: FrameReader<ReadHalf<Stream>>,
    mut writer: WriteHalf<Stream>,
    queue: &Queue,
) -> String {
    let mut sending = Vec::new();
    let ended = reader.ended();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            biased;
            () = queue.filled.notified() => {}
            end = &mut ended => return end,
        }
        std::mem::swap(&mut *queue.lock(), &mut sending);
        if let Err(error) = writer.write_all(&sending).await {
            return error.to_string();
        }
        // Under TLS a write fills records; the last of them leaves with this.
        if let Err(error) = writer.flush().await {
            return error.to_string();
        }
        sending.clear();
        sending.shrink_to(1 << 20);
    }
}

impl FrameReader<ReadHalf<Stream>> {
    /// Waits until the peer, which has nothing to say on this connection, closes it.
    async fn ended(&mut self) -> String {
        let mut nothing = [0; 1];
        match self.stream().read(&mut nothing).await {
            Ok(0) => "the peer closed it".to_owned(),
            Ok(_) => "the peer spoke out of turn".to_owned(),
            Err(error) => error.to_string(),
        }
    }
}
