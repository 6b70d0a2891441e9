//! How users are known once they have signed in, as etcd's flag says it: `simple`, or `jwt` with
//! its parts.

use std::path::PathBuf;
use std::time::Duration;

use althing_node::client::{JwtKey, TokenSettings};

use crate::duration;
use crate::failure::{Failure, Kind};

/// What tokens are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tokens {
    /// Without meaning; each lasts so long after its last use.
    Simple { time: Duration },
    /// Signed, by this method, with the key in this file; each lasts so long.
    Jwt { method: String, key: PathBuf, time: Duration },
}

/// As in etcd.
const TIME: Duration = Duration::from_secs(300);

/// Reads the kind and its parts. An error says what was expected.
pub(super) fn parse(text: &str) -> Result<Tokens, String> {
    let mut parts = text.split(',');
    let kind = parts.next().unwrap_or_default();
    let (mut method, mut key, mut time) = (None, None, TIME);
    for part in parts {
        match part.split_once('=') {
            Some(("ttl", text)) => {
                time =
                    duration::parse(text).map_err(|_| "the ttl is a time, as in 5m".to_owned())?;
            }
            Some(("sign-method", text)) if kind == "jwt" => method = Some(text.to_owned()),
            Some(("priv-key", text)) if kind == "jwt" => key = Some(PathBuf::from(text)),
            _ => return Err(format!("`{part}` is no part of {kind} tokens")),
        }
    }
    if time < Duration::from_secs(1) {
        return Err("a token lasts a second at least".to_owned());
    }
    match (kind, method, key) {
        ("simple", ..) => Ok(Tokens::Simple { time }),
        ("jwt", Some(method), Some(key)) => Ok(Tokens::Jwt { method, key, time }),
        ("jwt", ..) => Err("expected jwt,sign-method=METHOD,priv-key=FILE[,ttl=TIME]".to_owned()),
        _ => Err("expected simple[,ttl=TIME], or jwt and its parts".to_owned()),
    }
}

impl Tokens {
    /// The form that [`parse`] reads back.
    pub(super) fn show(&self) -> String {
        match self {
            Self::Simple { time } => format!("simple,ttl={}", duration::show(*time)),
            Self::Jwt { method, key, time } => {
                let (key, time) = (key.display(), duration::show(*time));
                format!("jwt,sign-method={method},priv-key={key},ttl={time}")
            }
        }
    }

    /// What a node is told, with the key read.
    ///
    /// # Errors
    /// The key cannot be read, or is none of the method.
    pub(crate) fn settings(&self) -> Result<TokenSettings, Failure> {
        Ok(match self {
            Self::Simple { time } => TokenSettings::Simple { time: *time },
            Self::Jwt { method, key, time } => {
                let key = JwtKey::read(method, key).map_err(|error| {
                    Failure::new(Kind::Usage, "the key of --auth-token cannot be used")
                        .cause(error)
                        .hint("EdDSA, ES256 and RS256 take a private key in PEM, HS256 a secret")
                })?;
                TokenSettings::Jwt { key, time: *time }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_simple_or_signed() {
        for text in
            ["simple,ttl=300s", "simple,ttl=60s", "jwt,sign-method=ES256,priv-key=a/b.pem,ttl=300s"]
        {
            assert_eq!(parse(text).map(|tokens| tokens.show()), Ok(text.to_owned()));
        }
        assert_eq!(parse("simple"), Ok(Tokens::Simple { time: TIME }));
        for text in ["", "none", "jwt", "jwt,sign-method=ES256", "simple,ttl=0s", "simple,x=1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
