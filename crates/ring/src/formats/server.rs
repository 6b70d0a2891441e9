//! One server, as a configuration names it.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// A server of a [`Continuum`](super::Continuum): where it listens, its share, and perhaps a name.
///
/// As text it is `[name@]address[=weight]`, where the address is `host`, `host:port`,
/// `[ipv6]:port`, `unix:/path` or `/path`.
///
/// ```
/// use althing_ring::formats::Server;
///
/// let server: Server = "cache-1@10.0.0.1:11211=3".parse()?;
/// assert_eq!(server, Server::new("10.0.0.1:11211").named("cache-1").weighted(3));
/// assert_eq!(server.label(), "cache-1");
/// # Ok::<(), althing_ring::formats::ServerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    name: Option<String>,
    address: String,
    weight: u32,
}

/// Why a text is no server. The input is to blame.
///
/// ```
/// # use althing_ring::formats::{Server, ServerError};
/// assert_eq!("10.0.0.1:11211=1.5".parse::<Server>(), Err(ServerError::Weight));
/// assert_eq!("@10.0.0.1:11211".parse::<Server>(), Err(ServerError::NoName));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerError {
    /// There is no address, or it is empty.
    NoAddress,
    /// There is an `@` with nothing before it.
    NoName,
    /// What follows the last `=` is no whole number from 0 to 4,294,967,295.
    Weight,
    /// Blanks and control characters stand in no address and no name.
    Blank,
}

impl Server {
    /// A server of weight 1 without a name. The address is taken as the configuration of the
    /// program in question has it; what is wrong with it shows when a continuum is built.
    ///
    /// ```
    /// # use althing_ring::formats::Server;
    /// assert_eq!(Server::new("10.0.0.1:11211").weight(), 1);
    /// ```
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self { name: None, address: address.into(), weight: 1 }
    }

    /// The same server under a name. twemproxy hashes the name in place of the address, the others
    /// only show it.
    ///
    /// ```
    /// # use althing_ring::formats::Server;
    /// assert_eq!(Server::new("10.0.0.1:11211").named("a").name(), Some("a"));
    /// ```
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same server with a share of so many parts.
    ///
    /// ```
    /// # use althing_ring::formats::Server;
    /// assert_eq!(Server::new("10.0.0.1:11211").weighted(5).weight(), 5);
    /// ```
    #[must_use]
    pub fn weighted(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Where it listens, as it was written.
    ///
    /// ```
    /// # use althing_ring::formats::Server;
    /// assert_eq!(Server::new("[::1]:80").address(), "[::1]:80");
    /// ```
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its name, where it was given one.
    ///
    /// ```
    /// # use althing_ring::formats::Server;
    /// assert_eq!(Server::new("[::1]:80").name(), None);
    /// ```
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// How many parts it takes, of all that the servers take together.
    ///
    /// ```
    /// # use althing_ring::formats::Server;
    /// assert_eq!(Server::new("[::1]:80").weight(), 1);
    /// ```
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// What to show people: the name, or the address where there is none.
    ///
    /// ```
    /// # use althing_ring::formats::Server;
    /// assert_eq!(Server::new("[::1]:80").label(), "[::1]:80");
    /// ```
    #[must_use]
    pub fn label(&self) -> &str {
        self.name().unwrap_or(&self.address)
    }

    /// The path, where it listens on a socket of the file system.
    pub(super) fn unix_path(&self) -> Option<&str> {
        if self.address.starts_with('/') {
            return Some(&self.address);
        }
        let (scheme, path) = self.address.split_at_checked(5)?;
        scheme.eq_ignore_ascii_case("unix:").then_some(path)
    }

    /// The host and the digits of the port, as written: the text is cut at the last colon if only
    /// digits follow it.
    pub(super) fn host_and_port(&self) -> (&str, Option<&str>) {
        match self.address.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (host, Some(port))
            }
            _ => (&self.address, None),
        }
    }

    /// Whether there is nothing before the port, and no path.
    pub(super) fn has_no_host(&self) -> bool {
        let host = self.unix_path().unwrap_or_else(|| without_brackets(self.host_and_port().0));
        host.is_empty()
    }

    /// Whether it is an IPv6 address without brackets, whose port nobody can tell from the rest.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.unix_path().is_none()
            && !self.address.starts_with('[')
            && self.address.bytes().filter(|byte| *byte == b':').count() > 1
    }
}

/// An IPv6 address as a program that takes host and port apart has it: without the brackets.
pub(super) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(ServerError::Blank);
        }
        let (name, rest) = match text.split_once('@') {
            Some(("", _)) => return Err(ServerError::NoName),
            Some((name, rest)) => (Some(name.to_owned()), rest),
            None => (None, text),
        };
        let (address, weight) = match rest.rsplit_once('=') {
            Some((address, weight)) => {
                let is_number = weight.bytes().all(|byte| byte.is_ascii_digit());
                let number = weight.parse().ok().filter(|_| is_number);
                (address, number.ok_or(ServerError::Weight)?)
            }
            None => (rest, 1),
        };
        if address.is_empty() {
            return Err(ServerError::NoAddress);
        }
        Ok(Self { name, address: address.to_owned(), weight })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}@")?;
        }
        write!(f, "{}={}", self.address, self.weight)
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAddress => "there is no address",
            Self::NoName => "there is no name before the @",
            Self::Weight => "the weight is no whole number from 1 to 4294967295",
            Self::Blank => "there is a blank or a control character in it",
        })
    }
}

impl core::error::Error for ServerError {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn text_becomes_a_server_and_text_again() {
        for (text, name, address, weight) in [
            ("10.0.0.1:80=3", None, "10.0.0.1:80", 3),
            ("a@[::1]:80=1", Some("a"), "[::1]:80", 1),
            ("unix:/tmp/a=b=4294967295", None, "unix:/tmp/a=b", u32::MAX),
            ("n@unix:/tmp/@x=0", Some("n"), "unix:/tmp/@x", 0),
        ] {
            let server: Server = text.parse().expect(text);
            assert_eq!((server.name(), server.address()), (name, address), "{text}");
            assert_eq!(server.weight(), weight, "{text}");
            assert_eq!(server.to_string(), text);
        }
        assert_eq!("h".parse::<Server>(), Ok(Server::new("h")));
    }

    #[test]
    fn what_is_no_server_says_why() {
        for (text, error) in [
            ("", ServerError::NoAddress),
            ("=1", ServerError::NoAddress),
            ("a@", ServerError::NoAddress),
            ("a@=1", ServerError::NoAddress),
            ("@h:1", ServerError::NoName),
            ("h:1=", ServerError::Weight),
            ("h:1=+1", ServerError::Weight),
            ("h:1=-1", ServerError::Weight),
            ("h:1=1.5", ServerError::Weight),
            ("h:1=4294967296", ServerError::Weight),
            ("h h:1", ServerError::Blank),
            ("h:1=1\r", ServerError::Blank),
            ("h\0:1", ServerError::Blank),
            ("h\u{a0}:1", ServerError::Blank),
        ] {
            assert_eq!(text.parse::<Server>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn an_address_is_cut_at_its_port() {
        for (address, host, port) in [
            ("h:80", "h", Some("80")),
            ("h", "h", None),
            ("h:", "h", Some("")),
            ("h:8o", "h:8o", None),
            ("[::1]:80", "[::1]", Some("80")),
            ("[::1]", "[::1]", None),
        ] {
            assert_eq!(Server::new(address).host_and_port(), (host, port), "{address}");
        }
        assert_eq!(Server::new("UNIX:/a").unix_path(), Some("/a"));
        assert_eq!(Server::new("/a:1").unix_path(), Some("/a:1"));
        assert_eq!(Server::new("héé").unix_path(), None, "no cut inside a character");
        assert!(Server::new("::1:80").is_ambiguous());
        assert!(
            !Server::new("[::1]:80").is_ambiguous() && !Server::new("unix:/:a:1").is_ambiguous()
        );
    }
}
