use std::sync::Arc;

use althing_core::Configuration;
use althing_core::codec::{DecodeError, Reader, Writer};

/// What a member's card in the configuration says: where the other members find it.
///
/// A group is founded with empty cards: each node has the addresses from its settings, which may
/// differ. The first change of members puts the leader's into the log, for a new member has no
/// others; from then on they are what counts.
///
/// What clients need to know of a member, its own name and its client URLs, is not in here but in
/// the keyspace: it says so itself whenever it starts, which must not be a change of members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Card {
    /// The name that it was founded with. Empty for one that was added later.
    pub(crate) name: String,
    /// Where its peers find it, as URLs.
    pub(crate) peer_urls: Vec<String>,
    /// It is to vote as soon as it has caught up.
    pub(crate) will_vote: bool,
}

impl Card {
    const VERSION: u8 = 1;
    /// The most URLs of a member.
    pub(crate) const URLS_MAX: usize = 8;
    /// The longest URL or name, in bytes.
    pub(crate) const TEXT_SIZE_MAX: usize = 300;

    /// The bytes of the card.
    ///
    /// # Panics
    /// It is over a bound.
    pub(crate) fn encode(&self) -> Arc<[u8]> {
        let mut bytes = vec![Self::VERSION];
        let mut writer = Writer(&mut bytes);
        writer.bytes(self.name.as_bytes());
        writer.bool(self.will_vote);
        encode_texts(&self.peer_urls, &mut writer);
        assert!(bytes.len() <= Configuration::CARD_SIZE_MAX, "a card of {} bytes", bytes.len());
        bytes.into()
    }

    /// What the bytes say; `None` for an empty card.
    ///
    /// # Errors
    /// No program of this version wrote them.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if version != Self::VERSION {
            return Err(DecodeError::UnknownTag { what: "version of a card", tag: version });
        }
        let name = reader.string(Self::TEXT_SIZE_MAX)?;
        let will_vote = reader.bool()?;
        let peer_urls = decode_texts(&mut reader)?;
        reader.finish()?;
        Ok(Some(Self { name, peer_urls, will_vote }))
    }

    /// Where to dial, as `host:port`.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.peer_urls.iter().map(|url| address(url).to_owned()).collect()
    }
}

/// The `host:port` of a URL.
pub(crate) fn address(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/')
}

/// Whether peers could be found there: `http` or `https`, a host and a port, and nothing else.
pub(crate) fn is_peer_url(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let Some((host, port)) = rest.rsplit_once(':') else { return false };
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let is_host = !host.is_empty()
        && (is_bracketed || !host.contains(':'))
        && !host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '@' | ',' | '='));
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    matches!(scheme, "http" | "https") && is_host && is_port && url.len() <= Card::TEXT_SIZE_MAX
}

/// Appends a few short texts.
pub(crate) fn encode_texts(texts: &[String], writer: &mut Writer<'_>) {
    writer.u8(u8::try_from(texts.len()).expect("bounded"));
    for text in texts {
        writer.bytes(text.as_bytes());
    }
}

/// Reads a few short texts.
///
/// # Errors
/// They are more, or longer, than a card may hold.
pub(crate) fn decode_texts(reader: &mut Reader<'_>) -> Result<Vec<String>, DecodeError> {
    let length = usize::from(reader.u8()?);
    if length > Card::URLS_MAX {
        return Err(DecodeError::TooLong { length, max: Card::URLS_MAX });
    }
    (0..length).map(|_| reader.string(Card::TEXT_SIZE_MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_comes_back_as_it_went_and_the_largest_fits() {
        let long = "x".repeat(Card::TEXT_SIZE_MAX);
        let cards = [
            Card::default(),
            Card {
                name: "n1".to_owned(),
                peer_urls: vec!["http://a:1".to_owned(), "https://b:2/".to_owned()],
                will_vote: true,
            },
            Card { name: long.clone(), peer_urls: vec![long; Card::URLS_MAX], will_vote: false },
        ];
        for card in cards {
            let bytes = card.encode();
            assert_eq!(Card::decode(&bytes), Ok(Some(card)));
            for cut in 1..bytes.len() {
                assert!(Card::decode(&bytes[..cut]).is_err(), "cut at {cut}");
            }
        }
        assert_eq!(Card::decode(&[]), Ok(None), "of the founding");
        assert!(Card::decode(&[2]).is_err(), "of a later program");
    }

    #[test]
    fn peers_are_found_at_urls_with_a_port() {
        for url in ["http://a:1", "https://10.0.0.1:2380/", "http://[::1]:1"] {
            assert!(is_peer_url(url), "{url}");
        }
        for url in [
            "",
            "a:1",
            "http://a",
            "http://a:0",
            "http://:1",
            "ftp://a:1",
            "http://a:1/b",
            "http://::1:1",
        ] {
            assert!(!is_peer_url(url), "{url}");
        }
        assert!(!is_peer_url(&format!("http://{}:1", "x".repeat(Card::TEXT_SIZE_MAX))));
    }

    #[test]
    fn a_url_names_an_address() {
        for url in ["http://a:1", "https://a:1/", "a:1"] {
            assert_eq!(address(url), "a:1");
        }
    }
}
