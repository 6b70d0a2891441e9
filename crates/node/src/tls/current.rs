use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::{ClientConfig, ServerConfig};
use tokio::time::sleep;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::TlsFiles;
use super::material::{Material, TlsError};

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// TLS made from files, as they were when last they were right.
pub(crate) struct Current<T> {
    files: TlsFiles,
    last: Mutex<Material>,
    made: RwLock<Arc<T>>,
}

/// What TLS is made into for one kind of connection.
pub(crate) trait Made: Sized + Send + Sync + 'static {
    /// Makes it.
    fn make(material: &Material) -> Result<Self, TlsError>;
}

/// Accepts clients.
#[derive(Clone)]
pub(crate) struct ClientTls(pub(crate) TlsAcceptor);

impl Made for ClientTls {
    fn make(material: &Material) -> Result<Self, TlsError> {
        let config: ServerConfig = material.server(&[b"h2", b"http/1.1"])?;
        Ok(Self(Arc::new(config).into()))
    }
}

/// Accepts and dials peers, who show each other certificates.
#[derive(Clone)]
pub(crate) struct PeerTls {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) connector: TlsConnector,
}

impl Made for PeerTls {
    fn make(material: &Material) -> Result<Self, TlsError> {
        let client: ClientConfig = material.client()?;
        let server: ServerConfig = material.server(&[])?;
        Ok(Self { acceptor: Arc::new(server).into(), connector: Arc::new(client).into() })
    }
}

impl<T: Made> Current<T> {
    /// Reads the files for the first time.
    pub(crate) fn open(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let material = Material::read(&files)?;
        let made = RwLock::new(Arc::new(T::make(&material)?));
        Ok(Arc::new(Self { files, last: Mutex::new(material), made }))
    }

    /// What new connections use.
    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.made.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks whether the files have changed, and follows them if they are right. `false`: they are
    /// as they were when they were looked at last.
    ///
    /// Sessions that were resumable are not under what is made anew, so that whoever lost the trust
    /// of the new files has to show a certificate again.
    pub(super) fn look(&self) -> Result<bool, TlsError> {
        let material = Material::read(&self.files)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == material {
            return Ok(false);
        }
        let made = T::make(&material);
        *last = material;
        *self.made.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made?);
        Ok(true)
    }

    /// When the certificate in the files ends, in seconds since 1970; 0 where that is not known.
    pub(super) fn not_after(&self) -> i64 {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).not_after().unwrap_or(0)
    }

    /// Follows the files for as long as it is polled, and tells when their certificate ends.
    pub(crate) async fn follow(self: Arc<Self>, tell_end: impl Fn(i64) + Send) {
        let mut told = String::new();
        loop {
            tell_end(self.not_after());
            sleep(LOOK_INTERVAL).await;
            let current = Arc::clone(&self);
            // The disk may be slow, and this thread has better to do.
            let Ok(looked) = tokio::task::spawn_blocking(move || current.look()).await else {
                return;
            };
            match looked {
                Ok(false) => {}
                Ok(true) => {
                    told.clear();
                    tracing::info!("{} was read again", self.files.certificate.display());
                }
                // A certificate without its key may be one that is being replaced right now.
                Err(error) if error.to_string() == told => {}
                Err(error) => {
                    told = error.to_string();
                    tracing::warn!("the old certificates stay in use: {told}");
                }
            }
        }
    }
}

impl<T> fmt::Debug for Current<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").field("files", &self.files).finish_non_exhaustive()
    }
}
