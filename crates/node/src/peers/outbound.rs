use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use althing_core::NodeId;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::either::Either;

use super::frame::{Frame, FrameReader};
use super::handshake::{Answer, Hello};
use super::{Arc, Membership, Tls};
use crate::tls::Stream;

/// How long a peer may take to accept a connection and to answer the greeting.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
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

    fn open(&self) {
        self.lock().clear();
        self.is_connected.store(true, Ordering::Relaxed);
    }

    fn close(&self) {
        self.is_connected.store(false, Ordering::Relaxed);
    }
}

/// Dials the peer, again and again, and sends it what is queued.
pub(super) async fn keep_speaking(
    membership: Membership,
    peer: NodeId,
    address: String,
    protocol: &'static str,
    tls: Tls,
    queue: Arc<Queue>,
) {
    let hello = Hello {
        cluster: membership.cluster,
        from: membership.node,
        to: peer,
        protocol: protocol.to_owned(),
    };
    let mut backoff = BACKOFF_MIN;
    let mut told = String::new();
    loop {
        match connect(&address, &tls, &hello).await {
            Ok((reader, writer)) => {
                tracing::debug!("connected to {peer} at {address}");
                told.clear();
                backoff = BACKOFF_MIN;
                queue.open();
                let end = speak(reader, writer, &queue).await;
                queue.close();
                tracing::debug!("lost {peer} at {address}: {end}");
            }
            Err(why) => {
                // Once, not once a second.
                if why != told {
                    tracing::info!("cannot reach {peer} at {address}: {why}");
                    told = why;
                }
            }
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

async fn connect(
    address: &str,
    tls: &Tls,
    hello: &Hello,
) -> Result<(FrameReader<ReadHalf<Stream>>, WriteHalf<Stream>), String> {
    let connection = async {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        prepare(&stream).map_err(|error| error.to_string())?;
        let stream = dial_under(tls, address, stream).await?;
        let (reader, mut writer) = split(stream);
        let mut greeting = Vec::new();
        Frame::write(&mut greeting, |payload| hello.encode(payload));
        writer.write_all(&greeting).await.map_err(|error| error.to_string())?;
        writer.flush().await.map_err(|error| error.to_string())?;
        let mut reader = FrameReader::new(reader);
        let answer = reader.next().await.map_err(|error| error.to_string())?;
        match Answer::decode(answer) {
            Ok(Answer::Welcome) => Ok((reader, writer)),
            Ok(refusal) => Err(refusal.to_string()),
            Err(error) => Err(format!("what answers there is not a peer: {error}")),
        }
    };
    timeout(HANDSHAKE_TIMEOUT, connection).await.unwrap_or_else(|_| Err("no answer".to_owned()))
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
