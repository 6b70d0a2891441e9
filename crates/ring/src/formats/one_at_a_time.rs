//! Bob Jenkins' one-at-a-time hash, as libmemcached computes it on x86.

/// The hash of `bytes`. A byte from 0x80 on is taken for a negative number, because `char` has a
/// sign where these programs run.
pub(super) fn hash(bytes: &[u8]) -> u32 {
    let mut state = 0_u32;
    for byte in bytes {
        state = state.wrapping_add(signed(*byte));
        state = state.wrapping_add(state << 10);
        state ^= state >> 6;
    }
    state = state.wrapping_add(state << 3);
    state ^= state >> 11;
    state.wrapping_add(state << 15)
}

/// A `char` of C on x86, widened.
pub(super) fn signed(byte: u8) -> u32 {
    i32::from(byte.cast_signed()).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_published_function() {
        // Known answers for text of seven bits.
        assert_eq!(hash(b""), 0);
        assert_eq!(hash(b"a"), 0xca2e_9442);
        assert_eq!(hash(b"The quick brown fox jumps over the lazy dog"), 0x519e_91f5);
    }

    #[test]
    fn a_high_byte_is_negative() {
        assert_eq!(signed(0x7f), 0x7f);
        assert_eq!(signed(0x80), 0xffff_ff80);
    }
}
