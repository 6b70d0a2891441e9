use std::time::Duration;

use althing_core::{NodeId, Time};

use super::{Stage, State, World};
use crate::Protocol;
use crate::coverage::Mark;
use crate::disk::{Damage, Ending};
use crate::profile::{Harm, Harms};
use crate::shared::Event;

/// What befalls the nodes and their disks beside storms.
impl<P: Protocol> World<P> {
    pub(super) fn harm(&mut self) {
        let Some(harms) = self.shared.profile.harms.clone() else { return };
        if self.stage != Stage::Stormy {
            return;
        }
        let pause = self.harmer.duration(Duration::ZERO, harms.pause_between * 2);
        self.shared.queue.push(self.shared.now + pause, Event::Harm);
        let total: u32 = harms.weights.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            return;
        }
        let mut draw = self.harmer.below(u64::from(total));
        let harm = harms.weights.iter().find_map(|(harm, weight)| {
            let weight = u64::from(*weight);
            if draw < weight {
                return Some(*harm);
            }
            draw -= weight;
            None
        });
        let node = self.harmer.below(self.nodes.len() as u64) as usize;
        let Some(harm) = harm else { return };
        if harm.is_of_disk() && !harms.is_ruthless && !self.can_miss(node) {
            return;
        }
        let what = || format!("{harm:?} at n{}", node + 1);
        if self.shared.befalls(harm.fault(), what) {
            self.bring_harm(harm, node);
        }
    }

    /// Whether a node is lost, or may be once it looks at its disk.
    pub(super) fn is_harmed(&self, node: usize) -> bool {
        self.nodes[node].is_left_down || self.shared.is_damaged[node]
    }

    /// Whether the others are enough to go on without this node and those that were lost.
    fn can_miss(&self, node: usize) -> bool {
        let is_up = |id: NodeId| {
            let other = self.shared.ids.iter().position(|other| *other == id);
            other.is_some_and(|other| other != node && !self.is_harmed(other))
        };
        self.shared.checker.suffice(is_up)
    }

    /// Whether those whose disks are well are enough to go on.
    pub(super) fn can_go_on(&self) -> bool {
        let is_up = |id: NodeId| {
            let node = self.shared.ids.iter().position(|other| *other == id);
            node.is_some_and(|node| !self.is_harmed(node))
        };
        self.shared.checker.suffice(is_up)
    }

    fn bring_harm(&mut self, harm: Harm, node: usize) {
        self.shared.note(node, || format!("is harmed by {harm:?}"));
        match harm {
            Harm::BitRot => self.damage(node, Damage::Bits, Mark::BitRot),
            Harm::MisdirectedWrite => {
                self.damage(node, Damage::Misdirected, Mark::MisdirectedWrite);
            }
            Harm::StaleBlock => self.damage(node, Damage::Stale, Mark::StaleBlock),
            Harm::LostFile => self.damage(node, Damage::Lost, Mark::LostFile),
            Harm::LostDisk => self.lose_disk(node),
            Harm::ClockJump => self.leap(node),
            Harm::SlowNode => {
                self.shared.mark(Mark::SlowNode);
                let most = self.harms().lag_max;
                self.nodes[node].lag = Some(self.harmer.duration(Duration::ZERO, most));
                let at = self.harm_ends();
                self.shared.queue.push(at, Event::Brisk { node });
            }
            Harm::Overload => {
                self.shared.mark(Mark::Overload);
                self.overload_until = self.harm_ends();
                for client in self.shared.profile.load.clients..self.clients.len() {
                    if self.clients[client].waits_for.is_none() {
                        self.shared.queue.push(self.shared.now, Event::Think { client });
                    }
                }
            }
        }
    }

    fn harms(&self) -> &Harms {
        self.shared.profile.harms.as_ref().expect("harm is drawn where there are harms")
    }

    fn harm_ends(&mut self) -> Time {
        let (least, most) = self.shared.profile.faults.lasting;
        self.shared.now + self.harmer.duration(least, most)
    }

    fn damage(&mut self, node: usize, damage: Damage, mark: Mark) {
        let place = &mut self.nodes[node];
        if let Some(what) = place.disk.damage(damage, &mut self.harmer) {
            self.shared.is_damaged[node] = true;
            self.shared.note(node, || format!("has a damaged disk: {what}"));
            self.shared.mark(mark);
        }
    }

    /// The node does not come back under its name: who has forgotten what it promised must not
    /// promise again. An operator may put another one in its place.
    fn lose_disk(&mut self, node: usize) {
        self.shared.mark(Mark::LostDisk);
        self.nodes[node].is_left_down = true;
        self.die(node, Ending::Power);
        self.nodes[node].disk.wipe();
    }

    fn leap(&mut self, node: usize) {
        self.shared.mark(Mark::ClockJump);
        self.shared.leases.leapt();
        let most = self.harms().leap_max;
        let leap = self.harmer.duration(Duration::ZERO, most);
        let place = &mut self.nodes[node];
        place.clock = place.clock.ahead(leap);
        if let State::Up(server) = &mut place.state {
            server.set_clock(place.clock);
            let life = place.life;
            self.shared.queue.push(self.shared.now, Event::Alarm { node, life });
        }
    }

    /// A node could not start because its disk is damaged, and said so: it is lost.
    pub(super) fn found_damage(&mut self, node: usize) {
        self.shared.note(node, || "finds its disk damaged and does not start".into());
        self.shared.mark(Mark::DamageFound);
        self.nodes[node].is_left_down = true;
    }

    /// The faults end; whoever has a damaged disk starts again, and finds it or does without.
    pub(super) fn restart_damaged(&mut self) {
        for node in 0..self.nodes.len() {
            self.nodes[node].lag = None;
            if self.shared.is_damaged[node] && !self.nodes[node].is_left_down {
                self.die(node, Ending::Process);
            }
        }
        self.overload_until = Time::ZERO;
    }

    /// Whether too many disks are lost for the cluster to work again, which it then need not. What
    /// it said up to then must hold all the same.
    pub(super) fn is_beyond_help(&mut self) -> bool {
        let is_beyond = self.shared.profile.harms.is_some() && !self.can_go_on();
        if is_beyond {
            self.shared.mark(Mark::QuorumLost);
        }
        is_beyond
    }
}
