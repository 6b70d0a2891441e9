use alloc::vec::Vec;

use crate::{Ballot, Index};

/// An acceptor's word that it accepted every entry that it holds up to `through` under `ballot`.
///
/// An entry is named by the ballot under which it was proposed first, and keeps that name for good.
/// A later leader of Multi-Paxos that found it in phase one proposes it again, under its own
/// ballot: the same entry is then accepted under a greater one. Raft knows no such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Acceptance {
    /// The ballot of the leader that proposed the entries, or proposed them again.
    pub ballot: Ballot,
    /// The last of them.
    pub through: Index,
}

/// Under which ballots the entries of a log were accepted last, where those are not the ballots
/// that the entries are named by.
///
/// # Invariants
/// - From one to the next the ballot rises and `through` falls: an acceptor accepts entries in
///   their order, so the further an entry stands from the beginning, the older its acceptance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Acceptances(Vec<Acceptance>);

impl Acceptances {
    /// What these say, one after the other.
    pub fn new(acceptances: impl IntoIterator<Item = Acceptance>) -> Self {
        let mut all = Self::default();
        for acceptance in acceptances {
            all.accept(acceptance);
        }
        all
    }

    /// All that still say something, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Acceptance> {
        self.0.iter().copied()
    }

    /// Whether every entry was accepted under the ballot that names it only.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ballot under which the entry at `index` was accepted last, if `proposed` names it.
    pub fn ballot_at(&self, index: Index, proposed: Ballot) -> Ballot {
        let covering = self.0.iter().rev().find(|acceptance| acceptance.through >= index);
        covering.map_or(proposed, |acceptance| acceptance.ballot.max(proposed))
    }

    /// Everything up to `acceptance.through` was accepted under its ballot, which is no smaller
    /// than those before.
    pub fn accept(&mut self, acceptance: Acceptance) {
        self.0.retain(|earlier| earlier.through > acceptance.through);
        self.0.push(acceptance);
    }

    /// The entries from `from` on are gone.
    pub fn truncate_from(&mut self, from: Index) {
        let last = from.previous();
        let Some(position) = self.0.iter().rposition(|acceptance| acceptance.through >= last)
        else {
            return;
        };
        self.0[position].through = last;
        self.0.drain(..position);
    }

    /// The log begins after `index`.
    pub fn begin_after(&mut self, index: Index) {
        self.0.retain(|acceptance| acceptance.through > index);
    }

    /// The log holds nothing any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NodeId, Random};

    fn ballot(round: u64) -> Ballot {
        Ballot::new(round, NodeId::new(1).expect("not zero"))
    }

    /// Against a list that holds a ballot for each entry.
    #[test]
    fn it_says_what_a_list_of_all_entries_would_say() {
        let mut random = Random::new(5);
        for _ in 0..500 {
            let mut acceptances = Acceptances::default();
            let mut list = [Ballot::ZERO; 12];
            let (mut begin, mut round) = (0, 1);
            for _ in 0..20 {
                let at = begin + random.below(12 - begin);
                match random.below(4) {
                    0 => {
                        acceptances.truncate_from(Index(at + 1));
                        list[at as usize..].fill(Ballot::ZERO);
                    }
                    1 => {
                        acceptances.begin_after(Index(at));
                        begin = at;
                    }
                    _ => {
                        round += random.below(2);
                        let through = Index(at + 1);
                        acceptances.accept(Acceptance { ballot: ballot(round), through });
                        list[..=at as usize].fill(ballot(round));
                    }
                }
                for index in begin + 1..=12 {
                    let said = acceptances.ballot_at(Index(index), Ballot::ZERO);
                    assert_eq!(said, list[index as usize - 1], "at {index} in {acceptances:?}");
                }
                let again = Acceptances::new(acceptances.iter());
                assert_eq!(again, acceptances);
            }
        }
    }

    #[test]
    fn an_entry_is_accepted_at_least_under_the_ballot_that_names_it() {
        let through = Index(4);
        let acceptances = Acceptances::new([Acceptance { ballot: ballot(2), through }]);
        assert_eq!(acceptances.ballot_at(Index(4), ballot(1)), ballot(2));
        assert_eq!(acceptances.ballot_at(Index(4), ballot(3)), ballot(3));
        assert_eq!(acceptances.ballot_at(Index(5), ballot(1)), ballot(1));
    }
}
