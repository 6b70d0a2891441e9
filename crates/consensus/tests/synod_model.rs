//! Every order in which messages of single-decree Paxos can arrive, be lost and be repeated, at
//! small sizes: nothing is chosen that contradicts what was chosen before.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Debug;
use std::hash::Hash;

use althing_consensus::paxos::synod::register::{Operation, Versioned};
use althing_consensus::paxos::synod::{
    Accept, Accepted, Acceptor, Bug, Change, Decide, Learner, Prepare, Promise, Proposer, Refused,
};
use althing_core::{Ballot, Majority, NodeId, Quorum as _};
use stateright::{Checker, HasDiscoveries, Model, Property};

fn node(number: u64) -> NodeId {
    NodeId::new(number).expect("not zero")
}

fn group() -> Majority {
    Majority::new((1..=3).map(node))
}

/// Proposers with what each will propose in turn, and three acceptors. Learners hear whatever was
/// accepted in several orders.
struct Group<V, C> {
    plans: Vec<Vec<C>>,
    bug: Option<Bug>,
    law: fn(&[(Ballot, V)]) -> bool,
}

/// What was sent once can arrive any number of times, at any time, or never.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Message<V> {
    Prepare(Ballot),
    Promise { from: NodeId, ballot: Ballot, accepted: Option<(Ballot, V)> },
    Accept(Ballot, V),
    Accepted { from: NodeId, ballot: Ballot, value: V },
    Refused { ballot: Ballot, promised: Ballot },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State<V, C> {
    proposers: Vec<Proposer<V, Majority, C>>,
    attempts: Vec<usize>,
    acceptors: Vec<Acceptor<V>>,
    sent: BTreeSet<Message<V>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action<V> {
    Attempt(usize),
    ToAcceptor(usize, Message<V>),
    ToProposer(usize, Message<V>),
}

impl<V: Clone + Ord + Hash, C> State<V, C> {
    /// What was chosen, in ascending order of the ballots.
    fn chosen(&self) -> Vec<(Ballot, V)> {
        let accepted = self.sent.iter().filter_map(|message| match message {
            Message::Accepted { from, ballot, value } => Some((*ballot, value, *from)),
            _ => None,
        });
        let accepted: BTreeSet<_> = accepted.collect();
        let mut chosen: Vec<(Ballot, V)> = Vec::new();
        for (ballot, value, _) in &accepted {
            let holds = |node| accepted.contains(&(*ballot, *value, node));
            let is_known = chosen.last().is_some_and(|last| last == &(*ballot, (*value).clone()));
            if group().is_phase_two(&holds) && !is_known {
                chosen.push((*ballot, (*value).clone()));
            }
        }
        chosen
    }

    /// What learners make of it that hear the acceptances in ascending or descending order, each
    /// once or twice.
    fn learned(&self) -> Vec<(Ballot, V)> {
        let accepted = self.sent.iter().filter_map(|message| match message {
            Message::Accepted { from, ballot, value } => {
                Some((*from, Accepted { ballot: *ballot, value: value.clone() }))
            }
            _ => None,
        });
        let accepted: Vec<_> = accepted.collect();
        let mut learned = Vec::new();
        let mut listen = |order: &mut dyn Iterator<Item = &(NodeId, Accepted<V>)>| {
            let mut learner = Learner::new(group());
            for (from, accepted) in order {
                let heard = learner.accepted(*from, accepted.clone());
                learned.extend(heard.map(|value| (accepted.ballot, value)));
            }
        };
        listen(&mut accepted.iter());
        listen(&mut accepted.iter().rev().chain(&accepted));
        learned
    }
}

impl<V, C> Model for Group<V, C>
where
    V: Clone + Debug + Ord + Hash + 'static,
    C: Change<V> + Clone + Debug + Eq + Hash,
{
    type State = State<V, C>;
    type Action = Action<V>;

    fn init_states(&self) -> Vec<Self::State> {
        let proposer = |number| {
            let proposer = Proposer::new(node(number), group(), 0);
            match self.bug {
                Some(bug) => proposer.with_bug(bug),
                None => proposer,
            }
        };
        vec![State {
            proposers: (1..=self.plans.len() as u64).map(proposer).collect(),
            attempts: vec![0; self.plans.len()],
            acceptors: vec![Acceptor::default(); 3],
            sent: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>) {
        for (position, plan) in self.plans.iter().enumerate() {
            if state.attempts[position] < plan.len() {
                actions.push(Action::Attempt(position));
            }
        }
        for message in &state.sent {
            match message {
                Message::Prepare(_) | Message::Accept(..) => {
                    actions.extend((0..3).map(|to| Action::ToAcceptor(to, message.clone())));
                }
                Message::Promise { ballot, .. } | Message::Refused { ballot, .. } => {
                    let proposer = ballot.node.expect("ballots are somebody's");
                    let position = proposer.number() as usize - 1;
                    actions.push(Action::ToProposer(position, message.clone()));
                }
                Message::Accepted { .. } => {}
            }
        }
    }

    fn next_state(&self, last: &Self::State, action: Self::Action) -> Option<Self::State> {
        let mut state = last.clone();
        match action {
            Action::Attempt(position) => {
                let change = self.plans[position][state.attempts[position]].clone();
                state.attempts[position] += 1;
                let Prepare(ballot) = state.proposers[position].prepare(change).written();
                state.sent.insert(Message::Prepare(ballot));
            }
            Action::ToAcceptor(to, message) => state.tell_acceptor(to, message),
            Action::ToProposer(to, message) => state.tell_proposer(to, message),
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("the law of what is chosen", |model: &Self, state: &Self::State| {
                (model.law)(&state.chosen())
            }),
            Property::always("what is learned was chosen", |_, state: &Self::State| {
                let chosen = state.chosen();
                state.learned().iter().all(|learned| chosen.contains(learned))
            }),
            Property::sometimes("a value is learned", |_, state: &Self::State| {
                !state.learned().is_empty()
            }),
            Property::sometimes("a value is chosen again", |_, state: &Self::State| {
                state.chosen().len() > 1
            }),
        ]
    }
}

impl<V: Clone + Ord + Hash, C: Change<V>> State<V, C> {
    fn tell_acceptor(&mut self, to: usize, message: Message<V>) {
        let acceptor = &mut self.acceptors[to];
        let from = node(to as u64 + 1);
        let answer = match message {
            Message::Prepare(ballot) => match acceptor.prepare(Prepare(ballot)) {
                Ok(promise) => {
                    let Promise { ballot, accepted } = promise.written();
                    let accepted = accepted.map(|accept| (accept.ballot, accept.value));
                    Message::Promise { from, ballot, accepted }
                }
                Err(Refused { ballot, promised }) => Message::Refused { ballot, promised },
            },
            Message::Accept(ballot, value) => match acceptor.accept(Accept { ballot, value }) {
                Ok(accepted) => {
                    let Accepted { ballot, value } = accepted.written();
                    Message::Accepted { from, ballot, value }
                }
                Err(Refused { ballot, promised }) => Message::Refused { ballot, promised },
            },
            _ => return,
        };
        self.sent.insert(answer);
    }

    fn tell_proposer(&mut self, to: usize, message: Message<V>) {
        match message {
            Message::Promise { from, ballot, accepted } => {
                let accepted = accepted.map(|(ballot, value)| Accept { ballot, value });
                let promise = Promise { ballot, accepted };
                if let Ok(Some(accept)) = self.proposers[to].promised(from, promise) {
                    self.sent.insert(Message::Accept(accept.ballot, accept.value));
                }
            }
            Message::Refused { ballot, promised } => {
                self.proposers[to].refused(Refused { ballot, promised });
            }
            _ => {}
        }
    }
}

/// The paper's: only one value is ever chosen.
fn one_value<V: PartialEq>(chosen: &[(Ballot, V)]) -> bool {
    chosen.windows(2).all(|pair| pair[0].1 == pair[1].1)
}

/// A register's: it never goes back, and what has the same version is the same.
fn forwards(chosen: &[(Ballot, Versioned<char>)]) -> bool {
    chosen.windows(2).all(|pair| {
        let (before, after) = (&pair[0].1, &pair[1].1);
        before.version < after.version || before == after
    })
}

fn decide(attempts: [&[char]; 2], bug: Option<Bug>) -> Group<char, Decide<char>> {
    let plans = attempts.map(|values| values.iter().map(|value| Decide(*value)).collect());
    Group { plans: plans.to_vec(), bug, law: one_value }
}

/// Explores everything, or until something is wrong; what is.
fn explore<V, C>(group: Group<V, C>, states_max: usize) -> (usize, Vec<&'static str>)
where
    V: Clone + Debug + Ord + Hash + Send + Sync + 'static,
    C: Change<V> + Clone + Debug + Eq + Hash + Send + Sync + 'static,
{
    let checker = group.checker().target_state_count(states_max);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let broken = checker.discoveries().into_keys();
    (checker.unique_state_count(), broken.filter(|name| !is_wanted(name)).collect())
}

fn is_wanted(property: &str) -> bool {
    property.starts_with("a value")
}

/// So many states are looked at by default; a soak looks at all of them.
fn states_max() -> usize {
    if std::env::var_os("ALTHING_SOAK").is_some() { usize::MAX } else { 400_000 }
}

#[test]
fn only_one_value_is_chosen_in_whatever_order_messages_come() {
    let (states, broken) = explore(decide([&['a'], &['b']], None), usize::MAX);
    println!("two proposers, one attempt each: {states} states, all of them");
    assert_eq!(broken, [""; 0]);
    let (states, broken) = explore(decide([&['a', 'a'], &['b', 'b']], None), states_max());
    println!("two attempts each: {states} states");
    assert_eq!(broken, [""; 0]);
}

#[test]
fn a_register_never_goes_back() {
    let cas = |version, value| Operation::CompareAndSet { version, value: Some(value) };
    let plans = vec![vec![cas(0, 'a')], vec![Operation::Set(Some('b')), Operation::Read]];
    let group = Group { plans, bug: None, law: forwards };
    let (states, broken) = explore(group, states_max());
    println!("a register: {states} states");
    assert_eq!(broken, [""; 0]);
}

/// A checker that finds nothing wrong with a wrong machine would prove nothing. Some bugs lie too
/// deep for going through everything, so these walks are random, from a seed.
#[cfg(feature = "planted-bugs")]
#[test]
fn every_planted_bug_is_found() {
    use stateright::UniformChooser;

    for bug in [Bug::IgnoresAccepted, Bug::TakesLeast, Bug::CountsNoQuorum, Bug::MixesBallots] {
        let group = decide([&['a', 'a'], &['b', 'b']], Some(bug));
        let checker = group.checker().target_state_count(1_000_000);
        let checker = checker.finish_when(HasDiscoveries::AnyFailures);
        let checker = checker.spawn_simulation(1, UniformChooser).join();
        let broken: Vec<_> =
            checker.discoveries().into_keys().filter(|name| !is_wanted(name)).collect();
        println!("{bug:?} is found after {} states", checker.state_count());
        assert!(!broken.is_empty(), "{bug:?} is not found");
    }
}

#[test]
fn deciding_refuses_nothing() {
    let kept: Result<char, Infallible> = Decide('b').apply(Some(&'a'));
    assert_eq!(kept, Ok('a'));
    assert_eq!(Decide('b').apply(None), Ok('b'));
}
