use std::collections::BTreeSet;
use std::sync::Arc;

use althing_core::Index;
use althing_core::codec::Writer;
use imbl::OrdMap;

use crate::auth::{encode_role, encode_user};
use crate::command::{encode_alarm, encode_member};
use crate::digest::Digest;
use crate::history::{History, Version};
use crate::keyspace::{Members, member_digest, version_digest};
use crate::lease::Leases;
use crate::planted::{Bug, has};
use crate::{Alarm, AuthState, Key, Rejection};

/// The largest block that [`Snapshot::write`] hands to its sink, in bytes.
pub const BLOCK_SIZE_MAX: usize = 64 << 10;

/// The format that this build writes. The second one has leases, the third one users, roles and
/// alarms.
pub(crate) const FORMAT: u8 = 3;
/// The oldest format that this build reads.
pub(crate) const FORMAT_MIN: u8 = 2;
/// The first bytes of every snapshot.
pub(crate) const MAGIC: [u8; 8] = *b"althkeys";

/// What a record of the stream holds. Each is a four-byte length, this tag, and the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// Magic, format, revision, compacted, applied, applied hash.
    Head = 1,
    /// A member; any number.
    Member = 2,
    /// Whether users are enabled, and the revision of users and roles; at most one, after the
    /// members, and before the two that follow.
    Auth = 7,
    /// A user; any number.
    User = 8,
    /// A role; any number.
    Role = 9,
    /// An alarm; any number, in ascending order, after all of these.
    Alarm = 10,
    /// A lease; any number, in ascending order, after those.
    Lease = 6,
    /// A key; any number, in ascending order.
    Key = 3,
    /// A version of the key before; at least one for each key, in ascending order.
    Version = 4,
    /// The number of keys, and the hash of all records before this one.
    End = 5,
}

/// The state at one index, to be read or written out while the keyspace goes on. `Send`; what it
/// shares with the keyspace is freed when the last of the two lets go of it.
///
/// What it writes is what can be read and no garbage, the same on every node at equal index.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) keys: OrdMap<Key, History>,
    pub(crate) revision: i64,
    /// The last revision that was compacted to; -1 before the first compaction, as in etcd, where
    /// compacting an empty store to zero works exactly once.
    pub(crate) compacted: i64,
    pub(crate) applied: Index,
    pub(crate) applied_hash: u64,
    pub(crate) members: Members,
    pub(crate) leases: Leases,
    pub(crate) auth: Arc<AuthState>,
    pub(crate) alarms: BTreeSet<Alarm>,
}

/// What [`Snapshot::hash_of_keys`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashOfKeys {
    /// The hash.
    pub hash: u64,
    /// The revision of the last compaction, zero for none, which the hash depends on.
    pub compacted: i64,
}

impl Snapshot {
    /// The index of the last entry applied.
    pub const fn applied(&self) -> Index {
        self.applied
    }

    /// The revision of the last write.
    pub const fn revision(&self) -> i64 {
        self.revision
    }

    /// As [`crate::Keyspace::hash`].
    pub fn hash(&self) -> u64 {
        let mut digest = Digest::new();
        digest.number(self.revision);
        digest.number(self.compacted);
        digest.word(self.applied.0);
        for member in self.members.values() {
            member_digest(&mut digest, member);
        }
        self.auth.digest(&mut digest);
        self.alarms.iter().for_each(|alarm| alarm.digest(&mut digest));
        for (id, lease) in &self.leases {
            lease.digest(*id, &mut digest);
        }
        for (key, history) in &self.keys {
            let mut versions = history.visible(self.compacted).peekable();
            if versions.peek().is_some() {
                digest.bytes(key.as_bytes());
            }
            for version in versions {
                version_digest(&mut digest, version);
            }
        }
        digest.value()
    }

    /// A hash over every key and every version up to `revision`, or up to now if it is zero or
    /// less. Two nodes that came that far and were compacted as far have the same one, whatever
    /// has happened on them since.
    ///
    /// # Errors
    /// The revision was compacted away, or has not come yet.
    pub fn hash_of_keys(&self, revision: i64) -> Result<HashOfKeys, Rejection> {
        let revision = self.readable(revision, self.revision)?;
        let compacted = self.compacted.max(0);
        let mut digest = Digest::new();
        digest.number(compacted);
        for (key, history) in &self.keys {
            let versions = history.visible(self.compacted);
            let mut versions = versions.filter(|it| it.mod_revision <= revision).peekable();
            if versions.peek().is_some() {
                digest.bytes(key.as_bytes());
            }
            for version in versions {
                version_digest(&mut digest, version);
            }
        }
        Ok(HashOfKeys { hash: digest.value(), compacted })
    }

    /// Writes the state to `sink`, block by block, none longer than [`BLOCK_SIZE_MAX`]. The blocks
    /// have no meaning of their own: a reader may cut the stream elsewhere.
    ///
    /// # Errors
    /// The sink's own, at which the writing ends.
    pub fn write<E>(self, sink: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut stream = Stream { sink, buffer: Vec::new(), digest: Digest::new() };
        stream.record(Tag::Head, |writer| {
            writer.0.extend_from_slice(&MAGIC);
            writer.u8(FORMAT);
            writer.i64(self.revision);
            writer.i64(self.compacted);
            writer.index(self.applied);
            writer.u64(self.applied_hash);
        })?;
        for member in self.members.values() {
            stream.record(Tag::Member, |writer| encode_member(member, writer))?;
        }
        self.write_auth(&mut stream)?;
        for alarm in &self.alarms {
            stream.record(Tag::Alarm, |writer| encode_alarm(*alarm, writer))?;
        }
        for (id, lease) in &self.leases {
            stream.record(Tag::Lease, |writer| {
                writer.i64(*id);
                writer.i64(lease.ttl());
                writer.i64(lease.remaining());
            })?;
        }
        let mut keys = 0_u64;
        for (key, history) in &self.keys {
            let mut versions = history.visible(self.compacted).peekable();
            if versions.peek().is_none() {
                continue;
            }
            keys += 1;
            stream.record(Tag::Key, |writer| writer.bytes(key.as_bytes()))?;
            for version in versions {
                stream.record(Tag::Version, |writer| encode_version(version, writer))?;
            }
        }
        let hash = stream.digest.value();
        stream.record(Tag::End, |writer| {
            writer.u64(keys);
            writer.u64(hash);
        })?;
        stream.finish()
    }
}

impl Snapshot {
    /// Writes nothing where there never was a user or a role.
    fn write_auth<E>(&self, stream: &mut Stream<'_, E>) -> Result<(), E> {
        let auth = &self.auth;
        if **auth == AuthState::default() {
            return Ok(());
        }
        stream.record(Tag::Auth, |writer| {
            writer.bool(auth.is_enabled());
            writer.u64(auth.revision());
        })?;
        for (name, user) in auth.all_users() {
            stream.record(Tag::User, |writer| encode_user(name, user, writer))?;
        }
        for (name, role) in auth.all_roles() {
            stream.record(Tag::Role, |writer| encode_role(name, role, writer))?;
        }
        Ok(())
    }
}

fn encode_version(version: &Version, writer: &mut Writer<'_>) {
    writer.i64(version.mod_revision);
    writer.u32(version.sub);
    let forgets = has(Bug::SnapshotsForgetCreation) && !version.is_tombstone();
    writer.i64(if forgets { version.mod_revision } else { version.create_revision });
    writer.i64(version.version);
    writer.i64(version.lease);
    writer.bool(version.value.is_some());
    if let Some(value) = &version.value {
        writer.bytes(value.as_bytes());
    }
}

/// Frames records and cuts them into blocks.
struct Stream<'a, E> {
    sink: &'a mut dyn FnMut(&[u8]) -> Result<(), E>,
    /// Less than a block between records.
    buffer: Vec<u8>,
    digest: Digest,
}

impl<E> Stream<'_, E> {
    fn record(&mut self, tag: Tag, fields: impl FnOnce(&mut Writer<'_>)) -> Result<(), E> {
        let start = self.buffer.len();
        let mut writer = Writer(&mut self.buffer);
        // The length is known only once the fields stand.
        writer.u32(0);
        writer.u8(tag as u8);
        fields(&mut writer);
        let (length, payload) =
            self.buffer[start..].split_first_chunk_mut::<4>().expect("the length was just written");
        let payload_size = u32::try_from(payload.len()).expect("an entry limits every value");
        *length = payload_size.to_le_bytes();
        self.digest.bytes(payload);

        let full = self.buffer.len() - self.buffer.len() % BLOCK_SIZE_MAX;
        for block in self.buffer[..full].chunks(BLOCK_SIZE_MAX) {
            (self.sink)(block)?;
        }
        self.buffer.drain(..full);
        Ok(())
    }

    fn finish(self) -> Result<(), E> {
        if self.buffer.is_empty() { Ok(()) } else { (self.sink)(&self.buffer) }
    }
}
