use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use althing_core::{Ballot, NodeId};

/// What a script can ask for. Nodes are `n1`, `n2` ..., durations `100ms` or `2s`.
#[derive(goldenscript::Command)]
pub(crate) enum Command {
    /// Builds the cluster anew; everything before is gone. Sizes are in bytes.
    /// Example: `cluster nodes=3 window_messages=2`
    Cluster {
        #[arg(key)]
        nodes: u64,
        /// Nodes after those, which wait to be added.
        #[arg(key)]
        waiting: Option<u64>,
        #[arg(key)]
        append_bytes: Option<usize>,
        #[arg(key)]
        window_messages: Option<usize>,
        #[arg(key)]
        window_bytes: Option<usize>,
        #[arg(key)]
        uncommitted_bytes: Option<usize>,
        #[arg(key)]
        keep_bytes: Option<usize>,
        #[arg(key)]
        transfer_keep_bytes: Option<usize>,
        /// Reads by lease, on clocks that drift by so many millionths.
        #[arg(key)]
        lease_drift: Option<u32>,
        #[arg(key)]
        chunk_bytes: Option<usize>,
    },
    /// Gives a node a log, one ballot an entry, as if it had been through that.
    /// Example: `plant n1 1/n1 1/n1 4/n2`
    Plant(Node, Vec<Round>),
    /// The disks make writes durable by themselves (`auto`, as at the beginning), or only when
    /// `persist` says so (`manual`). Example: `disk manual n1`
    Disk(Mode, #[arg(optional)] Vec<Node>),
    /// Makes what a node has written durable; only the first `count` writes, if given.
    Persist(Node, #[arg(key = "count")] Option<usize>),
    /// Time passes, on these nodes or on all. Example: `tick 100ms n1 n2`
    Tick(Span, #[arg(optional)] Vec<Node>),
    /// Time passes on one node until it wants to be woken.
    Timeout(Node),
    /// Time passes on one node until a heartbeat is due.
    Heartbeat(Node),
    /// Lists the messages that are under way.
    Messages,
    /// Delivers messages that are under way now, not those that follow.
    /// Example: `deliver n2 from=n1 kind=Append count=1`
    Deliver {
        to: Option<Node>,
        #[arg(key)]
        from: Option<Node>,
        #[arg(key)]
        kind: Option<String>,
        #[arg(key)]
        count: Option<usize>,
        /// `newest` delivers the last one first.
        #[arg(key)]
        order: Option<Order>,
        /// Every node gets all of its messages before it acts on any.
        #[arg(key, optional)]
        together: bool,
    },
    /// Loses messages that are under way.
    Drop {
        to: Option<Node>,
        #[arg(key)]
        from: Option<Node>,
        #[arg(key)]
        kind: Option<String>,
        #[arg(key)]
        count: Option<usize>,
        /// `newest` loses the last one first.
        #[arg(key)]
        order: Option<Order>,
    },
    /// Sends messages that are under way a second time, behind all others.
    Duplicate {
        to: Option<Node>,
        #[arg(key)]
        from: Option<Node>,
        #[arg(key)]
        kind: Option<String>,
        #[arg(key)]
        count: Option<usize>,
    },
    /// Delivers until nothing is under way.
    Stabilize,
    /// Parts these nodes from all others; among each other they still talk.
    Isolate(Vec<Node>),
    /// All nodes reach each other again.
    Heal,
    /// A client of this node proposes. Example: `propose n1 x=1 y=2`
    Propose(Node, Vec<(String, String)>),
    /// A client of this node reads.
    Read(Node),
    /// A node is asked to change the members, all of it in one change. Steps are `add` (a voter),
    /// `learner`, `promote`, `remove` and `card`. Example: `change n1 add=n4 remove=n1`
    Change(Node, Vec<(String, Node)>),
    /// A node is asked to hand its leadership over to another.
    Transfer(Node, Node),
    /// A node dies; what was not durable is gone.
    Crash(Node),
    /// A dead node starts again from what was durable.
    Restart(Node),
    /// A node writes a snapshot of its state, which is durable at once.
    Snapshot(Node),
    /// Shows logs: those in memory, and those on the disk of dead nodes.
    Log(#[arg(optional)] Vec<Node>),
    /// Shows what nodes are.
    Status(#[arg(optional)] Vec<Node>),
    /// Shows the state machines.
    State(#[arg(optional)] Vec<Node>),
}

/// A node's name.
#[derive(Clone, Copy)]
pub(crate) struct Node(pub(crate) NodeId);

impl FromStr for Node {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number = text.strip_prefix('n').and_then(|number| number.parse().ok());
        number.and_then(NodeId::new).map(Self).ok_or_else(|| Invalid::new("node", text))
    }
}

/// A leadership: `4/n2`.
#[derive(Clone, Copy)]
pub(crate) struct Round(pub(crate) Ballot);

impl FromStr for Round {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new("ballot", text);
        let (round, node) = text.split_once('/').ok_or_else(invalid)?;
        let Node(node) = node.parse()?;
        Ok(Self(Ballot::new(round.parse().map_err(|_| invalid())?, node)))
    }
}

/// How long.
#[derive(Clone, Copy)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number = |text: &str| text.parse().map_err(|_| Invalid::new("duration", text));
        if let Some(millis) = text.strip_suffix("ms") {
            return number(millis).map(|millis| Self(Duration::from_millis(millis)));
        }
        let seconds = text.strip_suffix('s').ok_or_else(|| Invalid::new("duration", text))?;
        number(seconds).map(|seconds| Self(Duration::from_secs(seconds)))
    }
}

/// When writes become durable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Auto,
    Manual,
}

impl FromStr for Mode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "auto" => Ok(Self::Auto),
            "manual" => Ok(Self::Manual),
            _ => Err(Invalid::new("mode", text)),
        }
    }
}

/// Which message goes first.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Order {
    #[default]
    Oldest,
    Newest,
}

impl FromStr for Order {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "oldest" => Ok(Self::Oldest),
            "newest" => Ok(Self::Newest),
            _ => Err(Invalid::new("order", text)),
        }
    }
}

/// The script is wrong.
#[derive(Debug)]
pub(crate) struct Invalid {
    what: &'static str,
    text: String,
}

impl Invalid {
    fn new(what: &'static str, text: &str) -> Self {
        Self { what, text: text.to_owned() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a {}", self.text, self.what)
    }
}
