use std::fmt;

/// What was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// At most one leader in a term.
    ElectionSafety,
    /// A leader only adds to its log.
    LeaderAppendOnly,
    /// Two logs that hold the same entry hold the same before it.
    LogMatching,
    /// What was committed is in the log of every later leader.
    LeaderCompleteness,
    /// No two nodes apply different commands at one place.
    StateMachineSafety,
    /// Nodes that applied the same have the same state.
    EqualState,
    /// Terms, votes, commit and applied indexes never fall.
    Monotonic,
    /// What is committed is durable on a quorum, and stays so.
    Durability,
    /// Whoever leads was elected by a quorum of the voters that its log names.
    Quorum,
    /// The members in force are those that the log names; they change one step at a time, so that
    /// no two steps can decide apart; only voters lead; who was removed stays so, and never commits
    /// a command again.
    Membership,
    /// A node comes back with what was durable, and nothing that was never written.
    Recovery,
    /// A proposal is applied once at most, and never after it was refused.
    ProposalOutcome,
    /// What clients saw can be explained by one store that does one thing at a time.
    Linearizability,
    /// A watch is told everything, once, in order.
    Watch,
    /// A lease never ends before its time, its keys end with it, and nothing revives it.
    Lease,
    /// Once the faults have stopped, the cluster works.
    Liveness,
    /// As long as a leader may read by lease, nobody else is elected.
    ReadLease,
    /// No code gave up by an assertion of its own.
    Assertion,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ElectionSafety => "Election Safety",
            Self::LeaderAppendOnly => "Leader Append-Only",
            Self::LogMatching => "Log Matching",
            Self::LeaderCompleteness => "Leader Completeness",
            Self::StateMachineSafety => "State Machine Safety",
            Self::EqualState => "Equal State",
            Self::Monotonic => "Monotonic",
            Self::Durability => "Durability",
            Self::Quorum => "Quorum",
            Self::Membership => "Membership",
            Self::Recovery => "Recovery",
            Self::ProposalOutcome => "Proposal Outcome",
            Self::Linearizability => "Linearizability",
            Self::Watch => "Watch",
            Self::Lease => "Lease",
            Self::Liveness => "Liveness",
            Self::ReadLease => "Read Lease",
            Self::Assertion => "Assertion",
        })
    }
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// Who did what.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is violated: {}", self.invariant, self.detail)
    }
}
