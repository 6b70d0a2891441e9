use std::fmt;
use std::sync::Arc;

use althing_core::Entry;
use althing_core::codec::{DecodeError, Reader};

use crate::alarms::ALARMS_MAX;
use crate::auth::{decode_role, decode_user};
use crate::changes::Change;
use crate::command::{decode_alarm, decode_member};
use crate::digest::Digest;
use crate::history::{History, Version};
use crate::keyspace::{CHANGE_SIZE, Keyspace, key_size, version_size};
use crate::snapshot::{FORMAT, FORMAT_MIN, MAGIC, Tag};
use crate::{AuthState, Key, LEASE_SECONDS_MAX, Snapshot, Value};

/// The longest record: a value as long as an entry can carry, and its fields. What is longer is
/// damage, and is not waited for.
const RECORD_SIZE_MAX: usize = Entry::PAYLOAD_SIZE_MAX + 1024;

/// Builds a keyspace from the stream that [`crate::Snapshot::write`] produced, as it comes in.
///
/// It holds what it built and less than one record more, and believes nothing: neither lengths nor
/// order nor that the stream came whole.
#[derive(Debug)]
pub struct Restore {
    stage: Stage,
    /// The beginning of a record whose rest has not come.
    pending: Vec<u8>,
    digest: Digest,
    keyspace: Keyspace,
    /// The key whose versions are coming.
    key: Option<(Key, Option<History>)>,
    /// The writes since the compacted revision, by key; sorted by revision in the end.
    changes: Vec<Change>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Members,
    Auth,
    Leases,
    Keys,
    Done,
    Failed(RestoreError),
}

/// Why a stream is not a snapshot. Nothing of it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// It is something else, or of a format that this build does not know.
    Foreign,
    /// It ends too early.
    Truncated,
    /// A record cannot be read.
    Unreadable(DecodeError),
    /// The records contradict one another.
    Inconsistent(&'static str),
    /// The hash at its end is not that of what came before.
    Damaged,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("not a snapshot that this build can read"),
            Self::Truncated => f.write_str("the snapshot ends too early"),
            Self::Unreadable(error) => write!(f, "the snapshot cannot be read: {error}"),
            Self::Inconsistent(what) => write!(f, "the snapshot contradicts itself: {what}"),
            Self::Damaged => f.write_str("the snapshot is damaged: its hash does not match"),
        }
    }
}

impl std::error::Error for RestoreError {}

impl From<DecodeError> for RestoreError {
    fn from(error: DecodeError) -> Self {
        Self::Unreadable(error)
    }
}

impl Default for Restore {
    fn default() -> Self {
        Self::new()
    }
}

impl Restore {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self {
            stage: Stage::Head,
            pending: Vec::new(),
            digest: Digest::new(),
            keyspace: Keyspace::new(),
            key: None,
            changes: Vec::new(),
        }
    }

    /// Takes the next bytes of the stream, cut anywhere.
    ///
    /// # Errors
    /// What came cannot be part of a snapshot. Every later call says the same.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), RestoreError> {
        if let Stage::Failed(error) = self.stage {
            return Err(error);
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(bytes);
        match self.records(&pending) {
            Ok(taken) => {
                pending.drain(..taken);
                self.pending = pending;
                Ok(())
            }
            Err(error) => {
                self.stage = Stage::Failed(error);
                Err(error)
            }
        }
    }

    /// The keyspace, if the whole stream came.
    ///
    /// # Errors
    /// It did not, or [`Self::feed`] failed before.
    pub fn finish(mut self) -> Result<Keyspace, RestoreError> {
        match self.stage {
            Stage::Done => {}
            Stage::Failed(error) => return Err(error),
            Stage::Head | Stage::Members | Stage::Auth | Stage::Leases | Stage::Keys => {
                return Err(RestoreError::Truncated);
            }
        }
        self.changes.sort_unstable_by_key(|change| (change.revision, change.sub));
        if !self
            .changes
            .is_sorted_by(|one, next| (one.revision, one.sub) < (next.revision, next.sub))
        {
            return Err(RestoreError::Inconsistent("two writes at the same place"));
        }
        self.keyspace.size += CHANGE_SIZE * self.changes.len() as u64;
        for change in self.changes {
            self.keyspace.changes.push(change);
        }
        Ok(self.keyspace)
    }

    /// Takes every whole record from the front of `bytes`; returns how many bytes they were.
    fn records(&mut self, bytes: &[u8]) -> Result<usize, RestoreError> {
        let mut rest = bytes;
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            if self.stage == Stage::Done {
                break;
            }
            let length = u32::from_le_bytes(*length) as usize;
            if length > RECORD_SIZE_MAX {
                return Err(match self.stage {
                    Stage::Head => RestoreError::Foreign,
                    _ => DecodeError::TooLong { length, max: RECORD_SIZE_MAX }.into(),
                });
            }
            let Some((record, after)) = after.split_at_checked(length) else { break };
            self.record(record)?;
            rest = after;
        }
        if self.stage == Stage::Done && !rest.is_empty() {
            return Err(RestoreError::Inconsistent("bytes after the end"));
        }
        Ok(bytes.len() - rest.len())
    }

    fn record(&mut self, record: &[u8]) -> Result<(), RestoreError> {
        let hash = self.digest.value();
        self.digest.bytes(record);
        let mut reader = Reader::new(record);
        let tag = reader.u8()?;
        match (self.stage, tag) {
            (Stage::Head, tag) if tag == Tag::Head as u8 => self.head(&mut reader)?,
            (Stage::Head, _) => return Err(RestoreError::Foreign),
            (Stage::Members, tag) if tag == Tag::Member as u8 => self.member(&mut reader)?,
            (Stage::Members, tag) if tag == Tag::Auth as u8 => self.auth(&mut reader)?,
            (Stage::Auth, tag) if tag == Tag::User as u8 => self.user(&mut reader)?,
            (Stage::Auth, tag) if tag == Tag::Role as u8 => self.role(&mut reader)?,
            (Stage::Members | Stage::Auth, tag) if tag == Tag::Alarm as u8 => {
                self.alarm(&mut reader)?;
            }
            (Stage::Members | Stage::Auth | Stage::Leases, tag) if tag == Tag::Lease as u8 => {
                self.lease(&mut reader)?;
            }
            (_, tag) if tag == Tag::Key as u8 => self.key(&mut reader)?,
            (Stage::Keys, tag) if tag == Tag::Version as u8 => self.version(&mut reader)?,
            (_, tag) if tag == Tag::End as u8 => self.end(hash, &mut reader)?,
            (_, tag) => return Err(DecodeError::UnknownTag { what: "record", tag }.into()),
        }
        Ok(reader.finish()?)
    }

    fn head(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let is_ours = reader.take(MAGIC.len()) == Ok(&MAGIC);
        if !is_ours || !reader.u8().is_ok_and(|format| (FORMAT_MIN..=FORMAT).contains(&format)) {
            return Err(RestoreError::Foreign);
        }
        self.keyspace.state.revision = reader.i64()?;
        self.keyspace.state.compacted = reader.i64()?;
        self.keyspace.state.applied = reader.index()?;
        self.keyspace.state.applied_hash = reader.u64()?;
        let Snapshot { revision, compacted, .. } = self.keyspace.state;
        if revision < 1 || compacted < -1 || compacted > revision {
            return Err(RestoreError::Inconsistent("revisions that cannot be"));
        }
        self.stage = Stage::Members;
        Ok(())
    }

    fn member(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let member = decode_member(reader)?;
        if self.keyspace.state.members.insert(member.id, member).is_some() {
            return Err(RestoreError::Inconsistent("a member twice"));
        }
        Ok(())
    }

    fn auth(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let auth = AuthState::restored(reader.bool()?, reader.u64()?);
        self.keyspace.state.auth = Arc::new(auth);
        self.stage = Stage::Auth;
        Ok(())
    }

    fn user(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let (name, user) = decode_user(reader)?;
        match Arc::make_mut(&mut self.keyspace.state.auth).set_user(name, user) {
            true => Ok(()),
            false => Err(RestoreError::Inconsistent("a user twice")),
        }
    }

    fn role(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let (name, role) = decode_role(reader)?;
        match Arc::make_mut(&mut self.keyspace.state.auth).set_role(name, role) {
            true => Ok(()),
            false => Err(RestoreError::Inconsistent("a role twice")),
        }
    }

    fn alarm(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let alarm = decode_alarm(reader)?;
        let alarms = &mut self.keyspace.state.alarms;
        if alarms.last().is_some_and(|last| *last >= alarm) || alarms.len() >= ALARMS_MAX {
            return Err(RestoreError::Inconsistent("alarms out of order, or too many"));
        }
        alarms.insert(alarm);
        Ok(())
    }

    fn lease(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let (id, ttl, remaining) = (reader.i64()?, reader.i64()?, reader.i64()?);
        let leases = &self.keyspace.state.leases;
        if leases.get_max().is_some_and(|(last, _)| *last >= id) {
            return Err(RestoreError::Inconsistent("leases out of order"));
        }
        if id == 0 || !(1..=LEASE_SECONDS_MAX).contains(&ttl) || !(1..=ttl).contains(&remaining) {
            return Err(RestoreError::Inconsistent("a lease that cannot be"));
        }
        self.keyspace.begin_lease(id, ttl, remaining);
        self.stage = Stage::Leases;
        Ok(())
    }

    fn key(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let key: Key = reader.bytes(Entry::PAYLOAD_SIZE_MAX)?.into();
        let before = self.key.as_ref().map_or(&[][..], |(key, _)| key.as_bytes());
        if key.as_bytes() <= before {
            return Err(RestoreError::Inconsistent("keys out of order"));
        }
        self.store()?;
        self.key = Some((key, None));
        self.stage = Stage::Keys;
        Ok(())
    }

    fn version(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let version = Version {
            mod_revision: reader.i64()?,
            sub: reader.u32()?,
            create_revision: reader.i64()?,
            version: reader.i64()?,
            lease: reader.i64()?,
            value: if reader.bool()? {
                Some(Value::from(reader.bytes(Entry::PAYLOAD_SIZE_MAX)?))
            } else {
                None
            },
        };
        let (key, history) = self.key.as_mut().expect("versions are taken only after a key");
        let compacted = self.keyspace.state.compacted;
        if version.mod_revision > self.keyspace.state.revision
            || !follows(&version, history.as_ref().map(History::latest), compacted)
        {
            return Err(RestoreError::Inconsistent("a version that cannot follow the one before"));
        }
        self.keyspace.size += version_size(&version);
        if version.mod_revision >= compacted {
            let (revision, sub) = version.at();
            self.changes.push(Change { revision, sub, key: key.clone() });
        }
        match history {
            Some(history) => history.push(version),
            None => *history = Some(History::new(version)),
        }
        Ok(())
    }

    fn end(&mut self, hash: u64, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        self.store()?;
        if reader.u64()? != self.keyspace.state.keys.len() as u64 {
            return Err(RestoreError::Inconsistent("another number of keys than announced"));
        }
        if reader.u64()? != hash {
            return Err(RestoreError::Damaged);
        }
        self.stage = Stage::Done;
        Ok(())
    }

    /// Puts the key whose versions have all come in its place.
    fn store(&mut self) -> Result<(), RestoreError> {
        let Some((key, history)) = self.key.take() else { return Ok(()) };
        let history = history.ok_or(RestoreError::Inconsistent("a key without versions"))?;
        self.keyspace.live += usize::from(!history.latest().is_tombstone());
        self.keyspace.size += key_size(&key);
        let tie = history.latest().lease;
        if tie != 0 && !self.keyspace.state.leases.contains_key(&tie) {
            return Err(RestoreError::Inconsistent("a key of a lease that is not there"));
        }
        self.keyspace.tie(&key, 0, tie);
        self.keyspace.state.keys.insert(key, history);
        Ok(())
    }
}

/// Whether `version` can come after `before` in the history of a key. A delete at the compacted
/// revision itself is still told of, though what it deleted is gone.
fn follows(version: &Version, before: Option<&Version>, compacted: i64) -> bool {
    if version.mod_revision < 2 || before.is_some_and(|before| before.at() >= version.at()) {
        return false;
    }
    if version.is_tombstone() {
        let Version { create_revision, version, lease, mod_revision: at, .. } = *version;
        let deleted_something = match before {
            Some(before) => !before.is_tombstone(),
            None => at == compacted,
        };
        return (create_revision, version, lease) == (0, 0, 0) && deleted_something;
    }
    let written = (version.create_revision, version.version);
    match before {
        Some(before) if !before.is_tombstone() => {
            written == (before.create_revision, before.version + 1)
        }
        Some(_) => written == (version.mod_revision, 1),
        None => (2..=version.mod_revision).contains(&written.0) && written.1 >= 1,
    }
}
