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
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

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

/// The common name of the certificate that the other side has shown, which was checked; `None`
/// where it showed none, or one that names nobody.
pub(crate) fn name_in_certificate(stream: &Stream) -> Option<String> {
    let Either::Right(stream) = stream else { return None };
    let (_, connection) = stream.get_ref();
    let first = connection.peer_certificates()?.first()?;
    let (_, certificate) = X509Certificate::from_der(first).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
    (!name.is_empty()).then(|| name.to_owned())
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
