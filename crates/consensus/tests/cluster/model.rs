//! Every order in which things can happen to a small group, as far as there is time to try them:
//! which message comes next, who loses patience, whose disk answers, who dies. What is not
//! delivered is lost.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use althing_consensus::paxos::Ballots;
use althing_consensus::raft::Terms;
use stateright::{Checker, CheckerBuilder, HasDiscoveries, Model, Property, UniformChooser};

use super::*;

/// What may happen to a group, and how often.
#[derive(Clone, Copy, Debug)]
struct Plan {
    nodes: u64,
    /// How often each of the first nodes loses patience.
    timeouts: &'static [usize],
    proposals: usize,
    /// How many messages come a second time.
    repeats: usize,
    /// How often somebody dies, and starts again at once.
    deaths: usize,
    /// Whose writes are durable only when the model says so.
    slow: Option<u64>,
    bug: Option<Bug>,
}

/// A group at one moment, and what has been used up of the plan.
#[derive(Clone)]
struct Moment<P: Protocol> {
    cluster: Cluster<P>,
    timeouts: Vec<usize>,
    proposals: usize,
    repeats: usize,
    deaths: usize,
    /// An invariant was broken on the way here.
    is_broken: bool,
}

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// This message arrives, counted from the oldest under way.
    Deliver(usize),
    /// This message arrives, and stays under way.
    Repeat(usize),
    /// This node has heard nothing for as long as it is patient, or is to speak.
    Timeout(NodeId),
    /// A client proposes at this node, which leads.
    Propose(NodeId),
    /// This node's disk finishes one write.
    Persist(NodeId),
    /// This node dies, and starts again from what was durable.
    Restart(NodeId),
}

fn node(number: u64) -> NodeId {
    NodeId::new(number).expect("not zero")
}

impl<P: Protocol> Moment<P> {
    fn first(plan: &Plan) -> Self {
        let mut cluster = Cluster { bug: plan.bug, ..Cluster::default() };
        cluster.build(plan.nodes, 0, Options { bug: plan.bug, ..Options::default() }, 64);
        if let Some(slow) = plan.slow {
            cluster.set_disk(Mode::Manual, &[Node(node(slow))]).expect("there is such a node");
        }
        let timeouts = plan.timeouts.to_vec();
        let Plan { proposals, repeats, deaths, .. } = *plan;
        Self { cluster, timeouts, proposals, repeats, deaths, is_broken: false }
    }

    fn take(&mut self, step: Step) {
        let cluster = &mut self.cluster;
        match step {
            Step::Deliver(at) => {
                let flight = cluster.network.take_at(at);
                cluster.deliver(vec![flight]);
            }
            Step::Repeat(at) => {
                self.repeats -= 1;
                let flight = cluster.network.flying()[at].clone();
                cluster.deliver(vec![flight]);
            }
            Step::Timeout(node) => {
                self.timeouts[node.number() as usize - 1] -= 1;
                cluster.tick(&[Node(node)], Member::wake_at).expect("it lives");
            }
            Step::Propose(node) => {
                self.proposals -= 1;
                let commands = [format!("x={}", self.proposals)];
                cluster
                    .settle_at(Node(node), |member| member.propose(&commands))
                    .expect("it lives");
            }
            Step::Persist(node) => {
                cluster.settle_at(Node(node), |member| member.persist(1)).expect("it lives");
            }
            Step::Restart(node) => {
                self.deaths -= 1;
                let options = cluster.options.clone();
                let member = cluster.member(node).expect("there is such a node");
                member.crash();
                member.start(&options);
            }
        }
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        let flying = self.cluster.network.flying();
        steps.extend((0..flying.len()).map(Step::Deliver));
        if self.repeats > 0 {
            steps.extend((0..flying.len()).map(Step::Repeat));
        }
        let patient = self.timeouts.iter().zip(1..).filter(|(left, _)| **left > 0);
        steps.extend(patient.map(|(_, number)| Step::Timeout(node(number))));
        for (id, member) in &self.cluster.members {
            let leads = member.status().is_some_and(|status| status.role == Role::Leader);
            if leads && self.proposals > 0 {
                steps.push(Step::Propose(*id));
            }
            if member.disk.is_busy() {
                steps.push(Step::Persist(*id));
            }
            if self.deaths > 0 {
                steps.push(Step::Restart(*id));
            }
        }
    }
}

impl<P: Protocol> Moment<P> {
    /// Two ways to one moment need not both be followed on.
    fn name(&self) -> impl Hash + PartialEq {
        let mut flying: Vec<String> =
            self.cluster.network.flying().iter().map(ToString::to_string).collect();
        flying.sort_unstable();
        let members: Vec<String> = self.cluster.members.values().map(Member::dump).collect();
        let left = (self.timeouts.clone(), self.proposals, self.repeats, self.deaths);
        (flying, members, left, self.is_broken)
    }
}

impl<P: Protocol> Hash for Moment<P> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.name().hash(hasher);
    }
}

impl<P: Protocol> PartialEq for Moment<P> {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl<P: Protocol> fmt::Debug for Moment<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.cluster.members.values().map(describe)).finish()
    }
}

struct Group<P: Protocol>(Plan, PhantomData<fn() -> P>);

impl<P: Protocol> Group<P> {
    fn checker_of(plan: Plan) -> CheckerBuilder<Self> {
        Self(plan, PhantomData).checker()
    }
}

impl<P: Protocol> Model for Group<P> {
    type State = Moment<P>;
    type Action = Step;

    fn init_states(&self) -> Vec<Moment<P>> {
        vec![Moment::first(&self.0)]
    }

    fn actions(&self, moment: &Moment<P>, steps: &mut Vec<Step>) {
        if !moment.is_broken {
            moment.steps(steps);
        }
    }

    fn next_state(&self, moment: &Moment<P>, step: Step) -> Option<Moment<P>> {
        let mut next = moment.clone();
        // The cluster checks itself at every step, and the machines have assertions of their own.
        let taken = catch_unwind(AssertUnwindSafe(|| next.take(step)));
        next.is_broken |= taken.is_err();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(SAFE, |_, moment: &Moment<P>| !moment.is_broken),
            Property::sometimes(LED, |_, moment: &Moment<P>| !moment.cluster.leaders.is_empty()),
        ]
    }
}

/// So many moments are looked at by default; a soak looks at a hundred times as many.
fn moments(usual: usize) -> usize {
    if std::env::var_os("ALTHING_SOAK").is_some() { usual * 100 } else { usual }
}

const SAFE: &str = "no invariant is broken";
const LED: &str = "an epoch has a leader";

/// Goes through the first moments in every order. Returns how many there were.
fn explore<P: Protocol>(plan: Plan, most: usize) -> usize {
    let checker = Group::<P>::checker_of(plan).target_state_count(most);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let found: Vec<_> = checker.discoveries().into_keys().collect();
    assert!(!found.contains(&SAFE), "{plan:?}");
    assert!(found.contains(&LED), "nobody ever led: {plan:?}");
    checker.unique_state_count()
}

/// Follows orders drawn at random to their end, from a seed, until `most` moments were seen or an
/// invariant is broken. Returns how many there were, and whether one is.
fn walk<P: Protocol>(plan: Plan, most: usize) -> (usize, bool) {
    let checker = Group::<P>::checker_of(plan).target_state_count(most);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_simulation(1, UniformChooser).join();
    let is_broken = checker.discoveries().contains_key(SAFE);
    (checker.state_count(), is_broken)
}

/// Two would-be leaders, and a voter with a slow disk; one of the three may die.
const ELECTION: Plan = Plan {
    nodes: 3,
    timeouts: &[1, 1],
    proposals: 0,
    repeats: 0,
    deaths: 1,
    slow: Some(3),
    bug: None,
};
/// A leader and its successor, what clients propose to them, and a message that comes twice.
const LOG: Plan = Plan { proposals: 2, repeats: 1, deaths: 0, slow: None, ..ELECTION };
/// Each leads, some again, and one dies.
const TURNS: Plan = Plan { timeouts: &[2, 2, 1], repeats: 0, deaths: 1, ..LOG };

fn nothing_breaks<P: Protocol>() {
    for plan in [ELECTION, LOG, TURNS] {
        let explored = explore::<P>(plan, moments(60_000));
        let (walked, is_broken) = walk::<P>(plan, moments(60_000));
        println!("{}: {explored} moments in every order, {walked} at random: {plan:?}", P::NAME);
        assert!(!is_broken, "{plan:?}");
    }
}

#[test]
fn nothing_breaks_raft_in_whatever_order_things_happen() {
    nothing_breaks::<Terms>();
}

#[test]
fn nothing_breaks_multi_paxos_in_whatever_order_things_happen() {
    nothing_breaks::<Ballots>();
}

/// Most of them lie too deep for going through everything.
#[cfg(feature = "planted-bugs")]
fn is_found<P: Protocol>(bug: Bug, plan: Plan) {
    let (walked, is_broken) = walk::<P>(Plan { bug: Some(bug), ..plan }, 1_000_000);
    println!("{}: {bug:?} is found after {walked} moments", P::NAME);
    assert!(is_broken, "{bug:?} is not found");
}

#[cfg(feature = "planted-bugs")]
#[test]
fn planted_bugs_break_something_in_some_order() {
    is_found::<Terms>(Bug::ForgetsVote, TURNS);
    is_found::<Terms>(Bug::AcknowledgesEarly, ELECTION);
    is_found::<Terms>(Bug::KeepsConflicts, TURNS);
    is_found::<Ballots>(Bug::ForgetsPromise, TURNS);
    is_found::<Ballots>(Bug::ReusesBallot, TURNS);
    is_found::<Ballots>(Bug::TellsNothing, TURNS);
}
