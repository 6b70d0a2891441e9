use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::keyspace::Keyspace;
use crate::{Command, Operation, Rejection, Reply};

/// The most alarms that can be raised at a time: more than clusters have members.
pub(crate) const ALARMS_MAX: usize = 256;

/// What is wrong with a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// It has no room: while it is raised nothing can be put, and no lease begun.
    NoSpace = 1,
    /// What it holds is not what the others hold: while it is raised nothing can be written.
    Corrupt = 2,
}

/// An alarm that somebody raised. It stays until somebody clears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alarm {
    /// What is wrong.
    pub kind: AlarmKind,
    /// With which member: any number.
    pub member: u64,
}

impl AlarmKind {
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::NoSpace),
            2 => Some(Self::Corrupt),
            _ => None,
        }
    }
}

impl Keyspace {
    /// The alarms that are raised, in ascending order.
    pub const fn alarms(&self) -> &BTreeSet<Alarm> {
        &self.state.alarms
    }

    /// Whether an alarm of this kind is raised.
    pub fn is_alarmed(&self, kind: AlarmKind) -> bool {
        self.state.alarms.iter().any(|alarm| alarm.kind == kind)
    }

    pub(crate) fn set_alarm(&mut self, alarm: Alarm, is_raised: bool) -> Result<Reply, Rejection> {
        let alarms = &mut self.state.alarms;
        let is_changed = if is_raised {
            if alarms.len() >= ALARMS_MAX && !alarms.contains(&alarm) {
                return Err(Rejection::NoSpace);
            }
            alarms.insert(alarm)
        } else {
            alarms.remove(&alarm)
        };
        self.record(|digest| {
            alarm.digest(digest);
            digest.word(u64::from(is_raised));
        });
        Ok(Reply::Alarm { is_changed, revision: self.revision() })
    }

    /// Whether alarms let the command through.
    pub(crate) fn heed_alarms(&self, command: &Command) -> Result<(), Rejection> {
        if self.state.alarms.is_empty() {
            return Ok(());
        }
        let (takes_space, writes) = match command {
            Command::Put(_) | Command::LeaseGrant { .. } => (true, true),
            Command::Txn(txn) => {
                let puts = |operations: &[Operation]| operations.iter().any(is_put);
                (puts(&txn.success) || puts(&txn.failure), true)
            }
            Command::DeleteRange(_) | Command::Compact { .. } | Command::LeaseRevoke { .. } => {
                (false, true)
            }
            // What a cluster needs to go on, and what clears an alarm.
            Command::PublishMember(_)
            | Command::LeaseExpire { .. }
            | Command::LeaseNote { .. }
            | Command::Auth(_)
            | Command::SignIn(_)
            | Command::Alarm { .. } => (false, false),
        };
        if writes && self.is_alarmed(AlarmKind::Corrupt) {
            Err(Rejection::Corrupt)
        } else if takes_space && self.is_alarmed(AlarmKind::NoSpace) {
            Err(Rejection::NoSpace)
        } else {
            Ok(())
        }
    }
}

fn is_put(operation: &Operation) -> bool {
    match operation {
        Operation::Put(_) => true,
        Operation::Txn(txn) => txn.success.iter().chain(&txn.failure).any(is_put),
        Operation::Range(_) | Operation::DeleteRange(_) => false,
    }
}

impl Alarm {
    pub(crate) fn digest(self, digest: &mut Digest) {
        digest.word(self.kind as u64);
        digest.word(self.member);
    }
}
