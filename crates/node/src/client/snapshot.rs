use std::time::Duration;

use althing_etcd_api::etcdserverpb as pb;
use althing_keyspace::Snapshot;
use ring::digest::{Context, SHA256};
use tokio::runtime::Handle as Runtime;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Api;
use super::credentials::Credentials;
use crate::backup;

/// How many bytes of a backup a message has at least, but for the last ones.
const BLOB_SIZE: usize = 256 << 10;
/// How many messages wait for a client that reads slowly.
const MESSAGES_WAITING: usize = 4;
/// How long it may read nothing. It holds on to a state that the others have left behind.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Why no more is sent: nobody listens any more.
struct Gone;

impl Api {
    /// Sends the state of this node as a backup: the state, then its SHA-256.
    pub(super) fn snapshot(
        &self,
        credentials: Credentials,
    ) -> ReceiverStream<Result<pb::SnapshotResponse, Status>> {
        let (messages, stream) = mpsc::channel(MESSAGES_WAITING);
        let api = self.clone();
        tokio::spawn(async move {
            if let Err(status) = api.send_snapshot(&credentials, &messages).await {
                // A client that is gone does not miss it.
                let _ = messages.send(Err(status)).await;
            }
        });
        ReceiverStream::new(stream)
    }

    async fn send_snapshot(
        &self,
        credentials: &Credentials,
        messages: &mpsc::Sender<Result<pb::SnapshotResponse, Status>>,
    ) -> Result<(), Status> {
        let caller = self.door.identify(credentials).await?;
        let turn = self.backups.try_acquire().map_err(|_| {
            Status::resource_exhausted("two snapshots are being sent already; come back later")
        })?;
        let snapshot = self.door.whole(&caller).await?;
        let header = self.header(snapshot.revision(), self.door.term());
        let messages = messages.clone();
        let runtime = Runtime::current();
        let sending = tokio::task::spawn_blocking(move || {
            let size = size(&snapshot);
            let mut sender = Sender { header, messages, runtime, left: backup::whole_size(size) };
            // Where the client is gone there is nobody to tell.
            let _ = sender.send(snapshot, size);
        });
        let sent = sending.await;
        drop(turn);
        sent.map_err(|_| Status::unavailable("etcdserver: server stopped"))
    }
}

/// How many bytes this state has when it is written.
fn size(snapshot: &Snapshot) -> u64 {
    let mut size = 0;
    let counted = snapshot.clone().write(&mut |block| {
        size += block.len() as u64;
        Ok::<_, std::convert::Infallible>(())
    });
    let Ok(()) = counted;
    size
}

struct Sender {
    header: pb::ResponseHeader,
    messages: mpsc::Sender<Result<pb::SnapshotResponse, Status>>,
    runtime: Runtime,
    left: u64,
}

impl Sender {
    fn send(&mut self, snapshot: Snapshot, size: u64) -> Result<(), Gone> {
        let mut digest = Context::new(&SHA256);
        let mut blob = backup::head(size);
        digest.update(&blob);
        snapshot.write(&mut |block| {
            digest.update(block);
            blob.extend_from_slice(block);
            if blob.len() < BLOB_SIZE {
                return Ok(());
            }
            self.pass_on(std::mem::take(&mut blob))
        })?;
        let padding = backup::padding(size);
        digest.update(&padding);
        blob.extend_from_slice(&padding);
        if !blob.is_empty() {
            self.pass_on(blob)?;
        }
        self.pass_on(digest.finish().as_ref().to_vec())
    }

    fn pass_on(&mut self, blob: Vec<u8>) -> Result<(), Gone> {
        self.left -= blob.len() as u64;
        let message = pb::SnapshotResponse {
            header: Some(self.header),
            remaining_bytes: self.left,
            blob: blob.into(),
        };
        let sending = timeout(SILENCE_MAX, self.messages.send(Ok(message)));
        match self.runtime.block_on(sending) {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }
}
