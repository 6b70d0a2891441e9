use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderMap};
use tonic::Request;
use zeroize::Zeroizing;

/// The name in the certificate that a client has shown and that was checked, for the listener to
/// put among a request's extensions. Its user is the one of the same name; a token goes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateName(pub Arc<str>);

/// What a request brought along to prove on whose behalf it is made.
#[derive(Clone, Default)]
pub(super) struct Credentials {
    pub(super) token: Option<Zeroizing<String>>,
    pub(super) certificate: Option<CertificateName>,
}

impl Credentials {
    /// Those of a gRPC request.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        Self::found(request.metadata().as_ref(), request.extensions())
    }

    /// Those in the head of a request, however it came: etcd's clients put the token into `token`,
    /// those of its gateway into `Authorization`, with or without a word for its kind before it.
    pub(super) fn found(headers: &HeaderMap, extensions: &Extensions) -> Self {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let token = header("token").or_else(|| header("authorization"));
        let token = token.map(|token| token.strip_prefix("Bearer ").unwrap_or(token).trim());
        let token = token.filter(|token| !token.is_empty());
        Self {
            token: token.map(|token| Zeroizing::new(token.to_owned())),
            certificate: extensions.get().cloned(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(headers: &[(&'static str, &'static str)]) -> Option<String> {
        let mut request = Request::new(());
        for (name, value) in headers {
            request.metadata_mut().insert(*name, value.parse().expect("ASCII"));
        }
        Credentials::of(&request).token.map(|token| token.to_string())
    }

    #[test]
    fn a_token_is_found_where_etcds_clients_put_it() {
        assert_eq!(token(&[("token", "t"), ("authorization", "a")]).as_deref(), Some("t"));
        assert_eq!(token(&[("authorization", "a")]).as_deref(), Some("a"));
        assert_eq!(token(&[("authorization", "Bearer a")]).as_deref(), Some("a"));
        assert_eq!(token(&[("token", "")]), None);
        assert_eq!(token(&[]), None);
    }

    #[test]
    fn the_name_of_a_certificate_comes_from_the_listener_alone() {
        let mut request = Request::new(());
        request.metadata_mut().insert("certificatename", "root".parse().expect("ASCII"));
        assert_eq!(Credentials::of(&request).certificate, None);
        request.extensions_mut().insert(CertificateName("ann".into()));
        assert_eq!(Credentials::of(&request).certificate, Some(CertificateName("ann".into())));
    }

    #[test]
    fn a_token_is_not_shown() {
        let mut request = Request::new(());
        request.metadata_mut().insert("token", "secret".parse().expect("ASCII"));
        let credentials = Credentials::of(&request);
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
