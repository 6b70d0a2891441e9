//! The defects that can be planted, and what must find each.
//!
//! A checker that cannot fail is worth nothing. So each rule on which the safety of a cluster rests
//! is broken here once, in one line, in the code that a server runs; and the simulator must notice
//! within so many seeds.

use std::num::NonZero;
use std::time::Duration;

use althing_consensus::replication::Bug as C;
use althing_keyspace::planted::Bug as K;
use althing_storage::planted::Bug as S;

use crate::Invariant::{
    Assertion, Durability, ElectionSafety, EqualState, LeaderCompleteness, Lease, Linearizability,
    Liveness, LogMatching, Membership, Monotonic, ProposalOutcome, Quorum, ReadLease, Recovery,
    StateMachineSafety, Watch,
};
use crate::{Bug, Consensus, Diary, Invariant, Options, ServerBug, Violation, run};

const MINUTE: Duration = Duration::from_secs(60);

/// A defect, under one of the protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// The protocol.
    pub protocol: Consensus,
    /// The defect.
    pub bug: Bug,
    /// What may be reported of it.
    pub breaks: &'static [Invariant],
    /// With checks of what is bound to go wrong, it is reported within this many seeds.
    pub seeds_max: u64,
    /// It shows in lives of a minute under an even load, rather than in storms.
    pub is_even: bool,
    /// Without those checks: what is reported of it at least once, and within how many seeds.
    pub harms: Option<(Invariant, u64)>,
}

/// How a mutant was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    /// The seed of the life that shows it.
    pub seed: u64,
    /// What it broke.
    pub violation: Violation,
}

impl Mutant {
    /// Looks for it as a run does that looks for anything.
    pub fn hunt(&self) -> Option<Kill> {
        self.live(true, self.seeds_max, self.breaks)
    }

    /// Looks for the harm that it does, and for nothing that has done no harm yet. `None` also
    /// where the catalogue does not say what that is.
    pub fn hunt_harm(&self) -> Option<Kill> {
        let (invariant, seeds_max) = self.harms?;
        self.live(false, seeds_max, &[invariant])
    }

    fn live(&self, is_eager: bool, seeds_max: u64, wanted: &[Invariant]) -> Option<Kill> {
        let options = Options {
            consensus: self.protocol,
            bug: Some(self.bug),
            is_eager,
            diary: Diary::Never,
            storm: if self.is_even { MINUTE } else { Options::default().storm },
            operations: NonZero::new(if self.is_even { 10 } else { 0 }),
            ..Options::default()
        };
        (1..=seeds_max).find_map(|seed| {
            let violation = run(seed, &options).violations.into_iter().next()?;
            wanted.contains(&violation.invariant).then_some(Kill { seed, violation })
        })
    }
}

/// All of them, those of Raft first.
pub fn catalogue() -> Vec<Mutant> {
    let under = |protocol, rows: &[Mutant]| -> Vec<Mutant> {
        rows.iter().map(|mutant| Mutant { protocol, ..*mutant }).collect()
    };
    let both = [&BOTH[..], &LOG, &STATE, &SERVER].concat();
    [
        under(Consensus::Raft, &RAFT),
        under(Consensus::Raft, &both),
        under(Consensus::Paxos, &PAXOS),
        under(Consensus::Paxos, &both),
    ]
    .concat()
}

/// In the consensus, on Raft.
const RAFT: [Mutant; 20] = [
    consensus(C::ForgetsVote, &[Durability, ElectionSafety], 5).harms(ElectionSafety, 3_000),
    consensus(C::CommitsOldTerms, &[LeaderCompleteness], 300).harms(LeaderCompleteness, 4_000),
    consensus(C::ReadsUnconfirmed, &[Linearizability], 100).harms(Linearizability, 100),
    consensus(C::AcknowledgesEarly, &[Durability, Quorum], 10).harms(Durability, 10),
    consensus(
        C::KeepsConflicts,
        &[LogMatching, StateMachineSafety, ProposalOutcome, Durability],
        50,
    )
    .harms(LogMatching, 100),
    consensus(C::SkipsJoint, &[Membership], 20).harms(Membership, 20),
    consensus(C::LeavesJointEarly, &[Membership], 10).harms(Membership, 10),
    consensus(C::ChangesEarly, &[Membership], 50).harms(Membership, 50),
    consensus(C::AsksNewVotersOnly, &[Quorum, Durability, LeaderCompleteness], 20)
        .harms(Durability, 300),
    consensus(C::CountsLearners, &[Quorum, Durability], 100).harms(Durability, 100),
    consensus(C::CountsItself, &[Quorum, Durability], 100).harms(Durability, 100),
    consensus(C::KeepsConfiguration, &[Membership], 100).harms(Membership, 100),
    consensus(C::ForgetsConfiguration, &[Membership], 10).harms(Membership, 10),
    consensus(C::InstallsOldConfiguration, &[Membership], 100).harms(Membership, 100),
    consensus(C::StaysWhenRemoved, &[Membership], 100).harms(Membership, 100),
    consensus(C::LeavesSilently, &[Liveness], 8_000).harms(Liveness, 8_000),
    consensus(C::LearnersStand, &[Membership], 200).harms(Membership, 200),
    consensus(C::HandsOverBlindly, &[LeaderCompleteness], 1_000).harms(LeaderCompleteness, 1_000),
    consensus(C::VotesBlindly, &[LeaderCompleteness, Durability], 50),
    consensus(C::VotesTwice, &[Quorum, ElectionSafety], 20),
];

/// In the consensus, on Multi-Paxos.
const PAXOS: [Mutant; 25] = [
    consensus(C::ForgetsPromise, &[Durability], 5).harms(Recovery, 5),
    consensus(C::ReusesBallot, &[Durability], 5).harms(Recovery, 10),
    consensus(C::TellsNothing, &[LeaderCompleteness], 30).harms(LeaderCompleteness, 30),
    consensus(C::LowestBallotWins, &[LeaderCompleteness, Durability], 300)
        .harms(LeaderCompleteness, 3_000),
    consensus(C::KeepsOldBallots, &[Durability], 5).harms(Durability, 1_000),
    consensus(C::ForgetsAcceptances, &[Durability], 1_000).harms(Durability, 1_000),
    consensus(C::IgnoresLearnedMembers, &[Quorum, LeaderCompleteness], 300)
        .harms(LeaderCompleteness, 3_000),
    consensus(C::NeedsOnePromise, &[Quorum, LeaderCompleteness], 5).harms(LeaderCompleteness, 30),
    consensus(C::DropsBehindSnapshot, &[Durability, Liveness], 2_000).harms(Liveness, 2_000),
    consensus(C::ReadsUnconfirmed, &[Linearizability], 50).harms(Linearizability, 50),
    consensus(C::AcknowledgesEarly, &[Durability, Quorum], 10).harms(Durability, 10),
    consensus(
        C::KeepsConflicts,
        &[LogMatching, StateMachineSafety, ProposalOutcome, Durability],
        50,
    )
    .harms(StateMachineSafety, 50),
    consensus(C::SkipsJoint, &[Membership], 20).harms(Membership, 20),
    consensus(C::LeavesJointEarly, &[Membership], 10).harms(Membership, 10),
    consensus(C::ChangesEarly, &[Membership], 50).harms(Membership, 50),
    consensus(C::AsksNewVotersOnly, &[Durability, StateMachineSafety], 100)
        .harms(Durability, 1_000),
    consensus(C::CountsLearners, &[Durability], 50).harms(Durability, 50),
    consensus(C::CountsItself, &[Durability], 100).harms(Durability, 100),
    consensus(C::KeepsConfiguration, &[Membership], 20).harms(Membership, 20),
    consensus(C::ForgetsConfiguration, &[Membership], 10).harms(Membership, 10),
    consensus(C::InstallsOldConfiguration, &[Membership], 50).harms(Membership, 50),
    consensus(C::StaysWhenRemoved, &[Membership], 100).harms(Membership, 100),
    consensus(C::LeavesSilently, &[Liveness], 3_000).harms(Liveness, 3_000),
    consensus(C::LearnersStand, &[Membership], 100).harms(Membership, 100),
    consensus(C::AnswersUnpromised, &[Durability], 20),
];

/// In what the two have in common, on either.
const BOTH: [Mutant; 12] = [
    consensus(
        C::CommitsUnmatched,
        &[ProposalOutcome, StateMachineSafety, Durability, LeaderCompleteness],
        20,
    ),
    consensus(C::MiscountsQuorum, &[Durability], 5),
    consensus(C::CountsUnwritten, &[Durability], 10),
    consensus(C::ReadsTooEarly, &[Linearizability], 50),
    consensus(C::ReusesRounds, &[Linearizability], 2_000),
    consensus(C::TruncatesAlways, &[Assertion], 20),
    consensus(C::ObeysOldEpochs, &[Assertion, Quorum, Monotonic], 20),
    consensus(C::TakesRepeats, &[ProposalOutcome], 20),
    consensus(C::LeaseFromAnswer, &[ReadLease, Linearizability], 1_500),
    consensus(C::LeaseIgnoresDrift, &[ReadLease, Linearizability], 3_000),
    consensus(C::LeaseDuringHandover, &[ReadLease, Linearizability], 4_000),
    consensus(C::ForgetsLoyalty, &[ReadLease, Linearizability], 3_000),
];

/// In the log and the snapshots, under either.
const LOG: [Mutant; 13] = [
    log(S::SkipsSync, &[Recovery], 10),
    log(S::IgnoresFailedSync, &[Recovery], 8_000),
    log(S::CutsDamage, &[Recovery], 200),
    log(S::TakesTorn, &[Recovery], 100),
    log(S::SkipsSettling, &[Recovery], 300),
    log(S::ForgetsPromise, &[Recovery], 10),
    log(S::PurgesTooMuch, &[Recovery], 50),
    log(S::KeepsOverwritten, &[Recovery, Assertion], 20),
    log(S::SkipsSnapshotSync, &[Recovery], 50),
    log(S::SkipsNameSync, &[Recovery], 50),
    log(S::SkipsReceivedNameSync, &[Recovery], 100),
    log(S::SkipsReconciling, &[Assertion, Recovery], 500),
    log(S::AcceptsAnySnapshot, &[Recovery], 3_000),
];

/// In the state machine, under either.
const STATE: [Mutant; 11] = [
    keyspace(K::FreezesRevision, &[Assertion, Linearizability, Watch], 20),
    keyspace(K::DeletesNothing, &[Linearizability, Watch], 10),
    keyspace(K::ComparesNothing, &[Linearizability], 10),
    keyspace(K::MissesAbsence, &[Linearizability], 10),
    keyspace(K::SweepsTheLiving, &[Linearizability, Assertion, Watch], 50),
    keyspace(K::WatchesSkip, &[Watch], 10),
    keyspace(K::WatchesMissCompaction, &[Watch], 300),
    keyspace(K::ExpiresEarly, &[Lease], 1_000),
    keyspace(K::SkipsNotes, &[Lease], 300).evenly(),
    keyspace(K::KeepsLeasedKeys, &[Lease, Watch, Assertion], 1_000),
    keyspace(K::SnapshotsForgetCreation, &[Recovery], 50),
];

/// In what drives a replica, of either kind.
const SERVER: [Mutant; 8] = [
    server(ServerBug::SendsEarly, &[Durability, Quorum], 10),
    server(ServerBug::PersistsEarly, &[Durability, Quorum], 10),
    server(ServerBug::ReadsEarly, &[Linearizability], 50),
    server(ServerBug::ReusesNumbers, &[ProposalOutcome], 10),
    server(ServerBug::RefusesUnknown, &[Linearizability, ProposalOutcome], 100),
    server(ServerBug::TimesEarly, &[Lease], 500).evenly(),
    server(ServerBug::RenewsUnconfirmed, &[Lease], 2_000).evenly(),
    server(ServerBug::InstallsNothing, &[EqualState], 50),
];

const fn consensus(bug: C, breaks: &'static [Invariant], seeds_max: u64) -> Mutant {
    mutant(Bug::Consensus(bug), breaks, seeds_max)
}

const fn log(bug: S, breaks: &'static [Invariant], seeds_max: u64) -> Mutant {
    mutant(Bug::Storage(bug), breaks, seeds_max)
}

const fn keyspace(bug: K, breaks: &'static [Invariant], seeds_max: u64) -> Mutant {
    mutant(Bug::Keyspace(bug), breaks, seeds_max)
}

const fn server(bug: ServerBug, breaks: &'static [Invariant], seeds_max: u64) -> Mutant {
    mutant(Bug::Server(bug), breaks, seeds_max)
}

const fn mutant(bug: Bug, breaks: &'static [Invariant], seeds_max: u64) -> Mutant {
    Mutant { protocol: Consensus::Raft, bug, breaks, seeds_max, is_even: false, harms: None }
}

impl Mutant {
    const fn evenly(mut self) -> Self {
        self.is_even = true;
        self
    }

    const fn harms(mut self, invariant: Invariant, seeds_max: u64) -> Self {
        self.harms = Some((invariant, seeds_max));
        self
    }
}
