use super::authorize::{Ask, authorize};
use super::{Principal, Role, User};
use crate::keyspace::Keyspace;
use crate::{
    Happened, Key, KeyRange, Lease, Range, RangeReply, Rejection, Snapshot, Txn, TxnReply,
};

/// What one principal may see of a state. Each look is judged by the rights of that same state, so
/// that nothing can change in between.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    state: &'a Snapshot,
    principal: &'a Principal,
}

impl Keyspace {
    /// The keyspace as `principal` may see it.
    pub const fn view<'a>(&'a self, principal: &'a Principal) -> View<'a> {
        self.state.view(principal)
    }

    /// What was written to keys in `range` and to others, at `revision` or later, for a principal
    /// that may read all of the range.
    ///
    /// # Errors
    /// It may not, or [`Rejection::Compacted`]: what happened then is not known any more.
    pub fn watched_since<'a>(
        &'a self,
        principal: &Principal,
        range: &KeyRange,
        revision: i64,
    ) -> Result<impl Iterator<Item = Happened<'a>>, Rejection> {
        authorize(&self.state, principal, Ask::Watch(range))?;
        self.happened_since(revision)
    }
}

impl Snapshot {
    /// The state as `principal` may see it.
    pub const fn view<'a>(&'a self, principal: &'a Principal) -> View<'a> {
        View { state: self, principal }
    }
}

impl<'a> View<'a> {
    /// Whether the principal may do something that is no look at the state.
    ///
    /// # Errors
    /// It may not.
    pub fn may(&self, ask: Ask<'_>) -> Result<(), Rejection> {
        authorize(self.state, self.principal, ask)
    }

    /// Reads, as [`Keyspace::range`].
    ///
    /// # Errors
    /// It may not, or as [`Keyspace::range`].
    pub fn range(&self, range: &Range) -> Result<RangeReply, Rejection> {
        self.may(Ask::Range(range))?;
        self.state.range(range)
    }

    /// Does a transaction that only reads, as [`Keyspace::read_txn`].
    ///
    /// # Errors
    /// It may not, or as [`Keyspace::read_txn`].
    ///
    /// # Panics
    /// As [`Keyspace::read_txn`].
    pub fn read_txn(&self, txn: &Txn) -> Result<TxnReply, Rejection> {
        self.may(Ask::ReadTxn(txn))?;
        self.state.read_txn(txn)
    }

    /// The keys that are tied to a lease, in ascending order; `None` if there is no such lease.
    ///
    /// # Errors
    /// It may not read all of them.
    pub fn lease_keys(&self, id: i64) -> Result<Option<Vec<Key>>, Rejection> {
        self.may(Ask::LeaseTime { id, keys: true })?;
        Ok(self.state.leases.get(&id).map(|lease: &Lease| lease.keys().cloned().collect()))
    }

    /// The numbers of all leases, in ascending order.
    ///
    /// # Errors
    /// It may not.
    pub fn leases(&self) -> Result<Vec<i64>, Rejection> {
        self.may(Ask::Known)?;
        Ok(self.state.leases.keys().copied().collect())
    }

    /// A user.
    ///
    /// # Errors
    /// It may not look, or there is none of this name.
    pub fn user(&self, name: &str) -> Result<&'a User, Rejection> {
        self.may(Ask::User(name))?;
        self.state.auth.user(name).ok_or(Rejection::UserNotFound)
    }

    /// A role.
    ///
    /// # Errors
    /// It may not look, or there is none of this name.
    pub fn role(&self, name: &str) -> Result<&'a Role, Rejection> {
        self.may(Ask::Role(name))?;
        self.state.auth.role(name).ok_or(Rejection::RoleNotFound)
    }
}
