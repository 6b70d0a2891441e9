//! Bugs put in on purpose: a checker that cannot fail is worth nothing.
#![cfg(feature = "planted-bugs")]

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

use althing_consensus::replication::Bug;
use althing_sim::mutants::{Kill, Mutant, catalogue};
use althing_sim::{Consensus, Invariant, Options, minimise, run};

/// Looks for all of them at once, and says which were found and which were not.
fn hunt_all(mutants: Vec<Mutant>, hunt: fn(&Mutant) -> Option<Kill>) {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let waiting = Mutex::new(VecDeque::from(mutants));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let survivors = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(mutant) = next() {
                    let Mutant { protocol, bug, .. } = mutant;
                    match hunt(&mutant) {
                        Some(Kill { seed, violation }) => {
                            println!("{protocol:?}, {bug}: seed {seed}: {violation}");
                        }
                        None => {
                            let mut survivors =
                                survivors.lock().unwrap_or_else(PoisonError::into_inner);
                            survivors.push(mutant);
                        }
                    }
                }
            });
        }
    });
    let survivors = survivors.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(survivors, [], "were not found");
}

#[test]
fn every_mutant_is_found_and_the_report_names_what_it_breaks() {
    hunt_all(catalogue(), Mutant::hunt);
}

#[test]
fn what_a_mutant_breaks_shows_in_the_harm_it_does_as_well() {
    let harmful = catalogue().into_iter().filter(|mutant| mutant.harms.is_some());
    hunt_all(harmful.collect(), Mutant::hunt_harm);
}

#[test]
fn what_a_mutant_takes_is_few_faults() {
    let bug = Some(Bug::CommitsOldTerms.into());
    let options = Options { bug, ..Options::default() };
    let mutant = catalogue().into_iter().find(|mutant| mutant.bug == Bug::CommitsOldTerms.into());
    let seed = mutant.and_then(|mutant| mutant.hunt()).expect("it is found").seed;
    let whole = run(seed, &options);
    let least = minimise(seed, &options, 600).expect("it goes wrong");
    let invariant = |outcome: &althing_sim::Outcome| outcome.violations[0].invariant;
    assert_eq!(invariant(&least), invariant(&whole));
    let (few, all) = (least.befallen.len() as u64, whole.befallen.len() as u64);
    println!("of {all} faults it takes {few}:\n{least}");
    assert!(few * 2 < all, "{few} of {all}");
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
    let durability = |seed: &u64| {
        let violations = run(*seed, &options).violations;
        violations.first().is_some_and(|first| first.invariant == Invariant::Durability)
    };
    let outcome = run((1..20).find(durability).expect("it is found"), &options);
    assert!(outcome.timeline.len() <= options.diary_lines);
    let text = outcome.to_string();
    for expected in ["Durability is violated", "AppendReply accepted", "is durable", "← n"] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }
}
