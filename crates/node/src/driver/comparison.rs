//! What the driver does to find out whether all members hold the same: `crate::comparison` says
//! what they tell each other.
//!
//! The leader asks before it sends the entry after which the states are to be compared, on the same
//! connection, so that everybody knows of it when the entry comes. A state is a pointer at that
//! moment, and is hashed by the thread of the snapshots. Who is silent is waited for, and after a
//! few times left out.

use althing_consensus::Replica;
use althing_core::{Index, NodeId, Time};
use althing_keyspace::{Alarm, AlarmKind, Command, Principal, Snapshot};

use super::Driver;
use crate::comparison::{Comparison, ComparisonMessage};
use crate::envelope::Envelope;
use crate::snapshots::Job;

/// How often members that cannot be asked, or do not answer, are waited for until the others are
/// judged without them.
const PUT_OFF_MAX: u32 = 3;

impl<R: Replica> Driver<R> {
    /// Leader: asks all members for their hash at the next entry, when it is time to.
    pub(super) fn compare(&mut self, now: Time) {
        if now < self.compare_at {
            return;
        }
        self.compare_at = now + self.compare_interval;
        let status = self.replica.status();
        let leads = status.leader == Some(self.shared.node);
        if leads && self.comparison.as_ref().is_some_and(|it| it.index() > self.applied.index) {
            // Nothing was written since.
            return;
        }
        self.conclude();
        self.comparison = None;
        if !leads {
            return;
        }
        let index = status.last.index.next();
        let peers: Vec<NodeId> = self.peers.reached().collect();
        let members = status.configuration.members().count();
        if peers.is_empty() || (peers.len() + 1 < members && self.may_put_off()) {
            return;
        }
        let asked = peers.iter().copied().chain([self.shared.node]);
        self.comparison = Some(Comparison::new(index, members, asked));
        self.hash_after = Some((index, self.shared.node));
        for peer in peers {
            self.peers.push_comparison(peer, ComparisonMessage::Ask { index });
        }
        self.peers.flush();
    }

    pub(super) fn hear_of_comparison(&mut self, from: NodeId, message: ComparisonMessage) {
        match message {
            ComparisonMessage::Ask { index } => self.hash_after = Some((index, from)),
            ComparisonMessage::Answer { index, hash } => self.take_hash(from, index, hash),
        }
    }

    /// The state right after the entry that a leader asked about.
    pub(super) fn hash(&self, (index, to): (Index, NodeId), snapshot: Snapshot) {
        // Without that thread the node ends, which others find out.
        let _ = self.snapshots.send(Job::Hash { index, to, snapshot });
    }

    /// It was hashed.
    pub(super) fn hashed(&mut self, index: Index, to: NodeId, hash: u64) {
        if to == self.shared.node {
            self.take_hash(to, index, hash);
        } else {
            self.peers.push_comparison(to, ComparisonMessage::Answer { index, hash });
            self.peers.flush();
        }
    }

    fn take_hash(&mut self, from: NodeId, index: Index, hash: u64) {
        let Some(comparison) = &mut self.comparison else { return };
        comparison.answer(from, index, hash);
        if comparison.is_whole() {
            self.conclude();
            self.comparison = None;
        }
    }

    /// Whether it can wait until more members can be asked.
    fn may_put_off(&mut self) -> bool {
        self.put_off += 1;
        self.put_off <= PUT_OFF_MAX
    }

    /// Raises an alarm for every member that holds something else.
    fn conclude(&mut self) {
        let Some(comparison) = &self.comparison else { return };
        if comparison.is_open() && self.put_off < PUT_OFF_MAX {
            self.put_off += 1;
            return;
        }
        self.put_off = 0;
        for deviant in comparison.deviants() {
            tracing::error!(
                "{deviant} does not hold what others do after the entry {}",
                comparison.index()
            );
            let alarm = Alarm { kind: AlarmKind::Corrupt, member: deviant.number() };
            let id = self.shared.next_proposal();
            let envelope = {
                let keyspace = self.shared.keyspace();
                if keyspace.alarms().contains(&alarm) {
                    continue;
                }
                let command = Command::Alarm { alarm, is_raised: true };
                let authorized = keyspace.authorize(&Principal::Server, &command);
                let authorized = authorized.expect("a server may raise an alarm");
                Envelope::seal(self.shared.node, id, authorized)
            };
            // What is lost with a leadership is found again by the next one.
            let _ = self.replica.propose(self.clock.now(), id, envelope);
        }
    }
}
