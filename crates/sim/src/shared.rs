use std::rc::Rc;
use std::time::Duration;

use althing_consensus::{ChangeRefusal, Message};
use althing_core::codec::Writer;
use althing_core::{Change, Configuration, LogId, Misfit, NodeId, Random, Time};

use crate::client::Ask;
use crate::coverage::{Coverage, Mark};
use crate::disk::{Ending, Lane};
use crate::fold::Fold;
use crate::invariants::Checker;
use crate::leases::Leases;
use crate::linearizability::Observed;
use crate::network::{Cut, Fate, Network};
use crate::profile::Profile;
use crate::protocol::Law;
use crate::queue::Queue;
use crate::schedule::Mishaps;
use crate::timeline::{Did, Timeline};
use crate::watches::Watches;
use crate::{Bug, Diary, Fault, Options, ServerBug};

/// What will happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message arrives; `number` counts those of its link.
    Deliver { to: usize, from: usize, number: u64, bytes: Rc<[u8]> },
    /// A client's request is taken in, after a pause.
    Ask { node: usize, life: u64, request: usize, key: u32, ask: Ask },
    /// A replica wanted to be woken.
    Alarm { node: usize, life: u64 },
    /// A log's write and sync are done.
    LogWritten { node: usize, life: u64 },
    /// The snapshot thread's piece of work is done.
    SnapshotWorked { node: usize, life: u64 },
    /// A node has opened its store.
    Started { node: usize, life: u64 },
    /// A dead node is started.
    Restart { node: usize, life: u64 },
    /// A node dies at a moment that was chosen before.
    Die { node: usize, life: u64, ending: Ending },
    /// A pause is over.
    Resume { node: usize },
    /// A disk's trouble is over.
    DiskWell { node: usize },
    /// Links are mended.
    Mend(Cut),
    /// Something goes wrong.
    Fault,
    /// Something is harmed.
    Harm,
    /// A holder of leases does something.
    Hold,
    /// A node is slow no more.
    Brisk { node: usize },
    /// Something happens at a slow node, so much later than it should.
    Late { node: usize, event: Box<Self> },
    /// An operator does something.
    Operate,
    /// A client has thought.
    Think { client: usize },
    /// A client's patience is over.
    GiveUp { client: usize, request: usize },
    /// Nothing goes wrong any more.
    Calm,
    /// Is everything well?
    Look,
}

impl Event {
    /// The node that must be running for this to happen.
    pub(crate) const fn needs(&self) -> Option<usize> {
        match self {
            Self::Deliver { to: node, .. }
            | Self::Ask { node, .. }
            | Self::Alarm { node, .. }
            | Self::LogWritten { node, .. }
            | Self::SnapshotWorked { node, .. }
            | Self::Started { node, .. }
            | Self::Late { node, .. } => Some(*node),
            _ => None,
        }
    }
}

/// What a client hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It is done, and this came of it.
    Done(Observed),
    /// It is done, and nobody asks what came of it.
    DoneUnobserved,
    /// It was not done and never will be.
    Refused,
    /// The node is gone. Whether it will be done, nobody knows.
    Gone,
}

/// What the nodes have in common: time, network, and those who watch.
pub(crate) struct Shared {
    pub(crate) now: Time,
    pub(crate) queue: Queue<Event>,
    pub(crate) network: Network,
    pub(crate) checker: Checker,
    pub(crate) mishaps: Mishaps,
    pub(crate) watches: Watches,
    pub(crate) leases: Leases,
    pub(crate) coverage: Coverage,
    pub(crate) timeline: Timeline,
    pub(crate) trace: Fold,
    pub(crate) profile: Profile,
    pub(crate) ids: Vec<NodeId>,
    /// The members that the cluster is founded with.
    pub(crate) founding: Configuration,
    /// For everything about disks and nodes that no other source is for.
    pub(crate) random: Random,
    /// By node and lane: whose disks are slow at present, and for whom.
    pub(crate) is_slow: Vec<[bool; 2]>,
    /// Answers that no client has got yet, by request.
    pub(crate) replies: Vec<(usize, Reply)>,
    pub(crate) messages: u64,
    pub(crate) snapshots_installed: u64,
    /// The history was too hard to judge.
    pub(crate) undecided: bool,
    /// By node: whether its disk was damaged.
    pub(crate) is_damaged: Vec<bool>,
    bug: Option<Bug>,
    /// By sender and receiver: how many were sent, and the latest that arrived.
    links: Vec<Vec<Link>>,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    sent: u64,
    arrived: u64,
}

impl Shared {
    pub(crate) fn new(
        ids: Vec<NodeId>,
        founding: Configuration,
        profile: Profile,
        timeline: Timeline,
        (law, options): (Law, &Options),
        random: &mut Random,
    ) -> Self {
        let count = ids.len();
        let is_told = timeline.is_kept() || options.diary == Diary::Mishaps;
        Self {
            now: Time::ZERO,
            queue: Queue::new(),
            network: Network::new(count, profile.weather, random.fork()),
            checker: Checker::new(&ids, &founding, law, options.is_eager),
            mishaps: Mishaps::new(options.faults, options.schedule.clone(), is_told),
            watches: Watches::new(count),
            leases: Leases::new(profile.drift_max),
            coverage: Coverage::default(),
            timeline,
            trace: Fold::new(),
            profile,
            founding,
            ids,
            random: random.fork(),
            is_slow: vec![[false; 2]; count],
            replies: Vec::new(),
            messages: 0,
            snapshots_installed: 0,
            undecided: false,
            is_damaged: vec![false; count],
            bug: options.bug,
            links: vec![vec![Link::default(); count]; count],
            buffer: Vec::new(),
        }
    }

    pub(crate) fn mark(&mut self, mark: Mark) {
        self.coverage.mark(mark);
    }

    /// Whether this defect is planted.
    pub(crate) fn has(&self, bug: ServerBug) -> bool {
        cfg!(feature = "planted-bugs") && self.bug == Some(Bug::Server(bug))
    }

    /// Whether something happens that was drawn.
    pub(crate) fn befalls(&mut self, fault: Fault, what: impl FnOnce() -> String) -> bool {
        self.mishaps.befalls(self.now, fault, what)
    }

    /// The members that a node knows without a log: those who founded the cluster know each other,
    /// and who waits to be added knows nobody.
    pub(crate) fn founding_of(&self, node: usize) -> Configuration {
        let founds = self.founding.contains(self.ids[node]);
        if founds { self.founding.clone() } else { Configuration::default() }
    }

    /// Notes what became of an operator's change.
    pub(crate) fn mark_change(
        &mut self,
        before: &Configuration,
        changes: &[Change],
        outcome: Result<LogId, ChangeRefusal>,
    ) {
        match outcome {
            Ok(_) => changes.iter().for_each(|change| self.mark_step(before, change, changes)),
            Err(ChangeRefusal::NotLeader(_)) => self.mark(Mark::ChangeNotHere),
            Err(ChangeRefusal::NotYet) => self.mark(Mark::ChangeTooEarly),
            Err(ChangeRefusal::UnderWay(_) | ChangeRefusal::Transferring) => {
                self.mark(Mark::ChangeUnderWay);
            }
            Err(ChangeRefusal::Behind { .. }) => self.mark(Mark::LearnerBehind),
            Err(ChangeRefusal::Misfit(Misfit::WasRemoved(_))) => {
                self.mark(Mark::RemovedNameRefused);
            }
            Err(ChangeRefusal::Misfit(_)) => {}
        }
    }

    fn mark_step(&mut self, before: &Configuration, change: &Change, changes: &[Change]) {
        let adds = |change: &Change| matches!(change, Change::AddVoter { .. });
        self.mark(match change {
            Change::AddLearner { .. } => Mark::LearnerAdded,
            Change::Promote { .. } => Mark::LearnerPromoted,
            Change::Remove { node } if before.is_learner(*node) => Mark::LearnerRemoved,
            Change::Remove { .. } if changes.iter().any(adds) => Mark::MemberReplaced,
            Change::AddVoter { .. } | Change::Remove { .. } => Mark::JointBegun,
            Change::SetCard { .. } => Mark::CardChanged,
        });
    }

    /// Notes what a node did.
    pub(crate) fn note(&mut self, node: usize, what: impl FnOnce() -> String) {
        let id = self.ids[node];
        self.timeline.note(self.now, || Did(id, what()).to_string());
    }

    /// How long a node's disk takes for what it was just given.
    pub(crate) fn latency(&mut self, node: usize, lane: Lane) -> Duration {
        let (least, most) = self.profile.timing.write;
        let usual = self.random.duration(least, most);
        if self.is_slow[node][lane as usize] { usual * 20 } else { usual }
    }

    /// Puts a message on its way.
    pub(crate) fn send<M: Message>(&mut self, from: usize, to: NodeId, message: &M) {
        let to = usize::try_from(to.number() - 1).expect("nodes are numbered from one");
        let (mishaps, now) = (&mut self.mishaps, self.now);
        let befalls = |fault| {
            mishaps.befalls(now, fault, || format!("n{} → n{} {message}", from + 1, to + 1))
        };
        let fate = self.network.route(now, (from, to), befalls);
        self.messages += 1;
        self.note(from, || format!("→ n{} {message} {}", to + 1, Shown(fate)));
        let (first, second) = match fate {
            Fate::Cut => return self.mark(Mark::MessageCut),
            Fate::Lost => return self.mark(Mark::MessageLost),
            Fate::Once(at) => (at, None),
            Fate::Twice(first, second) => {
                self.mark(Mark::MessageDuplicated);
                (first, Some(second))
            }
        };
        self.buffer.clear();
        message.encode(&mut Writer(&mut self.buffer));
        let bytes: Rc<[u8]> = self.buffer.as_slice().into();
        let link = &mut self.links[from][to];
        link.sent += 1;
        let number = link.sent;
        if let Some(second) = second {
            let bytes = Rc::clone(&bytes);
            self.queue.push(second, Event::Deliver { to, from, number, bytes });
        }
        self.queue.push(first, Event::Deliver { to, from, number, bytes });
    }

    /// A message arrives at last.
    pub(crate) fn arrived(&mut self, from: usize, to: usize, number: u64, bytes: &[u8]) {
        let link = &mut self.links[from][to];
        if number < link.arrived {
            self.mark(Mark::MessageReordered);
        } else {
            link.arrived = number;
        }
        self.trace.bytes(bytes);
    }
}

struct Shown(Fate);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Fate::Cut => f.write_str("(cut)"),
            Fate::Lost => f.write_str("(lost)"),
            Fate::Once(at) => write!(f, "(at {at})"),
            Fate::Twice(first, second) => write!(f, "(at {first} and {second})"),
        }
    }
}
