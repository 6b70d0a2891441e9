//! From the bytes of a key, or of a node's name, to a place on the circle.

/// A hash of bytes to 64 bits that never changes: not between processes, platforms, nor versions of
/// the compiler or of a library. Two programs that should agree on owners must use the same one.
///
/// `std::hash::Hash` is not used on purpose: it adds bytes of its own to strings, hashes integers
/// in the machine's byte order, and promises nothing between versions.
///
/// All 64 bits count, the highest first: a hash of 32 bits goes into the upper half, for which
/// there is [`hash_of_u32`](crate::hash_of_u32). Every function from bytes to `u64` is a hasher:
///
/// ```
/// use althing_ring::{KeyHasher, hash_of_u32};
///
/// // 32-bit FNV-1a.
/// let fnv = |bytes: &[u8]| {
///     let step = |hash: u32, &byte: &u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
///     hash_of_u32(bytes.iter().fold(0x811c_9dc5, step))
/// };
/// assert_eq!(fnv.hash_bytes(b"a"), 0xe40c_292c_0000_0000);
/// ```
pub trait KeyHasher {
    /// The hash of `bytes`.
    fn hash_bytes(&self, bytes: &[u8]) -> u64;
}

impl<F: Fn(&[u8]) -> u64> KeyHasher for F {
    #[inline]
    fn hash_bytes(&self, bytes: &[u8]) -> u64 {
        self(bytes)
    }
}

/// rapidhash, version 3 with its default seed: the fast default. About a nanosecond for a short
/// key. It does not withstand a sender who picks keys in order to overload one node; nor does any
/// hash without a secret.
///
/// ```
/// use althing_ring::{KeyHasher, RapidHash};
///
/// assert_eq!(RapidHash.hash_bytes(b"user:42"), 0x6e55_8a75_e684_efe9);
/// ```
#[cfg(feature = "rapidhash")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RapidHash;

#[cfg(feature = "rapidhash")]
impl KeyHasher for RapidHash {
    #[inline]
    fn hash_bytes(&self, bytes: &[u8]) -> u64 {
        rapidhash::v3::rapidhash_v3(bytes)
    }
}

/// The first eight bytes of MD5, read with the most significant byte first.
///
/// ```
/// use althing_ring::{KeyHasher, Md5};
///
/// assert_eq!(Md5.hash_bytes(b"abc"), 0x9001_5098_3cd2_4fb0);
/// ```
#[cfg(feature = "md5")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Md5;

#[cfg(feature = "md5")]
impl KeyHasher for Md5 {
    fn hash_bytes(&self, bytes: &[u8]) -> u64 {
        use md5::Digest as _;
        first_eight(&md5::Md5::digest(bytes))
    }
}

/// The first eight bytes of SHA-1, read with the most significant byte first.
///
/// ```
/// use althing_ring::{KeyHasher, Sha1};
///
/// assert_eq!(Sha1.hash_bytes(b"abc"), 0xa999_3e36_4706_816a);
/// ```
#[cfg(feature = "sha1")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sha1;

#[cfg(feature = "sha1")]
impl KeyHasher for Sha1 {
    fn hash_bytes(&self, bytes: &[u8]) -> u64 {
        use sha1::Digest as _;
        first_eight(&sha1::Sha1::digest(bytes))
    }
}

#[cfg(any(feature = "md5", feature = "sha1"))]
fn first_eight(digest: &[u8]) -> u64 {
    digest[..8].iter().fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}
