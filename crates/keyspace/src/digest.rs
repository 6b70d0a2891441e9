/// A running 64-bit hash: the same values in the same order give the same number on every machine.
/// It finds accidents, not attacks.
///
/// Each step multiplies to 128 bits and folds the halves, after wyhash (Wang Yi).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u64);

const FIRST: u64 = 0xa076_1d64_78bd_642f;
const SECOND: u64 = 0xe703_7ed1_a0b4_28db;

impl Digest {
    pub(crate) const fn new() -> Self {
        Self(SECOND)
    }

    /// Goes on from an earlier [`Self::value`].
    pub(crate) const fn resume(value: u64) -> Self {
        Self(value)
    }

    pub(crate) const fn value(self) -> u64 {
        self.0
    }

    pub(crate) const fn word(&mut self, word: u64) {
        self.0 = fold(self.0 ^ FIRST, word ^ SECOND);
    }

    pub(crate) const fn number(&mut self, number: i64) {
        self.word(number.cast_unsigned());
    }

    /// Mixes in the length and the bytes, so that no two sequences of slices run together.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (pairs, rest) = bytes.as_chunks::<16>();
        for pair in pairs {
            let [low, high] = halves(pair);
            self.0 = fold(self.0 ^ low ^ FIRST, high ^ SECOND);
        }
        if !rest.is_empty() {
            let mut pair = [0; 16];
            pair[..rest.len()].copy_from_slice(rest);
            let [low, high] = halves(&pair);
            self.0 = fold(self.0 ^ low ^ FIRST, high ^ SECOND);
        }
    }
}

fn halves(pair: &[u8; 16]) -> [u64; 2] {
    let number = u128::from_le_bytes(*pair);
    [number as u64, (number >> 64) as u64]
}

const fn fold(left: u64, right: u64) -> u64 {
    let product = left as u128 * right as u128;
    // The sum, unlike the xor of the halves alone, keeps a zero factor from erasing the other.
    (product as u64 ^ (product >> 64) as u64).wrapping_add(left.rotate_left(32))
}
