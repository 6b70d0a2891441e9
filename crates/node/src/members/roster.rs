use std::collections::BTreeMap;
use std::sync::Arc;

use althing_core::{Configuration, Index, NodeId};

use super::card::Card;

/// Who belongs to the cluster, as this node knows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    /// The configuration in force, which may be taken back.
    pub(crate) current: Arc<Configuration>,
    /// The last one that is known to be committed.
    pub(crate) settled: Arc<Configuration>,
    /// Its place in the log; zero for the founding one.
    pub(crate) settled_at: Index,
    /// The founding members' cards, from the settings.
    pub(crate) founding: Arc<BTreeMap<NodeId, Card>>,
}

impl Roster {
    /// The members of a configuration with what is known of where they are.
    pub(crate) fn cards(&self, configuration: &Configuration) -> BTreeMap<NodeId, Card> {
        let card = |(node, bytes): (NodeId, &Arc<[u8]>)| (node, self.card(node, bytes));
        configuration.members().map(card).collect()
    }

    fn card(&self, node: NodeId, bytes: &[u8]) -> Card {
        match Card::decode(bytes) {
            Ok(Some(card)) => card,
            Ok(None) => self.founding.get(&node).cloned().unwrap_or_default(),
            Err(error) => {
                // Of a later program; the member itself will say where it is.
                tracing::warn!("cannot read where {node} is: {error}");
                Card::default()
            }
        }
    }

    /// Whether `node` is a member as far as anybody can tell here: by what is in force, or by what
    /// is committed.
    pub(crate) fn knows(&self, node: NodeId) -> bool {
        self.current.contains(node) || self.settled.contains(node)
    }

    /// Whether it is for good that `node` is no member any more.
    pub(crate) fn has_removed(&self, node: NodeId) -> bool {
        self.settled.was_removed(node)
    }
}
