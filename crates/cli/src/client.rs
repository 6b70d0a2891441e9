//! One request to a cluster through whichever endpoint answers.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tonic::{Code, Response, Status};

use crate::failure::{Failure, Kind, root_cause};
use crate::transport::{Channel, Transport, advice, is_refused_certificate};

/// An answer may be as large as this. A range over more has to be read in parts.
pub(crate) const ANSWER_BYTES_MAX: usize = 512 << 20;

/// What an address begins with that is to be reached under TLS.
pub(crate) const HTTPS: &str = "https://";

/// Where one server listens for clients: `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address(String);

impl FromStr for Address {
    type Err = String;

    /// Reads `host:port`, also with `http://` or `https://` before it. An error says what was
    /// expected.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let bare = text.strip_prefix("http://").or_else(|| text.strip_prefix(HTTPS));
        let bare = bare.unwrap_or(text).trim_end_matches('/');
        let wrong = || format!("`{text}` is no address; write host:port, as in 127.0.0.1:2379");
        let (host, port) = bare.rsplit_once(':').ok_or_else(wrong)?;
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        let is_host = !host.is_empty() && (is_bracketed || !host.contains(':'));
        let is_clean = !bare.contains(|c: char| c.is_whitespace() || matches!(c, '/' | ',' | '='));
        if !is_host || !is_clean || port.parse::<u16>().is_err() {
            return Err(wrong());
        }
        Ok(Self(bare.to_owned()))
    }
}

impl Address {
    /// Whether only this machine can reach it.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.0.rsplit_once(':').map_or("", |(host, _)| host);
        host == "localhost"
            || self.0.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
    }

    /// Whether it means every interface, which is no place to connect to from elsewhere.
    pub(crate) fn is_everywhere(&self) -> bool {
        self.0.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_unspecified())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a request may change anything, which decides what its loss means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Read,
    Write,
}

/// Sends requests to the first endpoint that takes them.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    endpoints: Vec<Address>,
    transport: Transport,
    timeout: Duration,
}

impl Client {
    /// A client of `endpoints`, tried in their order; a request takes `timeout` at most, over all
    /// of them.
    pub(crate) fn new(endpoints: Vec<Address>, transport: Transport, timeout: Duration) -> Self {
        assert!(!endpoints.is_empty(), "the arguments always name an endpoint");
        Self { endpoints, transport, timeout }
    }

    /// The same client, for one endpoint only.
    pub(crate) fn only(&self, endpoint: Address) -> Self {
        Self { endpoints: vec![endpoint], ..self.clone() }
    }

    /// The endpoints, in the order in which they are tried.
    pub(crate) fn endpoints(&self) -> &[Address] {
        &self.endpoints
    }

    /// How they are reached.
    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// How long a request may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Calls `request` with a connection to each endpoint in turn until one gives an answer.
    ///
    /// The next endpoint is tried only while it is certain that nothing happened: the connection
    /// was not made, the server has no leader, or the request cannot change anything. A read does
    /// not wait for one endpoint longer than its share of the time, in case that one hangs.
    pub(crate) async fn call<T, F>(
        &self,
        effect: Effect,
        request: impl Fn(Channel) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = Instant::now() + self.timeout;
        let share = self.timeout / u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX);
        let mut unreachable = Vec::new();
        let mut last = None;
        for (position, address) in self.endpoints.iter().enumerate() {
            let is_last = position + 1 == self.endpoints.len();
            let channel = match self.transport.connect(address, share).await {
                Ok(channel) => channel,
                Err(cause) => {
                    unreachable.push(format!("{address}: {cause}"));
                    continue;
                }
            };
            let may_ask_again = effect == Effect::Read && !is_last;
            let until = if may_ask_again { Instant::now() + share } else { deadline };
            let asked = async {
                let entered = self.transport.enter(channel.clone(), address).await;
                let answer = request(entered.map_err(Refused::By)?).await;
                let credentials = self.transport.credentials();
                match answer {
                    // The token may have had its time; nothing was done.
                    Err(status) if has_no_token(&status) && credentials.can_sign_in() => {
                        credentials.forget();
                        let entered = self.transport.enter(channel, address).await;
                        let again = request(entered.map_err(Refused::By)?).await;
                        again.map_err(Refused::With)
                    }
                    answer => answer.map_err(Refused::With),
                }
            };
            match timeout_at(until.min(deadline), asked).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(Refused::By(failure))) if failure.kind == Kind::Denied => {
                    return Err(failure);
                }
                Ok(Err(Refused::By(failure))) => last = Some(failure),
                Ok(Err(Refused::With(status))) => {
                    let (failure, may_try_next) = judge(&status, address, effect);
                    if !may_try_next {
                        return Err(failure);
                    }
                    last = Some(failure);
                }
                Err(_) if may_ask_again => last = Some(self.no_answer(address, effect)),
                Err(_) => return Err(self.no_answer(address, effect)),
            }
        }
        Err(last.unwrap_or_else(|| self.unreachable(&unreachable)))
    }

    fn unreachable(&self, causes: &[String]) -> Failure {
        let message = match &self.endpoints[..] {
            [only] => format!("cannot reach {only}"),
            all => format!("cannot reach any of {} endpoints", all.len()),
        };
        let causes = causes.join("; ");
        let hint = advice(&causes)
            .unwrap_or("start a cluster with `althing dev`, or name another with --endpoints");
        Failure::new(Kind::Unreachable, message).cause(causes).hint(hint)
    }

    fn no_answer(&self, address: &Address, effect: Effect) -> Failure {
        let time = crate::duration::show(self.timeout);
        let failure = Failure::new(Kind::Unknown, format!("{address} did not answer in {time}"));
        match effect {
            Effect::Read => {
                failure.hint("`althing status` shows who leads; --timeout waits longer")
            }
            Effect::Write => unknown_write(failure),
        }
    }
}

/// Why a request has no answer.
enum Refused {
    /// It was not made, for the user was not let in.
    By(Failure),
    /// What the server said to it.
    With(Status),
}

fn has_no_token(status: &Status) -> bool {
    status.code() == Code::Unauthenticated && status.message().contains("invalid auth token")
}

fn unknown_write(failure: Failure) -> Failure {
    let hint = "read the key before writing again: the write may have happened";
    failure.hint(hint)
}

/// What a refusal means, and whether another endpoint may be asked the same.
///
/// etcd tells many things apart only by the text of the status, so the text is looked at too.
pub(crate) fn judge(status: &Status, address: &Address, effect: Effect) -> (Failure, bool) {
    let text = status.message();
    let bare = text.strip_prefix("etcdserver: ").unwrap_or(text);
    let is_read = effect == Effect::Read;
    let other = || Failure::new(Kind::Other, format!("{address} refused: {bare}"));
    let denied = |message: &str| Failure::new(Kind::Denied, message);
    if bare == "no leader" {
        let failure = Failure::new(Kind::NoLeader, "the cluster has no leader")
            .cause(format!("{address} says: {text}"))
            .hint("`althing status` shows which nodes are up; more than half must be");
        return (failure, true);
    }
    if let Some((kind, hint)) = crate::member::advice(bare) {
        return (Failure::new(kind, format!("{address} refused: {bare}")).hint(hint), false);
    }
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            let cause =
                std::error::Error::source(status).map_or_else(|| text.to_owned(), root_cause);
            let message = format!("{address} did not complete the request");
            if is_refused_certificate(&cause) {
                let hint = advice(&cause).unwrap_or("show another certificate");
                return (Failure::new(Kind::Unreachable, message).cause(cause).hint(hint), true);
            }
            let failure = Failure::new(Kind::Unknown, message).cause(cause);
            if is_read {
                (failure.hint("ask again; `althing status` shows who leads"), true)
            } else {
                (unknown_write(failure), false)
            }
        }
        Code::PermissionDenied => {
            let hint = "`althing user get` and `role get` show what a user may; root may grant it";
            (denied("the user has no right to that").hint(hint), false)
        }
        Code::Unauthenticated => {
            let failure = denied("the cluster does not know the user any more").cause(bare);
            (failure.hint("sign in anew: the password may have been changed"), false)
        }
        Code::InvalidArgument if bare == "user name is empty" => {
            let failure = denied("the cluster wants to know who asks").cause(bare);
            (failure.hint("name a user with --user NAME or ALTHING_USER"), false)
        }
        Code::InvalidArgument if bare.starts_with("authentication failed") => {
            let failure = denied("name and password don't belong together").cause(bare);
            (failure.hint("look at --user, and at ALTHING_PASSWORD or --password-file"), false)
        }
        Code::Unimplemented => {
            let hint = "is this the client port of an Althing or etcd server?";
            (other().hint(hint), false)
        }
        Code::NotFound if bare == "requested lease not found" => {
            let failure = Failure::new(Kind::NotFound, "there is no such lease");
            (failure.hint("`althing lease list` shows those that there are"), false)
        }
        Code::OutOfRange if bare.contains("compacted") => {
            (other().hint("that revision is forgotten; read without --revision"), false)
        }
        Code::OutOfRange if bare.contains("future revision") => {
            (other().hint("read without --revision for the newest"), false)
        }
        Code::ResourceExhausted if bare.contains("space exceeded") => {
            (other().hint("delete keys and compact, or raise the server's --quota"), false)
        }
        _ => match advice(bare) {
            Some(advice) => (other().hint(advice), false),
            None => (other(), false),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        for (text, expected) in [
            ("127.0.0.1:2379", "127.0.0.1:2379"),
            (" http://a.example:80/ ", "a.example:80"),
            ("https://a.example:443", "a.example:443"),
            ("[::1]:2379", "[::1]:2379"),
        ] {
            assert_eq!(text.parse::<Address>().map(|a| a.to_string()), Ok(expected.to_owned()));
        }
        for text in
            ["", "a", "a:", ":1", "a:b", "a:70000", "ftp://a:1", "::1:2379", "a b:1", "a/b:1"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_lost_write_is_unknown_and_is_not_sent_twice() {
        let address: Address = "a:1".parse().expect("an address");
        let judge = |code, text, effect| {
            let (failure, may_try_next) = judge(&Status::new(code, text), &address, effect);
            (failure.kind, may_try_next)
        };
        for (code, text, read, write) in [
            (
                Code::Unavailable,
                "etcdserver: no leader",
                (Kind::NoLeader, true),
                (Kind::NoLeader, true),
            ),
            (Code::Unavailable, "broken pipe", (Kind::Unknown, true), (Kind::Unknown, false)),
            (
                Code::Unavailable,
                "etcdserver: leader changed",
                (Kind::Unknown, true),
                (Kind::Unknown, false),
            ),
            (Code::InvalidArgument, "etcdserver: key", (Kind::Other, false), (Kind::Other, false)),
        ] {
            assert_eq!(judge(code, text, Effect::Read), read, "read: {text}");
            assert_eq!(judge(code, text, Effect::Write), write, "write: {text}");
        }
    }
}
