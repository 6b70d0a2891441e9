use core::fmt;

use crate::NodeId;

/// A numbered attempt to lead: the round, and the node the attempt belongs to.
///
/// Ballots are totally ordered, by round and then by node. In Multi-Paxos this is the ballot of the
/// paper. In Raft the round is the term and the node is the one this term's vote went to: a server
/// that entered a term and has not voted holds `node: None`, which orders below every vote of that
/// term, so a Raft server's hard state is one ballot that only ever grows.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// The round (Paxos) or term (Raft). Zero is before every attempt.
    pub round: u64,
    /// Whose attempt this is; `None` only in a Raft term without a vote.
    pub node: Option<NodeId>,
}

impl Ballot {
    /// Before every attempt.
    pub const ZERO: Self = Self { round: 0, node: None };

    /// The attempt of `node` in `round`.
    pub const fn new(round: u64, node: NodeId) -> Self {
        Self { round, node: Some(node) }
    }

    /// The round, entered without a vote.
    pub const fn unvoted(round: u64) -> Self {
        Self { round, node: None }
    }
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Some(node) => write!(f, "{}/{node}", self.round),
            None => write!(f, "{}", self.round),
        }
    }
}

impl fmt::Debug for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A place in the log. The first entry has index 1; index 0 is the empty log's end.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(pub u64);

impl Index {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The place before this one; of zero, zero.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The place `count` further on.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }

    /// How many places lie after `earlier` up to this one; zero if `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names an entry: the ballot under which it was proposed, and its place.
///
/// Ordered by ballot first, which is Raft's "more up to date" (section 5.4.1 of the paper).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    /// The ballot of the leader that put the entry there.
    pub ballot: Ballot,
    /// The place in the log.
    pub index: Index,
}

impl LogId {
    /// The end of the empty log, which all logs have in common.
    pub const ZERO: Self = Self { ballot: Ballot::ZERO, index: Index::ZERO };

    /// The entry at `index` proposed under `ballot`.
    pub const fn new(ballot: Ballot, index: Index) -> Self {
        Self { ballot, index }
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.ballot)
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
