//! `hash KEY consistent` of nginx: a chain of CRC-32 over the address, 160 points for each part of
//! the weight.

use alloc::format;
use alloc::string::String;

use crc32fast::Hasher;

use super::Server;

/// Points for each part of a weight. They are absolute, so that a server that comes or goes moves
/// nothing between the others.
pub(super) const POINTS_PER_WEIGHT: u64 = 160;

/// The point of a key.
pub(super) fn hash(key: &[u8]) -> u32 {
    crc32fast::hash(key)
}

/// What the points of a server are drawn from: host and port with a zero byte between. An IPv6
/// address keeps its brackets; a socket of the file system is a host without a port.
pub(super) fn base(server: &Server) -> String {
    // A path without `unix:` before it would be a host name to nginx.
    let path = server.unix_path().filter(|path| path.len() < server.address().len());
    let (host, port) = match path {
        Some(path) => (path, None),
        None => server.host_and_port(),
    };
    format!("{host}\0{}", port.unwrap_or_default())
}

/// The points of a server, each the checksum of the base and of the point before it.
pub(super) fn points(base: &str, weight: u32) -> impl Iterator<Item = u32> {
    let mut begun = Hasher::new();
    begun.update(base.as_bytes());
    let mut previous = 0_u32;
    (0..POINTS_PER_WEIGHT * u64::from(weight)).map(move |_| {
        let mut hasher = begun.clone();
        hasher.update(&previous.to_le_bytes());
        previous = hasher.finalize();
        previous
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn the_base_is_the_text_of_the_directive() {
        for (address, expected) in [
            ("10.0.0.1:80", "10.0.0.1\x0080"),
            ("example.org", "example.org\0"),
            ("[::1]:8080", "[::1]\x008080"),
            ("[::1]", "[::1]\0"),
            ("unix:/run/a.sock", "/run/a.sock\0"),
            ("Unix:/run/a:1", "/run/a:1\0"),
            ("h:", "h\0"),
            // To nginx this is a host, and a port.
            ("/run/a:1", "/run/a\x001"),
        ] {
            assert_eq!(base(&Server::new(address)), expected, "{address}");
        }
    }

    #[test]
    fn a_weight_continues_the_same_chain() {
        let base = base(&Server::new("10.0.0.1:80"));
        let one: Vec<u32> = points(&base, 1).collect();
        let three: Vec<u32> = points(&base, 3).collect();
        assert_eq!((one.len(), three.len()), (160, 480));
        assert_eq!(one, three[..160]);
    }
}
