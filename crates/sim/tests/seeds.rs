//! Many seeds, on every core there is.

use std::collections::VecDeque;
use std::num::NonZero;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use althing_consensus::Restart;
use althing_consensus::raft::Raft;
use althing_core::{NodeId, Random, Time};
use althing_sim::{
    Consensus, Diary, Fault, FaultSet, Invariant, Law, Mark, Options, Protocol, RaftProtocol,
    Schedule, Settings, Summary, run, run_bytes, run_with,
};

/// The seeds that every test run lives through.
const SEEDS: Range<u64> = 1..10_001;

/// Seeds that bring out a defect that was there once, with what it did. A change of what seeds
/// draw takes their power; then others are searched for, with the defect put back.
const REGRESSIONS: [(Consensus, u64, &str); 10] = [
    (Consensus::Raft, 2, "a forwarded proposal that the network repeated was taken twice"),
    (Consensus::Raft, 9, "a deposed leader refused a repeated proposal that it had taken before"),
    (
        Consensus::Raft,
        853,
        "the only holder of its own removal did not stand for election, and nobody else could win",
    ),
    (
        Consensus::Raft,
        30_804,
        "so it was again, after a restart in which it forgot what is committed",
    ),
    (
        Consensus::Raft,
        51,
        "a snapshot was durable before its term's promise, and the node could not start",
    ),
    (Consensus::Paxos, 644, "a candidate that learned of its removal led on and committed"),
    (Consensus::Paxos, 1_593, "a candidate whose own addition was taken back led"),
    (Consensus::Paxos, 9_435, "a candidate that was still learning gave up and began anew"),
    (Consensus::Paxos, 10_024, "candidates that lacked much outbid each other for ever"),
    (Consensus::Paxos, 6_721, "a long log with nothing alive in it kept others from leading"),
];

/// The same, of all that there is by now.
const LATER_REGRESSIONS: [(Consensus, u64, &str); 1] = [(
    Consensus::Paxos,
    9_215,
    "a member with a long log and no say in anything told all of it, and others did not wait",
)];

/// What is drawn apart from storms.
const HARMS: [Fault; 8] = [
    Fault::ClockJump,
    Fault::SlowNode,
    Fault::BitRot,
    Fault::MisdirectedWrite,
    Fault::StaleBlock,
    Fault::LostFile,
    Fault::LostDisk,
    Fault::Overload,
];

/// What some seeds came to, on whichever machine. They change with everything that a life depends
/// on: then they are to be replaced by what the failing test tells.
const TRACES: [(Consensus, u64, u64); 6] = [
    (Consensus::Raft, 1, 0xe240_acf8_b131_80a1),
    (Consensus::Raft, 2, 0xdbad_98fa_eafb_5595),
    (Consensus::Raft, 3, 0xbf02_09d7_4e02_649e),
    (Consensus::Paxos, 1, 0x6e71_a8c5_45f1_80ad),
    (Consensus::Paxos, 2, 0xbd3e_3188_f063_243c),
    (Consensus::Paxos, 3, 0xd887_c9e4_b2e1_e331),
];

fn run_many(seeds: Range<u64>, options: &Options) -> Summary {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let batches: VecDeque<Range<u64>> =
        seeds.clone().step_by(50).map(|from| from..(from + 50).min(seeds.end)).collect();
    let batches = Mutex::new(batches);
    let next = || batches.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let summary = Mutex::new(Summary::default());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(batch) = next() {
                    for seed in batch {
                        let outcome = run(seed, options);
                        summary.lock().unwrap_or_else(PoisonError::into_inner).add(&outcome);
                    }
                }
            });
        }
    });
    summary.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn no_seed_breaks_an_invariant_on_raft_and_every_fault_and_branch_is_met() {
    no_seed_breaks_an_invariant(Consensus::Raft);
}

#[test]
fn no_seed_breaks_an_invariant_on_multi_paxos_and_every_fault_and_branch_is_met() {
    no_seed_breaks_an_invariant(Consensus::Paxos);
}

fn no_seed_breaks_an_invariant(consensus: Consensus) {
    let options = Options { consensus, diary: Diary::Never, ..Options::default() };
    let summary = run_many(SEEDS, &options);
    println!(
        "{} seeds, {:.0} s of simulated time, {} messages, {} requests, {} elections, {} commits, \
         {} faults, {} snapshots installed",
        summary.seeds,
        summary.simulated.as_secs_f64(),
        summary.messages,
        summary.requests,
        summary.elections,
        summary.commits,
        summary.coverage.faults(),
        summary.snapshots_installed
    );
    for (mark, count) in summary.coverage.iter() {
        println!("{count:>10} {mark}");
    }
    if let Some((seed, _)) = summary.failed.first() {
        for (seed, violation) in &summary.failed {
            println!("seed {seed}: {violation}");
        }
        let failed = summary.failed.len();
        let told = Options { diary: Diary::OfViolations, ..options };
        panic!("{failed} seeds failed; the first:\n{}", run(*seed, &told));
    }
    let missing: Vec<Mark> = summary.coverage.missing().collect();
    assert!(missing.is_empty(), "never met: {missing:?}");
    assert!(summary.undecided * 1_000 < summary.seeds, "{} undecided", summary.undecided);
}

#[test]
fn a_seed_has_one_course() {
    for seed in [1, 2, 3, 1_234_567_890_123, u64::MAX] {
        for nodes in [3, 5] {
            for consensus in [Consensus::Raft, Consensus::Paxos] {
                let options = Options { consensus, nodes: Some(nodes), ..Options::default() };
                let (first, second) = (run(seed, &options), run(seed, &options));
                assert_eq!(first, second, "seed {seed}");
                let told = run(seed, &Options { diary: Diary::Always, ..options });
                assert_eq!(first.trace_hash, told.trace_hash, "a diary changes nothing");
                assert!(!told.timeline.is_empty());
            }
        }
    }
}

#[test]
fn a_seed_has_the_same_course_on_every_machine() {
    let traces = TRACES.map(|(consensus, seed, _)| {
        let outcome = run(seed, &Options { consensus, ..Options::default() });
        (consensus, seed, outcome.trace_hash)
    });
    assert_eq!(traces, TRACES, "{traces:#x?}");
}

#[test]
fn what_is_switched_off_does_not_happen() {
    let calm = Options { faults: FaultSet::NONE, ..Options::default() };
    let summary = run_many(1..200, &calm);
    assert_eq!(summary.failed, []);
    assert_eq!(summary.coverage.faults(), 0, "{:?}", summary.coverage);
    assert!(summary.commits > 0);
    let mut happened = FaultSet::NONE;
    for fault in Fault::ALL {
        let faults = FaultSet::ALL.without(fault);
        for seed in 1..20 {
            let outcome =
                run(seed, &Options { faults, diary: Diary::Mishaps, ..Options::default() });
            assert!(outcome.is_clean(), "without {fault}: {outcome}");
            for befallen in outcome.befallen {
                assert_ne!(befallen.fault, fault, "it happened, though it was off");
                happened = happened.with(befallen.fault);
            }
        }
    }
    // These two go with a whole life, and are not asked for one by one.
    let whole = [Fault::TornWrite, Fault::ClockDrift].into_iter();
    assert_eq!(whole.fold(happened, FaultSet::with), FaultSet::ALL);
}

#[test]
fn any_bytes_are_a_schedule_and_give_one_course() {
    let mut random = Random::new(5);
    for length in [0, 1, 7, 100, 3_000] {
        let bytes: Vec<u8> = (0..length).map(|_| random.next_u64() as u8).collect();
        let schedule = Some(Schedule::from_bytes(&bytes));
        let options = Options { diary: Diary::Mishaps, ..Options::default() };
        let outcome = run_bytes(&[&11_u64.to_le_bytes()[..], &bytes].concat(), &options);
        assert!(outcome.is_clean(), "{outcome}");
        assert_eq!(outcome, run(11, &Options { schedule, ..options }));
        let happened = |number: u64| bytes[(number / 8) as usize] >> (number % 8) & 1 == 1;
        assert!(outcome.befallen.iter().all(|befallen| happened(befallen.number)));
        assert_eq!(outcome.befallen.is_empty(), length == 0);
    }
}

#[test]
fn an_even_load_is_as_much_as_was_asked_for() {
    let options = Options {
        operations: NonZero::new(10),
        storm: Duration::from_secs(120),
        faults: FaultSet::ALL.without(Fault::Overload),
        ..Options::default()
    };
    let summary = run_many(1..11, &options);
    assert_eq!(summary.failed, []);
    let rate = summary.requests as f64 / summary.simulated.as_secs_f64();
    assert!((8.5..10.5).contains(&rate), "{rate} requests a second");
}

#[test]
fn other_seeds_have_other_courses() {
    let options = Options::default();
    let hashes: std::collections::BTreeSet<u64> =
        (1..50).map(|seed| run(seed, &options).trace_hash).collect();
    assert_eq!(hashes.len(), 49);
}

#[test]
fn what_was_found_once_stays_mended() {
    for (consensus, seed, what) in REGRESSIONS {
        // The seeds were found when there was no harm but storms, and nobody held a lease.
        let faults = HARMS.into_iter().fold(FaultSet::ALL, FaultSet::without);
        let options = Options { consensus, faults, leases: false, ..Options::default() };
        let outcome = run(seed, &options);
        assert!(outcome.is_clean(), "{what}:\n{outcome}");
    }
}

#[test]
fn what_was_found_later_stays_mended() {
    for (consensus, seed, what) in LATER_REGRESSIONS {
        let outcome = run(seed, &Options { consensus, ..Options::default() });
        assert!(outcome.is_clean(), "{what}:\n{outcome}");
    }
}

/// Raft whose members have more patience than the world, or none at all with their starting.
struct Broken {
    raft: RaftProtocol,
    panics: bool,
}

impl Protocol for Broken {
    type Replica = Raft;

    fn law(&self) -> Law {
        Law::Terms
    }

    fn start(&self, node: NodeId, restart: Restart, seed: u64, now: Time) -> Raft {
        assert!(!self.panics, "this protocol does not start");
        self.raft.start(node, restart, seed, now)
    }
}

fn first_violation(panics: bool) -> Option<Invariant> {
    let options = Options { diary: Diary::Never, ..Options::default() };
    let outcome = run_with(1, &options, |settings, options| {
        let settings =
            Settings { election_timeout: Duration::from_secs(3_600), ..settings.clone() };
        Broken { raft: RaftProtocol::draw(&settings, options), panics }
    });
    outcome.violations.first().map(|violation| violation.invariant)
}

#[test]
fn a_cluster_that_never_works_again_is_reported() {
    assert_eq!(first_violation(false), Some(Invariant::Liveness));
}

#[test]
fn an_assertion_that_fires_is_an_outcome() {
    assert_eq!(first_violation(true), Some(Invariant::Assertion));
}
