//! The servers of a configuration on the circle of a format.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use super::{Format, Server, ketama, libmemcached, nginx, twemproxy};
use crate::circle::{Circle, hash_of_u32};

/// Points that a continuum holds at most, eight bytes each: 104,857 servers of weight 1. Without a
/// bound a weight of a few million takes all the memory there is.
///
/// ```
/// # use althing_ring::formats::{Continuum, ContinuumError, Format, Server};
/// let heavy = Server::new("10.0.0.1:11211").weighted(104_858);
/// let refused = ContinuumError::TooManyPoints(16_777_280);
/// assert_eq!(Continuum::new(Format::Nginx, vec![heavy]).unwrap_err(), refused);
/// ```
pub const POINTS_MAX: u64 = 1 << 24;

/// Who owns a key, in the eyes of another program.
///
/// The order of the servers is that of the configuration. It decides where two share a point.
///
/// ```
/// # use althing_ring::formats::{Continuum, Format, Server};
/// let servers = vec![Server::new("10.0.0.1:11211"), Server::new("10.0.0.2:11211")];
/// let continuum = Continuum::new(Format::LibmemcachedWeighted, servers)?;
/// assert_eq!(continuum.owner(b"user:42").map(Server::address), Some("10.0.0.1:11211"));
/// # Ok::<(), althing_ring::formats::ContinuumError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Continuum {
    format: Format,
    servers: Vec<Server>,
    circle: Circle,
}

/// Why servers make no continuum. The input is to blame, and the program in question would refuse
/// it, too, or do what nobody can repeat.
///
/// ```
/// # use althing_ring::formats::{Continuum, ContinuumError, Format, Server};
/// let servers = ["10.0.0.1:11211", "10.0.0.2:11211"].map(|at| Server::new(at).named("cache"));
/// let error = Continuum::new(Format::TwemproxyMd5, servers.into()).unwrap_err();
/// assert_eq!(error, ContinuumError::Duplicate("cache".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContinuumError {
    /// There is no server.
    NoServers,
    /// A server without a host or a path, or with an empty name.
    NoAddress,
    /// A server of this label has the weight 0.
    ZeroWeight(String),
    /// Two servers of this label: by its name, by its address, or by what is hashed of it.
    Duplicate(String),
    /// An IPv6 address without brackets, whose port nobody can tell from the rest.
    Ambiguous(String),
    /// The address has no port, or one that the program does not take.
    Port(String),
    /// twemproxy hashes no more than 85 bytes of a name and a number in a way that can be repeated.
    TooLong(String),
    /// All weights together are more than a 32-bit number, in which twemproxy adds them up.
    TooHeavy,
    /// There would be so many points, and [`POINTS_MAX`] are allowed.
    TooManyPoints(u64),
}

impl Continuum {
    /// Draws the points of `servers`, which stand in the order of the configuration.
    ///
    /// # Errors
    /// When the servers are none, contradict each other, or are too many; see [`ContinuumError`].
    ///
    /// ```
    /// # use althing_ring::formats::{Continuum, ContinuumError, Format};
    /// assert_eq!(Continuum::new(Format::Nginx, vec![]).unwrap_err(), ContinuumError::NoServers);
    /// ```
    pub fn new(format: Format, servers: Vec<Server>) -> Result<Self, ContinuumError> {
        check(&servers)?;
        let names = hashed_names(format, &servers)?;
        let mut points = match format {
            Format::Nginx => nginx_points(&servers, &names)?,
            Format::Libmemcached if servers.iter().all(|server| server.weight() == 1) => {
                unweighted_points(&names)?
            }
            Format::Libmemcached | Format::LibmemcachedWeighted => ketama_points(&servers, &names)?,
            Format::TwemproxyMd5 | Format::TwemproxyFnv1a64 => twemproxy_points(&servers, &names)?,
        };
        // A stable sort: of equal points the first in the configuration stays the first.
        points.sort_by_key(|(point, _)| *point);
        if format == Format::Nginx {
            points.dedup_by_key(|(point, _)| *point);
        }
        let places = points.into_iter().map(|(point, position)| (hash_of_u32(point), position));
        let circle = Circle::new(places).expect("it holds more points and servers than are let in");
        Ok(Self { format, servers, circle })
    }

    /// The server that gets `key`; `None` for an empty key in nginx, which deals such out in turn.
    ///
    /// ```
    /// # use althing_ring::formats::{Continuum, Format, Server};
    /// let one = Continuum::new(Format::Nginx, vec![Server::new("10.0.0.1:80")])?;
    /// assert_eq!(one.owner(b"any").map(Server::address), Some("10.0.0.1:80"));
    /// assert_eq!(one.owner(b""), None);
    /// # Ok::<(), althing_ring::formats::ContinuumError>(())
    /// ```
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> Option<&Server> {
        self.owner_position(key).map(|position| &self.servers[position])
    }

    /// As [`Self::owner`], but the position of the server in the configuration, from 0.
    ///
    /// ```
    /// # use althing_ring::formats::{Continuum, Format, Server};
    /// let one = Continuum::new(Format::Nginx, vec![Server::new("10.0.0.1:80")])?;
    /// assert_eq!(one.owner_position(b"any"), Some(0));
    /// # Ok::<(), althing_ring::formats::ContinuumError>(())
    /// ```
    #[must_use]
    pub fn owner_position(&self, key: &[u8]) -> Option<usize> {
        let slot = self.circle.owner(self.hash(key)?)?;
        Some(slot as usize)
    }

    /// The servers of one point after the other, from that of the owner of `key` once around the
    /// circle. A server shows again with each of its points.
    ///
    /// nginx goes this way past servers that are down or failed, 21 points far, before it deals the
    /// request out in turn. (libmemcached and twemproxy draw all points anew where they eject
    /// a server: build another continuum for that.)
    ///
    /// ```
    /// # use althing_ring::formats::{Continuum, Format, Server};
    /// let servers = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"].map(Server::new);
    /// let continuum = Continuum::new(Format::Nginx, servers.to_vec())?;
    /// let is_up = |server: &&Server| server.address() != "10.0.0.1:80";
    /// let owner = continuum.walk(b"user:42").take(21).find(is_up);
    /// assert_eq!(owner.map(Server::address), Some("10.0.0.2:80"));
    /// # Ok::<(), althing_ring::formats::ContinuumError>(())
    /// ```
    pub fn walk(&self, key: &[u8]) -> impl Iterator<Item = &Server> {
        let walk = self.hash(key).map(|hash| self.circle.walk(hash));
        walk.into_iter().flatten().map(|position| &self.servers[position as usize])
    }

    /// The place of a key; `None` where it has none.
    fn hash(&self, key: &[u8]) -> Option<u64> {
        let has_place = self.format != Format::Nginx || !key.is_empty();
        has_place.then(|| hash_of_u32(self.format.hash(key)))
    }

    /// Whose points these are.
    ///
    /// ```
    /// # use althing_ring::formats::{Continuum, Format, Server};
    /// let one = Continuum::new(Format::Nginx, vec![Server::new("10.0.0.1:80")])?;
    /// assert_eq!(one.format(), Format::Nginx);
    /// # Ok::<(), althing_ring::formats::ContinuumError>(())
    /// ```
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The servers, in the order of the configuration.
    ///
    /// ```
    /// # use althing_ring::formats::{Continuum, Format, Server};
    /// let one = Continuum::new(Format::Nginx, vec![Server::new("10.0.0.1:80")])?;
    /// assert_eq!(one.servers(), [Server::new("10.0.0.1:80")]);
    /// # Ok::<(), althing_ring::formats::ContinuumError>(())
    /// ```
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// All points in order, each with the position of its server.
    ///
    /// ```
    /// # use althing_ring::formats::{Continuum, Format, Server};
    /// let one = Continuum::new(Format::Nginx, vec![Server::new("10.0.0.1:80").weighted(2)])?;
    /// assert_eq!(one.points().len(), 320);
    /// # Ok::<(), althing_ring::formats::ContinuumError>(())
    /// ```
    pub fn points(&self) -> impl ExactSizeIterator<Item = (u32, usize)> + '_ {
        self.circle.points().map(|(place, slot)| ((place >> 32) as u32, slot as usize))
    }
}

/// Points with the positions of their servers.
type Points = Vec<(u32, u32)>;

/// What no format takes.
fn check(servers: &[Server]) -> Result<(), ContinuumError> {
    if servers.is_empty() {
        return Err(ContinuumError::NoServers);
    }
    for server in servers {
        let label = || server.label().to_owned();
        if server.has_no_host() || server.name() == Some("") {
            return Err(ContinuumError::NoAddress);
        }
        if server.weight() == 0 {
            return Err(ContinuumError::ZeroWeight(label()));
        }
        if server.is_ambiguous() {
            return Err(ContinuumError::Ambiguous(label()));
        }
    }
    // No server has fewer than 156 points at the mean weight, so that this many never pass.
    bounded(servers.len() as u64)?;
    let mut labels: Vec<&str> = servers.iter().map(Server::label).collect();
    labels.sort_unstable();
    match labels.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(ContinuumError::Duplicate(pair[0].to_owned())),
        None => Ok(()),
    }
}

fn bounded(points: u64) -> Result<(), ContinuumError> {
    if points <= POINTS_MAX { Ok(()) } else { Err(ContinuumError::TooManyPoints(points)) }
}

/// What each server is hashed under. Two of the same would have the same points.
fn hashed_names(format: Format, servers: &[Server]) -> Result<Vec<String>, ContinuumError> {
    let mut names = Vec::with_capacity(servers.len());
    for server in servers {
        let name = match format {
            Format::Nginx => Some(nginx::base(server)),
            Format::Libmemcached | Format::LibmemcachedWeighted => libmemcached::name(server),
            Format::TwemproxyMd5 | Format::TwemproxyFnv1a64 => twemproxy::name(server),
        };
        names.push(name.ok_or_else(|| ContinuumError::Port(server.label().to_owned()))?);
    }
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_unstable_by(|a, b| (&names[*a], a).cmp(&(&names[*b], b)));
    match order.windows(2).find(|pair| names[pair[0]] == names[pair[1]]) {
        Some(pair) => Err(ContinuumError::Duplicate(servers[pair[1]].label().to_owned())),
        None => Ok(names),
    }
}

fn nginx_points(servers: &[Server], names: &[String]) -> Result<Points, ContinuumError> {
    let weights = servers.iter().map(|server| u64::from(server.weight()));
    bounded(weights.map(|weight| weight * nginx::POINTS_PER_WEIGHT).sum())?;
    let points = |position: usize| nginx::points(&names[position], servers[position].weight());
    Ok(collect(names.len(), points))
}

fn unweighted_points(names: &[String]) -> Result<Points, ContinuumError> {
    bounded(libmemcached::POINTS_UNWEIGHTED * names.len() as u64)?;
    Ok(collect(names.len(), |position| libmemcached::points_unweighted(&names[position])))
}

fn ketama_points(servers: &[Server], names: &[String]) -> Result<Points, ContinuumError> {
    let total = servers.iter().map(|server| u64::from(server.weight())).sum();
    let count = u32::try_from(names.len()).expect("there are at most POINTS_MAX servers");
    let hashes = |position: usize| ketama::hashes(servers[position].weight(), total, count);
    bounded((0..names.len()).map(|at| ketama::POINTS_PER_HASH * u64::from(hashes(at))).sum())?;
    Ok(collect(names.len(), |position| ketama::points(&names[position], hashes(position))))
}

fn twemproxy_points(servers: &[Server], names: &[String]) -> Result<Points, ContinuumError> {
    let total: u64 = servers.iter().map(|server| u64::from(server.weight())).sum();
    if total > u64::from(u32::MAX) {
        return Err(ContinuumError::TooHeavy);
    }
    let count = u32::try_from(names.len()).expect("there are at most POINTS_MAX servers");
    for (server, name) in servers.iter().zip(names) {
        let last = ketama::hashes(server.weight(), total, count).saturating_sub(1);
        if name.len() + 1 + last.to_string().len() > twemproxy::HASHED_LENGTH_MAX {
            return Err(ContinuumError::TooLong(server.label().to_owned()));
        }
    }
    // twemproxy puts its servers in order by the length of the name and then by the name itself.
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_unstable_by_key(|position| (names[*position].len(), &names[*position]));
    let sorted_servers: Vec<Server> = order.iter().map(|at| servers[*at].clone()).collect();
    let sorted_names: Vec<String> = order.iter().map(|at| names[*at].clone()).collect();
    let mut points = ketama_points(&sorted_servers, &sorted_names)?;
    for (_, position) in &mut points {
        *position = order[*position as usize] as u32;
    }
    Ok(points)
}

/// The points of so many servers, each with the server's position.
fn collect<I: Iterator<Item = u32>>(count: usize, points: impl Fn(usize) -> I) -> Points {
    let of = |position| points(position).map(move |point| (point, position as u32));
    (0..count).flat_map(of).collect()
}

impl fmt::Display for ContinuumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServers => f.write_str("there is no server"),
            Self::NoAddress => f.write_str("a server has no address, or an empty name"),
            Self::ZeroWeight(label) => write!(f, "{label} has the weight 0"),
            Self::Duplicate(label) => write!(f, "{label} stands there twice"),
            Self::Ambiguous(label) => {
                write!(f, "{label} looks like an IPv6 address; put it in brackets, as in [::1]:80")
            }
            Self::Port(label) => write!(f, "{label} has no port, or none that is valid"),
            Self::TooLong(label) => {
                write!(f, "{label} is too long: twemproxy hashes at most 85 bytes with the number")
            }
            Self::TooHeavy => {
                write!(f, "all weights together are over {}, which twemproxy can add up", u32::MAX)
            }
            Self::TooManyPoints(points) => {
                write!(f, "there would be {points} points, and {POINTS_MAX} are allowed")
            }
        }
    }
}

impl core::error::Error for ContinuumError {}

#[cfg(test)]
mod tests;
