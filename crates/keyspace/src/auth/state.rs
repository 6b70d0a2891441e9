use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use althing_core::codec::Writer;
use imbl::OrdMap;

use super::spans::Spans;
use super::{Access, Grant, encode_role, encode_user};
use crate::digest::Digest;
use crate::{Key, KeyRange};

/// The user without whom users cannot be enabled, and the role that may do everything.
pub const ROOT: &str = "root";

/// Users, roles, and whether they count. The same on every node at equal index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthState {
    pub(super) is_enabled: bool,
    pub(super) revision: u64,
    users: OrdMap<Arc<str>, User>,
    roles: OrdMap<Arc<str>, Role>,
    /// About how many bytes users and roles take.
    size: usize,
    /// Whether one was set that is over its limit.
    has_oversize: bool,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub(super) password: Option<PasswordHash>,
    pub(super) since: u64,
    pub(super) roles: BTreeSet<Arc<str>>,
}

/// A role: the grants that it is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// By key and range end.
    grants: BTreeMap<(Key, Key), Access>,
    /// What the grants come to.
    pub(super) reads: Spans,
    pub(super) writes: Spans,
}

/// What a password is checked against; the keyspace does not know how. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Arc<str>);

impl PasswordHash {
    /// Takes what the server made of a password.
    pub fn new(hash: impl Into<Arc<str>>) -> Self {
        Self(hash.into())
    }

    /// What the server made of the password.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(hidden)")
    }
}

impl Default for AuthState {
    fn default() -> Self {
        let (users, roles) = (OrdMap::new(), OrdMap::new());
        Self { is_enabled: false, revision: 1, users, roles, size: 0, has_oversize: false }
    }
}

impl AuthState {
    /// Whether users count. While they don't, everybody may do everything.
    pub const fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// Grows by one with each change of users and roles; 1 before the first.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The user of this name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// The role of this name.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(name)
    }

    /// The names of all users, in ascending order.
    pub fn users(&self) -> impl ExactSizeIterator<Item = &str> {
        self.users.iter().map(|(name, _)| name.as_ref())
    }

    /// The names of all roles, in ascending order.
    pub fn roles(&self) -> impl ExactSizeIterator<Item = &str> {
        self.roles.iter().map(|(name, _)| name.as_ref())
    }

    /// The state as a snapshot's records have it.
    pub(crate) fn restored(is_enabled: bool, revision: u64) -> Self {
        Self { is_enabled, revision, ..Self::default() }
    }

    /// Adds a user, or puts another in its place; whether there was none.
    pub(crate) fn set_user(&mut self, name: Arc<str>, user: User) -> bool {
        let is_new = self.take_user(&name).is_none();
        let size = user_size(&name, &user);
        self.size += size;
        self.has_oversize |= size > ENTRY_SIZE_MAX;
        self.users.insert(name, user);
        is_new
    }

    /// Takes a user out.
    pub(super) fn take_user(&mut self, name: &str) -> Option<(Arc<str>, User)> {
        let (name, user) = self.users.remove_with_key(name)?;
        self.size -= user_size(&name, &user);
        Some((name, user))
    }

    /// Adds a role, or puts another in its place; whether there was none.
    pub(crate) fn set_role(&mut self, name: Arc<str>, role: Role) -> bool {
        let is_new = self.take_role(&name).is_none();
        let size = role_size(&name, &role);
        self.size += size;
        self.has_oversize |= size > ENTRY_SIZE_MAX;
        self.roles.insert(name, role);
        is_new
    }

    /// Takes a role out.
    pub(super) fn take_role(&mut self, name: &str) -> Option<(Arc<str>, Role)> {
        let (name, role) = self.roles.remove_with_key(name)?;
        self.size -= role_size(&name, &role);
        Some((name, role))
    }

    /// Whether users and roles, or one of them, are larger than they may be.
    pub(super) const fn is_oversize(&self) -> bool {
        self.has_oversize || self.size > SIZE_MAX
    }

    pub(crate) fn all_users(&self) -> impl Iterator<Item = (&Arc<str>, &User)> {
        self.users.iter()
    }

    pub(crate) fn all_roles(&self) -> impl Iterator<Item = (&Arc<str>, &Role)> {
        self.roles.iter()
    }

    /// Nothing is mixed in where there never was a user or a role.
    pub(crate) fn digest(&self, digest: &mut Digest) {
        if *self == Self::default() {
            return;
        }
        digest.word(self.revision << 1 | u64::from(self.is_enabled));
        let mut buffer = Vec::new();
        for (name, user) in &self.users {
            encode_user(name, user, &mut Writer(&mut buffer));
        }
        digest.bytes(&buffer);
        buffer.clear();
        for (name, role) in &self.roles {
            encode_role(name, role, &mut Writer(&mut buffer));
        }
        digest.bytes(&buffer);
    }
}

/// Users and roles take no more than this together, in bytes,
const SIZE_MAX: usize = 16 << 20;
/// and each of them no more than this, so that it fits into a record of a snapshot.
const ENTRY_SIZE_MAX: usize = 1 << 20;
/// What a user, a role or a grant takes beside its bytes, in bytes.
const ENTRY_SIZE: usize = 128;

fn user_size(name: &str, user: &User) -> usize {
    let password = user.password.as_ref().map_or(0, |hash| hash.expose().len());
    let roles = user.roles.iter().map(|role| ENTRY_SIZE + role.len());
    ENTRY_SIZE + name.len() + password + roles.sum::<usize>()
}

/// The keys of a grant stand in it and in what it comes to.
fn role_size(name: &str, role: &Role) -> usize {
    let keys = role.grants.keys().map(|(key, end)| 3 * (key.len() + end.len()) + ENTRY_SIZE);
    ENTRY_SIZE + name.len() + keys.sum::<usize>()
}

impl User {
    /// A user as a snapshot's record has it.
    pub(crate) const fn restored(
        password: Option<PasswordHash>,
        since: u64,
        roles: BTreeSet<Arc<str>>,
    ) -> Self {
        Self { password, since, roles }
    }

    /// What its password is checked against; `None` for a user without one, who can only be known
    /// otherwise, by a certificate.
    pub const fn password(&self) -> Option<&PasswordHash> {
        self.password.as_ref()
    }

    /// The revision of users and roles at which it was added or last got its password.
    pub const fn since(&self) -> u64 {
        self.since
    }

    /// Its roles, in ascending order.
    pub fn roles(&self) -> impl ExactSizeIterator<Item = &str> {
        self.roles.iter().map(AsRef::as_ref)
    }

    /// Whether it has the role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.contains(role)
    }
}

impl Role {
    /// Its grants, in the order of their keys.
    pub fn grants(&self) -> impl ExactSizeIterator<Item = Grant> {
        self.grants.iter().map(|((key, range_end), access)| Grant {
            key: key.clone(),
            range_end: range_end.clone(),
            access: *access,
        })
    }

    /// A role of these grants.
    pub(crate) fn of(grants: impl IntoIterator<Item = Grant>) -> Self {
        let mut role = Self::default();
        for Grant { key, range_end, access } in grants {
            role.grants.insert((key, range_end), access);
        }
        role.sum_up();
        role
    }

    /// Adds a grant, or changes what it allows.
    pub(super) fn grant(&mut self, grant: Grant) {
        self.grants.insert((grant.key, grant.range_end), grant.access);
        self.sum_up();
    }

    /// Takes a grant away; whether it was there.
    pub(super) fn revoke(&mut self, key: &Key, range_end: &Key) -> bool {
        let was_there = self.grants.remove(&(key.clone(), range_end.clone())).is_some();
        self.sum_up();
        was_there
    }

    fn sum_up(&mut self) {
        let ranges_of = |allows: fn(Access) -> bool| {
            let allowing = self.grants.iter().filter(|(_, access)| allows(**access));
            // A range that no key can be in grants nothing.
            let ranges: Vec<KeyRange> = allowing
                .filter_map(|((key, end), _)| KeyRange::new(key.clone(), end.clone()))
                .collect();
            Spans::of(&ranges)
        };
        (self.reads, self.writes) = (ranges_of(Access::reads), ranges_of(Access::writes));
    }
}
