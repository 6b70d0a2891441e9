use std::collections::BTreeMap;

use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{Index, NodeId};

/// What members say to each other to find out whether they hold the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ComparisonMessage {
    /// From the leader, before it sends the entry at `index`: what is the hash of your state right
    /// after that entry?
    Ask { index: Index },
    /// This one.
    Answer { index: Index, hash: u64 },
}

/// A leader's question after the state of all members at one place in the log, where it must be the
/// same on each of them.
#[derive(Debug)]
pub(crate) struct Comparison {
    index: Index,
    /// How many members there are, those that were not asked included.
    members: usize,
    hashes: BTreeMap<NodeId, Option<u64>>,
}

impl Comparison {
    /// Of a cluster with so many members, these are asked.
    pub(crate) fn new(
        index: Index,
        members: usize,
        asked: impl IntoIterator<Item = NodeId>,
    ) -> Self {
        Self { index, members, hashes: asked.into_iter().map(|node| (node, None)).collect() }
    }

    /// The place in the log.
    pub(crate) const fn index(&self) -> Index {
        self.index
    }

    /// Takes an answer in, if it is one to this question.
    pub(crate) fn answer(&mut self, from: NodeId, index: Index, hash: u64) {
        if index == self.index
            && let Some(known) = self.hashes.get_mut(&from)
        {
            *known = Some(hash);
        }
    }

    /// Whether all have answered that were asked.
    pub(crate) fn is_whole(&self) -> bool {
        self.hashes.values().all(Option::is_some)
    }

    /// Whether the answers differ and more of them would tell who is right.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_whole() && self.majority().is_none() && !self.deviants().is_empty()
    }

    /// What more than half of all members hold.
    fn majority(&self) -> Option<u64> {
        let mut answers = self.hashes.values().flatten();
        let count = |hash: &u64| self.hashes.values().flatten().filter(|it| *it == hash).count();
        answers.find(|hash| count(hash) * 2 > self.members).copied()
    }

    /// Who holds something else than the others, by the answers so far: who differs from what more
    /// than half of all members hold, or, where there is no such majority, everybody who answered,
    /// for it cannot be told who is right.
    pub(crate) fn deviants(&self) -> Vec<NodeId> {
        let answers = || self.hashes.iter().filter_map(|(node, hash)| Some((*node, (*hash)?)));
        let first = answers().next();
        if answers().all(|(_, hash)| first.is_some_and(|(_, first)| hash == first)) {
            return Vec::new();
        }
        let right = self.majority();
        let differs = |hash: u64| right != Some(hash);
        answers().filter(|(_, hash)| differs(*hash)).map(|(node, _)| node).collect()
    }
}

impl ComparisonMessage {
    pub(crate) fn encode(self, writer: &mut Writer<'_>) {
        match self {
            Self::Ask { index } => {
                writer.u8(1);
                writer.index(index);
            }
            Self::Answer { index, hash } => {
                writer.u8(2);
                writer.index(index);
                writer.u64(hash);
            }
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Ask { index: reader.index()? }),
            2 => Ok(Self::Answer { index: reader.index()?, hash: reader.u64()? }),
            tag => Err(DecodeError::UnknownTag { what: "comparison", tag }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("not zero")
    }

    /// What follows from these hashes of the first nodes of so many.
    fn assert_deviants(members: u64, hashes: &[u64], expected: &[u64]) {
        let mut comparison = Comparison::new(Index(9), members as usize, (1..=members).map(node));
        for (number, hash) in (1..).zip(hashes) {
            comparison.answer(node(number), Index(9), *hash);
        }
        assert_eq!(comparison.is_whole(), hashes.len() as u64 == members);
        let deviants = comparison.deviants().into_iter().map(NodeId::number);
        assert_eq!(deviants.collect::<Vec<_>>(), expected, "{hashes:?} of {members}");
    }

    #[test]
    fn who_differs_from_a_majority_is_named() {
        assert_deviants(3, &[7, 7, 7], &[]);
        assert_deviants(3, &[7, 8, 7], &[2]);
        // It may well lead.
        assert_deviants(3, &[8, 7, 7], &[1]);
        assert_deviants(5, &[7, 8, 7, 9, 7], &[2, 4]);
    }

    #[test]
    fn where_nobody_can_be_believed_everybody_is_named() {
        assert_deviants(2, &[7, 8], &[1, 2]);
        // The third one was silent.
        assert_deviants(3, &[7, 8], &[1, 2]);
        // Two of three agree.
        assert_deviants(3, &[7, 7], &[]);
        assert_deviants(3, &[7], &[]);
    }

    #[test]
    fn more_is_waited_for_where_it_would_tell_who_is_right() {
        let is_open = |hashes: &[u64]| {
            let mut comparison = Comparison::new(Index(9), 3, (1..=3).map(node));
            for (number, hash) in (1..).zip(hashes) {
                comparison.answer(node(number), Index(9), *hash);
            }
            comparison.is_open()
        };
        assert!(is_open(&[7, 8]));
        assert!(!is_open(&[7]) && !is_open(&[7, 7]), "nothing speaks against them");
        assert!(!is_open(&[7, 8, 9]) && !is_open(&[7, 8, 7]), "nobody is left");
    }

    #[test]
    fn an_answer_about_another_place_says_nothing() {
        let mut comparison = Comparison::new(Index(9), 2, [node(1), node(2)]);
        comparison.answer(node(1), Index(9), 7);
        comparison.answer(node(2), Index(8), 8);
        comparison.answer(node(3), Index(9), 8);
        assert!(!comparison.is_whole() && comparison.deviants().is_empty());
    }

    #[test]
    fn messages_come_back_as_they_went() {
        let answer = ComparisonMessage::Answer { index: Index(3), hash: u64::MAX };
        for message in [ComparisonMessage::Ask { index: Index(3) }, answer] {
            let mut bytes = Vec::new();
            message.encode(&mut Writer(&mut bytes));
            assert_eq!(ComparisonMessage::decode(&mut Reader::new(&bytes)), Ok(message));
        }
    }
}
