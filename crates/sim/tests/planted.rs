//! Bugs put in on purpose: a checker that cannot fail is worth nothing.
#![cfg(feature = "planted-bugs")]

use althing_consensus::replication::Bug;
use althing_sim::{Consensus, Diary, Invariant, Options, Violation, run};

struct Hunt {
    bug: Bug,
    /// What may be reported.
    invariants: &'static [Invariant],
    /// With checks of what is bound to go wrong: within this many seeds.
    eager: u64,
    /// Without: what must be reported at least once, and within how many seeds.
    harm: (Invariant, u64),
}

/// On Raft.
const RAFT: [Hunt; 18] = [
    Hunt {
        bug: Bug::ForgetsVote,
        invariants: &[Invariant::Durability, Invariant::ElectionSafety],
        eager: 5,
        harm: (Invariant::ElectionSafety, 3_000),
    },
    Hunt {
        bug: Bug::CommitsOldTerms,
        invariants: &[Invariant::LeaderCompleteness],
        eager: 300,
        harm: (Invariant::LeaderCompleteness, 4_000),
    },
    Hunt {
        bug: Bug::ReadsUnconfirmed,
        invariants: &[Invariant::Linearizability],
        eager: 100,
        harm: (Invariant::Linearizability, 100),
    },
    Hunt {
        bug: Bug::AcknowledgesEarly,
        invariants: &[Invariant::Durability, Invariant::Quorum],
        eager: 10,
        harm: (Invariant::Durability, 10),
    },
    Hunt {
        bug: Bug::KeepsConflicts,
        invariants: &[
            Invariant::LogMatching,
            Invariant::StateMachineSafety,
            Invariant::ProposalOutcome,
            Invariant::Durability,
        ],
        eager: 50,
        harm: (Invariant::LogMatching, 100),
    },
    Hunt {
        bug: Bug::SkipsJoint,
        invariants: &[Invariant::Membership],
        eager: 20,
        harm: (Invariant::Membership, 20),
    },
    Hunt {
        bug: Bug::LeavesJointEarly,
        invariants: &[Invariant::Membership],
        eager: 10,
        harm: (Invariant::Membership, 10),
    },
    Hunt {
        bug: Bug::ChangesEarly,
        invariants: &[Invariant::Membership],
        eager: 50,
        harm: (Invariant::Membership, 50),
    },
    Hunt {
        bug: Bug::AsksNewVotersOnly,
        invariants: &[Invariant::Quorum, Invariant::Durability, Invariant::LeaderCompleteness],
        eager: 20,
        harm: (Invariant::LeaderCompleteness, 300),
    },
    Hunt {
        bug: Bug::CountsLearners,
        invariants: &[Invariant::Quorum, Invariant::Durability],
        eager: 100,
        harm: (Invariant::Durability, 100),
    },
    Hunt {
        bug: Bug::CountsItself,
        invariants: &[Invariant::Quorum, Invariant::Durability],
        eager: 100,
        harm: (Invariant::Durability, 100),
    },
    Hunt {
        bug: Bug::KeepsConfiguration,
        invariants: &[Invariant::Membership],
        eager: 100,
        harm: (Invariant::Membership, 100),
    },
    Hunt {
        bug: Bug::ForgetsConfiguration,
        invariants: &[Invariant::Membership],
        eager: 10,
        harm: (Invariant::Membership, 10),
    },
    Hunt {
        bug: Bug::InstallsOldConfiguration,
        invariants: &[Invariant::Membership],
        eager: 100,
        harm: (Invariant::Membership, 100),
    },
    Hunt {
        bug: Bug::StaysWhenRemoved,
        invariants: &[Invariant::Membership],
        eager: 100,
        harm: (Invariant::Membership, 100),
    },
    Hunt {
        bug: Bug::LeavesSilently,
        invariants: &[Invariant::Liveness],
        eager: 1_000,
        harm: (Invariant::Liveness, 1_000),
    },
    Hunt {
        bug: Bug::LearnersStand,
        invariants: &[Invariant::Membership],
        eager: 200,
        harm: (Invariant::Membership, 200),
    },
    Hunt {
        bug: Bug::HandsOverBlindly,
        invariants: &[Invariant::LeaderCompleteness],
        eager: 100,
        harm: (Invariant::LeaderCompleteness, 100),
    },
];

/// On Multi-Paxos: what only it can do wrong first.
const PAXOS: [Hunt; 24] = [
    Hunt {
        bug: Bug::ForgetsPromise,
        invariants: &[Invariant::Durability],
        eager: 5,
        harm: (Invariant::Recovery, 5),
    },
    Hunt {
        bug: Bug::ReusesBallot,
        invariants: &[Invariant::Durability],
        eager: 5,
        harm: (Invariant::Recovery, 10),
    },
    Hunt {
        bug: Bug::TellsNothing,
        invariants: &[Invariant::LeaderCompleteness],
        eager: 30,
        harm: (Invariant::LeaderCompleteness, 30),
    },
    Hunt {
        bug: Bug::LowestBallotWins,
        invariants: &[Invariant::LeaderCompleteness, Invariant::Durability],
        eager: 20,
        harm: (Invariant::LeaderCompleteness, 300),
    },
    Hunt {
        bug: Bug::KeepsOldBallots,
        invariants: &[Invariant::Durability],
        eager: 5,
        harm: (Invariant::Durability, 1000),
    },
    Hunt {
        bug: Bug::ForgetsAcceptances,
        invariants: &[Invariant::Durability],
        eager: 1000,
        harm: (Invariant::Durability, 1000),
    },
    Hunt {
        bug: Bug::IgnoresLearnedMembers,
        invariants: &[Invariant::Quorum, Invariant::LeaderCompleteness],
        eager: 300,
        harm: (Invariant::LeaderCompleteness, 300),
    },
    Hunt {
        bug: Bug::NeedsOnePromise,
        invariants: &[Invariant::Quorum, Invariant::LeaderCompleteness],
        eager: 5,
        harm: (Invariant::LeaderCompleteness, 30),
    },
    Hunt {
        bug: Bug::DropsBehindSnapshot,
        invariants: &[Invariant::Durability, Invariant::Liveness],
        eager: 2000,
        harm: (Invariant::Liveness, 2000),
    },
    Hunt {
        bug: Bug::ReadsUnconfirmed,
        invariants: &[Invariant::Linearizability],
        eager: 50,
        harm: (Invariant::Linearizability, 50),
    },
    Hunt {
        bug: Bug::AcknowledgesEarly,
        invariants: &[Invariant::Durability, Invariant::Quorum],
        eager: 10,
        harm: (Invariant::Durability, 10),
    },
    Hunt {
        bug: Bug::KeepsConflicts,
        invariants: &[
            Invariant::LogMatching,
            Invariant::StateMachineSafety,
            Invariant::ProposalOutcome,
            Invariant::Durability,
        ],
        eager: 50,
        harm: (Invariant::StateMachineSafety, 50),
    },
    Hunt {
        bug: Bug::SkipsJoint,
        invariants: &[Invariant::Membership],
        eager: 20,
        harm: (Invariant::Membership, 20),
    },
    Hunt {
        bug: Bug::LeavesJointEarly,
        invariants: &[Invariant::Membership],
        eager: 10,
        harm: (Invariant::Membership, 10),
    },
    Hunt {
        bug: Bug::ChangesEarly,
        invariants: &[Invariant::Membership],
        eager: 50,
        harm: (Invariant::Membership, 50),
    },
    Hunt {
        bug: Bug::AsksNewVotersOnly,
        invariants: &[Invariant::Durability, Invariant::StateMachineSafety],
        eager: 100,
        harm: (Invariant::StateMachineSafety, 600),
    },
    Hunt {
        bug: Bug::CountsLearners,
        invariants: &[Invariant::Durability],
        eager: 50,
        harm: (Invariant::Durability, 50),
    },
    Hunt {
        bug: Bug::CountsItself,
        invariants: &[Invariant::Durability],
        eager: 100,
        harm: (Invariant::Durability, 100),
    },
    Hunt {
        bug: Bug::KeepsConfiguration,
        invariants: &[Invariant::Membership],
        eager: 20,
        harm: (Invariant::Membership, 20),
    },
    Hunt {
        bug: Bug::ForgetsConfiguration,
        invariants: &[Invariant::Membership],
        eager: 10,
        harm: (Invariant::Membership, 10),
    },
    Hunt {
        bug: Bug::InstallsOldConfiguration,
        invariants: &[Invariant::Membership],
        eager: 50,
        harm: (Invariant::Membership, 50),
    },
    Hunt {
        bug: Bug::StaysWhenRemoved,
        invariants: &[Invariant::Membership],
        eager: 100,
        harm: (Invariant::Membership, 100),
    },
    Hunt {
        bug: Bug::LeavesSilently,
        invariants: &[Invariant::Liveness],
        eager: 2_000,
        harm: (Invariant::Liveness, 2_000),
    },
    Hunt {
        bug: Bug::LearnersStand,
        invariants: &[Invariant::Membership],
        eager: 100,
        harm: (Invariant::Membership, 100),
    },
];

/// The first seed that shows the bug, and how.
fn hunt(
    consensus: Consensus,
    bug: Bug,
    is_eager: bool,
    (seeds_max, wanted): (u64, &[Invariant]),
) -> (u64, Violation) {
    let bug = Some(bug.into());
    let options = Options { consensus, bug, is_eager, diary: Diary::Never, ..Options::default() };
    for seed in 1..=seeds_max {
        let outcome = run(seed, &options);
        if let Some(violation) = outcome.violations.first()
            && wanted.contains(&violation.invariant)
        {
            return (seed, violation.clone());
        }
    }
    panic!("{consensus:?} {bug:?} was not found as {wanted:?} within {seeds_max} seeds");
}

#[test]
fn every_bug_planted_in_raft_is_found_and_the_report_names_what_it_breaks() {
    hunt_all(Consensus::Raft, &RAFT);
}

#[test]
fn every_bug_planted_in_multi_paxos_is_found_and_the_report_names_what_it_breaks() {
    hunt_all(Consensus::Paxos, &PAXOS);
}

fn hunt_all(consensus: Consensus, hunts: &[Hunt]) {
    for Hunt { bug, invariants, eager, harm } in hunts {
        let (seed, violation) = hunt(consensus, *bug, true, (*eager, invariants));
        println!("{bug:?}, eager: seed {seed}: {violation}");
        let (invariant, seeds_max) = *harm;
        let (seed, violation) = hunt(consensus, *bug, false, (seeds_max, &[invariant]));
        println!("{bug:?}, by its harm: seed {seed}: {violation}");
    }
}

#[test]
fn the_same_seeds_are_clean_without_the_bugs() {
    for consensus in [Consensus::Raft, Consensus::Paxos] {
        for seed in 1..=50 {
            let outcome = run(seed, &Options { consensus, ..Options::default() });
            assert!(outcome.is_clean(), "{outcome}");
        }
    }
}

#[test]
fn a_report_tells_what_happened_before() {
    let options = Options { bug: Some(Bug::AcknowledgesEarly.into()), ..Options::default() };
    let (seed, _) =
        hunt(Consensus::Raft, Bug::AcknowledgesEarly, true, (10, &[Invariant::Durability]));
    let outcome = run(seed, &options);
    assert!(outcome.timeline.len() <= options.diary_lines);
    let text = outcome.to_string();
    for expected in ["Durability is violated", "AppendReply accepted", "is durable", "← n"] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }
}
