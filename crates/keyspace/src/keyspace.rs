use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use althing_core::codec::Writer;
use althing_core::{Index, NodeId};
use imbl::OrdMap;

use crate::changes::{Change, Changes};
use crate::command::encode_member;
use crate::digest::Digest;
use crate::history::{History, Version};
use crate::lease::Leases;
use crate::snapshot::Snapshot;
use crate::txn::Transaction;
use crate::{
    AuthState, Authorized, Command, Key, Member, Operation, Rejection, Reply, Value, validate,
};

/// The members that made themselves known, by their number.
pub type Members = BTreeMap<NodeId, Member>;

/// The replicated state machine: every key at every revision that was not compacted away.
///
/// **Invariants**
/// - The revision is 1 when empty, and one greater after each command that wrote something.
/// - The compacted revision is not greater; no reply tells what stood before it.
/// - Every write of a greater revision than the compacted one stands in a history and in `changes`;
///   earlier ones stand in `changes` only while they wait to be swept.
#[derive(Debug)]
pub struct Keyspace {
    /// All that can be read.
    pub(crate) state: Snapshot,
    /// When what was written: the order that histories, which go by key, do not show.
    pub(crate) changes: Changes,
    /// How many keys exist now.
    pub(crate) live: usize,
    /// See [`Self::size_bytes`].
    pub(crate) size: u64,
}

/// What a key costs beside its bytes: its place in a tree whose nodes are two thirds full.
const KEY_SIZE: u64 = (size_of::<(Key, History)>() as u64) * 3 / 2;
/// What a change costs in the index from revision to keys.
pub(crate) const CHANGE_SIZE: u64 = size_of::<Change>() as u64;
/// What a shared run of bytes costs beside the bytes: two counters and the allocator's own.
const SHARED_SIZE: u64 = 24;

/// What etcd adds to every write when it looks at its quota, in bytes.
const QUOTA_OVERHEAD: u64 = 256;

impl Default for Keyspace {
    fn default() -> Self {
        Self::new()
    }
}

impl Keyspace {
    /// The empty keyspace, at revision 1.
    pub fn new() -> Self {
        Self {
            state: Snapshot {
                keys: OrdMap::new(),
                revision: 1,
                compacted: -1,
                applied: Index::ZERO,
                applied_hash: Digest::new().value(),
                members: Members::new(),
                leases: Leases::new(),
                auth: Arc::new(AuthState::default()),
                alarms: BTreeSet::new(),
            },
            changes: Changes::default(),
            live: 0,
            size: 0,
        }
    }

    /// Applies the committed entry at `index`. A rejection is an answer like any other: every node
    /// gives the same, and nothing has changed but the applied index.
    ///
    /// # Errors
    /// The command is malformed, or whoever gave it may not do it as things are now, or it breaks a
    /// rule of its own, or does not fit the state.
    ///
    /// # Panics
    /// `index` is not after the last one applied: the caller feeds the log in its order.
    pub fn apply(&mut self, index: Index, command: &[u8]) -> Result<Reply, Rejection> {
        self.pass(index);
        let command = Authorized::open(&self.state, command)?;
        self.execute(command)
    }

    /// As [`Self::apply`], with a command that was read already, whoever gave it.
    ///
    /// # Errors
    /// As [`Self::apply`].
    ///
    /// # Panics
    /// As [`Self::apply`].
    pub fn apply_command(&mut self, index: Index, command: Command) -> Result<Reply, Rejection> {
        self.pass(index);
        self.execute(command)
    }

    /// Takes note of the committed entry at `index`, which holds no command.
    ///
    /// # Panics
    /// `index` is not after the last one applied.
    pub fn pass(&mut self, index: Index) {
        assert!(
            index > self.state.applied,
            "entry {index} comes after {} was applied",
            self.state.applied
        );
        self.state.applied = index;
    }

    fn execute(&mut self, command: Command) -> Result<Reply, Rejection> {
        validate(&command)?;
        self.sweep_with_command();
        self.heed_alarms(&command)?;
        match command {
            Command::Put(put) => Transaction::put_alone(self, put).map(Reply::Put),
            Command::DeleteRange(delete) => {
                Ok(Reply::DeleteRange(Transaction::delete_alone(self, &delete)))
            }
            Command::Txn(txn) => Transaction::run(self, txn).map(Reply::Txn),
            Command::Compact { revision } => self.compact(revision),
            Command::PublishMember(member) => {
                self.record(|digest| member_digest(digest, &member));
                self.state.members.insert(member.id, member);
                Ok(Reply::PublishMember)
            }
            Command::LeaseGrant { id, ttl } => self.grant(id, ttl),
            Command::LeaseRevoke { id } => self.revoke(id),
            Command::LeaseExpire { ids } => Ok(self.expire(ids)),
            Command::LeaseNote { remaining } => Ok(self.note(remaining)),
            Command::Auth(change) => self.change_auth(change),
            Command::SignIn(sign_in) => self.sign_in(sign_in),
            Command::Alarm { alarm, is_raised } => self.set_alarm(alarm, is_raised),
        }
    }

    /// The index of the last entry applied.
    pub const fn applied(&self) -> Index {
        self.state.applied
    }

    /// The revision of the last write; 1 before the first.
    pub const fn revision(&self) -> i64 {
        self.state.revision
    }

    /// The revision of the last compaction, the oldest that can be read; zero before the first.
    pub fn compacted_revision(&self) -> i64 {
        self.state.compacted.max(0)
    }

    /// How many keys exist at the present revision.
    pub const fn key_count(&self) -> usize {
        self.live
    }

    /// The members that made themselves known.
    pub const fn members(&self) -> &Members {
        &self.state.members
    }

    /// About how much memory the keys, their history and the index by revision take, in bytes. It
    /// depends on how much garbage was swept yet, so nodes may differ in it.
    pub const fn size_bytes(&self) -> u64 {
        self.size
    }

    /// Whether `command` could take the store over `quota` bytes, counted as etcd counts: deletes
    /// and compactions never do, a transaction costs its dearer branch. The server asks before it
    /// proposes and answers [`Rejection::NoSpace`]; applying never asks, because nodes may differ
    /// in size and must not differ in their answers.
    pub fn would_exceed(&self, command: &Command, quota: u64) -> bool {
        let cost = match command {
            Command::Put(put) => cost(&put.key, &put.value),
            Command::Txn(txn) => cost_of(&txn.success).max(cost_of(&txn.failure)),
            Command::LeaseGrant { .. } => QUOTA_OVERHEAD,
            Command::DeleteRange(_)
            | Command::Compact { .. }
            | Command::PublishMember(_)
            | Command::LeaseRevoke { .. }
            | Command::LeaseExpire { .. }
            | Command::LeaseNote { .. }
            | Command::Auth(_)
            | Command::SignIn(_)
            | Command::Alarm { .. } => 0,
        };
        cost > 0 && self.size + cost > quota
    }

    /// A hash that runs along with every change of the state: two nodes that applied the same
    /// entries have the same one, and it costs nothing to ask. A rejected command leaves it alone.
    pub const fn applied_hash(&self) -> u64 {
        self.state.applied_hash
    }

    /// A hash over the whole state as it can be read: the revision, the compacted revision, the
    /// applied index, the members, the leases, every key and every version. It reads all of memory,
    /// so it finds what [`Self::applied_hash`] cannot, damage that came later.
    pub fn hash(&self) -> u64 {
        self.state.hash()
    }

    /// The state as it is now, in constant time but for the members. It can be written out on
    /// another thread while this goes on; what changes meanwhile is copied when it changes.
    pub fn snapshot(&self) -> Snapshot {
        self.state.clone()
    }

    /// Mixes a change into the running hash.
    pub(crate) fn record(&mut self, change: impl FnOnce(&mut Digest)) {
        let mut digest = Digest::resume(self.state.applied_hash);
        change(&mut digest);
        self.state.applied_hash = digest.value();
    }

    /// Writes `version` as the latest of `key`. Its creation and number are those of a new key; if
    /// the key exists, they are corrected to go on from what is there.
    pub(crate) fn write(&mut self, key: Key, mut version: Version) {
        let mut digest = Digest::resume(self.state.applied_hash);
        digest.bytes(key.as_bytes());
        self.size += version_size(&version) + CHANGE_SIZE;
        let (revision, sub) = version.at();
        let is_put = !version.is_tombstone();
        let tie = version.lease;
        let mut tied = 0;
        let key = match self.state.keys.get_key_value_mut(&key) {
            Some((stored, history)) => {
                let latest = history.latest();
                tied = latest.lease;
                match (is_put, latest.is_tombstone()) {
                    (true, true) => self.live += 1,
                    (true, false) => {
                        version.create_revision = latest.create_revision;
                        version.version = latest.version + 1;
                    }
                    (false, true) => unreachable!("only what exists is deleted"),
                    (false, false) => self.live -= 1,
                }
                version_digest(&mut digest, &version);
                history.push(version);
                stored.clone()
            }
            None => {
                assert!(is_put, "only what exists is deleted");
                self.live += 1;
                self.size += key_size(&key);
                version_digest(&mut digest, &version);
                self.state.keys.insert(key.clone(), History::new(version));
                key
            }
        };
        self.state.applied_hash = digest.value();
        self.tie(&key, tied, tie);
        self.changes.push(Change { revision, sub, key });
    }

    /// Takes the last write back, as if it had never been.
    pub(crate) fn unwrite(&mut self) {
        let change = self.changes.pop_latest().expect("every write left a change");
        let key = &change.key;
        let history = self.state.keys.get_mut(key).expect("a key that was just written is there");
        self.size -= CHANGE_SIZE;
        let was_live = !history.latest().is_tombstone();
        let tied = history.latest().lease;
        let mut tie = 0;
        let is_live = match history.pop_latest() {
            Some(version) => {
                self.size -= version_size(&version);
                tie = history.latest().lease;
                !history.latest().is_tombstone()
            }
            None => {
                self.size -= key_size(&change.key) + version_size(history.latest());
                self.state.keys.remove(key);
                false
            }
        };
        self.live = self.live + usize::from(is_live) - usize::from(was_live);
        self.tie(&change.key, tied, tie);
    }
}

pub(crate) fn key_size(key: &Key) -> u64 {
    let shared = match key.shared_size() {
        0 => 0,
        size => SHARED_SIZE + size as u64,
    };
    KEY_SIZE + shared
}

pub(crate) fn version_size(version: &Version) -> u64 {
    let value = version.value.as_ref().map_or(0, |value| SHARED_SIZE + value.len() as u64);
    size_of::<Version>() as u64 + value
}

pub(crate) fn version_digest(digest: &mut Digest, version: &Version) {
    digest.number(version.mod_revision);
    digest.number(version.create_revision);
    digest.number(version.version);
    digest.number(version.lease);
    digest.word(u64::from(version.sub) << 1 | u64::from(version.is_tombstone()));
    digest.bytes(version.value.as_ref().map_or(&[], Value::as_bytes));
}

pub(crate) fn member_digest(digest: &mut Digest, member: &Member) {
    let mut buffer = Vec::new();
    encode_member(member, &mut Writer(&mut buffer));
    digest.bytes(&buffer);
}

fn cost(key: &Key, value: &Value) -> u64 {
    QUOTA_OVERHEAD + key.len() as u64 + value.len() as u64
}

fn cost_of(operations: &[Operation]) -> u64 {
    let cost_of_one = |operation: &Operation| match operation {
        Operation::Put(put) => cost(&put.key, &put.value),
        Operation::Txn(txn) => cost_of(&txn.success).max(cost_of(&txn.failure)),
        Operation::Range(_) | Operation::DeleteRange(_) => 0,
    };
    operations.iter().map(cost_of_one).sum()
}
