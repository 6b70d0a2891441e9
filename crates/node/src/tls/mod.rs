//! TLS for clients and peers: the files it is made of, read again while the node runs.
//!
//! Files can be replaced under a running node, as programs that renew certificates do. Each
//! connection uses what was current when it began.

mod current;
mod material;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsStream;
use tokio_util::either::Either;

pub(crate) use current::{ClientTls, Current, PeerTls};
pub use material::TlsError;

use crate::handle::Shared;
use crate::settings::Settings;

/// A connection, in plain or under TLS.
pub(crate) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Where the parts of a side's TLS lie: PEM files, all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate to show, then those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// The authorities of which the other side must show a certificate. Without them anybody may
    /// connect; peers cannot be without.
    pub authorities: Option<PathBuf>,
    /// Certificates that their authorities took back (CRLs), of which one shown is refused.
    pub revoked: Option<PathBuf>,
}

/// What connections are under.
pub(crate) struct Tls {
    pub(crate) client: Option<Arc<Current<ClientTls>>>,
    pub(crate) peer: Option<Arc<Current<PeerTls>>>,
}

impl Tls {
    /// Reads all files for the first time.
    pub(crate) fn open(settings: &Settings) -> Result<Self, TlsError> {
        Ok(Self {
            client: settings.client_tls.clone().map(Current::open).transpose()?,
            peer: settings.peer_tls.clone().map(Current::open).transpose()?,
        })
    }

    /// Follows the files until what it returns is dropped.
    pub(crate) fn follow(&self, shared: &Arc<Shared>) -> JoinSet<()> {
        let mut following = JoinSet::new();
        if let Some(client) = &self.client {
            let shared = Arc::clone(shared);
            let tell = move |end| shared.metrics.client_certificate_end.set(end);
            following.spawn(Arc::clone(client).follow(tell));
        }
        if let Some(peer) = &self.peer {
            let shared = Arc::clone(shared);
            let tell = move |end| shared.metrics.peer_certificate_end.set(end);
            following.spawn(Arc::clone(peer).follow(tell));
        }
        following
    }
}
