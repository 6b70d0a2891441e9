//! The rings that run in production today, point for point: the same key goes to the same server.
//!
//! Each of these programs draws its points in its own way, and none of them has 64-bit points or
//! the balance of this crate's own ring. Use them to share servers with a program that is already
//! there, or to move off it key by key; for a system of your own take [`Ring`](crate::Ring).
//!
//! ```
//! use althing_ring::formats::{Continuum, Format, Server};
//!
//! let servers = ["10.0.0.1:11211", "10.0.0.2:11211=3"].map(|server| server.parse::<Server>());
//! let continuum = Continuum::new(Format::Nginx, servers.into_iter().collect::<Result<_, _>>()?)?;
//! let owner = continuum.owner(b"user:42").expect("the key is not empty");
//! assert_eq!(owner.address(), "10.0.0.2:11211");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is computed
//! | format | points of a server | point of a key |
//! |---|---|---|
//! | nginx 1.22, `hash KEY consistent` | 160 times its weight, a chain of CRC-32 | CRC-32 |
//! | libmemcached 1.1, `KETAMA` | 100, one-at-a-time hash of `name-number` | one-at-a-time |
//! | the same, once a weight is above 1 | as in the next row | one-at-a-time |
//! | libmemcached 1.1, `KETAMA_WEIGHTED` | about 160 times weight over mean, MD5 | MD5 |
//! | twemproxy 0.5, `ketama` | as in the row above | MD5 or FNV-1a |
//!
//! Everywhere the owner is the first point at or after that of the key, and after the last point
//! comes the first.
//!
//! # What to know before you choose one
//! - The weighted points of libmemcached and twemproxy are *relative*: a server that comes or goes
//!   changes the counts of all others, and 1 to 2 % of the keys move between servers that stay.
//!   nginx's are absolute, and nothing moves between those.
//! - They are computed in 32-bit floating point: with 25, 47, 50, 55, 61 and many more numbers of
//!   equal servers each gets 156 points in place of 160. That is repeated here.
//! - All points have 32 bits. Two servers may share one: the first in the configuration gets it,
//!   in twemproxy that of the shorter name, or of the smaller among equally long ones.
//! - Bytes from 0x80 on are negative in the one-at-a-time hash and in twemproxy's FNV-1a, as they
//!   are on x86. On ARM, where `char` has no sign, these programs disagree with themselves.

mod ketama;
mod libmemcached;
mod nginx;
mod one_at_a_time;
mod server;
mod twemproxy;

mod continuum;

pub use continuum::{Continuum, ContinuumError, POINTS_MAX};
pub use server::{Server, ServerError};

use core::fmt;
use core::str::FromStr;

/// Whose points to compute.
///
/// ```
/// # use althing_ring::formats::{Continuum, Format, Server};
/// let servers = ["10.0.0.1:11211", "10.0.0.2:11211"].map(Server::new);
/// let owner = |format| {
///     let continuum = Continuum::new(format, servers.to_vec())?;
///     Ok(continuum.owner(b"user:42").map(|server| server.address().to_owned()))
/// };
/// assert_ne!(owner(Format::Nginx)?, owner(Format::LibmemcachedWeighted)?);
/// # Ok::<(), althing_ring::formats::ContinuumError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Format {
    /// nginx: `hash KEY consistent` in an `upstream`.
    Nginx,
    /// libmemcached: `MEMCACHED_DISTRIBUTION_CONSISTENT_KETAMA` with its default hash, which is
    /// what pylibmc calls `ketama`.
    Libmemcached,
    /// libmemcached: `MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED`.
    LibmemcachedWeighted,
    /// twemproxy: `distribution: ketama` with `hash: md5`.
    TwemproxyMd5,
    /// twemproxy: `distribution: ketama` with `hash: fnv1a_64`, its default.
    TwemproxyFnv1a64,
}

impl Format {
    /// All of them.
    ///
    /// ```
    /// # use althing_ring::formats::Format;
    /// for format in Format::ALL {
    ///     assert_eq!(format.name().parse(), Ok(format));
    /// }
    /// ```
    pub const ALL: [Self; 5] = [
        Self::Nginx,
        Self::Libmemcached,
        Self::LibmemcachedWeighted,
        Self::TwemproxyMd5,
        Self::TwemproxyFnv1a64,
    ];

    /// What it is called on a command line.
    ///
    /// ```
    /// # use althing_ring::formats::Format;
    /// assert_eq!(Format::TwemproxyFnv1a64.name(), "twemproxy-fnv1a_64");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Libmemcached => "libmemcached",
            Self::LibmemcachedWeighted => "libmemcached-weighted",
            Self::TwemproxyMd5 => "twemproxy-md5",
            Self::TwemproxyFnv1a64 => "twemproxy-fnv1a_64",
        }
    }

    /// The point of a key.
    fn hash(self, key: &[u8]) -> u32 {
        match self {
            Self::Nginx => nginx::hash(key),
            Self::Libmemcached => one_at_a_time::hash(key),
            Self::LibmemcachedWeighted => ketama::hash(key),
            // twemproxy looks at no key that is empty.
            Self::TwemproxyMd5 if key.is_empty() => 0,
            Self::TwemproxyMd5 => ketama::hash(key),
            Self::TwemproxyFnv1a64 => twemproxy::fnv1a_64(key),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no format has.
///
/// ```
/// # use althing_ring::formats::{Format, UnknownFormat};
/// assert_eq!("ketama".parse::<Format>(), Err(UnknownFormat));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFormat;

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such format; there are")?;
        for (position, format) in Format::ALL.into_iter().enumerate() {
            write!(f, "{} {format}", if position == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownFormat {}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or(UnknownFormat)
    }
}
