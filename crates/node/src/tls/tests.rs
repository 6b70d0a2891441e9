use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Authority::self_signed(params, KeyPair::generate().expect("randomness")).expect("it signs")
}

/// Writes the files of a member that `authority` vouches for.
fn files(folder: &Path, authority: &Authority) -> TlsFiles {
    let files = TlsFiles {
        certificate: folder.join("node.crt"),
        key: folder.join("node.key"),
        authorities: Some(folder.join("ca.crt")),
        revoked: None,
    };
    let key = KeyPair::generate().expect("randomness");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, authority).expect("it signs");
    fs::write(&files.certificate, certificate.pem()).expect("writable");
    fs::write(&files.key, key.serialize_pem()).expect("writable");
    fs::write(folder.join("ca.crt"), authority.pem()).expect("writable");
    files
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Whether `dialler` and `acceptor` come to speak under TLS.
async fn agree(dialler: &Current<PeerTls>, acceptor: &Current<PeerTls>) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let dialled = async {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        let mut stream = dialler.get().connector.connect(name, stream).await?;
        stream.write_all(b"hello").await?;
        stream.flush().await?;
        stream.read_u8().await
    };
    let accepted = async {
        let (stream, _) = listener.accept().await?;
        let mut stream = acceptor.get().acceptor.accept(stream).await?;
        stream.read_exact(&mut [0; 5]).await?;
        stream.write_u8(1).await?;
        stream.flush().await
    };
    let (dialled, accepted) = tokio::join!(dialled, accepted);
    dialled.is_ok() && accepted.is_ok()
}

#[tokio::test]
async fn members_of_one_authority_agree_and_a_stranger_finds_nobody() {
    let (ours, theirs) = (authority(), authority());
    let (one, other, strange) = (folder(), folder(), folder());
    let one = Current::<PeerTls>::open(files(one.path(), &ours)).expect("right files");
    let other = Current::<PeerTls>::open(files(other.path(), &ours)).expect("right files");
    let stranger = Current::<PeerTls>::open(files(strange.path(), &theirs)).expect("right files");
    assert!(agree(&one, &other).await);
    assert!(agree(&other, &one).await);
    assert!(!agree(&stranger, &one).await);
    assert!(!agree(&one, &stranger).await);

    // Even a stranger that trusts everybody is not trusted.
    let both = strange.path().join("ca.crt");
    fs::write(&both, theirs.pem() + &ours.pem()).expect("writable");
    assert!(stranger.look().expect("right files"));
    assert!(!agree(&stranger, &one).await);
}

#[tokio::test]
async fn files_are_followed_and_wrong_ones_are_not() {
    let (before, after) = (authority(), authority());
    let (moving, fixed) = (folder(), folder());
    let current = Current::<PeerTls>::open(files(moving.path(), &before)).expect("right files");
    let other = Current::<PeerTls>::open(files(fixed.path(), &after)).expect("right files");
    assert!(!current.look().expect("the same files"));
    assert!(!agree(&current, &other).await);

    let files = files(moving.path(), &after);
    let key = fs::read(&files.key).expect("readable");
    fs::write(&files.key, KeyPair::generate().expect("randomness").serialize_pem())
        .expect("writable");
    let told = current.look().expect_err("the key is another's").to_string();
    assert!(told.contains("node.crt") && told.contains("cannot be used together"), "{told}");
    assert!(agree(&current, &current).await, "the old certificates stay in use");
    assert!(!agree(&current, &other).await);

    fs::write(&files.key, key).expect("writable");
    assert!(current.look().expect("right files"));
    assert!(agree(&current, &other).await);
}

#[tokio::test]
async fn a_certificate_that_was_taken_back_is_refused() {
    let authority = authority();
    let (one, other) = (folder(), folder());
    let mut guarded = files(one.path(), &authority);
    let taken_back =
        Current::<PeerTls>::open(files(other.path(), &authority)).expect("right files");
    let write = |numbers: &[SerialNumber]| {
        let now = rcgen::date_time_ymd(2026, 1, 1);
        let revoked = |serial_number: &SerialNumber| RevokedCertParams {
            serial_number: serial_number.clone(),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: now,
            next_update: rcgen::date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: numbers.iter().map(revoked).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&authority).expect("it signs").pem().expect("it is text");
        fs::write(one.path().join("crl.pem"), list).expect("writable");
    };
    guarded.revoked = Some(one.path().join("crl.pem"));
    write(&[]);
    let guarded = Current::<PeerTls>::open(guarded).expect("right files");
    assert!(agree(&taken_back, &guarded).await);

    let pem = fs::read(other.path().join("node.crt")).expect("readable");
    let der = CertificateDer::from_pem_slice(&pem).expect("a certificate");
    let (_, certificate) = X509Certificate::from_der(&der).expect("a certificate");
    write(&[SerialNumber::from_slice(certificate.raw_serial())]);
    assert!(guarded.look().expect("right files"));
    assert!(!agree(&taken_back, &guarded).await, "as a client");
    assert!(!agree(&guarded, &taken_back).await, "as a server");
    assert!(agree(&taken_back, &taken_back).await, "who has no list does not know");
}

#[test]
fn the_end_of_a_certificate_is_known() {
    let folder = folder();
    let (authority, key) = (authority(), KeyPair::generate().expect("randomness"));
    let files = files(folder.path(), &authority);
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(2101, 2, 3);
    let certificate = params.signed_by(&key, &authority).expect("it signs");
    fs::write(&files.certificate, certificate.pem()).expect("writable");
    fs::write(&files.key, key.serialize_pem()).expect("writable");
    let current = Current::<ClientTls>::open(files).expect("right files");
    assert_eq!(current.not_after(), 4_136_832_000, "midnight of 3 February 2101, UTC");
}

#[test]
fn wrong_files_are_named() {
    let folder = folder();
    let right = files(folder.path(), &authority());
    let open = |files: &TlsFiles| match Current::<PeerTls>::open(files.clone()) {
        Ok(_) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(open(&right), "nothing");

    let without = TlsFiles { authorities: None, ..right.clone() };
    assert!(open(&without).contains("needs the authorities"), "{}", open(&without));
    assert!(Current::<ClientTls>::open(without).is_ok(), "clients may be anybody");

    let nowhere = TlsFiles { key: folder.path().join("nowhere"), ..right.clone() };
    assert!(open(&nowhere).contains("cannot read"), "{}", open(&nowhere));
    let swapped = TlsFiles { certificate: right.key.clone(), ..right.clone() };
    assert!(open(&swapped).contains("holds no certificate"), "{}", open(&swapped));
    let swapped = TlsFiles { key: right.certificate.clone(), ..right.clone() };
    assert!(open(&swapped).contains("holds no private key"), "{}", open(&swapped));
    let revoked = TlsFiles { revoked: right.authorities.clone(), ..right };
    assert!(open(&revoked).contains("holds no list of revoked"), "{}", open(&revoked));
}
