//! Every order of events, where they are few enough to try them all.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use althing_consensus::raft::Terms;

use super::*;

/// What can happen next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// This message arrives, counted from the oldest under way.
    Deliver(usize),
    /// The disk of n3 finishes one write.
    Persist,
    /// n3 dies and starts again, once.
    Restart,
}

/// How many steps are looked ahead.
const STEPS_MAX: usize = 8;

fn node(number: u64) -> NodeId {
    NodeId::new(number).expect("not zero")
}

/// Two candidates in term 1, both of which have asked n3 for its vote. n3's disk takes its time.
fn contested(bug: Option<Bug>) -> Cluster<Terms> {
    let mut cluster = Cluster { bug, ..Cluster::default() };
    cluster.build(3, 0, Options { bug, ..Options::default() }, 64);
    cluster.set_disk(Mode::Manual, &[Node(node(3))]).expect("there is such a node");
    for candidate in [1, 2] {
        cluster.tick(&[Node(node(candidate))], Member::wake_at).expect("there is such a node");
    }
    for kind in ["PreVote", "PreVoteReply"] {
        let selection = Selection { kind: Some(kind.to_owned()), ..Selection::default() };
        let flights = cluster.network.take(&selection);
        cluster.deliver(flights);
    }
    cluster
}

impl Cluster<Terms> {
    fn step(&mut self, step: Step) {
        let voter = Node(node(3));
        match step {
            Step::Deliver(at) => {
                let flight = self.network.take_at(at);
                self.deliver(vec![flight]);
            }
            Step::Persist => {
                self.settle_at(voter, |member| member.persist(1)).expect("n3 lives");
            }
            Step::Restart => {
                let options = self.options.clone();
                let member = self.member(voter.0).expect("there is such a node");
                member.crash();
                member.start(&options);
            }
        }
    }

    fn steps(&mut self, taken: &[Step]) -> Vec<Step> {
        let deliveries = (0..self.network.flying().len()).map(Step::Deliver);
        let restarted = taken.iter().any(|step| matches!(step, Step::Restart));
        let writes = self.members[&node(3)].disk.is_busy();
        deliveries
            .chain(writes.then_some(Step::Persist))
            .chain((!restarted).then_some(Step::Restart))
            .collect()
    }

    /// Names the state: two paths that lead to the same one need not both be followed.
    fn digest(&self, restarted: bool) -> u64 {
        let mut flying: Vec<String> =
            self.network.flying().iter().map(ToString::to_string).collect();
        flying.sort_unstable();
        let members: Vec<String> = self.members.values().map(Member::dump).collect();
        let mut hasher = DefaultHasher::new();
        (flying, members, restarted).hash(&mut hasher);
        hasher.finish()
    }
}

/// Follows every path; the invariants are checked at every step. Returns how many states there are.
fn explore(bug: Option<Bug>) -> usize {
    let mut seen = BTreeSet::new();
    let mut paths: Vec<Vec<Step>> = vec![Vec::new()];
    while let Some(path) = paths.pop() {
        let mut cluster = contested(bug);
        path.iter().for_each(|step| cluster.step(*step));
        let restarted = path.iter().any(|step| matches!(step, Step::Restart));
        if !seen.insert((path.len(), cluster.digest(restarted))) || path.len() == STEPS_MAX {
            continue;
        }
        for step in cluster.steps(&path) {
            paths.push(path.iter().copied().chain([step]).collect());
        }
    }
    seen.len()
}

#[test]
fn in_whatever_order_things_happen_a_term_has_one_leader() {
    let states = explore(None);
    println!("{states} states");
    assert!(states > 1_000, "only {states} states: there is nothing to choose from");
}

#[cfg(feature = "planted-bugs")]
#[test]
fn a_vote_that_is_forgotten_elects_two_leaders_in_some_order() {
    let found = std::panic::catch_unwind(|| explore(Some(Bug::ForgetsVote)));
    assert!(found.is_err(), "every order was tried and nothing was found");
}
