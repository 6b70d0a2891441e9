use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use althing_consensus::replication::{Machine, Message, Options, Protocol};
use althing_consensus::{Chunk, Output, ProposalId, ReadId, Replica, Role, Status, Stored};
use althing_core::{
    Acceptance, Change, Configuration, Entry, Index, LogId, NodeId, Op, Outbox, Record, Time,
};

use super::command::Mode;
use super::disk::{Disk, Snapshot};
use super::network::Flight;
use super::state::{State, command};

/// How often a node may be drained before it must be quiet.
const DRAINS_MAX: usize = 100;

/// The members as of every snapshot that was taken. In a server a snapshot's file says so; here it
/// travels beside the pieces, so that scripts show only those of the state.
pub(super) type Heads = Arc<Mutex<BTreeMap<LogId, Configuration>>>;

/// One node: a machine, its disk, its clock and its state machine.
#[derive(Clone)]
pub(super) struct Member<P: Protocol> {
    pub(super) id: NodeId,
    /// The members that it knows without a log: none, if it waits to be added.
    founding: Configuration,
    heads: Heads,
    /// `None` while the node is dead.
    machine: Option<Machine<P>>,
    outbox: Outbox<Message<P>>,
    pub(super) disk: Disk,
    pub(super) mode: Mode,
    now: Time,
    state: State,
    /// A snapshot that comes in.
    incoming: Vec<u8>,
    chunk_bytes: usize,
    /// Reads that wait for the state machine.
    ready: Vec<(ReadId, Index)>,
    shown: Option<(Role, u64, Option<NodeId>)>,
    requests: u64,
}

/// What became of an input.
pub(super) struct Happened<P: Protocol> {
    pub(super) lines: String,
    pub(super) sent: Vec<Flight<P>>,
    pub(super) committed: Vec<Entry>,
}

impl<P: Protocol> Default for Happened<P> {
    fn default() -> Self {
        Self { lines: String::new(), sent: Vec::new(), committed: Vec::new() }
    }
}

impl<P: Protocol> Happened<P> {
    fn say(&mut self, line: impl std::fmt::Display) {
        writeln!(self.lines, "{line}").expect("a string takes every line");
    }
}

impl<P: Protocol> Member<P> {
    pub(super) fn new(
        id: NodeId,
        founding: Configuration,
        heads: Heads,
        chunk_bytes: usize,
    ) -> Self {
        Self {
            id,
            heads,
            founding,
            machine: None,
            outbox: Outbox::default(),
            disk: Disk::default(),
            mode: Mode::Auto,
            now: Time::ZERO,
            state: State::default(),
            incoming: Vec::new(),
            chunk_bytes,
            ready: Vec::new(),
            shown: None,
            requests: 0,
        }
    }

    /// Starts from what is durable.
    pub(super) fn start(&mut self, options: &Options) {
        let restart = self.disk.restart(&self.founding);
        self.state = match self.disk.snapshot() {
            Some(snapshot) => State::from_bytes(snapshot.id, &snapshot.bytes),
            None => State::default(),
        };
        assert_eq!(self.state.at, restart.begin, "the log begins where the snapshot ends");
        let seed = self.id.number();
        let machine = Machine::new(self.id, options.clone(), restart, seed, self.now);
        self.shown = Some(shown(&machine.status()));
        self.machine = Some(machine);
    }

    pub(super) fn crash(&mut self) {
        self.machine = None;
        self.outbox = Outbox::default();
        self.disk.crash();
        self.incoming.clear();
        self.ready.clear();
    }

    fn heads(&self) -> MutexGuard<'_, BTreeMap<LogId, Configuration>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that decides what the node does next.
    pub(super) fn dump(&self) -> String {
        format!("{:?} {:?} {:?}", self.machine, self.outbox, self.disk)
    }

    pub(super) const fn is_alive(&self) -> bool {
        self.machine.is_some()
    }

    pub(super) fn status(&self) -> Option<Status> {
        self.machine.as_ref().map(Replica::status)
    }

    pub(super) const fn state(&self) -> &State {
        &self.state
    }

    /// The entries in memory; those on the disk, if the node is dead.
    pub(super) fn entries(&mut self) -> (LogId, Vec<Entry>) {
        match &self.machine {
            Some(machine) => {
                let log = machine.log();
                (log.begin(), log.entries_from(log.begin().index.next()).cloned().collect())
            }
            None => {
                let restart = self.disk.restart(&self.founding);
                (restart.begin, restart.entries)
            }
        }
    }

    pub(super) fn wake_at(&self) -> Time {
        self.machine.as_ref().map_or(self.now, Replica::wake_at)
    }

    pub(super) const fn now(&self) -> Time {
        self.now
    }

    pub(super) fn tick(&mut self, now: Time) -> Happened<P> {
        self.now = now;
        self.input(|machine, now| machine.tick(now))
    }

    pub(super) fn receive(&mut self, flights: Vec<Flight<P>>) -> Happened<P> {
        self.input(|machine, now| {
            for Flight { from, message, .. } in flights {
                machine.receive(now, from, message);
            }
        })
    }

    /// A client proposes several commands at once.
    pub(super) fn propose(&mut self, commands: &[String]) -> Happened<P> {
        let mut answers = Happened::default();
        for command in commands {
            self.requests += 1;
            let id = ProposalId(self.requests);
            let (me, now) = (self.id, self.now);
            let Some(machine) = &mut self.machine else { continue };
            match machine.propose(now, id, command.as_bytes().into()) {
                Ok(ballot) => {
                    answers.say(format_args!("{me} proposal {} {command} under {ballot}", id.0));
                }
                Err(reason) => {
                    let id = id.0;
                    answers.say(format_args!("{me} proposal {id} {command} refused: {reason:?}"));
                }
            }
        }
        self.drain(answers)
    }

    pub(super) fn read(&mut self) -> Happened<P> {
        self.requests += 1;
        let id = ReadId(self.requests);
        let mut happened = Happened::default();
        happened.say(format_args!("{} read {}", self.id, id.0));
        if let Some(machine) = &mut self.machine {
            machine.read(self.now, id);
        }
        self.drain(happened)
    }

    pub(super) fn transfer(&mut self, to: NodeId) -> Happened<P> {
        let mut happened = Happened::default();
        if let Some(machine) = &mut self.machine
            && let Err(reason) = machine.transfer(self.now, to)
        {
            happened.say(format_args!("{} transfer to {to} refused: {reason:?}", self.id));
        }
        self.drain(happened)
    }

    pub(super) fn change(&mut self, changes: &[Change]) -> Happened<P> {
        let mut happened = Happened::default();
        if let Some(machine) = &mut self.machine {
            match machine.reconfigure(self.now, changes) {
                Ok(id) => happened.say(format_args!("{} change by {id}", self.id)),
                Err(reason) => {
                    happened.say(format_args!("{} change refused: {reason:?}", self.id));
                }
            }
        }
        self.drain(happened)
    }

    pub(super) fn persist(&mut self, count: usize) -> Happened<P> {
        let mut happened = Happened::default();
        if let Some(op) = self.disk.persist(count) {
            happened.say(format_args!("{} durable {op}", self.id));
            self.persisted(op, &mut happened);
        }
        self.drain(happened)
    }

    /// Writes a snapshot of the state machine.
    pub(super) fn snapshot(&mut self) -> Happened<P> {
        let id = self.state.at;
        let known = self.machine.as_ref().and_then(|machine| machine.configuration_at(id.index));
        let Some(configuration) = known.map(|known| Configuration::clone(known)) else {
            let mut happened = Happened::default();
            happened.say(format_args!("{} takes no snapshot: it knows no members", self.id));
            return happened;
        };
        self.heads().insert(id, configuration.clone());
        self.disk.save(Snapshot { id, configuration, bytes: self.state.bytes() });
        let mut happened = Happened::default();
        happened.say(format_args!("{} snapshot {id} [{}]", self.id, self.state));
        if let Some(machine) = &mut self.machine {
            machine.snapshotted(self.now, id);
        }
        self.drain(happened)
    }

    fn input(&mut self, input: impl FnOnce(&mut Machine<P>, Time)) -> Happened<P> {
        if let Some(machine) = &mut self.machine {
            input(machine, self.now);
        }
        self.drain(Happened::default())
    }

    /// Does everything that the machine wants done, until it wants nothing more.
    fn drain(&mut self, mut happened: Happened<P>) -> Happened<P> {
        for _ in 0..DRAINS_MAX {
            let Some(machine) = &mut self.machine else { return happened };
            let mut outputs = Vec::new();
            machine.drain(self.now, &mut outputs);
            self.show_role(&mut happened);
            if outputs.is_empty() {
                return happened;
            }
            for output in outputs {
                self.carry_out(output, &mut happened);
            }
            self.hand_over(&mut happened);
        }
        panic!("{} never comes to rest", self.id);
    }

    fn show_role(&mut self, happened: &mut Happened<P>) {
        let status = self.status().expect("only a living node is drained");
        let now = shown(&status);
        if self.shown.replace(now) != Some(now) {
            happened.say(show_role(self.id, &status));
        }
    }

    fn carry_out(&mut self, output: Output<Message<P>>, happened: &mut Happened<P>) {
        let me = self.id;
        match output {
            Output::Persist { op, records } => {
                happened.say(format_args!("{me} write {op} {}", show_records(&records)));
                self.disk.issue(op, records);
                if self.mode == Mode::Auto {
                    let op = self.disk.persist(usize::MAX).expect("a write was just issued");
                    self.persisted(op, happened);
                }
            }
            Output::Send(gated) => {
                let held = format!("{me} holds {gated}");
                let waiting = self.outbox.waiting();
                self.outbox.push(gated);
                if self.outbox.waiting() > waiting {
                    happened.say(held);
                }
            }
            Output::Commit { to } => self.commit(to, happened),
            Output::Refused { id, reason } => {
                happened.say(format_args!("{me} proposal {} refused: {reason:?}", id.0));
            }
            Output::ReadReady { id, index } => {
                self.ready.push((id, index));
                if !self.state.has_come_to(index) {
                    happened.say(format_args!("{me} read {} waits for entry {index}", id.0));
                }
            }
            Output::ReadRefused { id, reason } => {
                happened.say(format_args!("{me} read {} refused: {reason:?}", id.0));
            }
            Output::LoadChunk { to, snapshot, offset } => self.load_chunk(to, snapshot, offset),
            Output::StoreChunk(chunk) => self.store_chunk(&chunk, happened),
            Output::Install { snapshot } => {
                let saved = self.disk.snapshot().expect("what is installed was stored before");
                assert_eq!(saved.id, snapshot, "another snapshot was stored");
                self.state = State::from_bytes(snapshot, &saved.bytes);
                happened.say(format_args!("{me} install {snapshot} [{}]", self.state));
            }
            Output::Configured { index, configuration } => {
                happened.say(format_args!("{me} members by {index}: {configuration}"));
            }
            Output::Transfer { to, outcome } => {
                happened.say(format_args!("{me} transfer to {to}: {outcome:?}"));
            }
            // The role is shown from the status.
            Output::Leader { .. } => {}
        }
        self.answer_reads(happened);
    }

    fn persisted(&mut self, op: Op, happened: &mut Happened<P>) {
        self.outbox.persisted(op);
        if let Some(machine) = &mut self.machine {
            machine.persisted(self.now, op);
        }
        self.hand_over(happened);
    }

    /// Gives the network what may be sent.
    fn hand_over(&mut self, happened: &mut Happened<P>) {
        let from = self.id;
        while let Some((to, message)) = self.outbox.pop() {
            let flight = Flight { from, to, message };
            happened.say(&flight);
            happened.sent.push(flight);
        }
    }

    fn commit(&mut self, to: Index, happened: &mut Happened<P>) {
        let Some(machine) = &self.machine else { return };
        // Where a disk is fast, more may be committed by now; that is told next.
        let entries = machine.committed(self.state.at.index, usize::MAX);
        let entries: Vec<Entry> =
            entries.take_while(|entry| entry.id.index <= to).cloned().collect();
        assert_eq!(entries.last().map(|entry| entry.id.index), Some(to), "a hole before {to}");
        entries.iter().for_each(|entry| self.state.apply(entry));
        happened.say(format_args!("{} commit {to}: {}", self.id, show_entries(&entries)));
        happened.committed.extend(entries);
    }

    fn answer_reads(&mut self, happened: &mut Happened<P>) {
        let (me, state) = (self.id, &self.state);
        self.ready.retain(|(id, index)| {
            let waits = !state.has_come_to(*index);
            if !waits {
                happened.say(format_args!("{me} read {} gives [{state}]", id.0));
            }
            waits
        });
    }

    fn load_chunk(&mut self, to: NodeId, snapshot: LogId, offset: u64) {
        let saved = self.disk.snapshot().filter(|saved| saved.id == snapshot);
        let chunk = saved.map(|saved| {
            let from = usize::try_from(offset).expect("a small snapshot").min(saved.bytes.len());
            let until = (from + self.chunk_bytes).min(saved.bytes.len());
            let data = saved.bytes[from..until].into();
            Chunk { snapshot, offset, data, last: until == saved.bytes.len() }
        });
        if let Some(machine) = &mut self.machine {
            machine.chunk_loaded(self.now, to, chunk);
        }
    }

    fn store_chunk(&mut self, chunk: &Chunk, happened: &mut Happened<P>) {
        let Chunk { snapshot, offset, data, last } = chunk;
        if *offset == 0 {
            self.incoming.clear();
        }
        assert_eq!(self.incoming.len() as u64, *offset, "chunks are stored in their order");
        self.incoming.extend_from_slice(data);
        let size = data.len();
        happened.say(format_args!("{} store {snapshot} {size} bytes at {offset}", self.id));
        let mut stored = Stored::Piece;
        if *last {
            let bytes = std::mem::take(&mut self.incoming);
            let configuration = self.heads()[snapshot].clone();
            stored = Stored::Whole { configuration: configuration.clone().into() };
            self.disk.save(Snapshot { id: *snapshot, configuration, bytes });
        }
        if let Some(machine) = &mut self.machine {
            machine.chunk_stored(self.now, *snapshot, stored);
        }
    }
}

const fn shown(status: &Status) -> (Role, u64, Option<NodeId>) {
    (status.role, status.promise.round, status.leader)
}

/// `n1@3 follower of n2`.
pub(super) fn show_role(me: NodeId, status: &Status) -> String {
    let Status { role, promise, leader, .. } = status;
    let of = match leader {
        Some(leader) if *leader != me => format!(" of {leader}"),
        Some(_) | None => String::new(),
    };
    format!("{me}@{} {role}{of}", promise.round)
}

/// `1@1/n1 x=1, 2@1/n1 y=2`.
pub(super) fn show_entries(entries: &[Entry]) -> String {
    let shown = entries.iter().map(|entry| format!("{} {}", entry.id, command(&entry.payload)));
    shown.collect::<Vec<_>>().join(", ")
}

fn show_records(records: &[Record]) -> String {
    let shown = records.iter().map(|record| match record {
        Record::Promise(ballot) => format!("promise {ballot}"),
        Record::Append(entries) => format!("append {}", show_entries(entries)),
        Record::Begin(begin) => format!("begin {begin}"),
        Record::Accept(Acceptance { ballot, through }) => {
            format!("accept {through} under {ballot}")
        }
    });
    shown.collect::<Vec<_>>().join("; ")
}
