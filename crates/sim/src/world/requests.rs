use std::time::Duration;

use althing_consensus::Replica;
use althing_core::{Index, NodeId, Time};

use super::{Request, Stage, World};
use crate::Protocol;
use crate::client::Wish;
use crate::coverage::Mark;
use crate::invariants::Invariant;
use crate::linearizability::{self, Action, Observed, Operation, Verdict};
use crate::shared::{Event, Reply};

/// A client catches up at most on what it could not ask for so long.
const ARREARS_MAX: Duration = Duration::from_secs(60);

/// Under an overload the extra clients ask so soon after an answer.
const OVERLOAD_PAUSE: Duration = Duration::from_millis(1);

/// What clients do, and what they must see.
impl<P: Protocol> World<P> {
    pub(super) fn think(&mut self, client: usize) {
        let is_extra = client >= self.shared.profile.load.clients;
        let is_over = is_extra && self.shared.now >= self.overload_until;
        if is_over || matches!(self.stage, Stage::Settling | Stage::Over) {
            return;
        }
        let node = self.clients[client].node;
        self.clients[client].node = self.among_members(node);
        let count = self.nodes.len();
        let fresh = self.requests.len() as u64 + 1;
        let revision = self.nodes[self.clients[client].node]
            .server()
            .map_or(1, |server| server.keyspace().revision());
        let Wish { key, action, ask } =
            self.clients[client].wish(&self.shared.profile.load, count, fresh, revision);
        let request = self.requests.len();
        self.moments += 1;
        self.calls += 1;
        self.requests.push(Request {
            operation: Operation {
                client: u32::try_from(client).unwrap_or(u32::MAX),
                key,
                called: self.moments,
                returned: None,
                action: action.unwrap_or(Action::Get),
                observed: None,
            },
            counts: action.is_some_and(|action| action != Action::Get),
        });
        self.clients[client].waits_for = Some(request);
        if let Some(period) = self.shared.profile.load.period {
            let now = self.shared.now;
            let due = &mut self.clients[client].due;
            *due = (*due + period).max(now - ARREARS_MAX);
        }
        let give_up = self.shared.now + self.shared.profile.load.patience;
        self.shared.queue.push(give_up, Event::GiveUp { client, request });
        let node = self.clients[client].node;
        let operation = &self.requests[request].operation;
        self.shared.note(node, || format!("is asked by {operation}"));
        if self.nodes[node].server().is_none() {
            // Nobody answers the door.
            self.shared.replies.push((request, Reply::Refused));
            self.clients[client].node = self.clients[client].random.below(count as u64) as usize;
            return;
        }
        // A paused node takes it in when it runs again, whether or not anyone waits still.
        self.happen(Event::Ask { node, life: self.nodes[node].life, request, key, ask });
    }

    pub(super) fn give_up(&mut self, client: usize, request: usize) {
        if self.clients[client].waits_for != Some(request) {
            return;
        }
        self.shared.mark(Mark::ClientTimeout);
        let count = self.nodes.len() as u64;
        let client_state = &mut self.clients[client];
        client_state.waits_for = None;
        client_state.node = client_state.random.below(count) as usize;
        let at = self.next_request(client, self.shared.now);
        self.shared.queue.push(at, Event::Think { client });
    }

    /// When a client asks next: then, or by the period of an even load.
    fn next_request(&self, client: usize, then: Time) -> Time {
        match self.shared.profile.load.period {
            None => then,
            Some(_) if client >= self.shared.profile.load.clients => then,
            Some(_) => self.shared.now.max(self.clients[client].due),
        }
    }

    pub(super) fn hand_out_replies(&mut self) {
        while let Some((request, reply)) = self.shared.replies.pop() {
            if self.holder_answered(request, reply) {
                continue;
            }
            let client = self.requests[request].operation.client as usize;
            if self.clients[client].waits_for != Some(request) {
                continue;
            }
            self.clients[client].waits_for = None;
            self.answered(client, request, reply);
            let load = &self.shared.profile.load;
            let think = self.clients[client].random.duration(Duration::ZERO, load.think);
            let pause = if reply == Reply::Refused { load.think } else { think };
            let is_extra = client >= load.clients;
            let pause = if is_extra { OVERLOAD_PAUSE } else { pause };
            let at = self.next_request(client, self.shared.now + pause);
            self.shared.queue.push(at, Event::Think { client });
        }
    }

    fn answered(&mut self, client: usize, request: usize, reply: Reply) {
        self.moments += 1;
        let now = self.moments;
        let Request { operation, counts } = &mut self.requests[request];
        match reply {
            Reply::Done(observed) => {
                *counts = true;
                operation.returned = Some(now);
                operation.observed = Some(observed);
                self.shared.trace.word(observed.revision());
                if let Observed::Kept { .. } = observed {
                    self.shared.coverage.mark(Mark::SwapKept);
                }
                if let Some(seen) = observed.saw() {
                    let value = seen.map(|found| found.value);
                    self.clients[client].learn(operation.key, value);
                } else if let Some(value) = operation.action.leaves() {
                    self.clients[client].learn(operation.key, value);
                }
                let (node, at) = (self.clients[client].node, self.shared.now);
                let id = self.shared.ids[node];
                self.shared.timeline.note(at, || format!("{id}  answers {operation}"));
                let (called, wrote) = (operation.called, observed.wrote());
                self.probe(called, now, wrote);
            }
            Reply::Refused => *counts = false,
            Reply::DoneUnobserved | Reply::Gone => {}
        }
    }

    /// Once it is calm, a write and then a read that began since must succeed.
    fn probe(&mut self, called: u64, returned: u64, wrote: bool) {
        let Stage::Calm { since, wrote: written } = &mut self.stage else { return };
        if called <= *since {
            return;
        }
        match written {
            None if wrote => *written = Some(returned),
            Some(written) if !wrote && called > *written => self.stage = Stage::Settling,
            _ => {}
        }
    }

    /// Are all nodes that live in the same state?
    pub(super) fn look(&mut self) {
        if self.stage == Stage::Settling && self.agreement().is_ok() {
            self.stage = Stage::Over;
            return;
        }
        let at = self.shared.now + self.shared.profile.timing.heartbeat_interval;
        self.shared.queue.push(at, Event::Look);
    }

    fn agreement(&self) -> Result<(), String> {
        let members = self.shared.checker.members();
        if members.is_joint() {
            return Err(format!("the members are still {members}"));
        }
        let mut first: Option<(NodeId, Index, u64)> = None;
        for (node, id) in self.nodes.iter().zip(&self.shared.ids) {
            if node.is_left_down || !members.contains(*id) {
                continue;
            }
            let Some(server) = node.server() else { return Err(format!("{id} is not up")) };
            let status = server.replica().status();
            let applied = server.keyspace().applied();
            if applied != status.last.index || !server.is_idle() {
                return Err(format!("{id} has applied {applied} of {}", status.last.index));
            }
            let state = (applied, server.keyspace().hash());
            let (other, index, hash) = *first.get_or_insert((*id, state.0, state.1));
            if (index, hash) != state {
                return Err(format!("{other} is at {index} and {id} at {applied}, or they differ"));
            }
        }
        Ok(())
    }

    pub(super) fn what_is_missing(&self) -> String {
        let now = self.shared.now;
        match self.stage {
            Stage::Stormy => format!("the world spins at {now}"),
            Stage::Calm { wrote: None, .. } => format!("no write succeeded until {now}"),
            Stage::Calm { .. } => format!("no read succeeded until {now}"),
            Stage::Settling | Stage::Over => {
                let why = self.agreement().err().unwrap_or_default();
                format!("the nodes do not agree until {now}: {why}")
            }
        }
    }

    pub(super) fn judge_history(&mut self) {
        let history: Vec<Operation> = std::mem::take(&mut self.requests)
            .into_iter()
            .filter(|request| request.counts)
            .map(|request| request.operation)
            .collect();
        match linearizability::check(&history) {
            Verdict::Linearizable => {}
            Verdict::Violated(fault) => {
                self.shared.checker.report(Invariant::Linearizability, fault.to_string());
            }
            Verdict::Unknown { .. } => self.shared.undecided = true,
        }
    }
}
