mod fate;
mod harm;
mod holders;
mod operator;
mod requests;

pub(crate) use operator::Order;

use holders::Holders;

use std::collections::VecDeque;
use std::time::Duration;

use althing_consensus::Replica;
use althing_core::{Configuration, NodeId, Quorum, Random, Time};

use crate::client::Client;
use crate::clock::Clock;
use crate::coverage::Mark;
use crate::disk::{Ending, Lane, SimDisk};
use crate::invariants::Invariant;
use crate::linearizability::Operation;
use crate::profile::Profile;
use crate::server::{Death, Server};
use crate::shared::{Event, Reply, Shared};
use crate::starting::Starting;
use crate::timeline::Timeline;
use crate::{Fault, Options, Protocol};

/// A world that lives longer than this many events without an end is spinning; of a storm, so many
/// more for each second.
const EVENTS_MAX: u64 = 3_000_000;
const EVENTS_A_SECOND_MAX: u64 = 1_000_000;
/// What waits for a paused node beyond this is lost, as it would be in a full buffer.
const BACKLOG_MAX: usize = 2_000;
/// Once nothing goes wrong any more, the cluster has this many election timeouts to work again.
const CALM_TIMEOUTS: u32 = 60;

/// Under an overload there are so many clients more, who do not think between their requests.
const OVERLOAD_CLIENTS: usize = 8;

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
    /// Whoever draws what operators do.
    operator: Random,
    /// Those who hold leases, if any do.
    holders: Option<Holders>,
    /// Whoever draws harm.
    harmer: Random,
    /// More clients than usual ask until then.
    overload_until: Time,
    /// Calls and answers so far: the clock of the history.
    moments: u64,
    /// Requests of clients so far.
    calls: u64,
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
    /// It takes everything in so much later.
    lag: Option<Duration>,
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
        let spares = profile.change.as_ref().map_or(0, |change| change.spares);
        let ids: Vec<NodeId> = (1..=(nodes + spares) as u64).filter_map(NodeId::new).collect();
        let founding = Configuration::of(ids.iter().copied().take(nodes));
        let eyes = (protocol.law(), options);
        let mut shared = Shared::new(ids.clone(), founding, profile, timeline, eyes, random);
        if !shared.mishaps.include(Fault::Delay) {
            shared.network.weather.is_ordered = true;
        }
        let mut fate = random.fork();
        let count = nodes;
        let nodes: Vec<Node<P::Replica>> =
            ids.iter().map(|_| Node::new(&mut shared, random)).collect();
        let clients: Vec<Client> = (0..shared.profile.load.clients)
            .map(|_| Client::new(&ids[..count], &shared.profile.load, random.fork()))
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
        let operator = fate.clone().fork();
        if shared.profile.change.is_some() {
            shared.queue.push(Time::ZERO + election_timeout * 3, Event::Operate);
        }
        Self {
            protocol,
            shared,
            nodes,
            clients,
            requests: Vec::new(),
            stage: Stage::Stormy,
            calm_at,
            fate,
            operator,
            holders: None,
            harmer: Random::new(0),
            overload_until: Time::ZERO,
            moments: 0,
            calls: 0,
        }
    }

    /// Makes ready for harm, if there is to be some. It has draws of its own.
    pub(crate) fn expect_harm(&mut self, mut random: Random) {
        if self.shared.profile.harms.is_none() {
            return;
        }
        let founders: Vec<NodeId> = self.shared.founding.voters().nodes();
        let extra = (0..OVERLOAD_CLIENTS)
            .map(|_| Client::new(&founders, &self.shared.profile.load, random.fork()));
        self.clients.extend(extra);
        self.harmer = random;
        let soon = Time::ZERO + self.shared.profile.timing.election_timeout;
        self.shared.queue.push(soon, Event::Harm);
    }

    /// In half of all lives leases are held.
    pub(crate) fn expect_holders(&mut self, mut random: Random) {
        if random.chance(0.5) {
            self.holders = Some(Holders::new(random));
            let soon = Time::ZERO + self.shared.profile.timing.election_timeout;
            self.shared.queue.push(soon, Event::Hold);
        }
    }

    /// Lives until the end, or until the first violation.
    pub(crate) fn live(&mut self) {
        let patience = self.shared.profile.timing.election_timeout * CALM_TIMEOUTS;
        let end = self.calm_at + patience;
        let seconds = self.calm_at.since(Time::ZERO).as_secs();
        for _ in 0..EVENTS_MAX + seconds * EVENTS_A_SECOND_MAX {
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
            if self.stage != Stage::Over && !self.is_beyond_help() {
                let detail = self.what_is_missing();
                self.shared.checker.report(Invariant::Liveness, detail);
            }
            self.judge_history();
        }
    }

    pub(crate) fn into_shared(self) -> (Shared, u64) {
        (self.shared, self.calls)
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
        let event = match event {
            Event::Late { event, .. } => *event,
            event => {
                let slow = event.needs().and_then(|node| Some((node, self.nodes[node].lag?)));
                if let Some((node, lag)) = slow {
                    let event = Box::new(event);
                    self.shared.queue.push(self.shared.now + lag, Event::Late { node, event });
                    return;
                }
                event
            }
        };
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
                self.shared.is_slow[node] = [false; 2];
            }
            Event::Mend(cut) => self.shared.network.mend(&cut),
            Event::Fault => self.strike(),
            Event::Harm => self.harm(),
            Event::Hold => self.hold(),
            Event::Brisk { node } => self.nodes[node].lag = None,
            Event::Late { .. } => unreachable!("it was opened above"),
            Event::Operate => self.operate(),
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
                let strikes = self.stage == Stage::Stormy && self.fate.chance(risk);
                let between = || format!("n{} between two inputs", node + 1);
                if strikes && self.shared.befalls(Fault::CrashPoint, between) {
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
            Death::Damaged => self.shared.mark(Mark::DamageFound),
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
                for _ in 0..self.shared.watches.died(node) {
                    self.shared.mark(Mark::WatchResumed);
                }
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
        let disk = (&place.disk, self.shared.is_damaged[node]);
        match Starting::open(&mut self.shared, &self.protocol, node, disk) {
            Ok(starting) => {
                place.state = State::Starting(Box::new(starting));
                let at = self.shared.now + self.shared.latency(node, Lane::Log);
                self.shared.queue.push(at, Event::Started { node, life });
            }
            Err(Death::Wrong) => {}
            Err(Death::Damaged) => self.found_damage(node),
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
        let mut drift = i64::try_from(random.below(span)).expect("a drift is small") - most;
        if !shared.mishaps.include(Fault::ClockDrift) {
            drift = 0;
        }
        if drift.abs() > 10_000 {
            shared.mark(Mark::ClockDrift);
        }
        let offset = Time::from_nanos(random.below(3_600_000_000_000));
        Self {
            disk: SimDisk::new(random.fork(), shared.mishaps.include(Fault::TornWrite)),
            clock: Clock::new(offset, drift),
            life: 0,
            state: State::Down,
            backlog: None,
            is_left_down: false,
            lag: None,
        }
    }

    const fn server(&self) -> Option<&Server<R>> {
        match &self.state {
            State::Up(server) => Some(server),
            State::Down | State::Starting(_) => None,
        }
    }
}
