use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::codec::{DecodeError, Reader, Writer};
use crate::{Majority, NodeId, Quorum};

/// Who belongs to a group, and whose agreement is enough.
///
/// **Voters** elect and commit, **learners** only receive the log. Each member has a **card**:
/// bytes that mean nothing here, and that tell the others where it lives. While the voters change,
/// the configuration is **joint**: two sets of voters, and nothing is decided but by a majority of
/// each (section 6 of the paper).
///
/// # Invariants
/// - Every voter, of either set, is a member.
/// - No member was removed, and nobody who was removed becomes a member again: what a node
///   promised under its name is not known to one that comes with an empty disk.
/// - The empty configuration is that of a node that waits to be added; it is in no log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Configuration {
    /// All who receive the log, with their cards.
    members: BTreeMap<NodeId, Arc<[u8]>>,
    voters: Majority,
    /// The voters that are being replaced, while the configuration is joint.
    outgoing: Option<Majority>,
    removed: BTreeSet<NodeId>,
}

/// One step of a change of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node joins and receives the log, and does not count.
    AddLearner {
        /// The node; it never was a member.
        node: NodeId,
        /// Where it lives.
        card: Arc<[u8]>,
    },
    /// A node joins and counts at once, although it holds nothing yet.
    AddVoter {
        /// The node; it never was a member.
        node: NodeId,
        /// Where it lives.
        card: Arc<[u8]>,
    },
    /// A learner becomes a voter.
    Promote {
        /// The learner.
        node: NodeId,
    },
    /// A member leaves for good.
    Remove {
        /// The member.
        node: NodeId,
    },
    /// A member lives elsewhere.
    SetCard {
        /// The member.
        node: NodeId,
        /// Where.
        card: Arc<[u8]>,
    },
}

/// Why a change does not fit a configuration. The request is to blame; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It says nothing.
    Nothing,
    /// This node is a member already.
    AlreadyMember(NodeId),
    /// This node was removed, and none of that name comes back.
    WasRemoved(NodeId),
    /// This node is no member.
    NotAMember(NodeId),
    /// This member is no learner.
    NotALearner(NodeId),
    /// Nobody would be left to vote.
    NoVoters,
    /// There would be more members than [`Configuration::MEMBERS_MAX`].
    TooManyMembers,
    /// More nodes would have been removed than [`Configuration::REMOVED_MAX`].
    TooManyRemoved,
    /// A card is longer than [`Configuration::CARD_SIZE_MAX`].
    CardTooLong(NodeId),
}

impl Configuration {
    /// The most members, learners included.
    pub const MEMBERS_MAX: usize = 64;
    /// The longest card, in bytes.
    pub const CARD_SIZE_MAX: usize = 4096;
    /// The most nodes that can be removed in the life of a group; their names are kept.
    pub const REMOVED_MAX: usize = 10_000;

    /// The configuration that a group is founded with: all of these vote.
    ///
    /// # Panics
    /// There are too many, or a card is too long.
    pub fn founding(members: impl IntoIterator<Item = (NodeId, Arc<[u8]>)>) -> Self {
        let members: BTreeMap<NodeId, Arc<[u8]>> = members.into_iter().collect();
        assert!(members.len() <= Self::MEMBERS_MAX, "{} members are too many", members.len());
        let longest = members.values().map(|card| card.len()).max();
        assert!(longest <= Some(Self::CARD_SIZE_MAX), "a card of {longest:?} bytes");
        let voters = Majority::new(members.keys().copied());
        Self { members, voters, outgoing: None, removed: BTreeSet::new() }
    }

    /// The founding configuration of these nodes, with empty cards.
    pub fn of(voters: impl IntoIterator<Item = NodeId>) -> Self {
        Self::founding(voters.into_iter().map(|node| (node, Arc::default())))
    }

    /// Whether nobody belongs to it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether the voters are being replaced.
    pub const fn is_joint(&self) -> bool {
        self.outgoing.is_some()
    }

    /// Whether this node receives the log.
    pub fn contains(&self, node: NodeId) -> bool {
        self.members.contains_key(&node)
    }

    /// Whether this node counts, in either set of voters.
    pub fn is_voter(&self, node: NodeId) -> bool {
        let counts = |voters: &Majority| voters.contains(node);
        counts(&self.voters) || self.outgoing.as_ref().is_some_and(counts)
    }

    /// Whether this node is a member and does not count.
    pub fn is_learner(&self, node: NodeId) -> bool {
        self.contains(node) && !self.is_voter(node)
    }

    /// Whether this node was a member and never will be again.
    pub fn was_removed(&self, node: NodeId) -> bool {
        self.removed.contains(&node)
    }

    /// All members with their cards, in ascending order.
    pub fn members(&self) -> impl Iterator<Item = (NodeId, &Arc<[u8]>)> {
        self.members.iter().map(|(node, card)| (*node, card))
    }

    /// The voters; while the configuration is joint, those to come.
    pub const fn voters(&self) -> &Majority {
        &self.voters
    }

    /// The voters that are being replaced, while the configuration is joint.
    pub const fn outgoing(&self) -> Option<&Majority> {
        self.outgoing.as_ref()
    }

    /// Those who were removed, in ascending order.
    pub fn removed(&self) -> impl Iterator<Item = NodeId> {
        self.removed.iter().copied()
    }

    /// This configuration after these changes, taken in order. It is joint if other nodes vote than
    /// before; otherwise every quorum is what it was, and one step is enough.
    ///
    /// # Errors
    /// The changes do not fit.
    ///
    /// # Panics
    /// The configuration is joint.
    pub fn changed(&self, changes: &[Change]) -> Result<Self, Misfit> {
        assert!(!self.is_joint(), "one change at a time");
        if changes.is_empty() {
            return Err(Misfit::Nothing);
        }
        let mut next = self.clone();
        let mut voters: BTreeSet<NodeId> = self.voters.nodes().into_iter().collect();
        for change in changes {
            next.take(change, &mut voters)?;
        }
        if voters.is_empty() {
            return Err(Misfit::NoVoters);
        }
        let going = self.voters.nodes().into_iter().filter(|node| !voters.contains(node)).count();
        if next.members.len() > Self::MEMBERS_MAX {
            return Err(Misfit::TooManyMembers);
        }
        if next.removed.len() + going > Self::REMOVED_MAX {
            return Err(Misfit::TooManyRemoved);
        }
        let voters = Majority::new(voters);
        if voters != self.voters {
            next.outgoing = Some(core::mem::replace(&mut next.voters, voters));
        }
        Ok(next)
    }

    fn take(&mut self, change: &Change, voters: &mut BTreeSet<NodeId>) -> Result<(), Misfit> {
        match change {
            Change::AddLearner { node, card } => self.join(*node, card),
            Change::AddVoter { node, card } => {
                self.join(*node, card)?;
                voters.insert(*node);
                Ok(())
            }
            Change::Promote { node } => {
                self.require_member(*node)?;
                if voters.insert(*node) { Ok(()) } else { Err(Misfit::NotALearner(*node)) }
            }
            Change::Remove { node } => {
                self.require_member(*node)?;
                let counts = voters.remove(node);
                if !self.voters.contains(*node) {
                    // It counts for nothing, or never did, so it can go at once.
                    self.members.remove(node);
                    self.removed.insert(*node);
                } else if !counts {
                    return Err(Misfit::NotAMember(*node));
                }
                Ok(())
            }
            Change::SetCard { node, card } => {
                self.require_member(*node)?;
                self.set_card(*node, card)
            }
        }
    }

    fn join(&mut self, node: NodeId, card: &Arc<[u8]>) -> Result<(), Misfit> {
        if self.removed.contains(&node) {
            return Err(Misfit::WasRemoved(node));
        }
        if self.contains(node) {
            return Err(Misfit::AlreadyMember(node));
        }
        self.set_card(node, card)
    }

    fn require_member(&self, node: NodeId) -> Result<(), Misfit> {
        if self.contains(node) { Ok(()) } else { Err(Misfit::NotAMember(node)) }
    }

    fn set_card(&mut self, node: NodeId, card: &Arc<[u8]>) -> Result<(), Misfit> {
        if card.len() > Self::CARD_SIZE_MAX {
            return Err(Misfit::CardTooLong(node));
        }
        self.members.insert(node, Arc::clone(card));
        Ok(())
    }

    /// What follows a joint configuration: its new voters alone. Those who voted only before are
    /// removed.
    #[must_use]
    pub fn settled(&self) -> Self {
        let mut next = self.clone();
        let outgoing = next.outgoing.take().map(|outgoing| outgoing.nodes()).unwrap_or_default();
        for node in outgoing.into_iter().filter(|node| !self.voters.contains(*node)) {
            next.members.remove(&node);
            next.removed.insert(node);
        }
        next
    }

    /// About how many bytes it takes, in the log and in memory.
    pub fn size(&self) -> usize {
        let cards: usize = self.members.values().map(|card| 16 + card.len()).sum();
        cards + 8 * self.removed.len()
    }

    /// Appends the configuration to `writer`.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        let outgoing = |node: &NodeId| self.outgoing.as_ref().is_some_and(|o| o.contains(*node));
        writer.bool(self.is_joint());
        writer.u32(u32::try_from(self.members.len()).expect("bounded"));
        for (node, card) in &self.members {
            writer.u64(node.number());
            writer.u8(u8::from(self.voters.contains(*node)) | u8::from(outgoing(node)) << 1);
            writer.bytes(card);
        }
        writer.u32(u32::try_from(self.removed.len()).expect("bounded"));
        for node in &self.removed {
            writer.u64(node.number());
        }
    }

    /// Reads one configuration that is not empty.
    ///
    /// # Errors
    /// The input ends early, something is over its bound, or it is no configuration that
    /// [`Self::encode`] writes.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const JUMBLED: DecodeError = DecodeError::Invalid { what: "a jumbled configuration" };
        let is_joint = reader.bool()?;
        let count = bounded(reader, Self::MEMBERS_MAX)?;
        let (mut voters, mut outgoing) = (BTreeSet::new(), BTreeSet::new());
        let mut members = BTreeMap::new();
        for _ in 0..count {
            let node = node_after(reader, members.keys().next_back().copied())?;
            let flags = reader.u8()?;
            if flags > 3 || (flags > 1 && !is_joint) {
                return Err(JUMBLED);
            }
            if flags & 1 != 0 {
                voters.insert(node);
            }
            if flags & 2 != 0 {
                outgoing.insert(node);
            }
            members.insert(node, reader.bytes(Self::CARD_SIZE_MAX)?.into());
        }
        let count = bounded(reader, Self::REMOVED_MAX)?;
        let mut removed = BTreeSet::new();
        for _ in 0..count {
            let node = node_after(reader, removed.last().copied())?;
            if members.contains_key(&node) {
                return Err(JUMBLED);
            }
            removed.insert(node);
        }
        if voters.is_empty() || (is_joint && outgoing.is_empty()) {
            return Err(DecodeError::Invalid { what: "a configuration without voters" });
        }
        let outgoing = is_joint.then(|| Majority::new(outgoing));
        Ok(Self { members, voters: Majority::new(voters), outgoing, removed })
    }
}

/// A majority of the voters; while the configuration is joint, of both sets.
impl Quorum for Configuration {
    fn nodes(&self) -> Vec<NodeId> {
        self.members.keys().copied().filter(|node| self.is_voter(*node)).collect()
    }

    fn is_phase_one(&self, holds: &dyn Fn(NodeId) -> bool) -> bool {
        let outgoing = self.outgoing.as_ref();
        self.voters.is_phase_one(holds) && outgoing.is_none_or(|o| o.is_phase_one(holds))
    }

    fn is_phase_two(&self, holds: &dyn Fn(NodeId) -> bool) -> bool {
        let outgoing = self.outgoing.as_ref();
        self.voters.is_phase_two(holds) && outgoing.is_none_or(|o| o.is_phase_two(holds))
    }

    fn reached<V: Ord + Copy>(&self, value: impl Fn(NodeId) -> V) -> Option<V> {
        let incoming = self.voters.reached(&value)?;
        match &self.outgoing {
            None => Some(incoming),
            Some(outgoing) => Some(incoming.min(outgoing.reached(value)?)),
        }
    }
}

/// `1 2 +3 -4`: voters, learners with a plus, those who were removed with a minus. A joint one is
/// `1 2 => 1 3`.
impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outgoing) = &self.outgoing {
            for node in outgoing.nodes() {
                write!(f, "{node} ")?;
            }
            f.write_str("=>")?;
        }
        let mut space = if self.is_joint() { " " } else { "" };
        for node in self.voters.nodes() {
            write!(f, "{space}{node}")?;
            space = " ";
        }
        for node in self.members.keys().filter(|node| self.is_learner(**node)) {
            write!(f, " +{node}")?;
        }
        for node in &self.removed {
            write!(f, " -{node}")?;
        }
        Ok(())
    }
}

fn bounded(reader: &mut Reader<'_>, max: usize) -> Result<usize, DecodeError> {
    let length = reader.u32()? as usize;
    if length > max { Err(DecodeError::TooLong { length, max }) } else { Ok(length) }
}

/// The next node of an ascending list.
fn node_after(reader: &mut Reader<'_>, last: Option<NodeId>) -> Result<NodeId, DecodeError> {
    match NodeId::new(reader.u64()?) {
        Some(node) if last.is_none_or(|last| last < node) => Ok(node),
        _ => Err(DecodeError::Invalid { what: "members that do not ascend" }),
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;
    use crate::Random;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("not zero")
    }

    fn of(voters: impl IntoIterator<Item = u64>) -> Configuration {
        Configuration::of(voters.into_iter().map(node))
    }

    fn add_voter(number: u64) -> Change {
        Change::AddVoter { node: node(number), card: Arc::default() }
    }

    fn add_learner(number: u64) -> Change {
        Change::AddLearner { node: node(number), card: Arc::default() }
    }

    fn remove(number: u64) -> Change {
        Change::Remove { node: node(number) }
    }

    fn promote(number: u64) -> Change {
        Change::Promote { node: node(number) }
    }

    fn set_card(number: u64, bytes: usize) -> Change {
        Change::SetCard { node: node(number), card: alloc::vec![7; bytes].into() }
    }

    #[test]
    fn other_voters_need_a_joint_step_and_the_same_voters_none() {
        for (changes, first, then) in [
            (&[add_voter(4)][..], "n1 n2 n3 => n1 n2 n3 n4", "n1 n2 n3 n4"),
            (&[remove(1)], "n1 n2 n3 => n2 n3", "n2 n3 -n1"),
            (&[remove(1), add_voter(4)], "n1 n2 n3 => n2 n3 n4", "n2 n3 n4 -n1"),
            (&[add_learner(4)], "n1 n2 n3 +n4", "n1 n2 n3 +n4"),
            (&[add_learner(4), promote(4)], "n1 n2 n3 => n1 n2 n3 n4", "n1 n2 n3 n4"),
            (&[add_learner(4), remove(4)], "n1 n2 n3 -n4", "n1 n2 n3 -n4"),
            (&[add_voter(4), remove(4)], "n1 n2 n3 -n4", "n1 n2 n3 -n4"),
            (&[set_card(2, 9)], "n1 n2 n3", "n1 n2 n3"),
        ] {
            let changed = of([1, 2, 3]).changed(changes).expect("it fits");
            assert_eq!(changed.to_string(), first);
            assert_eq!(changed.settled().to_string(), then);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let before = of([1, 2, 3]).changed(&[add_learner(4), add_learner(5), remove(5)]);
        let before = before.expect("it fits");
        for (changes, why) in [
            (&[][..], Misfit::Nothing),
            (&[add_voter(1)], Misfit::AlreadyMember(node(1))),
            (&[add_learner(4)], Misfit::AlreadyMember(node(4))),
            (&[add_learner(5)], Misfit::WasRemoved(node(5))),
            (&[remove(4), add_voter(4)], Misfit::WasRemoved(node(4))),
            (&[remove(5)], Misfit::NotAMember(node(5))),
            (&[remove(1), remove(1)], Misfit::NotAMember(node(1))),
            (&[promote(1)], Misfit::NotALearner(node(1))),
            (&[promote(9)], Misfit::NotAMember(node(9))),
            (&[set_card(9, 1)], Misfit::NotAMember(node(9))),
            (&[set_card(1, 4097)], Misfit::CardTooLong(node(1))),
            (&[remove(1), remove(2), remove(3)], Misfit::NoVoters),
        ] {
            assert_eq!(before.changed(changes), Err(why), "{changes:?}");
        }
        let many: Vec<Change> = (10..80).map(add_learner).collect();
        assert_eq!(before.changed(&many), Err(Misfit::TooManyMembers));
    }

    #[test]
    fn no_two_configurations_that_follow_one_another_decide_apart() {
        // Every change of voters among five nodes: whoever agrees under one, and all the others
        // under the other, must not both be enough.
        let sets = || (1..32_u64).map(|mask| (1..=5).filter(move |n| mask >> (n - 1) & 1 == 1));
        for before in sets() {
            for after in sets() {
                let changes: Vec<Change> = (1..=5)
                    .filter_map(|number| {
                        let was = before.clone().any(|n| n == number);
                        let is = after.clone().any(|n| n == number);
                        match (was, is) {
                            (true, false) => Some(remove(number)),
                            (false, true) => Some(add_voter(number)),
                            _ => None,
                        }
                    })
                    .collect();
                let Ok(joint) = of(before.clone()).changed(&changes) else { continue };
                for (one, other) in [(of(before.clone()), &joint), (joint.settled(), &joint)] {
                    for mask in 0..32_u64 {
                        let holds = |n: NodeId| mask >> (n.number() - 1) & 1 == 1;
                        let apart = one.is_phase_one(&holds) && other.is_phase_two(&|n| !holds(n));
                        assert!(!apart, "{one} and {other}, by {mask:b}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_both_sets_reached_is_the_lesser_of_the_two() {
        let joint = of([1, 2, 3]).changed(&[remove(1), remove(2), add_voter(4), add_voter(5)]);
        let joint = joint.expect("it fits");
        let mut random = Random::new(1);
        for _ in 0..1_000 {
            let values: Vec<u64> = (0..6).map(|_| random.below(6)).collect();
            let value = |n: NodeId| values[n.number() as usize];
            let expected = (0..6).rev().find(|least| joint.is_phase_two(&|n| value(n) >= *least));
            assert_eq!(joint.reached(value), expected);
        }
    }

    #[test]
    fn a_configuration_comes_back_as_it_went_and_no_prefix_or_damage_passes_for_another() {
        let plain = of([1, 2, 3]).changed(&[add_learner(9), set_card(2, 40), add_learner(7)]);
        let plain = plain.and_then(|c| c.changed(&[remove(7)])).expect("it fits");
        let joint = plain.changed(&[remove(1), add_voter(4)]).expect("it fits");
        let mut random = Random::new(1);
        for configuration in [plain, joint] {
            let mut bytes = Vec::new();
            configuration.encode(&mut Writer(&mut bytes));
            let mut reader = Reader::new(&bytes);
            assert_eq!(Configuration::decode(&mut reader).as_ref(), Ok(&configuration));
            assert_eq!(reader.finish(), Ok(()));
            for cut in 0..bytes.len() {
                assert!(Configuration::decode(&mut Reader::new(&bytes[..cut])).is_err(), "{cut}");
            }
            for _ in 0..2_000 {
                let mut damaged = bytes.clone();
                let at = random.below(damaged.len() as u64) as usize;
                damaged[at] = random.next_u64() as u8;
                if let Ok(other) = Configuration::decode(&mut Reader::new(&damaged)) {
                    let mut again = Vec::new();
                    other.encode(&mut Writer(&mut again));
                    assert!(damaged.starts_with(&again), "{}", format!("{other}"));
                }
            }
        }
    }
}
