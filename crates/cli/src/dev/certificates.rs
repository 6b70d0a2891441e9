use std::path::{Path, PathBuf};

use althing_node::TlsFiles;

use crate::certificate::{Authority, OWN_HOSTS, Pair, Subject};
use crate::failure::Failure;

/// What the cluster and its clients show each other.
pub(super) struct Certificates {
    /// Whom to trust.
    pub(super) authority: PathBuf,
    /// For every node, towards clients and other nodes.
    pub(super) node: TlsFiles,
    /// For every client.
    pub(super) client: Pair,
}

impl Certificates {
    /// Made in a folder within `folder`, by the authority that an earlier run left there if any.
    /// Certificates are made anew each time, so that none is too old.
    pub(super) fn make(folder: &Path) -> Result<Self, Failure> {
        const DAYS: i64 = 365;
        let folder = folder.join("certificates");
        let authority = match Authority::open(&folder) {
            Ok(authority) => authority,
            Err(_) => Authority::make(&folder, 10 * DAYS)?,
        };
        let hosts = OWN_HOSTS.map(str::to_owned);
        let node = authority.issue(&Subject::Node { name: "node", hosts: &hosts }, DAYS, true)?;
        let client = authority.issue(&Subject::Client { name: "client" }, DAYS, true)?;
        let node = TlsFiles {
            certificate: node.certificate,
            key: node.key,
            authorities: Some(authority.certificate()),
            revoked: None,
        };
        Ok(Self { authority: authority.certificate(), node, client })
    }

    /// What a shell needs to be a client.
    pub(super) fn exports(&self) -> String {
        let (authority, client) = (self.authority.display(), &self.client);
        let (certificate, key) = (client.certificate.display(), client.key.display());
        let lines = ["ETCDCTL", "ALTHING"].map(|prefix| {
            format!(
                "export {prefix}_CACERT={authority} \\\n    \
                 {prefix}_CERT={certificate} \\\n    {prefix}_KEY={key}\n"
            )
        });
        lines.concat()
    }
}
