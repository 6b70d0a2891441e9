use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::TlsFiles;

/// Why files are no use for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {error}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file holds nothing of what it should, or something that is no PEM.
    #[error("{path} holds no {expected} in PEM{detail}", path = path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What was wrong, after a colon, where more is known than that nothing was found.
        detail: String,
    },
    /// An authority's certificate cannot serve as one.
    #[error("{path} holds a certificate that cannot be an authority's: {error}",
            path = path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        error: rustls::Error,
    },
    /// The list of revoked certificates cannot be used.
    #[error("{path} holds no usable list of revoked certificates: {error}", path = path.display())]
    Revoked {
        /// The file.
        path: PathBuf,
        /// Why.
        error: VerifierBuilderError,
    },
    /// The certificate and the key do not go together, or are of a kind that is not supported.
    #[error("{certificate} and {key} cannot be used together: {error}",
            certificate = certificate.display(), key = key.display())]
    Identity {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        error: rustls::Error,
    },
    /// Peers without an authority could be anybody.
    #[error("TLS between members needs the authorities that signed their certificates")]
    NoAuthorities,
}

/// What the files hold at one moment.
#[derive(PartialEq, Eq)]
pub(crate) struct Material {
    files: TlsFiles,
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
    revoked: Option<Vec<u8>>,
}

impl Material {
    /// Reads the files.
    pub(super) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
            authorities: files.authorities.as_deref().map(read).transpose()?,
            revoked: files.revoked.as_deref().map(read).transpose()?,
            files: files.clone(),
        })
    }

    /// How connections are accepted: from anybody, or only with a certificate of the authorities.
    pub(super) fn server(&self, protocols: &[&[u8]]) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().expect("ring has them all");
        let builder = match (&self.authorities, &self.files.authorities) {
            (Some(pem), Some(path)) => {
                let roots = Arc::new(roots(pem, path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                    .with_crls(self.revoked()?)
                    .build()
                    .map_err(|error| self.refused(error))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(self.chain()?, self.key()?)
            .map_err(|error| self.mismatch(error))?;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }

    /// How connections are made: to whoever has a certificate of the authorities for the name that
    /// was dialled, showing our own.
    pub(super) fn client(&self) -> Result<ClientConfig, TlsError> {
        let (Some(pem), Some(path)) = (&self.authorities, &self.files.authorities) else {
            return Err(TlsError::NoAuthorities);
        };
        let roots = Arc::new(roots(pem, path)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .with_crls(self.revoked()?)
            .build()
            .map_err(|error| self.refused(error))?;
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().expect("ring has them all");
        builder
            .with_webpki_verifier(verifier)
            .with_client_auth_cert(self.chain()?, self.key()?)
            .map_err(|error| self.mismatch(error))
    }

    /// When the certificate ends, in seconds since 1970; `None` if it does not say so in words that
    /// we know.
    pub(super) fn not_after(&self) -> Option<i64> {
        let chain = self.chain().ok()?;
        let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
        Some(certificate.validity().not_after.timestamp())
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        certificates(&self.certificate, &self.files.certificate)
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| not_pem(&self.files.key, "private key", &error))
    }

    fn revoked(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        let (Some(pem), Some(path)) = (&self.revoked, &self.files.revoked) else {
            return Ok(Vec::new());
        };
        all(pem, path, "list of revoked certificates")
    }

    fn mismatch(&self, error: rustls::Error) -> TlsError {
        TlsError::Identity {
            certificate: self.files.certificate.clone(),
            key: self.files.key.clone(),
            error,
        }
    }

    /// A verifier that has its authorities can only be refused for the list of revoked ones.
    fn refused(&self, error: VerifierBuilderError) -> TlsError {
        let path = self.files.revoked.clone().unwrap_or_default();
        TlsError::Revoked { path, error }
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Read { path: path.to_owned(), error })
}

fn roots(pem: &[u8], path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, path)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::Authority { path: path.to_owned(), error })?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    all(pem, path, "certificate")
}

/// Every object of its kind in the file; at least one.
fn all<T: PemObject>(pem: &[u8], path: &Path, expected: &'static str) -> Result<Vec<T>, TlsError> {
    let found = T::pem_slice_iter(pem).collect::<Result<Vec<T>, pem::Error>>();
    let found = found.map_err(|error| not_pem(path, expected, &error))?;
    if found.is_empty() {
        return Err(not_pem(path, expected, &pem::Error::NoItemsFound));
    }
    Ok(found)
}

fn not_pem(path: &Path, expected: &'static str, error: &pem::Error) -> TlsError {
    let detail = match error {
        pem::Error::NoItemsFound => String::new(),
        error => format!(": {error}"),
    };
    TlsError::NotPem { path: path.to_owned(), expected, detail }
}
