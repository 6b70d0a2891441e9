use althing_consensus::{ProposalId, ReadId, Replica};
use althing_keyspace::{Command, Range, Reply as KeyspaceReply, Timed};

use super::Server;
use crate::ServerBug;
use crate::answer::lease_key;
use crate::coverage::Mark;
use crate::envelope::Envelope;
use crate::invariants::Invariant;
use crate::shared::{Reply, Shared};

/// How a server runs the clock of the leases, as a real node does.
impl<R: Replica> Server<R> {
    /// A leadership of its own begins: everything before it is applied.
    pub(super) fn lease_clock_begins(&mut self, shared: &Shared) {
        self.lessor.begin(self.clock.show(shared.now), self.keyspace.leases());
    }

    /// Proposes what the clock says is due.
    pub(super) fn lease_clock_acts(&mut self, shared: &Shared) {
        let now = self.clock.show(shared.now);
        while now >= self.lessor_pause
            && let Some(command) = self.lessor.due(now)
        {
            let id = ProposalId(self.number(shared));
            if self.replica.propose(now, id, Envelope::seal(self.id, id, &command)).is_err() {
                self.lessor_pause = now + shared.profile.timing.heartbeat_interval;
                return;
            }
            self.lessor.proposed(&command);
        }
    }

    /// What the clock learns from a command that was applied, and what must hold of it.
    pub(super) fn lease_clock_learns(&mut self, shared: &mut Shared, reply: &KeyspaceReply) {
        let now = self.clock.show(shared.now);
        match reply {
            KeyspaceReply::LeaseGrant { id, ttl, .. } => self.lessor.granted(now, *id, *ttl),
            KeyspaceReply::LeaseRevoke { id, .. } => self.lessor.ended(*id),
            KeyspaceReply::LeaseExpire { ids } => {
                for id in ids {
                    self.lessor.ended(*id);
                    self.lease_ended(shared, *id);
                }
            }
            KeyspaceReply::LeaseNote { remaining } => {
                shared.mark(Mark::LeaseNoted);
                remaining.iter().for_each(|(id, seconds)| self.lessor.noted(*id, *seconds));
            }
            _ => {}
        }
    }

    fn lease_ended(&self, shared: &mut Shared, lease: i64) {
        shared.mark(Mark::LeaseEnded);
        if let Some(why) = shared.leases.ended(lease, shared.now) {
            shared.checker.report(Invariant::Lease, why);
        }
        let key = Range::key(lease_key(lease).as_str());
        let left = self.keyspace.range(&key).map_or(0, |found| found.kvs.len());
        if left > 0 {
            let detail = format!("lease {lease} is over on {}, and its key is there", self.id);
            shared.checker.report(Invariant::Lease, detail);
        }
    }

    /// A holder wants to keep its lease alive. It is told so only once it is known that this server
    /// still led when it was asked, and the log knows of it where it must.
    pub(super) fn renew(&mut self, shared: &mut Shared, request: usize, number: u64, lease: i64) {
        let now = self.clock.show(shared.now);
        match self.lessor.renew(now, lease) {
            None => shared.replies.push((request, Reply::Refused)),
            Some(Timed { must_note: true, ttl, .. }) => {
                let remaining = vec![(lease, ttl)];
                self.propose(shared, request, number, &Command::LeaseNote { remaining });
            }
            Some(Timed { .. }) if shared.has(ServerBug::RenewsUnconfirmed) => {
                shared.replies.push((request, Reply::DoneUnobserved));
            }
            Some(Timed { .. }) => {
                self.confirms.insert(ReadId(number), request);
                self.replica.read(now, ReadId(number));
            }
        }
    }
}
