use std::sync::Arc;

use althing_core::codec::DecodeError;

use super::spans::Spans;
use super::state::User;
use super::{AuthState, Principal, ROOT, Role};
use crate::keyspace::Keyspace;
use crate::{
    Command, Compare, DeleteRange, Key, KeyRange, Operation, Put, Range, Rejection, Snapshot, Txn,
};

/// Everything that somebody can ask for. What is not in this list cannot be allowed.
#[derive(Clone, Copy, Debug)]
pub enum Ask<'a> {
    /// To change something through the log.
    Command(&'a Command),
    /// To read keys.
    Range(&'a Range),
    /// To compare and read keys at one moment.
    ReadTxn(&'a Txn),
    /// To be told of what happens to keys.
    Watch(&'a KeyRange),
    /// To know what time a lease has, or that it is there.
    LeaseTime {
        /// Its number.
        id: i64,
        /// Which keys are tied to it, too.
        keys: bool,
    },
    /// To keep a lease, and what is tied to it, alive.
    LeaseRenew {
        /// Its number.
        id: i64,
    },
    /// To know a user's roles.
    User(&'a str),
    /// To know a role's rights.
    Role(&'a str),
    /// What every user may know: the numbers of leases, where the members are and how they fare.
    Known,
    /// What only the role root may: looking after servers, members and users.
    Administer,
}

/// A command that somebody may give, and who. Nothing else can be proposed.
#[derive(Clone, Copy, Debug)]
pub struct Authorized<'a> {
    principal: &'a Principal,
    command: &'a Command,
}

impl Authorized<'_> {
    /// Appends both to `buffer`, to be applied with [`Keyspace::apply`], which judges again.
    pub fn encode(&self, buffer: &mut Vec<u8>) {
        self.command.encode_for(self.principal, buffer);
    }

    /// Reads what [`Self::encode`] wrote, and judges it.
    ///
    /// # Errors
    /// The bytes are no command, or it is not allowed.
    pub(crate) fn open(state: &Snapshot, bytes: &[u8]) -> Result<Command, Rejection> {
        let malformed = |error: DecodeError| Rejection::Malformed(error);
        let (principal, command) = Command::decode_for(bytes).map_err(malformed)?;
        authorize(state, &principal, Ask::Command(&command))?;
        Ok(command)
    }
}

impl Keyspace {
    /// A command that may be proposed for `principal` as things are. It is judged again when it is
    /// applied.
    ///
    /// # Errors
    /// It is not allowed.
    pub fn authorize<'a>(
        &self,
        principal: &'a Principal,
        command: &'a Command,
    ) -> Result<Authorized<'a>, Rejection> {
        authorize(&self.state, principal, Ask::Command(command))?;
        Ok(Authorized { principal, command })
    }
}

/// Whether `principal` may do what it asks for: the one place where that is decided.
pub(crate) fn authorize(
    state: &Snapshot,
    principal: &Principal,
    ask: Ask<'_>,
) -> Result<(), Rejection> {
    let servers = matches!(ask, Ask::Command(command) if is_servers(command));
    let rights = match principal {
        Principal::Server => {
            let may = servers
                || matches!(ask, Ask::Command(Command::Compact { .. } | Command::Alarm { .. }));
            return if may { Ok(()) } else { Err(Rejection::PermissionDenied) };
        }
        Principal::Nobody | Principal::User { .. } if servers => {
            return Err(Rejection::PermissionDenied);
        }
        Principal::Nobody | Principal::User { .. } if !state.auth.is_enabled => return Ok(()),
        Principal::Nobody => return Err(Rejection::UserEmpty),
        Principal::User { name, since } => Rights::of(&state.auth, name, *since)?,
    };
    let may = rights.is_root || rights.may(state, ask);
    if may { Ok(()) } else { Err(Rejection::PermissionDenied) }
}

/// What only servers ask for. In logs from before there were users it stands without a name, and
/// is read as theirs.
pub(crate) const fn is_servers(command: &Command) -> bool {
    match command {
        Command::PublishMember(_)
        | Command::LeaseExpire { .. }
        | Command::LeaseNote { .. }
        | Command::SignIn(_) => true,
        Command::Put(_)
        | Command::DeleteRange(_)
        | Command::Txn(_)
        | Command::Compact { .. }
        | Command::LeaseGrant { .. }
        | Command::LeaseRevoke { .. }
        | Command::Auth(_)
        | Command::Alarm { .. } => false,
    }
}

/// What one user may do.
struct Rights<'a> {
    user: &'a User,
    name: &'a str,
    is_root: bool,
    reads: Vec<&'a Spans>,
    writes: Vec<&'a Spans>,
}

impl<'a> Rights<'a> {
    fn of(auth: &'a AuthState, name: &'a Arc<str>, since: u64) -> Result<Self, Rejection> {
        let user = match auth.user(name) {
            Some(user) if since == 0 || user.since() == since => user,
            None if since == 0 => return Err(Rejection::PermissionDenied),
            Some(_) | None => return Err(Rejection::InvalidAuthToken),
        };
        let roles = || user.roles().filter_map(|role| auth.role(role));
        Ok(Self {
            user,
            name,
            is_root: user.has_role(ROOT),
            reads: roles().map(|role: &Role| &role.reads).collect(),
            writes: roles().map(|role: &Role| &role.writes).collect(),
        })
    }

    fn may(&self, state: &Snapshot, ask: Ask<'_>) -> bool {
        match ask {
            Ask::Command(command) => self.may_command(state, command),
            Ask::Range(Range { key, range_end, .. }) => self.may_read(key, range_end),
            Ask::ReadTxn(txn) => self.may_transact(state, txn),
            Ask::Watch(range) => Spans::cover(&self.reads, range),
            Ask::LeaseTime { keys: false, .. } | Ask::Known => true,
            Ask::LeaseTime { id, keys: true } => self.may_with_keys(state, id, &self.reads),
            Ask::LeaseRenew { id } => self.may_with_keys(state, id, &self.writes),
            Ask::User(name) => name == self.name,
            Ask::Role(name) => self.user.has_role(name),
            Ask::Administer => false,
        }
    }

    fn may_command(&self, state: &Snapshot, command: &Command) -> bool {
        match command {
            Command::Put(put) => self.may_put(state, put),
            Command::DeleteRange(delete) => self.may_delete(delete),
            Command::Txn(txn) => self.may_transact(state, txn),
            Command::LeaseGrant { .. } => true,
            // Its keys are deleted with it.
            Command::LeaseRevoke { id } => self.may_with_keys(state, *id, &self.writes),
            Command::Auth(_)
            | Command::Compact { .. }
            | Command::PublishMember(_)
            | Command::LeaseExpire { .. }
            | Command::LeaseNote { .. }
            | Command::SignIn(_)
            | Command::Alarm { .. } => false,
        }
    }

    /// Both branches, whichever will be taken, and what is compared.
    fn may_transact(&self, state: &Snapshot, txn: &Txn) -> bool {
        let compared = |Compare { key, range_end, .. }: &Compare| self.may_read(key, range_end);
        let done = |operation: &Operation| match operation {
            Operation::Range(Range { key, range_end, .. }) => self.may_read(key, range_end),
            Operation::Put(put) => self.may_put(state, put),
            Operation::DeleteRange(delete) => self.may_delete(delete),
            Operation::Txn(txn) => self.may_transact(state, txn),
        };
        txn.compare.iter().all(compared) && txn.success.iter().chain(&txn.failure).all(done)
    }

    fn may_put(&self, state: &Snapshot, put: &Put) -> bool {
        let Put { key, lease, prev_kv, .. } = put;
        let one = Key::default();
        self.may_write(key, &one)
            && (!prev_kv || self.may_read(key, &one))
            // Whoever ties a key to a lease can end it, and what is tied to it already.
            && (*lease == 0 || self.may_with_keys(state, *lease, &self.writes))
    }

    fn may_delete(&self, delete: &DeleteRange) -> bool {
        let DeleteRange { key, range_end, prev_kv } = delete;
        self.may_write(key, range_end) && (!prev_kv || self.may_read(key, range_end))
    }

    fn may_read(&self, key: &Key, range_end: &Key) -> bool {
        covers(&self.reads, key, range_end)
    }

    fn may_write(&self, key: &Key, range_end: &Key) -> bool {
        covers(&self.writes, key, range_end)
    }

    /// Whether each key that is tied to the lease is covered.
    fn may_with_keys(&self, state: &Snapshot, lease: i64, spans: &[&Spans]) -> bool {
        let Some(lease) = state.leases.get(&lease) else { return true };
        let Some((first, last)) = lease.ends() else { return true };
        let one = Key::default();
        // Mostly one grant covers all there is between them, and there may be many.
        let is_covered_at_once = covers(spans, first, last) && covers(spans, last, &one);
        is_covered_at_once || lease.keys().all(|key| covers(spans, key, &one))
    }
}

/// A range in which there can be no key is not covered: nobody needs to ask for it.
fn covers(spans: &[&Spans], key: &Key, range_end: &Key) -> bool {
    let range = KeyRange::new(key.clone(), range_end.clone());
    range.is_some_and(|range| Spans::cover(spans, &range))
}
