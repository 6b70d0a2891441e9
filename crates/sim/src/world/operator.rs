use std::sync::Arc;
use std::time::Duration;

use althing_core::{Change, Configuration, NodeId, Quorum};

use super::{Stage, World};
use crate::profile::Errand;
use crate::server::Server;
use crate::shared::Event;
use crate::{Fault, Protocol};

/// What an operator asks a node for.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// To change the members.
    Change(Vec<Change>),
    /// To hand its leadership over.
    Transfer(NodeId),
}

/// What operators do: all of it in good faith, by what the node they ask believes, and much of it
/// at the worst moment.
impl<P: Protocol> World<P> {
    pub(super) fn operate(&mut self) {
        let Some(changes) = self.shared.profile.change.clone() else { return };
        if self.stage != Stage::Stormy {
            return;
        }
        let pause = self.operator.duration(Duration::ZERO, changes.pause_between * 2);
        self.shared.queue.push(self.shared.now + pause, Event::Operate);
        let total: u32 = changes.weights.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            return;
        }
        let mut draw = self.operator.below(u64::from(total));
        let errand = changes.weights.iter().find_map(|(errand, weight)| {
            let weight = u64::from(*weight);
            if draw < weight {
                return Some(*errand);
            }
            draw -= weight;
            None
        });
        let leader = self.nodes.iter().position(|node| node.server().is_some_and(Server::leads));
        let node = match leader {
            Some(leader) if self.operator.chance(changes.at_leader) => leader,
            _ => self.operator.below(self.nodes.len() as u64) as usize,
        };
        let place = &self.nodes[node];
        let (Some(errand), Some(server), None) = (errand, place.server(), &place.backlog) else {
            return;
        };
        let believed = server.configuration();
        let (life, me) = (place.life, self.shared.ids[node]);
        let Some(order) = self.order(errand, &believed, me) else { return };
        if self.shared.befalls(Fault::Membership, || format!("{me} is told: {order:?}")) {
            self.shared.note(node, || format!("is told: {order:?}"));
            self.with_server(node, Some(life), |server, shared| server.obey(shared, order));
        }
    }

    fn order(&mut self, errand: Errand, believed: &Configuration, me: NodeId) -> Option<Order> {
        let voters = believed.voters().nodes();
        let learners: Vec<NodeId> = believed.members().map(|(node, _)| node).collect();
        let learners: Vec<NodeId> =
            learners.into_iter().filter(|node| believed.is_learner(*node)).collect();
        Some(match errand {
            Errand::AddVoter => {
                let node = self.newcomers(believed, 1)?[0];
                Order::Change(vec![Change::AddVoter { node, card: self.card() }])
            }
            Errand::AddLearner => {
                let node = self.newcomers(believed, 1)?[0];
                Order::Change(vec![Change::AddLearner { node, card: self.card() }])
            }
            Errand::Promote => {
                let node = self.one_of(&learners)?;
                Order::Change(vec![Change::Promote { node }])
            }
            Errand::Remove => {
                let any: Vec<NodeId> = voters.iter().chain(&learners).copied().collect();
                let node = if self.operator.chance(0.3) { me } else { self.one_of(&any)? };
                Order::Change(vec![Change::Remove { node }])
            }
            Errand::Replace => self.exchange(believed, &voters, 1)?,
            Errand::Exchange => self.exchange(believed, &voters, 2)?,
            Errand::SetCard => {
                let node = self.one_of(&voters)?;
                Order::Change(vec![Change::SetCard { node, card: self.card() }])
            }
            Errand::Transfer => {
                let any: Vec<NodeId> = voters.iter().chain(&learners).copied().collect();
                Order::Transfer(self.one_of(&any)?)
            }
        })
    }

    /// So many voters go, and as many come.
    fn exchange(
        &mut self,
        believed: &Configuration,
        voters: &[NodeId],
        count: usize,
    ) -> Option<Order> {
        let newcomers = self.newcomers(believed, count)?;
        let from = self.operator.below(voters.len().max(1) as u64) as usize;
        let going = (0..count.min(voters.len())).map(|step| voters[(from + step) % voters.len()]);
        let mut changes: Vec<Change> = going.map(|node| Change::Remove { node }).collect();
        let card = self.card();
        let coming = newcomers.into_iter();
        changes.extend(coming.map(|node| Change::AddVoter { node, card: Arc::clone(&card) }));
        Some(Order::Change(changes))
    }

    /// Nodes that are no members; now and then one that was.
    fn newcomers(&mut self, believed: &Configuration, count: usize) -> Option<Vec<NodeId>> {
        let forgets = self.operator.chance(0.1);
        let is_new =
            |node: &NodeId| !believed.contains(*node) && (forgets || !believed.was_removed(*node));
        let newcomers: Vec<NodeId> = self.shared.ids.iter().copied().filter(is_new).collect();
        (newcomers.len() >= count).then(|| newcomers[..count].to_vec())
    }

    fn one_of(&mut self, nodes: &[NodeId]) -> Option<NodeId> {
        let count = nodes.len() as u64;
        (count > 0).then(|| nodes[self.operator.below(count) as usize])
    }

    fn card(&mut self) -> Arc<[u8]> {
        let length = self.operator.below(20) as usize;
        vec![b'c'; length].into()
    }

    /// This node, or more likely one that is a member, if members come and go.
    pub(super) fn among_members(&mut self, node: usize) -> usize {
        let is_member = |node: &usize| {
            let members = self.shared.checker.members();
            members.contains(self.shared.ids[*node])
        };
        if self.shared.profile.change.is_none() || is_member(&node) {
            return node;
        }
        let members: Vec<usize> = (0..self.nodes.len()).filter(is_member).collect();
        let stays = self.operator.chance(0.2) || members.is_empty();
        if stays { node } else { members[self.operator.below(members.len() as u64) as usize] }
    }
}
