use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use althing_core::NodeId;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::frame::{Frame, FrameReader};
use super::handshake::{Answer, Hello};
use super::{Arc, Membership};

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
        match connect(&address, &hello).await {
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
    hello: &Hello,
) -> Result<(FrameReader<OwnedReadHalf>, OwnedWriteHalf), String> {
    let connection = async {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        prepare(&stream).map_err(|error| error.to_string())?;
        let (reader, mut writer) = stream.into_split();
        let mut greeting = Vec::new();
        Frame::write(&mut greeting, |payload| hello.encode(payload));
        writer.write_all(&greeting).await.map_err(|error| error.to_string())?;
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
    mut reader: FrameReader<OwnedReadHalf>,
    mut writer: OwnedWriteHalf,
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
        sending.clear();
        sending.shrink_to(1 << 20);
    }
}

impl FrameReader<OwnedReadHalf> {
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
