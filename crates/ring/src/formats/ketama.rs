//! The weighted ketama of libmemcached, which twemproxy follows: MD5 of `name-0`, `name-1` and so
//! on, four points each, and a count that goes with the share of all weights.

use alloc::format;

use md5::{Digest as _, Md5};

/// Points that one digest gives.
pub(super) const POINTS_PER_HASH: u64 = 4;

/// Points of a server that carries exactly the mean weight.
pub(super) const POINTS_PER_SERVER: u64 = 160;

/// How many digests a server gets, `share` being its part of all weights.
///
/// The arithmetic is that of the C programs, every step in 32-bit floating point and only the
/// addition in 64. With 25, 47, 50 and many other numbers of equal servers a product that ought to
/// be 40 falls just short of it and is cut to 39. Whoever wants their owners has to repeat that.
pub(super) fn hashes(weight: u32, weight_total: u64, servers: u32) -> u32 {
    let share = weight as f32 / weight_total as f32;
    let product = share * POINTS_PER_SERVER as f32 / POINTS_PER_HASH as f32 * servers as f32;
    // A cast cuts off what follows the point, as `floor` does for what is positive.
    (f64::from(product) + 1e-10) as f32 as u32
}

/// The points of a server that is hashed under `name`.
pub(super) fn points(name: &str, hashes: u32) -> impl Iterator<Item = u32> {
    (0..hashes).flat_map(move |number| {
        let digest: [u8; 16] = Md5::digest(format!("{name}-{number}").as_bytes()).into();
        [0, 1, 2, 3].map(|part| word(&digest, part))
    })
}

/// The point of a key that is hashed with MD5.
pub(super) fn hash(key: &[u8]) -> u32 {
    word(&Md5::digest(key).into(), 0)
}

/// One of the four words of a digest, which are little-endian.
fn word(digest: &[u8; 16], part: usize) -> u32 {
    let (words, _) = digest.as_chunks::<4>();
    u32::from_le_bytes(words[part])
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn equal_servers_lose_a_digest_where_32_bits_fall_short() {
        let short: Vec<u32> =
            (1..=3000).filter(|servers| hashes(1, u64::from(*servers), *servers) != 40).collect();
        assert_eq!(short[..8], [25, 47, 50, 55, 61, 71, 94, 100]);
        assert_eq!(short.len(), 305);
        assert!(short.iter().all(|servers| hashes(1, u64::from(*servers), *servers) == 39));
        // A common factor of the weights changes nothing here.
        assert_eq!(hashes(7, 7 * 25, 25), 39);
    }

    #[test]
    fn a_small_share_may_get_nothing() {
        assert_eq!(hashes(1, 10_000, 10), 0);
        assert_eq!(hashes(u32::MAX, u64::from(u32::MAX), 1), 40);
    }

    #[test]
    fn words_are_little_endian() {
        // The digest of nothing, d41d8cd98f00b204e9800998ecf8427e (RFC 1321, appendix A.5).
        assert_eq!(hash(b""), 0xd98c_1dd4);
        assert_eq!(word(&Md5::digest(b"").into(), 3), 0x7e42_f8ec);
    }
}
