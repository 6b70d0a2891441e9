use std::collections::BTreeSet;

use crate::ProposalId;

/// The proposals that a leader has had from one follower. The network may repeat a message; a
/// command is appended once, and one that was refused stays refused.
///
/// Bounded: below the greatest [`Taken::KEPT_MAX`] names everything counts as seen. A proposal that
/// is dropped so, having been overtaken by that many others, is as good as lost on the way.
#[derive(Debug, Default)]
pub(super) struct Taken {
    seen: BTreeSet<ProposalId>,
    /// Everything up to here counts as seen.
    floor: Option<ProposalId>,
}

impl Taken {
    const KEPT_MAX: usize = 1 << 16;

    /// Notes `id`; returns whether it comes for the first time.
    pub(super) fn take(&mut self, id: ProposalId) -> bool {
        if Some(id) <= self.floor || !self.seen.insert(id) {
            return false;
        }
        if self.seen.len() > Self::KEPT_MAX {
            self.floor = self.seen.pop_first();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_is_taken_once_in_whatever_order_it_comes() {
        let mut taken = Taken::default();
        assert!(taken.take(ProposalId(8)));
        assert!(taken.take(ProposalId(5)));
        assert!(!taken.take(ProposalId(8)));
        assert!(!taken.take(ProposalId(5)));
        assert!(taken.take(ProposalId(0)));
    }

    #[test]
    fn what_was_forgotten_is_not_taken_again() {
        let mut taken = Taken::default();
        let many = Taken::KEPT_MAX as u64 + 10;
        assert!((0..many).all(|id| taken.take(ProposalId(id))));
        assert!((0..many).all(|id| !taken.take(ProposalId(id))));
        assert_eq!(taken.seen.len(), Taken::KEPT_MAX);
    }
}
