use std::collections::{BTreeSet, VecDeque};

use crate::ProposalId;

/// The proposals that a leader has had from one follower lately. A network may repeat a message; a
/// command is appended once, and one that was refused stays refused.
///
/// Bounded: the last [`Taken::KEPT_MAX`] names are remembered, whatever their order, for a follower
/// that restarts begins with other names. A message that is repeated later than that would be taken
/// again; over connections that keep their order, as TCP does, none is repeated at all.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    seen: BTreeSet<ProposalId>,
    oldest_first: VecDeque<ProposalId>,
}

impl Taken {
    const KEPT_MAX: usize = 1 << 14;

    /// Notes `id`; returns whether it comes for the first time.
    pub(super) fn take(&mut self, id: ProposalId) -> bool {
        if !self.seen.insert(id) {
            return false;
        }
        self.oldest_first.push_back(id);
        if self.oldest_first.len() > Self::KEPT_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.seen.remove(&oldest);
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
    fn a_follower_that_starts_again_with_smaller_names_is_heard() {
        let mut taken = Taken::default();
        let many = Taken::KEPT_MAX as u64 + 10;
        assert!((many..2 * many).all(|id| taken.take(ProposalId(id))));
        assert!((0..10).all(|id| taken.take(ProposalId(id))));
        assert!(!taken.take(ProposalId(2 * many - 1)), "the last ones are remembered");
        assert_eq!(taken.seen.len(), Taken::KEPT_MAX);
    }
}
