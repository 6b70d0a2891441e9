use std::collections::VecDeque;
use std::sync::Arc;

use althing_core::{Configuration, Entry, Index, Payload};

/// The configurations that the log goes through.
///
/// # Invariants
/// - There is always one. The first is where the log begins, from a snapshot or from the founding
///   of the group; the others stand in entries of the log, at ascending places.
#[derive(Clone, Debug)]
pub(crate) struct Configurations(VecDeque<(Index, Arc<Configuration>)>);

impl Configurations {
    /// Those of a log that begins after `begin` with these members.
    pub(super) fn new<'a>(
        begin: Index,
        configuration: Configuration,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> Self {
        let mut configurations = Self(VecDeque::from([(begin, Arc::new(configuration))]));
        for entry in entries {
            if let Payload::Configuration(configuration) = &entry.payload {
                configurations.append(entry.id.index, Arc::clone(configuration));
            }
        }
        configurations
    }

    fn last(&self) -> &(Index, Arc<Configuration>) {
        self.0.back().expect("there is always one")
    }

    /// The one that holds: the log's last, committed or not.
    pub(super) fn current(&self) -> &Arc<Configuration> {
        &self.last().1
    }

    /// Where that one stands.
    pub(super) fn index(&self) -> Index {
        self.last().0
    }

    /// The one that held at `index`; `None` before the log begins.
    pub(crate) fn at(&self, index: Index) -> Option<&Arc<Configuration>> {
        self.0.iter().rev().find(|(at, _)| *at <= index).map(|(_, configuration)| configuration)
    }

    /// The one that held at `index`, and all that came after it.
    pub(super) fn since(&self, index: Index) -> impl Iterator<Item = &Arc<Configuration>> {
        let later = self.0.iter().rev().take_while(move |(at, _)| *at > index).count();
        self.0
            .range(self.0.len().saturating_sub(later + 1)..)
            .map(|(_, configuration)| configuration)
    }

    pub(super) fn append(&mut self, index: Index, configuration: Arc<Configuration>) {
        assert!(index > self.index(), "a configuration at {index} after one at {}", self.index());
        self.0.push_back((index, configuration));
    }

    /// The entries from `from` on are gone. Returns whether another configuration holds.
    pub(super) fn truncate_from(&mut self, from: Index) -> bool {
        let before = self.0.len();
        while self.0.len() > 1 && self.index() >= from {
            self.0.pop_back();
        }
        self.0.len() < before
    }

    /// The log begins after `index`, and goes on as before.
    pub(super) fn compact_to(&mut self, index: Index) {
        while self.0.get(1).is_some_and(|(at, _)| *at <= index) {
            self.0.pop_front();
        }
    }

    /// The log begins after `index`, with this configuration; what it holds after that stays.
    pub(super) fn begin_at(&mut self, index: Index, configuration: Arc<Configuration>) {
        self.0.retain(|(at, _)| *at > index);
        self.0.push_front((index, configuration));
    }
}

#[cfg(test)]
mod tests {
    use althing_core::NodeId;

    use super::*;

    fn of(count: u64) -> Configuration {
        Configuration::of((1..=count).filter_map(NodeId::new))
    }

    #[test]
    fn what_holds_is_the_last_one_that_is_left() {
        let mut configurations = Configurations::new(Index(3), of(1), std::iter::empty());
        configurations.append(Index(5), of(2).into());
        configurations.append(Index(9), of(3).into());
        let at = |configurations: &Configurations, index| {
            configurations.at(Index(index)).map(|configuration| configuration.members().count())
        };
        assert_eq!(
            [2, 3, 4, 5, 8, 9].map(|index| at(&configurations, index)),
            [None, Some(1), Some(1), Some(2), Some(2), Some(3)]
        );
        let since = |index| configurations.since(Index(index)).count();
        assert_eq!([2, 3, 4, 5, 9, 10].map(since), [3, 3, 3, 2, 1, 1]);
        assert!(configurations.truncate_from(Index(9)));
        assert!(!configurations.truncate_from(Index(6)));
        assert_eq!((configurations.index(), at(&configurations, 20)), (Index(5), Some(2)));
        configurations.compact_to(Index(4));
        assert_eq!(at(&configurations, 4), Some(1), "it is needed for a snapshot at 4");
        configurations.compact_to(Index(5));
        assert_eq!((at(&configurations, 4), at(&configurations, 5)), (None, Some(2)));
        assert!(!configurations.truncate_from(Index(1)), "where the log begins is committed");
        configurations.append(Index(9), of(3).into());
        configurations.begin_at(Index(7), of(4).into());
        assert_eq!([6, 7, 9].map(|index| at(&configurations, index)), [None, Some(4), Some(3)]);
    }
}
