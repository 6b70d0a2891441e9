use std::collections::VecDeque;
use std::time::Duration;

use althing_consensus::Replica;
use althing_core::{Index, NodeId, Random, Time};

use crate::client::{Client, Wish};
use crate::clock::Clock;
use crate::coverage::Mark;
use crate::disk::{Ending, Lane, SimDisk, Trouble};
use crate::invariants::Invariant;
use crate::linearizability::{self, Action, Observed, Operation, Verdict};
use crate::network::{Cut, Weather};
use crate::profile::{Kind, Profile};
use crate::server::{Death, Server, Starting};
use crate::shared::{Event, Reply, Shared};
use crate::timeline::Timeline;
use crate::{Options, Protocol};

/// A world that lives longer than this many events without an end is spinning.
const EVENTS_MAX: u64 = 3_000_000;
/// What waits for a paused node beyond this is lost, as it would be in a full buffer.
const BACKLOG_MAX: usize = 2_000;
/// Once nothing goes wrong any more, the cluster has this many election timeouts to work again.
const CALM_TIMEOUTS: u32 = 60;

/// A whole cluster, its clients, and what befalls them.
pub(crate) struct World<P: Protocol> {
    protocol: P,
    shared: Shared,
    nodes: Vec<Node<P::Replica>>,
    clients: Vec<Client>,
    requests: Vec<Request>,
    stage: Stage,
    /// When the faults end.
    calm_at: Time,
    /// Whoever draws faults.
    fate: Random,
    operations: u64,
}

struct Node<R: Replica> {
    disk: SimDisk,
    clock: Clock,
    /// How many times it died.
    life: u64,
    state: State<R>,
    /// What came while it was paused; `None` while it runs.
    backlog: Option<VecDeque<Event>>,
    /// It stays down for good.
    is_left_down: bool,
}

enum State<R: Replica> {
    Down,
    Starting(Box<Starting>),
    Up(Box<Server<R>>),
}

/// What a client asked, and what it knows of it.
struct Request {
    operation: Operation,
    /// Whether it belongs into the history, as far as is known.
    counts: bool,
}

/// How far the world's life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Things go wrong.
    Stormy,
    /// They do not any more; a write and a read that began since then must succeed.
    Calm { since: u64, wrote: Option<u64> },
    /// They did; nobody asks for anything any more, and all nodes must come to the same state.
    Settling,
    /// All is well.
    Over,
}

impl<P: Protocol> World<P> {
    pub(crate) fn new(
        protocol: P,
        nodes: usize,
        options: &Options,
        profile: Profile,
        timeline: Timeline,
        random: &mut Random,
    ) -> Self {
        let ids: Vec<NodeId> = (1..=nodes as u64).filter_map(NodeId::new).collect();
        let mut shared = Shared::new(ids.clone(), profile, timeline, options.is_eager, random);
        let mut fate = random.fork();
        let nodes: Vec<Node<P::Replica>> =
            ids.iter().map(|_| Node::new(&mut shared, random)).collect();
        let clients: Vec<Client> = (0..shared.profile.load.clients)
            .map(|_| Client::new(&ids, &shared.profile.load, random.fork()))
            .collect();
        let election_timeout = shared.profile.timing.election_timeout;
        for node in 0..nodes.len() {
            let at = Time::ZERO + fate.duration(Duration::ZERO, election_timeout);
            shared.queue.push(at, Event::Restart { node, life: 0 });
        }
        for client in 0..clients.len() {
            shared.queue.push(Time::ZERO + election_timeout, Event::Think { client });
        }
        let calm_at = Time::ZERO + options.storm;
        shared.queue.push(Time::ZERO + election_timeout, Event::Fault);
        shared.queue.push(calm_at, Event::Calm);
        Self {
            protocol,
            shared,
            nodes,
            clients,
            requests: Vec::new(),
            stage: Stage::Stormy,
            calm_at,
            fate,
            operations: 0,
        }
    }

    /// Lives until the end, or until the first violation.
    pub(crate) fn live(&mut self) {
        let patience = self.shared.profile.timing.election_timeout * CALM_TIMEOUTS;
        let end = self.calm_at + patience;
        for _ in 0..EVENTS_MAX {
            if self.stage == Stage::Over || !self.shared.checker.violations().is_empty() {
                break;
            }
            let Some((at, event)) = self.shared.queue.pop() else { break };
            if at > end {
                break;
            }
            self.shared.now = at;
            self.happen(event);
            self.hand_out_replies();
        }
        if self.shared.checker.violations().is_empty() {
            if self.stage != Stage::Over {
                let detail = self.what_is_missing();
                self.shared.checker.report(Invariant::Liveness, detail);
            }
            self.judge_history();
        }
    }

    pub(crate) fn into_shared(self) -> (Shared, u64) {
        (self.shared, self.operations)
    }

    pub(crate) const fn shared(&mut self) -> &mut Shared {
        &mut self.shared
    }

    fn happen(&mut self, event: Event) {
        if let Some(node) = event.needs()
            && let Some(backlog) = &mut self.nodes[node].backlog
        {
            if backlog.len() < BACKLOG_MAX || !matches!(event, Event::Deliver { .. }) {
                backlog.push_back(event);
            }
            return;
        }
        self.shared.trace.word(self.shared.now.nanos());
        match event {
            Event::Deliver { to, from, number, bytes } => {
                self.shared.arrived(from, to, number, &bytes);
                self.with_server(to, None, |server, shared| server.receive(shared, from, &bytes));
            }
            Event::Ask { node, life, request, key, ask } => {
                self.with_server(node, Some(life), |server, shared| {
                    server.ask(shared, request, key, &ask)
                });
            }
            Event::Alarm { node, life } => self.with_server(node, Some(life), Server::wake),
            Event::LogWritten { node, life } => {
                self.with_server(node, Some(life), Server::log_written);
            }
            Event::SnapshotWorked { node, life } => {
                self.with_server(node, Some(life), Server::snapshot_worked);
            }
            Event::Started { node, life } => self.started(node, life),
            Event::Restart { node, life } => self.restart(node, life),
            Event::Die { node, life, ending } => {
                if self.nodes[node].life == life && self.stage == Stage::Stormy {
                    self.kill(node, ending);
                }
            }
            Event::Resume { node } => self.resume(node),
            Event::DiskWell { node } => {
                self.nodes[node].disk.set_trouble(None);
                self.shared.is_slow[node] = false;
            }
            Event::Mend(cut) => self.shared.network.mend(&cut),
            Event::Fault => self.strike(),
            Event::Think { client } => self.think(client),
            Event::GiveUp { client, request } => self.give_up(client, request),
            Event::Calm => self.calm(),
            Event::Look => self.look(),
        }
    }

    /// Lets a server do something, if it is up and in this life.
    fn with_server(
        &mut self,
        node: usize,
        life: Option<u64>,
        act: impl FnOnce(&mut Server<P::Replica>, &mut Shared) -> Result<(), Death>,
    ) {
        let place = &mut self.nodes[node];
        if life.is_some_and(|life| life != place.life) {
            return;
        }
        let State::Up(server) = &mut place.state else { return };
        match act(server, &mut self.shared) {
            Ok(()) => {
                let risk = self.shared.profile.faults.death_at_step;
                if self.stage == Stage::Stormy && self.fate.chance(risk) {
                    let ending =
                        if self.fate.chance(0.7) { Ending::Power } else { Ending::Process };
                    self.kill(node, ending);
                }
            }
            Err(death) => self.end_itself(node, &death),
        }
    }

    /// A server that cannot go on ends its process.
    fn end_itself(&mut self, node: usize, death: &Death) {
        match death {
            Death::Full => self.shared.mark(Mark::DiskFull),
            Death::Failed => self.shared.mark(Mark::DiskFailed),
            Death::Wrong => return,
        }
        self.shared.note(node, || format!("ends itself: its disk is {death:?}"));
        self.die(node, Ending::Process);
    }

    fn kill(&mut self, node: usize, ending: Ending) {
        if matches!(self.nodes[node].state, State::Down) {
            return;
        }
        self.shared.mark(match ending {
            Ending::Power => Mark::PowerLoss,
            Ending::Process => Mark::ProcessDeath,
        });
        self.shared.note(node, || format!("is killed: {ending:?}"));
        self.die(node, ending);
    }

    fn die(&mut self, node: usize, ending: Ending) {
        let place = &mut self.nodes[node];
        match std::mem::replace(&mut place.state, State::Down) {
            State::Down => return,
            State::Starting(_) => self.shared.mark(Mark::DeathDuringStart),
            State::Up(server) => {
                let abandoned = server.abandoned(&mut self.shared);
                let gone = abandoned.into_iter().map(|request| (request, Reply::Gone));
                self.shared.replies.extend(gone);
            }
        }
        place.life += 1;
        place.backlog = None;
        if place.disk.end(ending) {
            self.shared.mark(Mark::TornWrite);
        }
        self.shared.checker.ended(self.shared.ids[node]);
        if !place.is_left_down {
            let life = place.life;
            let (least, most) = self.shared.profile.faults.restart;
            let at = self.shared.now + self.fate.duration(least, most);
            self.shared.queue.push(at, Event::Restart { node, life });
        }
    }

    fn restart(&mut self, node: usize, life: u64) {
        let place = &mut self.nodes[node];
        if place.life != life || place.is_left_down || !matches!(place.state, State::Down) {
            return;
        }
        place.disk.start(Lane::Log);
        match Starting::open(&mut self.shared, &self.protocol, node, &place.disk) {
            Ok(starting) => {
                place.state = State::Starting(Box::new(starting));
                let at = self.shared.now + self.shared.latency(node);
                self.shared.queue.push(at, Event::Started { node, life });
            }
            Err(Death::Wrong) => {}
            Err(Death::Full | Death::Failed) => {
                self.shared.mark(Mark::StartFailed);
                place.disk.end(Ending::Process);
                let at = self.shared.now + self.shared.profile.timing.election_timeout;
                self.shared.queue.push(at, Event::Restart { node, life });
            }
        }
    }

    fn started(&mut self, node: usize, life: u64) {
        let place = &mut self.nodes[node];
        if place.life != life {
            return;
        }
        let State::Starting(starting) = std::mem::replace(&mut place.state, State::Down) else {
            return;
        };
        place.disk.finish(Lane::Log);
        let (clock, disk) = (place.clock, place.disk.clone());
        let server =
            Server::start(&mut self.shared, &self.protocol, (node, life, clock), disk, *starting);
        place.state = State::Up(Box::new(server));
        self.with_server(node, Some(life), Server::wake);
    }

    fn resume(&mut self, node: usize) {
        let Some(backlog) = self.nodes[node].backlog.take() else { return };
        self.shared.note(node, || format!("runs again, with {} events waiting", backlog.len()));
        for event in backlog {
            self.happen(event);
        }
    }
}

impl<R: Replica> Node<R> {
    fn new(shared: &mut Shared, random: &mut Random) -> Self {
        let most = shared.profile.drift_max;
        let span = u64::try_from(2 * most + 1).expect("a drift has no sign here");
        let drift = i64::try_from(random.below(span)).expect("a drift is small") - most;
        if drift.abs() > 10_000 {
            shared.mark(Mark::ClockDrift);
        }
        let offset = Time::from_nanos(random.below(3_600_000_000_000));
        Self {
            disk: SimDisk::new(random.fork()),
            clock: Clock::new(offset, drift),
            life: 0,
            state: State::Down,
            backlog: None,
            is_left_down: false,
        }
    }

    const fn server(&self) -> Option<&Server<R>> {
        match &self.state {
            State::Up(server) => Some(server),
            State::Down | State::Starting(_) => None,
        }
    }
}

/// What befalls the nodes.
impl<P: Protocol> World<P> {
    /// Something goes wrong.
    fn strike(&mut self) {
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
                self.bring(kind, victim);
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
            _ => self.fate.below(self.nodes.len() as u64) as usize,
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
                self.shared.is_slow[victim] = true;
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
    fn calm(&mut self) {
        self.shared.network.mend_all();
        self.shared.network.weather = Weather::FAIR;
        self.shared.profile.timing.write = (Duration::from_micros(100), Duration::from_millis(2));
        self.shared.profile.faults.death_at_step = 0.0;
        self.shared.profile.faults.death_at_write = 0.0;
        self.shared.profile.faults.death_at_promise = 0.0;
        self.leave_some_down();
        let clock = self.operations;
        self.stage = Stage::Calm { since: clock, wrote: None };
        for node in 0..self.nodes.len() {
            self.nodes[node].disk.set_trouble(None);
            self.shared.is_slow[node] = false;
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
        self.shared.mark(Mark::MinorityLeftDown);
        let minority = (self.nodes.len() as u64 - 1) / 2;
        for _ in 0..=self.fate.below(minority) {
            let node = self.fate.below(self.nodes.len() as u64) as usize;
            self.nodes[node].is_left_down = true;
            self.kill(node, Ending::Power);
        }
    }
}

/// What clients do, and what they must see.
impl<P: Protocol> World<P> {
    fn think(&mut self, client: usize) {
        if matches!(self.stage, Stage::Settling | Stage::Over) {
            return;
        }
        let count = self.nodes.len();
        let fresh = self.requests.len() as u64 + 1;
        let revision = self.nodes[self.clients[client].node]
            .server()
            .map_or(1, |server| server.keyspace().revision());
        let Wish { key, action, ask } =
            self.clients[client].wish(&self.shared.profile.load, count, fresh, revision);
        let request = self.requests.len();
        self.operations += 1;
        self.requests.push(Request {
            operation: Operation {
                client: u32::try_from(client).unwrap_or(u32::MAX),
                key,
                called: self.operations,
                returned: None,
                action: action.unwrap_or(Action::Get),
                observed: None,
            },
            counts: action.is_some_and(|action| action != Action::Get),
        });
        self.clients[client].waits_for = Some(request);
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

    fn give_up(&mut self, client: usize, request: usize) {
        if self.clients[client].waits_for != Some(request) {
            return;
        }
        self.shared.mark(Mark::ClientTimeout);
        let count = self.nodes.len() as u64;
        let client_state = &mut self.clients[client];
        client_state.waits_for = None;
        client_state.node = client_state.random.below(count) as usize;
        self.shared.queue.push(self.shared.now, Event::Think { client });
    }

    fn hand_out_replies(&mut self) {
        while let Some((request, reply)) = self.shared.replies.pop() {
            let client = self.requests[request].operation.client as usize;
            if self.clients[client].waits_for != Some(request) {
                continue;
            }
            self.clients[client].waits_for = None;
            self.answered(client, request, reply);
            let load = &self.shared.profile.load;
            let think = self.clients[client].random.duration(Duration::ZERO, load.think);
            let pause = if reply == Reply::Refused { load.think } else { think };
            self.shared.queue.push(self.shared.now + pause, Event::Think { client });
        }
    }

    fn answered(&mut self, client: usize, request: usize, reply: Reply) {
        self.operations += 1;
        let now = self.operations;
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
    fn look(&mut self) {
        if self.stage == Stage::Settling && self.agreement().is_ok() {
            self.stage = Stage::Over;
            return;
        }
        let at = self.shared.now + self.shared.profile.timing.heartbeat_interval;
        self.shared.queue.push(at, Event::Look);
    }

    fn agreement(&self) -> Result<(), String> {
        let mut first: Option<(NodeId, Index, u64)> = None;
        for (node, id) in self.nodes.iter().zip(&self.shared.ids) {
            if node.is_left_down {
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

    fn what_is_missing(&self) -> String {
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

    fn judge_history(&mut self) {
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
