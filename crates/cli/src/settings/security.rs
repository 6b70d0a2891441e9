//! What a node's connections are under, and what it takes to listen to other machines.

use std::path::PathBuf;

use althing_node::TlsFiles;
use zeroize::Zeroizing;

use super::layers::Layers;
use crate::client::Address;
use crate::credentials::first_line;
use crate::failure::Failure;

/// The files of TLS and of the first user, and whether to do without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Security {
    pub(super) root_password: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) client_authorities: Option<PathBuf>,
    pub(super) revoked: Option<PathBuf>,
    pub(super) peer_authorities: Option<PathBuf>,
    pub(super) peer_certificate: Option<PathBuf>,
    pub(super) peer_key: Option<PathBuf>,
    pub(super) is_insecure: bool,
}

impl Security {
    pub(super) fn read(layers: &Layers) -> Result<Self, Failure> {
        Ok(Self {
            root_password: layers.find("root-password-file", file)?,
            certificate: layers.find("tls-cert", file)?,
            key: layers.find("tls-key", file)?,
            client_authorities: layers.find("client-ca", file)?,
            revoked: layers.find("crl", file)?,
            peer_authorities: layers.find("peer-ca", file)?,
            peer_certificate: layers.find("peer-cert", file)?,
            peer_key: layers.find("peer-key", file)?,
            is_insecure: layers.get("insecure", |text| {
                text.parse().map_err(|_| "expected true or false".to_owned())
            })?,
        })
    }

    /// The password of the first user, if users are to count from the first moment on.
    pub(crate) fn root_password(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        self.root_password.as_deref().map(first_line).transpose()
    }

    /// TLS for clients, if there is to be any.
    pub(crate) fn client(&self) -> Option<TlsFiles> {
        Some(TlsFiles {
            certificate: self.certificate.clone()?,
            key: self.key.clone()?,
            authorities: self.client_authorities.clone(),
            revoked: self.client_authorities.as_ref().and_then(|_| self.revoked.clone()),
        })
    }

    /// TLS between the nodes, if there is to be any.
    pub(crate) fn peer(&self) -> Option<TlsFiles> {
        let authorities = Some(self.peer_authorities.clone()?);
        Some(TlsFiles {
            certificate: self.peer_certificate.clone().or_else(|| self.certificate.clone())?,
            key: self.peer_key.clone().or_else(|| self.key.clone())?,
            authorities,
            revoked: self.revoked.clone(),
        })
    }

    /// Which files need which others, and what may listen to other machines.
    pub(super) fn check(&self, client: &Address, peer: &Address) -> Result<(), Failure> {
        self.check_pairs()?;
        if self.is_insecure {
            return Ok(());
        }
        let refused = |address: &Address, cause: &str, hint: &str| {
            let message = format!("{address} can be reached from other machines");
            Err(Failure::usage(message).cause(cause).hint(hint))
        };
        if !client.is_loopback() && self.certificate.is_none() {
            return refused(
                client,
                "without TLS whoever is on the way reads and changes everything",
                "name --tls-cert, --tls-key and --client-ca, which `althing certificate` makes, \
                 or say --insecure",
            );
        }
        let knows_clients = self.client_authorities.is_some() || self.root_password.is_some();
        if !client.is_loopback() && !knows_clients {
            return refused(
                client,
                "nothing says who may be a client",
                "let in those with a certificate of --client-ca FILE, or only users with \
                 --root-password-file FILE, or say --insecure",
            );
        }
        if !peer.is_loopback() && self.peer_authorities.is_none() {
            return refused(
                peer,
                "without TLS whoever gets there can speak as a node of the cluster",
                "name --peer-ca, which `althing certificate` makes, or say --insecure",
            );
        }
        Ok(())
    }

    fn check_pairs(&self) -> Result<(), Failure> {
        let has_identity = self.certificate.is_some() && self.key.is_some();
        let has_peer_identity = self.peer_certificate.is_some() && self.peer_key.is_some();
        let missing = |what: &str, whose: &str| {
            Err(Failure::usage(format!("{what} is missing")).cause(format!("{whose} needs it")))
        };
        match (&self.certificate, &self.key) {
            (Some(_), None) => return missing("--tls-key", "--tls-cert"),
            (None, Some(_)) => return missing("--tls-cert", "--tls-key"),
            _ => {}
        }
        match (&self.peer_certificate, &self.peer_key) {
            (Some(_), None) => return missing("--peer-key", "--peer-cert"),
            (None, Some(_)) => return missing("--peer-cert", "--peer-key"),
            _ => {}
        }
        if self.client_authorities.is_some() && !has_identity {
            return missing("--tls-cert", "--client-ca");
        }
        if self.peer_authorities.is_some() && !has_identity && !has_peer_identity {
            return missing("--tls-cert", "--peer-ca");
        }
        if has_peer_identity && self.peer_authorities.is_none() {
            return missing("--peer-ca", "--peer-cert");
        }
        if self.revoked.is_some()
            && self.client_authorities.is_none()
            && self.peer_authorities.is_none()
        {
            return missing("--client-ca or --peer-ca", "--crl");
        }
        Ok(())
    }
}

fn file(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("expected a file".to_owned()) } else { Ok(text.into()) }
}
