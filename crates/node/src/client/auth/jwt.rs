use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey,
    VerificationAlgorithm,
};
use ring::{hmac, signature};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// Signs tokens that prove by themselves who they are for, and checks them (RFC 7519 and 7515).
///
/// Only the one algorithm of the key is taken: what a token says of its own algorithm decides
/// nothing. The claims are etcd's: `username`, `revision` and `exp`; the revision is that of the
/// user's password, so that a token ends with the password it was given for, and not with every
/// change of anybody's rights.
#[derive(Debug)]
pub(crate) struct Jwt {
    key: JwtKey,
    time: Duration,
}

/// What a token claims.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) username: String,
    pub(crate) revision: u64,
    /// How long it still does.
    pub(crate) left: Duration,
}

/// What tokens are signed with.
#[derive(Clone)]
pub struct JwtKey(Arc<Key>);

enum Key {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
    Hs256(hmac::Key),
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// It cannot be read.
    #[error("cannot read the key {}: {source}", path.display())]
    Unreadable {
        /// Where it lies.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is none of the method.
    #[error("{} is no key for {method}: {why}", path.display())]
    Unusable {
        /// Where it lies.
        path: PathBuf,
        /// The method.
        method: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such method here.
    #[error("there is no method {method}; use EdDSA, ES256, RS256 or HS256")]
    UnknownMethod {
        /// What was asked for.
        method: String,
    },
}

/// A secret shorter than this could be guessed, in bytes.
const SECRET_SIZE_MIN: usize = 32;

/// Longer tokens are none of ours, in bytes.
const TOKEN_SIZE_MAX: usize = 8 << 10;

impl JwtKey {
    /// Reads the key for `method` (`EdDSA`, `ES256`, `RS256`: a private key in PEM; `HS256`: a
    /// secret of 32 bytes or more).
    ///
    /// # Errors
    /// See [`JwtError`].
    pub fn read(method: &str, path: &Path) -> Result<Self, JwtError> {
        let unusable = |why: String| JwtError::Unusable {
            path: path.to_owned(),
            method: method.to_owned(),
            why,
        };
        let bytes = std::fs::read(path).map(Zeroizing::new);
        let bytes =
            bytes.map_err(|source| JwtError::Unreadable { path: path.to_owned(), source })?;
        let der = || {
            PrivateKeyDer::from_pem_slice(&bytes)
                .map_err(|error| unusable(format!("no private key in PEM: {error}")))
        };
        let rejected = |error: ring::error::KeyRejected| unusable(error.to_string());
        let key = match method {
            "EdDSA" => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der()?.secret_der());
                Key::EdDsa(pair.map_err(rejected)?)
            }
            "ES256" => {
                let (kind, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
                let pair = EcdsaKeyPair::from_pkcs8(kind, der()?.secret_der(), &random);
                Key::Es256(pair.map_err(rejected)?)
            }
            "RS256" => Key::Rs256(
                match der()? {
                    PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
                    key => RsaKeyPair::from_pkcs8(key.secret_der()),
                }
                .map_err(rejected)?,
            ),
            "HS256" => {
                let secret = bytes.trim_ascii();
                if secret.len() < SECRET_SIZE_MIN {
                    let why = format!("it has {} bytes of {SECRET_SIZE_MIN}", secret.len());
                    return Err(unusable(why));
                }
                Key::Hs256(hmac::Key::new(hmac::HMAC_SHA256, secret))
            }
            _ => return Err(JwtError::UnknownMethod { method: method.to_owned() }),
        };
        Ok(Self(Arc::new(key)))
    }

    fn method(&self) -> &'static str {
        match &*self.0 {
            Key::EdDsa(_) => "EdDSA",
            Key::Es256(_) => "ES256",
            Key::Rs256(_) => "RS256",
            Key::Hs256(_) => "HS256",
        }
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &*self.0 {
            Key::EdDsa(pair) => pair.sign(text).as_ref().to_vec(),
            Key::Es256(pair) => pair.sign(&random, text).expect("randomness").as_ref().to_vec(),
            Key::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(&signature::RSA_PKCS1_SHA256, &random, text, &mut signature);
                signed.expect("randomness");
                signature
            }
            Key::Hs256(key) => hmac::sign(key, text).as_ref().to_vec(),
        }
    }

    fn is_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        let check = |kind: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(kind, key).verify(text, signature).is_ok()
        };
        match &*self.0 {
            Key::EdDsa(pair) => check(&ED25519, pair.public_key().as_ref()),
            Key::Es256(pair) => check(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()),
            Key::Rs256(pair) => check(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref()),
            Key::Hs256(key) => hmac::verify(key, text, signature).is_ok(),
        }
    }
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwtKey({})", self.method())
    }
}

impl Jwt {
    pub(crate) const fn new(key: JwtKey, time: Duration) -> Self {
        Self { key, time }
    }

    /// A token for a user, at so many seconds since 1970.
    pub(crate) fn issue(&self, username: &str, revision: u64, now: u64) -> String {
        let head = json!({ "alg": self.key.method(), "typ": "JWT" });
        let end = now.saturating_add(self.time.as_secs().max(1));
        let claim = json!({ "username": username, "revision": revision, "exp": end });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&head), part(&claim));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(text.as_bytes()));
        format!("{text}.{signature}")
    }

    /// What a token claims, if it was signed with this key and still holds.
    pub(crate) fn check(&self, token: &str, now: u64) -> Option<Claim> {
        if token.len() > TOKEN_SIZE_MAX {
            return None;
        }
        let (text, signature) = token.rsplit_once('.')?;
        let (head, claim) = text.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        if !self.key.is_signed(text.as_bytes(), &signature) {
            return None;
        }
        let read = |part: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        if read(head)?.get("alg")?.as_str()? != self.key.method() {
            return None;
        }
        let claim = read(claim)?;
        let left = claim.get("exp")?.as_u64()?.checked_sub(now).filter(|left| *left > 0)?;
        Some(Claim {
            username: claim.get("username")?.as_str()?.to_owned(),
            revision: claim.get("revision")?.as_u64()?,
            // What it claims beyond a token's time is not believed.
            left: Duration::from_secs(left).min(self.time),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A key of 2048 bits, made for this test and used nowhere.
    const RSA: &str = include_str!("testdata/rsa.pem");

    fn read(method: &str, text: &str) -> Result<JwtKey, JwtError> {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("it can be written");
        JwtKey::read(method, file.path())
    }

    fn all() -> Vec<Jwt> {
        let pem = |kind| KeyPair::generate_for(kind).expect("randomness").serialize_pem();
        [
            ("EdDSA", pem(&PKCS_ED25519)),
            ("ES256", pem(&PKCS_ECDSA_P256_SHA256)),
            ("RS256", RSA.to_owned()),
            ("HS256", "x".repeat(32)),
        ]
        .iter()
        .map(|(method, text)| Jwt::new(read(method, text).expect("it is one"), HOUR))
        .collect()
    }

    #[test]
    fn a_token_holds_until_its_end_and_for_its_own_key_only() {
        let all = all();
        for (at, jwt) in all.iter().enumerate() {
            let token = jwt.issue("ann", 7, 1000);
            let claim = |left| {
                let left = Duration::from_secs(left);
                Some(Claim { username: "ann".to_owned(), revision: 7, left })
            };
            assert_eq!(jwt.check(&token, 1000), claim(3600), "{jwt:?}");
            assert_eq!(jwt.check(&token, 4599), claim(1), "{jwt:?}");
            assert_eq!(jwt.check(&token, 4600), None, "{jwt:?}");
            for (other_at, other) in all.iter().enumerate() {
                assert_eq!(other.check(&token, 1000).is_some(), at == other_at, "{other:?}");
            }
        }
    }

    #[test]
    fn a_token_that_was_changed_anywhere_is_none() {
        for jwt in all() {
            let token = jwt.issue("ann", 7, 1000);
            for at in 0..token.len() {
                let mut changed = token.clone().into_bytes();
                changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
                let changed = String::from_utf8(changed).expect("ASCII");
                assert_eq!(jwt.check(&changed, 1000), None, "{jwt:?} at {at}");
            }
            for wrong in ["", ".", "..", "a.b.c", &token[..token.len() - 1], &"a".repeat(9000)] {
                assert_eq!(jwt.check(wrong, 1000), None, "{wrong}");
            }
        }
    }

    #[test]
    fn what_a_token_says_of_its_own_algorithm_decides_nothing() {
        for jwt in all() {
            for algorithm in ["none", "HS256", "ES256", "hs256"] {
                let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
                let head = part(json!({ "alg": algorithm }));
                let claim = part(json!({ "username": "root", "revision": 1, "exp": 9999 }));
                let text = format!("{head}.{claim}");
                assert_eq!(jwt.check(&format!("{text}."), 1000), None, "{jwt:?}, {algorithm}");
                let signature = URL_SAFE_NO_PAD.encode(jwt.key.sign(text.as_bytes()));
                let is_ours = jwt.key.method() == algorithm;
                let checked = jwt.check(&format!("{text}.{signature}"), 1000);
                assert_eq!(checked.is_some(), is_ours, "{jwt:?}, {algorithm}");
            }
        }
    }

    #[test]
    fn a_key_that_cannot_be_used_is_refused_with_a_reason() {
        let ed = KeyPair::generate_for(&PKCS_ED25519).expect("randomness").serialize_pem();
        for (method, text, why) in [
            ("HS256", "short", "5 bytes of 32"),
            ("ES256", ed.as_str(), "no key for ES256"),
            ("RS256", "nonsense", "no private key in PEM"),
            ("none", "", "there is no method none"),
        ] {
            let error = read(method, text).expect_err("it cannot be used").to_string();
            assert!(error.contains(why), "{error}");
        }
        let absent = JwtKey::read("HS256", Path::new("/nowhere/at/all")).expect_err("no file");
        assert!(absent.to_string().contains("/nowhere/at/all"), "{absent}");
    }
}
