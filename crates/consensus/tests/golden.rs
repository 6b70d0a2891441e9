//! Golden scripts: each file in `tests/scripts`, for Raft, and in
//! `tests/paxos_scripts`, for Multi-Paxos, is a scenario, with everything that followed.
//!
//! The expected output is the documentation of the protocol, so it is read before it is committed.
//! `UPDATE_GOLDENFILES=1 cargo test -p althing-consensus --test golden` writes it anew; look at the
//! difference, and commit only what the paper explains.

mod cluster;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use althing_consensus::paxos::Ballots;
use althing_consensus::raft::Terms;
use althing_consensus::replication::Protocol;
use cluster::Cluster;

/// The scripts of a protocol.
fn scripts(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let listing = fs::read_dir(folder).expect("the scripts lie beside this file");
    let mut paths: Vec<PathBuf> =
        listing.map(|file| file.expect("a readable folder").path()).collect();
    paths.sort();
    paths
}

/// What a script says when this cluster runs it; `None` if it could not be run to its end.
fn output<P: Protocol>(script: &str, mut cluster: Cluster<P>) -> Option<String> {
    let run = std::panic::AssertUnwindSafe(|| goldenscript::generate(&mut cluster, script).ok());
    catch_unwind(run).ok().flatten()
}

#[test]
fn every_script_of_raft_still_says_what_it_said() {
    run_all::<Terms>("scripts");
}

#[test]
fn every_script_of_multi_paxos_still_says_what_it_said() {
    run_all::<Ballots>("paxos_scripts");
}

fn run_all<P: Protocol>(folder: &str) {
    let failed: Vec<PathBuf> = scripts(folder)
        .into_iter()
        .filter(|path| {
            let run = || goldenscript::run(&mut Cluster::<P>::default(), path);
            match catch_unwind(run) {
                Ok(Ok(())) => false,
                Ok(Err(error)) => {
                    println!("{}: {error}", path.display());
                    true
                }
                Err(_) => true,
            }
        })
        .collect();
    assert!(failed.is_empty(), "these scripts say something else now: {failed:#?}");
}

#[test]
fn a_script_that_expects_something_else_fails() {
    let script = "cluster nodes=1\ntimeout n1\nstatus\n---\nn1@1 leader\n";
    assert_ne!(output(script, Cluster::<Terms>::default()).as_deref(), Some(script));
}

/// A wrong machine must not get through the scripts: each bug that can be planted changes what at
/// least one of them says, or trips over an assertion.
#[cfg(feature = "planted-bugs")]
mod planted {
    use althing_consensus::replication::Bug;

    use super::*;

    fn every_bug_is_told<P: Protocol>(folder: &str, bugs: &[Bug]) {
        for bug in bugs {
            let told = scripts(folder).into_iter().filter(|path| {
                let script = fs::read_to_string(path).expect("a readable script");
                output(&script, Cluster::<P>::with_bug(*bug)).as_ref() != Some(&script)
            });
            let told: Vec<PathBuf> = told.collect();
            println!("{bug:?} is told by {} scripts", told.len());
            assert!(!told.is_empty(), "no script tells {bug:?}");
        }
    }

    #[test]
    fn every_bug_planted_in_raft_is_told_by_a_script() {
        let bugs = [
            Bug::ForgetsVote,
            Bug::CommitsOldTerms,
            Bug::ReadsUnconfirmed,
            Bug::AcknowledgesEarly,
            Bug::KeepsConflicts,
            Bug::SkipsJoint,
            Bug::LeavesJointEarly,
            Bug::ChangesEarly,
            Bug::AsksNewVotersOnly,
            Bug::CountsLearners,
            Bug::CountsItself,
            Bug::KeepsConfiguration,
            Bug::ForgetsConfiguration,
            Bug::InstallsOldConfiguration,
            Bug::StaysWhenRemoved,
            Bug::LeavesSilently,
            Bug::LearnersStand,
            Bug::HandsOverBlindly,
        ];
        every_bug_is_told::<Terms>("scripts", &bugs);
    }

    #[test]
    fn every_bug_of_phase_one_is_told_by_a_script() {
        let bugs = [
            Bug::ForgetsPromise,
            Bug::ReusesBallot,
            Bug::TellsNothing,
            Bug::LowestBallotWins,
            Bug::KeepsOldBallots,
            Bug::ForgetsAcceptances,
            Bug::IgnoresLearnedMembers,
            Bug::NeedsOnePromise,
            Bug::ReadsUnconfirmed,
            Bug::AcknowledgesEarly,
            Bug::KeepsConflicts,
        ];
        every_bug_is_told::<Ballots>("paxos_scripts", &bugs);
    }
}
