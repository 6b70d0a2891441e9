use imbl::{OrdMap, OrdSet};

use crate::Key;
use crate::digest::Digest;

/// The longest a lease may last, in seconds: etcd's bound, about 285 years.
pub const LEASE_SECONDS_MAX: i64 = 9_000_000_000;

/// How many leases one command may end, or note the time of.
pub const LEASES_MAX: usize = 1024;

/// A lease: the keys that are tied to it are deleted when it ends.
///
/// What stands here is the same on every node, so it says nothing about clocks: how much time has
/// passed is known to the leader's [`Lessor`](crate::Lessor) alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    ttl: i64,
    remaining: i64,
    keys: OrdSet<Key>,
}

/// All leases, by their number.
pub(crate) type Leases = OrdMap<i64, Lease>;

/// What a lease costs in memory beside its keys, in bytes.
pub(crate) const LEASE_SIZE: u64 = (size_of::<(i64, Lease)>() as u64) * 3 / 2;
/// What a key costs that is tied to a lease, beside the bytes that it shares with the store.
pub(crate) const TIED_SIZE: u64 = (size_of::<Key>() as u64) * 3 / 2;

impl Lease {
    /// A lease of `ttl` seconds that has all of its time.
    pub(crate) const fn new(ttl: i64, remaining: i64, keys: OrdSet<Key>) -> Self {
        Self { ttl, remaining, keys }
    }

    /// How long it lasts if nobody keeps it alive, in seconds; at least 1.
    pub const fn ttl(&self) -> i64 {
        self.ttl
    }

    /// What a leader last noted as the time it still had, in seconds; the whole of it if none did.
    pub const fn remaining(&self) -> i64 {
        self.remaining
    }

    /// The keys that are tied to it, in ascending order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.keys.iter()
    }

    /// The first of its keys and the last.
    pub(crate) fn ends(&self) -> Option<(&Key, &Key)> {
        Some((self.keys.get_min()?, self.keys.get_max()?))
    }

    pub(crate) const fn note(&mut self, remaining: i64) {
        self.remaining = remaining;
    }

    pub(crate) fn tie(&mut self, key: Key) {
        self.keys.insert(key);
    }

    pub(crate) fn untie(&mut self, key: &Key) {
        self.keys.remove(key);
    }

    pub(crate) fn into_keys(self) -> OrdSet<Key> {
        self.keys
    }

    /// The keys are left out: they follow from what the keys say of themselves.
    pub(crate) fn digest(&self, id: i64, digest: &mut Digest) {
        digest.number(id);
        digest.number(self.ttl);
        digest.number(self.remaining);
    }
}
