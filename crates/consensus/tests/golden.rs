//! Golden scripts: each file in `tests/scripts` is a scenario, with everything that followed.
//!
//! The expected output is the documentation of the protocol, so it is read before it is committed.
//! `UPDATE_GOLDENFILES=1 cargo test -p althing-consensus --test golden` writes it anew; look at the
//! difference, and commit only what the paper explains.

mod cluster;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use cluster::Cluster;

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let listing = fs::read_dir(folder).expect("the scripts lie beside this file");
    let mut paths: Vec<PathBuf> =
        listing.map(|file| file.expect("a readable folder").path()).collect();
    paths.sort();
    paths
}

/// What a script says when a fresh cluster runs it; `None` if it could not be run to its end.
fn output(script: &str, cluster: fn() -> Cluster) -> Option<String> {
    catch_unwind(|| goldenscript::generate(&mut cluster(), script).ok()).ok().flatten()
}

#[test]
fn every_script_still_says_what_it_said() {
    let failed: Vec<PathBuf> = scripts()
        .into_iter()
        .filter(|path| {
            let run = || goldenscript::run(&mut Cluster::default(), path);
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
    assert_ne!(output(script, Cluster::default).as_deref(), Some(script));
}

/// A wrong machine must not get through the scripts: each bug that can be planted changes what at
/// least one of them says, or trips over an assertion.
#[cfg(feature = "planted-bugs")]
#[test]
fn every_planted_bug_is_told_by_a_script() {
    use althing_consensus::raft::Bug;

    let wrong: [(Bug, fn() -> Cluster); 18] = [
        (Bug::ForgetsVote, || Cluster::with_bug(Bug::ForgetsVote)),
        (Bug::CommitsOldTerms, || Cluster::with_bug(Bug::CommitsOldTerms)),
        (Bug::ReadsUnconfirmed, || Cluster::with_bug(Bug::ReadsUnconfirmed)),
        (Bug::AcknowledgesEarly, || Cluster::with_bug(Bug::AcknowledgesEarly)),
        (Bug::KeepsConflicts, || Cluster::with_bug(Bug::KeepsConflicts)),
        (Bug::SkipsJoint, || Cluster::with_bug(Bug::SkipsJoint)),
        (Bug::LeavesJointEarly, || Cluster::with_bug(Bug::LeavesJointEarly)),
        (Bug::ChangesEarly, || Cluster::with_bug(Bug::ChangesEarly)),
        (Bug::AsksNewVotersOnly, || Cluster::with_bug(Bug::AsksNewVotersOnly)),
        (Bug::CountsLearners, || Cluster::with_bug(Bug::CountsLearners)),
        (Bug::CountsItself, || Cluster::with_bug(Bug::CountsItself)),
        (Bug::KeepsConfiguration, || Cluster::with_bug(Bug::KeepsConfiguration)),
        (Bug::ForgetsConfiguration, || Cluster::with_bug(Bug::ForgetsConfiguration)),
        (Bug::InstallsOldConfiguration, || Cluster::with_bug(Bug::InstallsOldConfiguration)),
        (Bug::StaysWhenRemoved, || Cluster::with_bug(Bug::StaysWhenRemoved)),
        (Bug::LeavesSilently, || Cluster::with_bug(Bug::LeavesSilently)),
        (Bug::LearnersStand, || Cluster::with_bug(Bug::LearnersStand)),
        (Bug::HandsOverBlindly, || Cluster::with_bug(Bug::HandsOverBlindly)),
    ];
    for (bug, cluster) in wrong {
        let told = scripts().into_iter().filter(|path| {
            let script = fs::read_to_string(path).expect("a readable script");
            output(&script, cluster).as_ref() != Some(&script)
        });
        let told: Vec<PathBuf> = told.collect();
        println!("{bug:?} is told by {} scripts", told.len());
        assert!(!told.is_empty(), "no script tells {bug:?}");
    }
}
