//! The other algorithms that answer the ring's question, each where it is the better choice. Which
//! is when stands in `docs/ring.md`.

mod buckets;
mod jump;
mod logarithm;
mod maglev;
mod members;
mod memento;
mod multi_probe;
mod rendezvous;

pub use jump::{Jump, jump};
pub use maglev::Maglev;
pub use memento::Memento;
pub use multi_probe::MultiProbe;
pub use rendezvous::Rendezvous;

/// What all of them have beside [`Placement`](crate::Placement): the same for keys instead of
/// hashes.
macro_rules! for_keys {
    ($type:ident) => {
        impl<Id, H: $crate::KeyHasher> $type<Id, H> {
            /// The hash of a key, with which the methods that take a hash can be asked.
            ///
            /// ```
            /// # use althing_ring as ring;
            #[doc = concat!("let nodes = ring::", stringify!($type), "::new([\"a\", \"b\"])?;")]
            /// assert_eq!(nodes.hash("user:42"), nodes.hash(b"user:42"));
            /// # Ok::<(), althing_ring::RingError>(())
            /// ```
            #[inline]
            pub fn hash(&self, key: impl AsRef<[u8]>) -> u64 {
                self.hasher.hash_bytes(key.as_ref())
            }

            /// The node that owns `key`; `None` if no node has any weight.
            ///
            /// ```
            /// # use althing_ring as ring;
            #[doc = concat!("let nodes = ring::", stringify!($type), "::new([\"a\", \"b\"])?;")]
            /// assert!(nodes.owner("user:42").is_some());
            /// # Ok::<(), althing_ring::RingError>(())
            /// ```
            #[inline]
            pub fn owner(&self, key: impl AsRef<[u8]>) -> Option<&Id> {
                $crate::Placement::owner_of(self, self.hash(key))
            }

            /// The first `count` nodes for `key`, the owner first, each node once; fewer if there
            /// are not as many.
            ///
            /// ```
            /// # use althing_ring as ring;
            #[doc = concat!("let nodes = ring::", stringify!($type), "::new([\"a\", \"b\"])?;")]
            /// assert_eq!(nodes.replicas("user:42", 3).len(), 2);
            /// # Ok::<(), althing_ring::RingError>(())
            /// ```
            pub fn replicas(&self, key: impl AsRef<[u8]>, count: usize) -> alloc::vec::Vec<&Id> {
                $crate::Placement::replicas_of(self, self.hash(key), count)
            }
        }
    };
}
use for_keys;

/// Spreads what is in any of the 64 bits over all of them, one to one: the output step of
/// SplitMix64 (G. Steele, D. Lea, C. Flood: Fast Splittable Pseudorandom Number Generators, 2014).
#[inline]
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The `number`th hash that follows from `hash`; the 0th is `hash` itself.
#[inline]
fn rehash(hash: u64, number: u64) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    if number == 0 { hash } else { mix(hash.wrapping_add(number.wrapping_mul(STEP))) }
}
