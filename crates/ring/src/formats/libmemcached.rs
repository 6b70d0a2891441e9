//! The consistent distributions of libmemcached.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;

use super::server::without_brackets;
use super::{Server, one_at_a_time};

/// The port that is left out of what is hashed.
const DEFAULT_PORT: u16 = 11_211;

/// Points of a server where weights play no part.
pub(super) const POINTS_UNWEIGHTED: u64 = 100;

/// What a server is hashed under; `None` where the port is no number below 65,536.
pub(super) fn name(server: &Server) -> Option<String> {
    if let Some(path) = server.unix_path() {
        // Such a server has port 0.
        return Some(format!("{path}:0"));
    }
    let (host, port) = server.host_and_port();
    let host = without_brackets(host);
    match port.map(str::parse::<u16>).transpose().ok()? {
        None | Some(0 | DEFAULT_PORT) => Some(host.to_owned()),
        Some(port) => Some(format!("{host}:{port}")),
    }
}

/// The points of a server where weights play no part.
pub(super) fn points_unweighted(name: &str) -> impl Iterator<Item = u32> {
    (0..POINTS_UNWEIGHTED)
        .map(move |number| one_at_a_time::hash(format!("{name}-{number}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_port_is_left_out() {
        for (address, name) in [
            ("10.0.0.1:11211", Some("10.0.0.1")),
            ("10.0.0.1", Some("10.0.0.1")),
            ("10.0.0.1:0", Some("10.0.0.1")),
            ("10.0.0.1:11212", Some("10.0.0.1:11212")),
            ("[::1]:11212", Some("::1:11212")),
            ("[::1]", Some("::1")),
            ("/run/m.sock", Some("/run/m.sock:0")),
            ("h:65536", None),
            ("h:", None),
        ] {
            assert_eq!(super::name(&Server::new(address)).as_deref(), name, "{address}");
        }
    }
}
