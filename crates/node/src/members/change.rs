use std::collections::BTreeMap;

use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{Change, Configuration, Misfit, NodeId};

use super::card::{Card, decode_texts, encode_texts};
use super::roster::Roster;

/// A change of the members, as one operator asks for it. Asking again for what was done already
/// does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MemberChange {
    /// A node joins, at first without a vote. Its id is new.
    Add { node: NodeId, peer_urls: Vec<String>, will_vote: bool },
    /// A member leaves for good.
    Remove { node: NodeId },
    /// A learner gets its vote.
    Promote { node: NodeId },
    /// A member's peers find it elsewhere.
    Move { node: NodeId, peer_urls: Vec<String> },
}

/// Why the members are not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// There is no such member, or not any more.
    #[error("etcdserver: member not found")]
    NotFound,
    /// Another member is there already.
    #[error("etcdserver: Peer URLs already exists")]
    PeerUrlsExist,
    /// What should get a vote has one.
    #[error("etcdserver: can only promote a learner member")]
    NotALearner,
    /// What should get a vote lacks too much of the log.
    #[error("etcdserver: can only promote a learner member which is in sync with leader")]
    NotReady,
    /// There would be more members than a configuration can hold.
    #[error("etcdserver: too many learner members in cluster")]
    TooMany,
    /// Nobody would be left to vote.
    #[error("etcdserver: re-configuration failed due to not enough started members")]
    NotEnoughStarted,
    /// Of those who would vote, the leader reaches no majority.
    #[error("etcdserver: unhealthy cluster")]
    Unhealthy,
}

impl MemberError {
    const ALL: [Self; 7] = [
        Self::NotFound,
        Self::PeerUrlsExist,
        Self::NotALearner,
        Self::NotReady,
        Self::TooMany,
        Self::NotEnoughStarted,
        Self::Unhealthy,
    ];

    pub(super) fn encode(self, writer: &mut Writer<'_>) {
        writer.u8(self as u8);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tag = reader.u8()?;
        let error = Self::ALL.get(usize::from(tag)).copied();
        error.ok_or(DecodeError::UnknownTag { what: "reason", tag })
    }
}

impl From<Misfit> for MemberError {
    fn from(misfit: Misfit) -> Self {
        match misfit {
            Misfit::NotAMember(_) | Misfit::WasRemoved(_) => Self::NotFound,
            Misfit::NotALearner(_) => Self::NotALearner,
            Misfit::NoVoters => Self::NotEnoughStarted,
            Misfit::TooManyMembers | Misfit::TooManyRemoved => Self::TooMany,
            Misfit::Nothing | Misfit::AlreadyMember(_) | Misfit::CardTooLong(_) => {
                unreachable!("no plan has {misfit:?}")
            }
        }
    }
}

impl MemberChange {
    pub(crate) const fn node(&self) -> NodeId {
        match self {
            Self::Add { node, .. }
            | Self::Remove { node }
            | Self::Promote { node }
            | Self::Move { node, .. } => *node,
        }
    }

    /// Whether it has been made.
    pub(crate) fn is_made(&self, roster: &Roster, configuration: &Configuration) -> bool {
        if configuration.is_joint() {
            return false;
        }
        match self {
            // One that came and went again came all the same.
            Self::Add { node, .. } => {
                configuration.contains(*node) || configuration.was_removed(*node)
            }
            Self::Remove { node } => configuration.was_removed(*node),
            Self::Promote { node } => configuration.voters().contains(*node),
            Self::Move { node, peer_urls } => {
                let cards = roster.cards(configuration);
                cards.get(node).is_some_and(|card| card.peer_urls == *peer_urls)
            }
        }
    }

    /// The steps that it takes from `configuration`, which is not joint, and what they lead to.
    pub(crate) fn plan(
        &self,
        roster: &Roster,
        configuration: &Configuration,
    ) -> Result<(Vec<Change>, Configuration), MemberError> {
        let cards = roster.cards(configuration);
        let node = self.node();
        let is_new = matches!(self, Self::Add { .. });
        if !is_new && !configuration.contains(node) {
            return Err(MemberError::NotFound);
        }
        if let Self::Add { peer_urls, .. } | Self::Move { peer_urls, .. } = self {
            let has = |(other, card): (&NodeId, &Card)| {
                *other != node && card.peer_urls.iter().any(|url| peer_urls.contains(url))
            };
            if cards.iter().any(has) {
                return Err(MemberError::PeerUrlsExist);
            }
        }
        let mut steps = fill_in(configuration, &cards, node);
        steps.push(self.step(&cards));
        let next = configuration.changed(&steps)?;
        Ok((steps, next))
    }

    fn step(&self, cards: &BTreeMap<NodeId, Card>) -> Change {
        match self.clone() {
            Self::Add { node, peer_urls, will_vote } => {
                let card = Card { name: String::new(), peer_urls, will_vote };
                Change::AddLearner { node, card: card.encode() }
            }
            Self::Remove { node } => Change::Remove { node },
            Self::Promote { node } => Change::Promote { node },
            Self::Move { node, peer_urls } => {
                let card = cards.get(&node).cloned().unwrap_or_default();
                Change::SetCard { node, card: Card { peer_urls, ..card }.encode() }
            }
        }
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) {
        let tag = match self {
            Self::Add { .. } => 1,
            Self::Remove { .. } => 2,
            Self::Promote { .. } => 3,
            Self::Move { .. } => 4,
        };
        writer.u8(tag);
        writer.u64(self.node().number());
        match self {
            Self::Add { peer_urls, will_vote, .. } => {
                encode_texts(peer_urls, writer);
                writer.bool(*will_vote);
            }
            Self::Move { peer_urls, .. } => encode_texts(peer_urls, writer),
            Self::Remove { .. } | Self::Promote { .. } => {}
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tag = reader.u8()?;
        let nobody = DecodeError::Invalid { what: "node zero" };
        let node = NodeId::new(reader.u64()?).ok_or(nobody)?;
        Ok(match tag {
            1 => {
                let peer_urls = decode_texts(reader)?;
                Self::Add { node, peer_urls, will_vote: reader.bool()? }
            }
            2 => Self::Remove { node },
            3 => Self::Promote { node },
            4 => Self::Move { node, peer_urls: decode_texts(reader)? },
            tag => return Err(DecodeError::UnknownTag { what: "change of members", tag }),
        })
    }
}

/// Writes the cards that the founding left empty, but for that of `changing`.
fn fill_in(
    configuration: &Configuration,
    cards: &BTreeMap<NodeId, Card>,
    changing: NodeId,
) -> Vec<Change> {
    let is_empty = |node: &NodeId, bytes: &[u8]| bytes.is_empty() && *node != changing;
    let empty = configuration.members().filter(|(node, bytes)| is_empty(node, bytes));
    let known = empty.filter_map(|(node, _)| Some((node, cards.get(&node)?)));
    known.map(|(node, card)| Change::SetCard { node, card: card.encode() }).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("not zero")
    }

    fn url(number: u64) -> Vec<String> {
        vec![format!("http://n{number}:2380")]
    }

    fn founded() -> (Roster, Configuration) {
        let card =
            |number| Card { name: format!("n{number}"), peer_urls: url(number), will_vote: false };
        let founding = (1..=3).map(|number| (node(number), card(number))).collect();
        let roster = Roster { founding: Arc::new(founding), ..Roster::default() };
        (roster, Configuration::of((1..=3).map(node)))
    }

    fn add(number: u64) -> MemberChange {
        MemberChange::Add { node: node(number), peer_urls: url(number), will_vote: true }
    }

    #[test]
    fn the_first_change_writes_down_where_the_founders_are() {
        let (roster, founding) = founded();
        let (_, next) = add(4).plan(&roster, &founding).expect("it fits");
        let elsewhere = Roster::default();
        let cards = elsewhere.cards(&next);
        for number in 1..=4 {
            assert_eq!(cards[&node(number)].peer_urls, url(number), "a new node can tell");
        }
        assert!(add(4).is_made(&elsewhere, &next) && !add(4).is_made(&elsewhere, &founding));
        assert!(next.is_learner(node(4)), "nothing waits for it");
        let (steps, _) = add(5).plan(&elsewhere, &next).expect("it fits");
        assert_eq!(steps.len(), 1, "nobody's card is written twice");
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_etcds_words() {
        let (roster, founding) = founded();
        let refused = |change: MemberChange| change.plan(&roster, &founding).map(|_| ());
        let (node4, node1) = (node(4), node(1));
        assert_eq!(refused(MemberChange::Remove { node: node4 }), Err(MemberError::NotFound));
        assert_eq!(refused(MemberChange::Promote { node: node1 }), Err(MemberError::NotALearner));
        let moved = MemberChange::Move { node: node1, peer_urls: url(2) };
        assert_eq!(refused(moved), Err(MemberError::PeerUrlsExist));
        let twice = MemberChange::Add { node: node4, peer_urls: url(3), will_vote: true };
        assert_eq!(refused(twice), Err(MemberError::PeerUrlsExist));
        let alone = Configuration::of([node1]);
        let last = MemberChange::Remove { node: node1 }.plan(&roster, &alone).map(|_| ());
        assert_eq!(last, Err(MemberError::NotEnoughStarted));
    }

    #[test]
    fn a_member_that_moves_keeps_its_name() {
        let (roster, founding) = founded();
        let change = MemberChange::Move { node: node(2), peer_urls: url(9) };
        let (_, next) = change.plan(&roster, &founding).expect("it fits");
        let card = &roster.cards(&next)[&node(2)];
        assert_eq!((card.name.as_str(), &card.peer_urls), ("n2", &url(9)));
        assert!(change.is_made(&roster, &next));
    }

    #[test]
    fn changes_and_reasons_come_back_as_they_went() {
        let changes = [
            add(4),
            MemberChange::Remove { node: node(1) },
            MemberChange::Promote { node: node(2) },
            MemberChange::Move { node: node(3), peer_urls: url(5) },
        ];
        for change in changes {
            let mut bytes = Vec::new();
            change.encode(&mut Writer(&mut bytes));
            assert_eq!(MemberChange::decode(&mut Reader::new(&bytes)), Ok(change));
        }
        for error in MemberError::ALL {
            let mut bytes = Vec::new();
            error.encode(&mut Writer(&mut bytes));
            assert_eq!(MemberError::decode(&mut Reader::new(&bytes)), Ok(error));
        }
    }
}
