use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use crate::failure::{Failure, Kind};

/// Clocks differ: a certificate is good from so long before it was made.
const EARLIER: Duration = Duration::hours(1);

/// Who vouches for nodes and clients: a certificate and its key in a folder.
pub(crate) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as files.
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// What a certificate says about whom it is for.
pub(crate) enum Subject<'a> {
    /// A node that is found under these names and addresses.
    Node {
        /// Its name, which names the files.
        name: &'a str,
        /// DNS names and IP addresses.
        hosts: &'a [String],
    },
    /// A client of this name.
    Client {
        /// Its name, which names the files too.
        name: &'a str,
    },
}

impl Authority {
    /// Makes an authority in `folder`, which may be missing but must not hold one.
    pub(crate) fn make(folder: &Path, days: i64) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder).map_err(|error| cannot("make", folder, &error))?;
        let key = KeyPair::generate().map_err(refused)?;
        let mut params = CertificateParams::default();
        // Two authorities of one name would be taken for each other, and found to be lying.
        let id = u32::from_be_bytes(*params.key_identifier(&key).first_chunk().unwrap_or(&[0; 4]));
        params.distinguished_name.push(DnType::CommonName, format!("Althing authority {id:08x}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        live(&mut params, days);
        let certificate = params.self_signed(&key).map_err(refused)?;
        let pair = pair(folder, "ca");
        write(&pair, &certificate.pem(), &key.serialize_pem(), false)?;
        Ok(Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) })
    }

    /// The authority that was made in `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let pair = pair(folder, "ca");
        let hint = "make an authority with `althing certificate authority`";
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|error| cannot("read", path, &error).hint(hint))
        };
        let key = KeyPair::from_pem(&read(&pair.key)?);
        let key = key.map_err(|error| cannot("use", &pair.key, &error))?;
        let issuer = Issuer::from_ca_cert_pem(&read(&pair.certificate)?, key)
            .map_err(|error| cannot("use", &pair.certificate, &error))?;
        Ok(Self { folder: folder.to_owned(), issuer })
    }

    /// The file that says whom to trust.
    pub(crate) fn certificate(&self) -> PathBuf {
        pair(&self.folder, "ca").certificate
    }

    /// Vouches for `subject`, with a new key.
    pub(crate) fn issue(
        &self,
        subject: &Subject<'_>,
        days: i64,
        replaces: bool,
    ) -> Result<Pair, Failure> {
        let (name, hosts, usages) = match subject {
            // A node is a server to clients, and both to other nodes.
            Subject::Node { name, hosts } => (
                name,
                *hosts,
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            ),
            Subject::Client { name } => (name, &[][..], vec![ExtendedKeyUsagePurpose::ClientAuth]),
        };
        let mut params = CertificateParams::new(hosts).map_err(|error| {
            Failure::usage("a certificate cannot be made for these hosts").cause(error)
        })?;
        params.distinguished_name.push(DnType::CommonName, *name);
        params.extended_key_usages = usages;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        live(&mut params, days);
        let key = KeyPair::generate().map_err(refused)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(refused)?;
        let pair = pair(&self.folder, name);
        write(&pair, &certificate.pem(), &key.serialize_pem(), replaces)?;
        Ok(pair)
    }
}

fn live(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::from(SystemTime::now());
    params.not_before = now - EARLIER;
    params.not_after = now + Duration::days(days);
}

fn pair(folder: &Path, name: &str) -> Pair {
    Pair {
        certificate: folder.join(format!("{name}.crt")),
        key: folder.join(format!("{name}.key")),
    }
}

/// Writes both files whole, the key for its owner alone. What is there already stays, unless it
/// `may_replace` it.
fn write(pair: &Pair, certificate: &str, key: &str, may_replace: bool) -> Result<(), Failure> {
    for path in [&pair.key, &pair.certificate] {
        if path.exists() && !may_replace {
            return Err(Failure::usage(format!("{} is there already", path.display()))
                .hint("choose another --folder; certificates, but no authority, take --replace"));
        }
    }
    for (path, text, mode) in [(&pair.key, key, 0o600), (&pair.certificate, certificate, 0o644)] {
        write_whole(path, text, mode).map_err(|error| cannot("write", path, &error))?;
    }
    Ok(())
}

/// Under another name first: a node that reads its files again must never see half of one.
fn write_whole(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let beside = path.with_added_extension("new");
    if beside.exists() {
        std::fs::remove_file(&beside)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

fn cannot(what: &str, path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Kind::Other, format!("cannot {what} {}", path.display())).cause(error)
}

fn refused(error: rcgen::Error) -> Failure {
    Failure::new(Kind::Other, "the certificate cannot be made").cause(error)
}
