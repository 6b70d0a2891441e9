//! How servers are reached: in plain, or under TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::timeout;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::client::Address;
use crate::credentials::Credentials;
use crate::failure::{Failure, root_cause};

/// A server that says nothing while it is waited for is asked so often whether it is there; etcd
/// hangs up on who asks more often than every five seconds.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// A server that does not answer that for so long is gone.
const PING_ANSWER_MAX: Duration = Duration::from_secs(5);

/// Whom to trust, and what to show; all of it may be missing.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TlsArguments {
    /// Trust servers with a certificate of the authorities in this file, and use TLS; without it
    /// https:// trusts those of this machine [env: ALTHING_CACERT, else ETCDCTL_CACERT]
    #[arg(
        id = "global-cacert",
        long = "cacert",
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    authorities: Option<PathBuf>,
    /// Show this certificate to servers that ask for one [env: ALTHING_CERT, else ETCDCTL_CERT]
    #[arg(
        id = "global-cert",
        long = "cert",
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    certificate: Option<PathBuf>,
    /// The private key of --cert [env: ALTHING_KEY, else ETCDCTL_KEY]
    #[arg(
        id = "global-key",
        long = "key",
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    key: Option<PathBuf>,
}

/// A connection whose requests carry the token of the user.
pub(crate) type Channel = InterceptedService<tonic::transport::Channel, Credentials>;

/// How every connection of one command is made, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    tls: Option<Arc<ClientTlsConfig>>,
    credentials: Credentials,
}

impl Transport {
    /// Under TLS if the endpoints say so (`is_secure`) or files for it are named.
    pub(crate) fn new(
        arguments: &TlsArguments,
        credentials: Credentials,
        is_secure: bool,
    ) -> Result<Self, Failure> {
        let authorities = arguments.authorities.clone().or_else(|| variable("CACERT"));
        let certificate = arguments.certificate.clone().or_else(|| variable("CERT"));
        let key = arguments.key.clone().or_else(|| variable("KEY"));
        let mut tls = ClientTlsConfig::new();
        let mut is_under_tls = is_secure;
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let (certificate, key) = (read(&certificate, "--cert")?, read(&key, "--key")?);
                check(PrivateKeyDer::from_pem_slice(&key).is_ok(), "--key", "private key")?;
                check(is_certificate(&certificate), "--cert", "certificate")?;
                tls = tls.identity(Identity::from_pem(certificate, key));
                is_under_tls = true;
            }
            (None, None) => {}
            (certificate, _) => {
                let missing = if certificate.is_some() { "--key" } else { "--cert" };
                return Err(Failure::usage(format!("{missing} is missing"))
                    .cause("a certificate is of no use without its key, nor a key without it"));
            }
        }
        tls = match authorities {
            Some(path) => {
                is_under_tls = true;
                let pem = read(&path, "--cacert")?;
                check(is_certificate(&pem), "--cacert", "certificate")?;
                tls.ca_certificate(Certificate::from_pem(pem))
            }
            None => tls.with_native_roots(),
        };
        Ok(Self { tls: is_under_tls.then(|| Arc::new(tls)), credentials })
    }

    /// As whom requests are made.
    pub(crate) const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The connection, with the token of the user, which it first gets from the server.
    pub(crate) async fn enter(
        &self,
        channel: tonic::transport::Channel,
        address: &Address,
    ) -> Result<Channel, Failure> {
        self.credentials.sign_in(&channel, address).await?;
        Ok(InterceptedService::new(channel, self.credentials.clone()))
    }

    /// A connection that has been made, so that a later failure is the request's; or why not.
    pub(crate) async fn connect(
        &self,
        address: &Address,
        time_max: Duration,
    ) -> Result<tonic::transport::Channel, String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
            .map_err(|error| root_cause(&error))?
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_ANSWER_MAX);
        if let Some(tls) = &self.tls {
            endpoint = endpoint
                .tls_config(ClientTlsConfig::clone(tls))
                .map_err(|error| root_cause(&error))?;
        }
        match timeout(time_max, endpoint.connect()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(error)) => Err(root_cause(&error)),
            Err(_) => Err(format!("no connection in {} ms", time_max.as_millis())),
        }
    }
}

/// What to do about a connection that came to nothing over TLS, told from the words of its end.
pub(crate) fn advice(cause: &str) -> Option<&'static str> {
    const SIGNS: [(&str, &str); 8] = [
        ("UnknownIssuer", "trust the authority of the server's certificate with --cacert FILE"),
        ("BadSignature", "trust the authority of the server's certificate with --cacert FILE"),
        ("NotValidForName", "use a name or an address that the server's certificate is for"),
        ("invalid peer certificate", "have the server's certificate made anew"),
        ("CertificateRequired", "show a certificate with --cert FILE and --key FILE"),
        ("alert: UnknownCA", "show a certificate of an authority that the server trusts"),
        ("InvalidContentType", "that server speaks without TLS: use http:// and no --cacert"),
        ("h2 protocol error", "if that server is under TLS, write https:// before its address"),
    ];
    SIGNS.iter().find(|(sign, _)| cause.contains(sign)).map(|(_, advice)| *advice)
}

/// Whether the server refused our certificate, or that there was none. Under TLS 1.3 it says so
/// after the connection was made; it has looked at no request.
pub(crate) fn is_refused_certificate(cause: &str) -> bool {
    cause.contains("alert: Certificate")
        || cause.contains("alert: BadCertificate")
        || cause.contains("alert: UnknownCA")
}

fn variable(name: &str) -> Option<PathBuf> {
    let find = |prefix| std::env::var_os(format!("{prefix}_{name}")).filter(|it| !it.is_empty());
    find("ALTHING").or_else(|| find("ETCDCTL")).map(PathBuf::from)
}

fn read(path: &Path, flag: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::usage(format!("cannot read {} of {flag}", path.display())).cause(error)
    })
}

fn is_certificate(pem: &[u8]) -> bool {
    CertificateDer::pem_slice_iter(pem).next().is_some_and(|first| first.is_ok())
}

fn check(is_right: bool, flag: &str, expected: &str) -> Result<(), Failure> {
    if is_right {
        return Ok(());
    }
    Err(Failure::usage(format!("the file of {flag} holds no {expected} in PEM")))
}
