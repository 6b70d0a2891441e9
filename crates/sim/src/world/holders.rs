use std::collections::BTreeMap;
use std::time::Duration;

use althing_core::{Random, Time};
use althing_keyspace::{Command, Put};

use super::{Request, Stage, World};
use crate::Protocol;
use crate::answer::lease_key;
use crate::client::Ask;
use crate::coverage::Mark;
use crate::invariants::Invariant;
use crate::linearizability::{Action, Operation};
use crate::server::Server;
use crate::shared::{Event, Reply};

/// Those who hold leases: they take some, tie a key to each, keep them alive for a while, and let
/// them go.
#[derive(Debug)]
pub(super) struct Holders {
    /// What each lease lasts, in seconds, while it is of interest.
    held: BTreeMap<i64, i64>,
    last: i64,
    /// What was asked for and not answered yet, by request.
    asked: BTreeMap<usize, Asked>,
    random: Random,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    lease: i64,
    ttl: i64,
    at: Time,
    /// A put of a key says nothing about time.
    is_of_lease: bool,
}

/// No client has this number.
const HOLDER: u32 = u32::MAX;
/// So many leases are kept alive at a time.
const HELD_MAX: usize = 3;
/// The time between two things that holders do, at most.
const PAUSE_MAX: Duration = Duration::from_millis(300);

impl Holders {
    pub(super) const fn new(random: Random) -> Self {
        Self { held: BTreeMap::new(), last: 0, asked: BTreeMap::new(), random }
    }

    /// What to do next.
    fn wish(&mut self) -> (Asked, Ask) {
        let asked = |lease, ttl, is_of_lease| Asked { lease, ttl, at: Time::ZERO, is_of_lease };
        let count = self.held.len();
        if count == 0 || (count < HELD_MAX && self.random.chance(0.3)) {
            self.last += 1;
            let ttl = [1, 1, 2, 4][self.random.below(4) as usize];
            self.held.insert(self.last, ttl);
            let ask = Ask::Write(Command::LeaseGrant { id: self.last, ttl });
            return (asked(self.last, ttl, true), ask);
        }
        let at = self.random.below(count as u64) as usize;
        let (lease, ttl) = self.held.iter().nth(at).map(|(id, ttl)| (*id, *ttl)).expect("counted");
        match self.random.below(10) {
            0..3 => {
                let mut put = Put::new(lease_key(lease).as_str(), "held");
                put.lease = lease;
                (asked(lease, ttl, false), Ask::Write(Command::Put(put)))
            }
            forgets => {
                if forgets == 9 {
                    self.held.remove(&lease);
                }
                (asked(lease, ttl, true), Ask::Renew(lease))
            }
        }
    }
}

impl<P: Protocol> World<P> {
    /// A holder does something.
    pub(super) fn hold(&mut self) {
        if matches!(self.stage, Stage::Settling | Stage::Over) {
            return;
        }
        let leader = self.nodes.iter().position(|node| node.server().is_some_and(Server::leads));
        let count = self.nodes.len() as u64;
        let Some(holders) = &mut self.holders else { return };
        let pause = holders.random.duration(Duration::ZERO, PAUSE_MAX);
        self.shared.queue.push(self.shared.now + pause, Event::Hold);
        let node = match leader {
            Some(leader) if holders.random.chance(0.8) => leader,
            _ => holders.random.below(count) as usize,
        };
        let (asked, ask) = holders.wish();
        let Some(life) = self.nodes[node].server().map(|_| self.nodes[node].life) else { return };
        let request = self.requests.len();
        holders.asked.insert(request, Asked { at: self.shared.now, ..asked });
        self.requests.push(Request {
            operation: Operation {
                client: HOLDER,
                key: 0,
                called: self.moments,
                returned: None,
                action: Action::Get,
                observed: None,
            },
            counts: false,
        });
        self.shared
            .note(node, || format!("is asked by a holder of lease {}: {ask:?}", asked.lease));
        self.happen(Event::Ask { node, life, request, key: 0, ask });
    }

    /// Whether this was an answer to a holder.
    pub(super) fn holder_answered(&mut self, request: usize, reply: Reply) -> bool {
        if self.requests[request].operation.client != HOLDER {
            return false;
        }
        let asked = self.holders.as_mut().and_then(|holders| holders.asked.remove(&request));
        let Some(Asked { lease, ttl, at, is_of_lease: true }) = asked else { return true };
        if reply == Reply::DoneUnobserved {
            self.shared.mark(Mark::LeaseHeld);
            let ttl = Duration::from_secs(ttl.unsigned_abs());
            if let Some(why) = self.shared.leases.acknowledged(lease, ttl, at) {
                self.shared.checker.report(Invariant::Lease, why);
            }
        }
        true
    }
}
