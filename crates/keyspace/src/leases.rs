use imbl::OrdSet;

use crate::keyspace::Keyspace;
use crate::lease::{LEASE_SIZE, Lease, TIED_SIZE};
use crate::planted::{Bug, has};
use crate::txn::Transaction;
use crate::{Key, Rejection, Reply};

impl Keyspace {
    /// The lease of this number.
    pub fn lease(&self, id: i64) -> Option<&Lease> {
        self.state.leases.get(&id)
    }

    /// All leases with their numbers, in ascending order.
    pub fn leases(&self) -> impl ExactSizeIterator<Item = (i64, &Lease)> {
        self.state.leases.iter().map(|(id, lease)| (*id, lease))
    }

    pub(crate) fn grant(&mut self, id: i64, ttl: i64) -> Result<Reply, Rejection> {
        if self.state.leases.contains_key(&id) {
            return Err(Rejection::LeaseExists);
        }
        let ttl = ttl.max(1);
        self.begin_lease(id, ttl, ttl);
        self.record(|digest| Lease::new(ttl, ttl, OrdSet::new()).digest(id, digest));
        Ok(Reply::LeaseGrant { id, ttl, revision: self.revision() })
    }

    pub(crate) fn revoke(&mut self, id: i64) -> Result<Reply, Rejection> {
        if !self.end_lease(id) {
            return Err(Rejection::LeaseNotFound);
        }
        Ok(Reply::LeaseRevoke { id, revision: self.revision() })
    }

    pub(crate) fn expire(&mut self, ids: Vec<i64>) -> Reply {
        for id in &ids {
            self.end_lease(*id);
        }
        Reply::LeaseExpire { ids }
    }

    pub(crate) fn note(&mut self, remaining: Vec<(i64, i64)>) -> Reply {
        for (id, seconds) in &remaining {
            let Some(lease) = self.state.leases.get_mut(id) else { continue };
            lease.note((*seconds).clamp(1, lease.ttl()));
            let noted = lease.remaining();
            self.record(|digest| {
                digest.number(*id);
                digest.number(noted);
            });
        }
        Reply::LeaseNote { remaining }
    }

    /// Adds a lease that is not there and that no key is tied to.
    pub(crate) fn begin_lease(&mut self, id: i64, ttl: i64, remaining: i64) {
        self.size += LEASE_SIZE;
        self.state.leases.insert(id, Lease::new(ttl, remaining, OrdSet::new()));
    }

    /// Takes the lease away and deletes its keys; whether it was there.
    fn end_lease(&mut self, id: i64) -> bool {
        let Some(lease) = self.state.leases.remove(&id) else { return false };
        self.size -= LEASE_SIZE;
        self.record(|digest| {
            digest.number(id);
            digest.number(0);
        });
        let keys = lease.into_keys();
        self.size -= TIED_SIZE * keys.len() as u64;
        if !has(Bug::KeepsLeasedKeys) {
            Transaction::delete_all(self, keys);
        }
        true
    }

    /// Moves `key` from the lease it was tied to before to the one it is tied to now; zero is none.
    /// A lease that has just ended has let go of its keys already.
    pub(crate) fn tie(&mut self, key: &Key, before: i64, now: i64) {
        if before == now {
            return;
        }
        if let Some(lease) = self.state.leases.get_mut(&before) {
            lease.untie(key);
            self.size -= TIED_SIZE;
        }
        if let Some(lease) = self.state.leases.get_mut(&now) {
            lease.tie(key.clone());
            self.size += TIED_SIZE;
        }
    }
}
