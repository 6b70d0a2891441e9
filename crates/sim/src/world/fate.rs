use std::time::Duration;

use althing_core::{NodeId, Time};

use super::{Stage, World};
use crate::coverage::Mark;
use crate::disk::{Ending, Trouble};
use crate::network::{Cut, Weather};
use crate::profile::Kind;
use crate::server::Server;
use crate::shared::Event;
use crate::{Fault, Protocol};

/// What befalls the nodes.
impl<P: Protocol> World<P> {
    /// Something goes wrong.
    pub(super) fn strike(&mut self) {
        if self.stage != Stage::Stormy {
            return;
        }
        let faults = &self.shared.profile.faults;
        let next = faults.pause_between;
        let total: u32 = faults.weights.iter().map(|(_, weight)| weight).sum();
        if total > 0 {
            let mut draw = self.fate.below(u64::from(total));
            let kind = faults.weights.iter().find_map(|(kind, weight)| {
                let weight = u64::from(*weight);
                if draw < weight {
                    return Some(*kind);
                }
                draw -= weight;
                None
            });
            if let Some(kind) = kind {
                let victim = self.victim();
                let what = || format!("{kind:?} at n{}", victim + 1);
                if self.shared.befalls(kind.fault(), what) {
                    self.bring(kind, victim);
                }
            }
        }
        let at = self.shared.now + self.fate.duration(Duration::ZERO, next * 2);
        self.shared.queue.push(at, Event::Fault);
    }

    fn victim(&mut self) -> usize {
        let at_leader = self.shared.profile.faults.at_leader;
        let leader = self.nodes.iter().position(|node| node.server().is_some_and(Server::leads));
        match leader {
            Some(leader) if self.fate.chance(at_leader) => leader,
            _ => {
                let anyone = self.fate.below(self.nodes.len() as u64) as usize;
                self.among_members(anyone)
            }
        }
    }

    fn bring(&mut self, kind: Kind, victim: usize) {
        let count = self.nodes.len();
        self.shared.note(victim, || format!("is struck by {kind:?}"));
        match kind {
            Kind::PowerLoss => self.kill(victim, Ending::Power),
            Kind::ProcessDeath => self.kill(victim, Ending::Process),
            Kind::PowerLossOfAll => {
                self.shared.mark(Mark::PowerLossOfAll);
                for node in 0..count {
                    self.kill(node, Ending::Power);
                }
            }
            Kind::Pause => {
                self.shared.mark(Mark::Pause);
                self.nodes[victim].backlog.get_or_insert_default();
                let at = self.until();
                self.shared.queue.push(at, Event::Resume { node: victim });
            }
            Kind::Isolation => {
                let side: Vec<bool> = (0..count).map(|node| node == victim).collect();
                self.part(Cut::between(&side));
            }
            Kind::Deafness => self.part(Cut::inbound(count, victim)),
            Kind::Muteness => self.part(Cut::outbound(count, victim)),
            Kind::Halves => {
                let side: Vec<bool> = (0..count).map(|_| self.fate.chance(0.5)).collect();
                self.part(Cut::between(&side));
            }
            Kind::Tangle => {
                let cut = Cut::any(count, &mut self.fate);
                self.part(cut);
            }
            Kind::SlowDisk => {
                self.shared.mark(Mark::SlowDisk);
                // A snapshot that overtakes the log is a case of its own.
                self.shared.is_slow[victim] = [true, self.fate.chance(0.5)];
                let at = self.until();
                self.shared.queue.push(at, Event::DiskWell { node: victim });
            }
            Kind::DiskFull => {
                let after = self.fate.below(20_000);
                self.trouble(victim, Trouble::Full { after });
            }
            Kind::DiskFails => {
                let after = u32::try_from(self.fate.below(12)).unwrap_or(0);
                self.trouble(victim, Trouble::Fails { after });
            }
        }
    }

    fn trouble(&mut self, victim: usize, trouble: Trouble) {
        self.nodes[victim].disk.set_trouble(Some(trouble));
        let at = self.until();
        self.shared.queue.push(at, Event::DiskWell { node: victim });
    }

    fn part(&mut self, cut: Cut) {
        let mark = if cut.is_symmetric() { Mark::Partition } else { Mark::PartitionOneWay };
        self.shared.mark(mark);
        self.shared.network.cut(&cut);
        let at = self.until();
        self.shared.queue.push(at, Event::Mend(cut));
    }

    /// When what begins now ends.
    fn until(&mut self) -> Time {
        let (least, most) = self.shared.profile.faults.lasting;
        self.shared.now + self.fate.duration(least, most)
    }

    /// Nothing goes wrong any more, but that a minority may stay down.
    pub(super) fn calm(&mut self) {
        self.shared.network.mend_all();
        self.shared.network.weather = Weather::FAIR;
        self.shared.profile.timing.write = (Duration::from_micros(100), Duration::from_millis(2));
        self.shared.profile.faults.death_at_step = 0.0;
        self.shared.profile.faults.death_at_write = 0.0;
        self.shared.profile.faults.death_at_promise = 0.0;
        self.restart_damaged();
        self.leave_some_down();
        let clock = self.moments;
        self.stage = Stage::Calm { since: clock, wrote: None };
        for node in 0..self.nodes.len() {
            self.nodes[node].disk.set_trouble(None);
            self.shared.is_slow[node] = [false; 2];
            self.resume(node);
            let life = self.nodes[node].life;
            let soon = self.shared.now + Duration::from_millis(1);
            self.shared.queue.push(soon, Event::Restart { node, life });
        }
        self.shared.queue.push(self.shared.now, Event::Look);
    }

    fn leave_some_down(&mut self) {
        if !self.fate.chance(0.25) {
            return;
        }
        if !self.shared.befalls(Fault::MinorityDown, || "a minority".into()) {
            return;
        }
        self.shared.mark(Mark::MinorityLeftDown);
        let minority = (self.nodes.len() as u64 - 1) / 2;
        for _ in 0..=self.fate.below(minority) {
            let node = self.fate.below(self.nodes.len() as u64) as usize;
            let is_up = |id: NodeId| {
                let other = self.shared.ids.iter().position(|other| *other == id);
                other.is_some_and(|other| other != node && !self.is_harmed(other))
            };
            if self.shared.checker.suffice(is_up) {
                self.nodes[node].is_left_down = true;
                self.kill(node, Ending::Power);
            }
        }
    }
}
