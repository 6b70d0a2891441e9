//! A cluster that a script drives by hand: nothing happens but what the script says.
//!
//! Clocks, disks and the network are explicit. Each node has its own clock, which stands still
//! until it is told to move; messages lie in the network until they are delivered, lost or sent
//! twice; a write is durable at once, or only when the script says so.
//!
//! What is shown:
//! - `n1@3 follower of n2`: what a node has become, in term 3;
//! - `n1@3 → n2 Vote last=4@2/n1`: a message set out, in term 3; entry 4 is of leader n1's term 2;
//! - `n1 holds → n2 ... after op5`: a message waits until write 5 is durable;
//! - `n1 write op5 promise 3/n1; append 5@3/n1 x=1`: a write was issued, `n1 durable op5`: it is
//!   safe (said only where the script decides about it);
//! - `n1 commit 5: 5@3/n1 x=1`: entries were committed and applied;
//! - `n1 read 7 gives [x=1]`: a read was answered;
//! - `n1 members by 9: n1 n2 => n1 n2 n4 +n5 -n3`: entry 9 says that the voters n1 and n2 are being
//!   replaced by three, that n5 is a learner, and that n3 was removed.
//!
//! After every command it is checked that no term has two leaders, and that no two nodes commit
//! different entries at one index.

mod command;
mod disk;
mod interrupt;
mod member;
mod model;
mod network;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;

use althing_consensus::replication::{Bug, Options, Protocol};
use althing_consensus::{Role, Standing};
use althing_core::{Ballot, Change, Configuration, Entry, Index, LogId, NodeId, Payload, Time};

use command::{Command, Mode, Node, Order, Round, Span};
use disk::Disk;
use member::{Happened, Heads, Member, show_entries, show_role};
use network::{Flight, Network, Selection};

/// How many messages `stabilize` delivers before it gives up.
const DELIVERIES_MAX: usize = 10_000;

/// The cluster that a script talks to.
#[derive(Clone)]
pub(crate) struct Cluster<P: Protocol> {
    members: BTreeMap<NodeId, Member<P>>,
    network: Network<P>,
    options: Options,
    bug: Option<Bug>,
    /// Who led each epoch.
    leaders: BTreeMap<Ballot, NodeId>,
    /// What was committed, by anyone.
    chosen: BTreeMap<Index, Entry>,
}

impl<P: Protocol> Default for Cluster<P> {
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            network: Network::default(),
            options: Options::default(),
            bug: None,
            leaders: BTreeMap::new(),
            chosen: BTreeMap::new(),
        }
    }
}

impl<P: Protocol> Cluster<P> {
    /// A cluster whose machines are wrong on purpose.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn with_bug(bug: Bug) -> Self {
        Self { bug: Some(bug), ..Self::default() }
    }

    fn build(&mut self, nodes: u64, waiting: u64, options: Options, chunk_bytes: usize) {
        let founders = Configuration::of((1..=nodes).filter_map(NodeId::new));
        *self = Self { options, bug: self.bug, ..Self::default() };
        let heads = Heads::default();
        for id in (1..=nodes + waiting).filter_map(NodeId::new) {
            let founding =
                if founders.contains(id) { &founders } else { &Configuration::default() };
            let heads = Heads::clone(&heads);
            let mut member = Member::new(id, founding.clone(), heads, chunk_bytes);
            member.start(&self.options);
            self.members.insert(id, member);
        }
    }

    fn member(&mut self, node: NodeId) -> Result<&mut Member<P>, String> {
        self.members.get_mut(&node).ok_or_else(|| format!("there is no {node}"))
    }

    fn living(&mut self, node: NodeId) -> Result<&mut Member<P>, String> {
        let member = self.member(node)?;
        if member.is_alive() { Ok(member) } else { Err(format!("{node} is dead")) }
    }

    fn plant(&mut self, node: NodeId, rounds: &[Round]) -> Result<String, String> {
        let entries = rounds.iter().zip(1..).map(|(Round(ballot), index)| Entry {
            id: LogId::new(*ballot, Index(index)),
            payload: Payload::Command(format!("e{index}={ballot}").into_bytes().into()),
        });
        let disk = Disk::holding(entries.collect());
        let options = self.options.clone();
        let member = self.living(node)?;
        member.disk = disk;
        member.start(&options);
        Ok(String::new())
    }

    /// Takes note of what a node did, checks it, and sends on what it sent.
    fn settle(&mut self, happened: Happened<P>) -> String {
        let Happened { mut lines, sent, committed } = happened;
        for entry in committed {
            let chosen = self.chosen.entry(entry.id.index).or_insert_with(|| entry.clone());
            assert_eq!(*chosen, entry, "two entries were committed at {}", entry.id.index);
        }
        for member in self.members.values() {
            let Some(status) = member.status() else { continue };
            if status.role == Role::Leader {
                let leader = *self.leaders.entry(P::epoch(status.promise)).or_insert(member.id);
                assert_eq!(leader, member.id, "two leaders in {}", status.promise);
            }
        }
        for flight in sent {
            let line = flight.to_string();
            if !self.network.send(flight) {
                lines = lines.replace(&format!("{line}\n"), &format!("{line} (cut off)\n"));
            }
        }
        lines
    }

    fn deliver(&mut self, flights: Vec<Flight<P>>) -> String {
        let mut lines = String::new();
        for flight in flights {
            let (from, to) = (flight.from, flight.to);
            let reaches = self.network.reaches(from, to);
            match self.members.get_mut(&to).filter(|member| reaches && member.is_alive()) {
                Some(member) => {
                    let happened = member.receive(vec![flight]);
                    lines.push_str(&self.settle(happened));
                }
                None => writeln!(lines, "lost: {flight}").expect("a string takes every line"),
            }
        }
        lines
    }

    /// Delivers messages so that each node sees all of its own before it acts.
    fn deliver_together(&mut self, flights: Vec<Flight<P>>) -> String {
        let mut lines = String::new();
        let mut arrived: BTreeMap<NodeId, Vec<Flight<P>>> = BTreeMap::new();
        for flight in flights {
            arrived.entry(flight.to).or_default().push(flight);
        }
        for (to, flights) in arrived {
            let Some(member) = self.members.get_mut(&to) else { continue };
            let happened = member.receive(flights);
            lines.push_str(&self.settle(happened));
        }
        lines
    }

    fn stabilize(&mut self) -> Result<String, String> {
        let mut lines = String::new();
        let one = Selection { count: Some(1), ..Selection::default() };
        for _ in 0..DELIVERIES_MAX {
            let next = self.network.take(&one);
            if next.is_empty() {
                return Ok(lines);
            }
            lines.push_str(&self.deliver(next));
        }
        Err("the messages do not come to an end".to_owned())
    }

    fn tick(
        &mut self,
        nodes: &[Node],
        until: impl Fn(&Member<P>) -> Time,
    ) -> Result<String, String> {
        let mut lines = String::new();
        for node in self.named(nodes) {
            let member = self.member(node)?;
            let now = until(member);
            let happened = member.tick(now);
            lines.push_str(&self.settle(happened));
        }
        Ok(lines)
    }

    /// These nodes, or all.
    fn named(&self, nodes: &[Node]) -> Vec<NodeId> {
        if nodes.is_empty() {
            self.members.keys().copied().collect()
        } else {
            nodes.iter().map(|Node(node)| *node).collect()
        }
    }

    fn show(
        &mut self,
        nodes: &[Node],
        show: impl Fn(&mut Member<P>) -> String,
    ) -> Result<String, String> {
        let mut lines = String::new();
        for node in self.named(nodes) {
            let shown = show(self.member(node)?);
            writeln!(lines, "{shown}").expect("a string takes every line");
        }
        Ok(lines)
    }

    /// Carries out a command that changes nothing.
    fn look(&mut self, command: &Command) -> Result<String, String> {
        match command {
            Command::Messages => {
                let lines = self.network.flying().iter().map(|flight| format!("{flight}\n"));
                Ok(lines.collect())
            }
            Command::Log(nodes) => self.show(nodes, |member| {
                let (begin, entries) = member.entries();
                let begin =
                    if begin == LogId::ZERO { String::new() } else { format!("({begin}) ") };
                format!("{} log {begin}{}", member.id, show_entries(&entries)).trim_end().to_owned()
            }),
            Command::Status(nodes) => self.show(nodes, |member| describe(member)),
            Command::State(nodes) => self.show(nodes, |member| {
                let state = member.state();
                format!("{} state after {} [{state}]", member.id, state.at)
            }),
            _ => unreachable!("asked only of these commands"),
        }
    }

    fn set_disk(&mut self, mode: Mode, nodes: &[Node]) -> Result<String, String> {
        let mut lines = String::new();
        for node in self.named(nodes) {
            let member = self.member(node)?;
            member.mode = mode;
            if mode == Mode::Auto {
                let happened = member.persist(usize::MAX);
                lines.push_str(&self.settle(happened));
            }
        }
        Ok(lines)
    }

    fn settle_at(
        &mut self,
        Node(node): Node,
        input: impl FnOnce(&mut Member<P>) -> Happened<P>,
    ) -> Result<String, String> {
        let happened = input(self.living(node)?);
        Ok(self.settle(happened))
    }
}

impl<P: Protocol> goldenscript::Runner for Cluster<P> {
    type Command = Command;

    fn run(
        &mut self,
        command: &Command,
        _context: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        let output = match command {
            Command::Cluster { nodes, waiting, .. } => {
                let (options, chunk_bytes) = options(command, self.bug);
                self.build(*nodes, waiting.unwrap_or(0), options, chunk_bytes);
                String::new()
            }
            Command::Plant(Node(node), rounds) => self.plant(*node, rounds)?,
            Command::Disk(mode, nodes) => self.set_disk(*mode, nodes)?,
            Command::Persist(node, count) => {
                let count = count.unwrap_or(usize::MAX);
                self.settle_at(*node, |member| member.persist(count))?
            }
            Command::Tick(Span(span), nodes) => self.tick(nodes, |member| member.now() + *span)?,
            Command::Timeout(node) => {
                self.tick(&[*node], |member| member.wake_at().max(member.now()))?
            }
            Command::Heartbeat(node) => {
                let interval = self.options.heartbeat_interval;
                self.tick(&[*node], |member| member.now() + interval)?
            }
            Command::Deliver { together, .. } => {
                let flights = self.network.take(&selection(command));
                if *together { self.deliver_together(flights) } else { self.deliver(flights) }
            }
            Command::Drop { .. } => {
                let flights = self.network.take(&selection(command));
                flights.iter().map(|flight| format!("lost: {flight}\n")).collect()
            }
            Command::Duplicate { .. } => {
                let copies = self.network.duplicate(&selection(command));
                copies.iter().map(|flight| format!("twice: {flight}\n")).collect()
            }
            Command::Stabilize => self.stabilize()?,
            Command::Isolate(nodes) => {
                self.network.isolate(nodes.iter().map(|Node(node)| *node).collect());
                String::new()
            }
            Command::Heal => {
                self.network.isolate(BTreeSet::new());
                String::new()
            }
            Command::Propose(node, pairs) => {
                let commands: Vec<String> =
                    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
                self.settle_at(*node, |member| member.propose(&commands))?
            }
            Command::Read(node) => self.settle_at(*node, Member::read)?,
            Command::Change(node, steps) => {
                let changes = steps.iter().map(change).collect::<Result<Vec<_>, _>>()?;
                self.settle_at(*node, |member| member.change(&changes))?
            }
            Command::Transfer(node, Node(to)) => {
                self.settle_at(*node, |member| member.transfer(*to))?
            }
            Command::Crash(Node(node)) => {
                self.living(*node)?.crash();
                String::new()
            }
            Command::Restart(Node(node)) => {
                let options = self.options.clone();
                let member = self.member(*node)?;
                member.start(&options);
                describe(member) + "\n"
            }
            Command::Snapshot(node) => self.settle_at(*node, Member::snapshot)?,
            Command::Messages | Command::Log(_) | Command::Status(_) | Command::State(_) => {
                self.look(command)?
            }
        };
        Ok(output)
    }
}

fn change((step, Node(node)): &(String, Node)) -> Result<Change, String> {
    let (node, card) = (*node, node.to_string().into_bytes().into());
    Ok(match step.as_str() {
        "add" => Change::AddVoter { node, card },
        "learner" => Change::AddLearner { node, card },
        "promote" => Change::Promote { node },
        "remove" => Change::Remove { node },
        "card" => Change::SetCard { node, card },
        _ => return Err(format!("{step:?} is no step of a change")),
    })
}

fn options(command: &Command, bug: Option<Bug>) -> (Options, usize) {
    let Command::Cluster {
        append_bytes,
        window_messages,
        window_bytes,
        uncommitted_bytes,
        keep_bytes,
        transfer_keep_bytes,
        lease_drift,
        chunk_bytes,
        ..
    } = command
    else {
        unreachable!("asked only of this command")
    };
    let default = Options::default();
    let options = Options {
        append_bytes_max: append_bytes.unwrap_or(default.append_bytes_max),
        window_messages: window_messages.unwrap_or(default.window_messages),
        window_bytes: window_bytes.unwrap_or(default.window_bytes),
        uncommitted_bytes_max: uncommitted_bytes.unwrap_or(default.uncommitted_bytes_max),
        keep_bytes: keep_bytes.unwrap_or(0),
        transfer_keep_bytes: transfer_keep_bytes.unwrap_or(0),
        lease_drift: *lease_drift,
        bug,
        ..default
    };
    (options, chunk_bytes.unwrap_or(1 << 10))
}

fn selection(command: &Command) -> Selection {
    let id = |node: &Option<Node>| node.map(|Node(node)| node);
    match command {
        Command::Deliver { to, from, kind, count, order, .. }
        | Command::Drop { to, from, kind, count, order } => Selection {
            to: id(to),
            from: id(from),
            kind: kind.clone(),
            count: *count,
            order: order.unwrap_or_default(),
        },
        Command::Duplicate { to, from, kind, count } => Selection {
            to: id(to),
            from: id(from),
            kind: kind.clone(),
            count: *count,
            order: Order::Oldest,
        },
        _ => unreachable!("asked only of these commands"),
    }
}

/// `n1@2 leader last=5@2/n1 durable=4 commit=4 matched=[n2:4 n3:5]`.
fn describe<P: Protocol>(member: &Member<P>) -> String {
    let Some(status) = member.status() else { return format!("{} is dead", member.id) };
    let mut text = show_role(member.id, &status);
    if let Some(vote) = status.promise.node {
        let what = if P::epoch(status.promise) == status.promise { "ballot" } else { "vote" };
        write!(text, " {what}={vote}").expect("a string takes every word");
    }
    write!(text, " last={} durable={} commit={}", status.last, status.durable, status.commit)
        .expect("a string takes every word");
    if status.role == Role::Leader {
        let matched = status.matched.iter().map(|(node, index)| format!("{node}:{index}"));
        let matched = matched.collect::<Vec<_>>().join(" ");
        write!(text, " matched=[{matched}]").expect("a string takes every word");
    }
    if status.standing != Standing::Voter {
        write!(text, " {:?}", status.standing).expect("a string takes every word");
    }
    text
}
