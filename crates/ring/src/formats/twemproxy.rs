//! `distribution: ketama` of twemproxy.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;

use super::Server;
use super::one_at_a_time::signed;
use super::server::without_brackets;

/// The port that is left out of what is hashed.
const DEFAULT_PORT: u16 = 11_211;

/// twemproxy writes a name, a hyphen and a number into a buffer of 86 bytes, the last a zero.
/// What it hashes beyond it is whatever lay there, so that such a server has no points to repeat.
pub(super) const HASHED_LENGTH_MAX: usize = 85;

/// What a server is hashed under; `None` where there is neither a name nor a port. Only the port is
/// compared as a number: what is hashed is the text.
pub(super) fn name(server: &Server) -> Option<String> {
    if let Some(name) = server.name() {
        return Some(name.to_owned());
    }
    if let Some(path) = server.unix_path() {
        // The colon before the weight, which stands where a port would end.
        return Some(format!("{path}:"));
    }
    let (host, port) = server.host_and_port();
    let host = without_brackets(host);
    let port = port?;
    match port.parse::<u16>().ok()? {
        0 => None,
        DEFAULT_PORT => Some(host.to_owned()),
        _ => Some(format!("{host}:{port}")),
    }
}

/// The point of a key under `hash: fnv1a_64`, the default: the 64-bit function of that name with
/// all but the lower 32 bits of its state cut off. Nothing at all has the point 0.
pub(super) fn fnv1a_64(key: &[u8]) -> u32 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    if key.is_empty() {
        return 0;
    }
    key.iter().fold(OFFSET as u32, |state, byte| (state ^ signed(*byte)).wrapping_mul(PRIME as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_or_else_the_text_of_the_address_is_hashed() {
        for (server, name) in [
            ("10.0.0.1:11211", Some("10.0.0.1")),
            ("10.0.0.1:11212", Some("10.0.0.1:11212")),
            ("10.0.0.1:011212", Some("10.0.0.1:011212")),
            ("[::1]:11212", Some("::1:11212")),
            ("a@10.0.0.1:11212", Some("a")),
            ("/run/m.sock", Some("/run/m.sock:")),
            ("10.0.0.1", None),
            ("10.0.0.1:0", None),
            ("10.0.0.1:70000", None),
        ] {
            let server: Server = server.parse().expect(server);
            assert_eq!(super::name(&server).as_deref(), name, "{server}");
        }
    }
}
