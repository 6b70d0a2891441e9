use std::sync::Arc;

use althing_core::codec::Writer;

use super::state::User;
use super::{AuthState, Grant, PasswordHash, ROOT, Role, encode_change};
use crate::keyspace::Keyspace;
use crate::{Key, Rejection, Reply};

/// A change of users and roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthChange {
    /// From now on users count. There must be a user `root` that has the role `root`.
    Enable,
    /// From now on everybody may do everything.
    Disable,
    /// Adds a user.
    UserAdd {
        /// Its name; not empty.
        name: Arc<str>,
        /// What its password is checked against; `None` for a user that has none.
        password: Option<PasswordHash>,
    },
    /// Deletes a user.
    UserDelete {
        /// Its name.
        name: Arc<str>,
    },
    /// Gives a user another password. Whoever is signed in as this user is not any more.
    UserPassword {
        /// Its name.
        name: Arc<str>,
        /// What the new password is checked against.
        password: PasswordHash,
    },
    /// Grants a role to a user.
    UserGrantRole {
        /// The user's name.
        name: Arc<str>,
        /// The role's name.
        role: Arc<str>,
    },
    /// Takes a role away from a user.
    UserRevokeRole {
        /// The user's name.
        name: Arc<str>,
        /// The role's name.
        role: Arc<str>,
    },
    /// Adds a role without rights.
    RoleAdd {
        /// Its name; not empty.
        name: Arc<str>,
    },
    /// Deletes a role, and takes it away from whoever has it.
    RoleDelete {
        /// Its name.
        name: Arc<str>,
    },
    /// Grants a right to a role, or changes what the right to the same range allows.
    RoleGrant {
        /// The role's name.
        name: Arc<str>,
        /// The right.
        grant: Grant,
    },
    /// Takes a right away from a role.
    RoleRevoke {
        /// The role's name.
        name: Arc<str>,
        /// The key of the grant.
        key: Key,
        /// The range end of the grant.
        range_end: Key,
    },
}

/// That somebody has proved to be a user, and is known by a token from now on. The token itself is
/// not in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The user's name.
    pub name: Arc<str>,
    /// The [`User::since`] of the password that was checked.
    pub since: u64,
    /// What the token is recognised by.
    pub token_digest: [u8; 32],
    /// When, by the clock of the server that checked the password, in seconds since 1970.
    pub issued_seconds: u64,
}

impl Keyspace {
    /// Users, roles, and whether they count.
    pub fn auth(&self) -> &AuthState {
        &self.state.auth
    }

    pub(crate) fn change_auth(&mut self, change: AuthChange) -> Result<Reply, Rejection> {
        let mut buffer = Vec::new();
        encode_change(&change, &mut Writer(&mut buffer));
        let mut auth = AuthState::clone(&self.state.auth);
        if auth.change(change)? {
            auth.revision += 1;
            self.record(|digest| digest.bytes(&buffer));
            self.state.auth = Arc::new(auth);
        }
        Ok(Reply::Auth { revision: self.revision() })
    }

    /// Whether the password that was checked is still the user's.
    pub(crate) fn sign_in(&self, sign_in: SignIn) -> Result<Reply, Rejection> {
        if !self.state.auth.is_enabled {
            return Err(Rejection::AuthNotEnabled);
        }
        match self.state.auth.user(&sign_in.name) {
            Some(user) if user.since == sign_in.since && user.password.is_some() => {
                Ok(Reply::SignIn { sign_in, revision: self.revision() })
            }
            _ => Err(Rejection::AuthFailed),
        }
    }
}

impl AuthState {
    /// Makes a change; whether it changed anything.
    fn change(&mut self, change: AuthChange) -> Result<bool, Rejection> {
        let is_changed = match change {
            AuthChange::Enable => self.enable()?,
            AuthChange::Disable => std::mem::replace(&mut self.is_enabled, false),
            AuthChange::UserAdd { name, password } => self.add_user(name, password)?,
            AuthChange::UserDelete { name } => {
                self.spare_root(name.as_ref() == ROOT)?;
                self.take_user(&name).ok_or(Rejection::UserNotFound)?;
                true
            }
            AuthChange::UserPassword { name, password } => {
                let since = self.revision + 1;
                self.with_user(&name, |user| {
                    (user.password, user.since) = (Some(password), since);
                    Ok(true)
                })?
            }
            AuthChange::UserGrantRole { name, role } => self.grant_role(&name, role)?,
            AuthChange::UserRevokeRole { name, role } => {
                self.spare_root(name.as_ref() == ROOT && role.as_ref() == ROOT)?;
                self.with_user(&name, |user| match user.roles.remove(&role) {
                    true => Ok(true),
                    false => Err(Rejection::RoleNotGranted),
                })?
            }
            AuthChange::RoleAdd { name } => self.add_role(name)?,
            AuthChange::RoleDelete { name } => self.delete_role(&name)?,
            AuthChange::RoleGrant { name, grant } => {
                self.with_role(&name, |role| {
                    role.grant(grant);
                    Ok(())
                })?;
                true
            }
            AuthChange::RoleRevoke { name, key, range_end } => {
                self.with_role(&name, |role| match role.revoke(&key, &range_end) {
                    true => Ok(()),
                    false => Err(Rejection::PermissionNotGranted),
                })?;
                true
            }
        };
        if self.is_oversize() { Err(Rejection::NoSpace) } else { Ok(is_changed) }
    }

    fn enable(&mut self) -> Result<bool, Rejection> {
        if self.is_enabled {
            return Ok(false);
        }
        let root = self.user(ROOT).ok_or(Rejection::RootUserMissing)?;
        if !root.has_role(ROOT) {
            return Err(Rejection::RootRoleMissing);
        }
        self.is_enabled = true;
        Ok(true)
    }

    /// While users count there must be somebody who may change that.
    const fn spare_root(&self, is_root: bool) -> Result<(), Rejection> {
        if self.is_enabled && is_root { Err(Rejection::InvalidAuthManagement) } else { Ok(()) }
    }

    fn add_user(
        &mut self,
        name: Arc<str>,
        password: Option<PasswordHash>,
    ) -> Result<bool, Rejection> {
        if name.is_empty() {
            return Err(Rejection::UserEmpty);
        }
        if self.user(&name).is_some() {
            return Err(Rejection::UserExists);
        }
        let user = User::restored(password, self.revision + 1, Default::default());
        Ok(self.set_user(name, user))
    }

    fn grant_role(&mut self, name: &str, role: Arc<str>) -> Result<bool, Rejection> {
        if self.user(name).is_none() {
            return Err(Rejection::UserNotFound);
        }
        // The role root needs no entry.
        if role.as_ref() != ROOT && self.role(&role).is_none() {
            return Err(Rejection::RoleNotFound);
        }
        self.with_user(name, |user| Ok(user.roles.insert(role)))
    }

    fn add_role(&mut self, name: Arc<str>) -> Result<bool, Rejection> {
        if name.is_empty() {
            return Err(Rejection::RoleEmpty);
        }
        if self.role(&name).is_some() {
            return Err(Rejection::RoleExists);
        }
        Ok(self.set_role(name, Role::default()))
    }

    fn delete_role(&mut self, name: &str) -> Result<bool, Rejection> {
        self.spare_root(name == ROOT)?;
        self.take_role(name).ok_or(Rejection::RoleNotFound)?;
        let holders = self.all_users().filter(|(_, user)| user.has_role(name));
        let holders: Vec<Arc<str>> = holders.map(|(name, _)| Arc::clone(name)).collect();
        for holder in holders {
            self.with_user(&holder, |user| Ok(user.roles.remove(name)))?;
        }
        Ok(true)
    }

    fn with_user(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut User) -> Result<bool, Rejection>,
    ) -> Result<bool, Rejection> {
        let (name, mut user) = self.take_user(name).ok_or(Rejection::UserNotFound)?;
        let is_changed = change(&mut user)?;
        self.set_user(name, user);
        Ok(is_changed)
    }

    fn with_role(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Role) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        let (name, mut role) = self.take_role(name).ok_or(Rejection::RoleNotFound)?;
        change(&mut role)?;
        self.set_role(name, role);
        Ok(())
    }
}
