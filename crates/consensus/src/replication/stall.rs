use althing_core::Time;

use super::{Machine, Protocol, Role};

impl<P: Protocol> Machine<P> {
    /// Whether the disk owes an answer for longer than a leader may be silent.
    pub(super) fn disk_stalls(&self, now: Time) -> bool {
        let patience = self.options.election_timeout;
        self.journal.waits_since().is_some_and(|since| now.since(since) >= patience)
    }

    /// A leader whose disk stands still can go on: it speaks, and what the others hold durably is
    /// committed without it. But each of them is needed then, and what its disk is owed grows. So
    /// it hands over to a voter whose disk got further, and if that does not come about, it steps
    /// down. Where no disk got further, another leader would be no better off.
    pub(super) fn check_disk(&mut self, now: Time) {
        if !self.disk_stalls(now) || self.is_handing_over() {
            return;
        }
        let patience = self.options.election_timeout;
        let durable = self.journal.durable();
        let Role::Leader(leader) = &mut self.role else { return };
        let voters = self.configurations.current().voters();
        let further = leader.progress.iter().filter(|(node, progress)| {
            let is_near = now.since(progress.heard_at) < patience;
            voters.contains(**node) && is_near && progress.matched > durable
        });
        let Some((furthest, _)) = further.max_by_key(|(_, progress)| progress.matched) else {
            return;
        };
        let furthest = *furthest;
        if std::mem::replace(&mut leader.has_offered, true) {
            self.follow(now, self.epoch(), None);
        } else {
            // The checks above are all that can be in its way.
            let _ = self.begin_handover(now, furthest);
        }
    }
}
