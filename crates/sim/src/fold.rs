/// A running 64-bit hash for traces and for telling commands apart: quick, the same on every
/// machine, and no defence against anyone.
///
/// Each step multiplies to 128 bits and folds the halves, after wyhash (Wang Yi).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fold(u64);

impl Fold {
    pub(crate) const fn new() -> Self {
        Self(0x8ebc_6af0_9c88_c6e3)
    }

    pub(crate) const fn value(self) -> u64 {
        self.0
    }

    pub(crate) const fn word(&mut self, word: u64) {
        let left = self.0 ^ 0xa076_1d64_78bd_642f;
        let right = word ^ 0xe703_7ed1_a0b4_28db;
        let product = left as u128 * right as u128;
        // The sum keeps a zero factor from erasing what came before.
        self.0 = (product as u64 ^ (product >> 64) as u64).wrapping_add(left.rotate_left(32));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.word(u64::from_le_bytes(word));
        }
    }

    /// The hash of these bytes alone.
    pub(crate) fn of(bytes: &[u8]) -> u64 {
        let mut fold = Self::new();
        fold.bytes(bytes);
        fold.value()
    }
}
