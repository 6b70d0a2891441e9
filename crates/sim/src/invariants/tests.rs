use std::sync::Arc;

use althing_consensus::Standing;
use althing_core::{Change, Configuration, Payload};

use super::*;

fn node(number: u64) -> NodeId {
    NodeId::new(number).expect("not zero")
}

fn id(round: u64, leader: u64, index: u64) -> LogId {
    LogId::new(Ballot::new(round, node(leader)), Index(index))
}

fn entry(id: LogId, text: &str) -> Entry {
    Entry { id, payload: Payload::Command(Arc::from(text.as_bytes())) }
}

fn status(role: Role, promise: Ballot, commit: u64) -> Status {
    Status {
        role,
        promise,
        leader: None,
        last: LogId::ZERO,
        durable: Index::ZERO,
        commit: Index(commit),
        begin: LogId::ZERO,
        matched: Vec::new(),
        standing: Standing::Voter,
        configuration: Configuration::of((1..=3).map(node)).into(),
        configured: Index::ZERO,
        transferring: None,
        lease_until: Time::ZERO,
    }
}

/// Three nodes that hold and know nothing.
fn checker() -> Checker {
    let nodes: Vec<NodeId> = (1..=3).map(node).collect();
    let founding = Configuration::of(nodes.iter().copied());
    let mut checker = Checker::new(&nodes, &founding, Law::Terms, false);
    for node in nodes {
        checker.recovered(node, Ballot::ZERO, LogId::ZERO, (&[], &Acceptances::default()), 0);
    }
    assert_eq!(checker.violations(), []);
    checker
}

/// Appends and makes durable.
fn write(checker: &mut Checker, at: u64, op: u64, entries: &[Entry]) {
    checker.issued(node(at), Op(op), &[Record::Append(entries.to_vec())]);
    checker.persisted(node(at), Op(op));
}

fn broken(checker: &Checker) -> Vec<Invariant> {
    checker.violations().iter().map(|violation| violation.invariant).collect()
}

#[test]
fn two_leaders_of_one_term() {
    let mut checker = checker();
    checker.leads(
        node(1),
        &status(Role::Leader, Ballot::new(1, node(1)), 0),
        (Time::ZERO, Time::ZERO),
    );
    checker.leads(
        node(2),
        &status(Role::Leader, Ballot::new(2, node(2)), 0),
        (Time::ZERO, Time::ZERO),
    );
    assert_eq!(broken(&checker), []);
    checker.leads(
        node(3),
        &status(Role::Leader, Ballot::new(2, node(3)), 0),
        (Time::ZERO, Time::ZERO),
    );
    assert_eq!(broken(&checker), [Invariant::ElectionSafety]);
}

#[test]
fn a_leader_that_overwrites() {
    let mut checker = checker();
    write(&mut checker, 1, 1, &[entry(id(1, 2, 1), "a")]);
    checker.leads(
        node(1),
        &status(Role::Leader, Ballot::new(3, node(1)), 0),
        (Time::ZERO, Time::ZERO),
    );
    write(&mut checker, 1, 2, &[entry(id(3, 1, 2), "b")]);
    assert_eq!(broken(&checker), []);
    write(&mut checker, 1, 3, &[entry(id(3, 1, 1), "c")]);
    assert_eq!(broken(&checker), [Invariant::LeaderAppendOnly]);
}

#[test]
fn an_entry_that_follows_different_ones_or_carries_different_things() {
    let mut checker = checker();
    write(&mut checker, 1, 1, &[entry(id(1, 1, 1), "a"), entry(id(2, 2, 2), "b")]);
    write(&mut checker, 2, 1, &[entry(id(1, 1, 1), "a"), entry(id(2, 2, 2), "other")]);
    assert_eq!(broken(&checker), [Invariant::LogMatching]);
    write(&mut checker, 3, 1, &[entry(id(2, 2, 1), "x"), entry(id(2, 2, 2), "b")]);
    assert_eq!(broken(&checker), [Invariant::LogMatching; 2]);
}

#[test]
fn a_commit_that_is_on_no_majority_or_leaves_its_disk() {
    let mut checker = checker();
    let entries = [entry(id(1, 1, 1), "a")];
    write(&mut checker, 1, 1, &entries);
    checker.issued(node(2), Op(1), &[Record::Append(entries.to_vec())]);
    checker.progressed(node(1), &status(Role::Leader, Ballot::new(1, node(1)), 1));
    assert_eq!(broken(&checker), [Invariant::Durability]);

    checker.persisted(node(2), Op(1));
    write(&mut checker, 2, 2, &[entry(id(2, 3, 1), "b")]);
    assert_eq!(broken(&checker), [Invariant::Durability; 2]);
}

#[test]
fn a_copy_may_be_overwritten_as_long_as_others_are_enough() {
    let mut checker = checker();
    let entries = [entry(id(1, 1, 1), "a")];
    for node in 1..=3 {
        write(&mut checker, node, 1, &entries);
    }
    checker.progressed(node(1), &status(Role::Leader, Ballot::new(1, node(1)), 1));
    write(&mut checker, 2, 2, &[entry(id(2, 3, 1), "b")]);
    assert_eq!(broken(&checker), []);
    write(&mut checker, 3, 2, &[entry(id(2, 3, 1), "b")]);
    assert_eq!(broken(&checker), [Invariant::Durability]);
}

#[test]
fn a_leader_without_what_was_committed() {
    let mut checker = checker();
    for at in [1, 2] {
        write(&mut checker, at, 1, &[entry(id(1, 1, 1), "a")]);
    }
    checker.progressed(node(1), &status(Role::Leader, Ballot::new(1, node(1)), 1));
    checker.leads(
        node(2),
        &status(Role::Leader, Ballot::new(2, node(2)), 0),
        (Time::ZERO, Time::ZERO),
    );
    assert_eq!(broken(&checker), []);
    checker.leads(
        node(3),
        &status(Role::Leader, Ballot::new(3, node(3)), 0),
        (Time::ZERO, Time::ZERO),
    );
    assert_eq!(broken(&checker), [Invariant::LeaderCompleteness]);
}

#[test]
fn a_commit_that_can_still_be_voted_away() {
    let mut checker = checker();
    checker.is_eager = true;
    // Figure 8 of the paper: an entry of term 2 on a majority, and a log that ends in term 3.
    for at in [1, 2] {
        write(&mut checker, at, 1, &[entry(id(2, 1, 1), "a")]);
    }
    write(&mut checker, 3, 1, &[entry(id(3, 3, 1), "b")]);
    let promise = Ballot::new(4, node(1));
    checker.issued(node(1), Op(2), &[Record::Promise(promise)]);
    checker.progressed(node(1), &status(Role::Leader, promise, 1));
    assert_eq!(broken(&checker), [Invariant::LeaderCompleteness]);
}

#[test]
fn other_commands_or_other_states_at_one_place() {
    let mut checker = checker();
    checker.applied(node(1), &entry(id(1, 1, 1), "a"), 77);
    checker.applied(node(2), &entry(id(1, 1, 1), "a"), 77);
    assert_eq!(broken(&checker), []);
    checker.applied(node(3), &entry(id(1, 1, 1), "b"), 77);
    checker.applied(node(1), &entry(id(1, 1, 2), "c"), 78);
    checker.applied(node(2), &entry(id(1, 1, 2), "c"), 79);
    assert_eq!(broken(&checker), [Invariant::StateMachineSafety, Invariant::EqualState]);
    checker.installed(node(3), id(1, 1, 2), 80);
    assert_eq!(broken(&checker).last(), Some(&Invariant::EqualState));
}

#[test]
fn what_falls_or_is_skipped() {
    let mut checker = checker();
    checker.leads(
        node(1),
        &status(Role::Follower, Ballot::new(2, node(3)), 0),
        (Time::ZERO, Time::ZERO),
    );
    checker.leads(
        node(1),
        &status(Role::Follower, Ballot::new(2, node(2)), 0),
        (Time::ZERO, Time::ZERO),
    );
    assert_eq!(broken(&checker), [Invariant::Monotonic]);
    checker.progressed(node(1), &status(Role::Follower, Ballot::ZERO, 2));
    checker.progressed(node(1), &status(Role::Follower, Ballot::ZERO, 1));
    assert_eq!(broken(&checker), [Invariant::Monotonic; 2]);
    checker.applied(node(2), &entry(id(1, 1, 2), "a"), 1);
    assert!(broken(&checker)[2..].contains(&Invariant::Monotonic));
}

#[test]
fn a_node_comes_back_with_some_state_that_it_was_in_since_the_last_durable_one() {
    let promise = Ballot::new(2, node(1));
    let (first, second) = (entry(id(1, 1, 1), "a"), entry(id(1, 1, 2), "b"));
    let prepared = || {
        let mut checker = checker();
        write(&mut checker, 1, 1, std::slice::from_ref(&first));
        checker.issued(node(1), Op(2), &[Record::Append(vec![second.clone()])]);
        checker.issued(node(1), Op(3), &[Record::Promise(promise)]);
        checker.ended(node(1));
        checker
    };
    let both = [first.clone(), second.clone()];
    let other = [first.clone(), entry(id(1, 1, 2), "other")];
    for (name, promise, entries, fits) in [
        ("what was durable", Ballot::ZERO, &both[..1], true),
        ("one write more", Ballot::ZERO, &both[..], true),
        ("all", promise, &both[..], true),
        ("less than was durable", Ballot::ZERO, &[][..], false),
        ("a later write without an earlier one", promise, &both[..1], false),
        ("something else", Ballot::ZERO, &other[..], false),
    ] {
        let mut checker = prepared();
        checker.recovered(node(1), promise, LogId::ZERO, (entries, &Acceptances::default()), 0);
        let expected: &[Invariant] = if fits { &[] } else { &[Invariant::Recovery] };
        assert_eq!(broken(&checker), expected, "{name}");
    }
}

#[test]
fn a_durable_snapshot_that_did_not_come_back() {
    let mut checker = checker();
    checker.snapshotted(node(1), id(1, 1, 5));
    checker.ended(node(1));
    checker.recovered(node(1), Ballot::ZERO, LogId::ZERO, (&[], &Acceptances::default()), 0);
    assert_eq!(broken(&checker), [Invariant::Recovery]);
}

#[test]
fn a_proposal_with_two_outcomes() {
    let mut checker = checker();
    checker.proposal_applied(node(1), ProposalId(7), Index(3));
    checker.proposal_applied(node(1), ProposalId(7), Index(3));
    checker.proposal_refused(node(1), ProposalId(8));
    assert_eq!(broken(&checker), []);
    checker.proposal_applied(node(1), ProposalId(7), Index(4));
    checker.proposal_applied(node(1), ProposalId(8), Index(5));
    assert_eq!(broken(&checker), [Invariant::ProposalOutcome; 2]);
}

/// The configuration of these voters, with this change made in one step.
fn members(voters: impl IntoIterator<Item = u64>, changes: &[Change]) -> Configuration {
    let before = Configuration::of(voters.into_iter().map(node));
    if changes.is_empty() { before } else { before.changed(changes).expect("it fits") }
}

fn add(number: u64) -> Change {
    Change::AddVoter { node: node(number), card: Arc::default() }
}

fn remove(number: u64) -> Change {
    Change::Remove { node: node(number) }
}

fn configures(id: LogId, configuration: &Configuration) -> Entry {
    Entry { id, payload: Payload::Configuration(configuration.clone().into()) }
}

fn goes_by(status: Status, configuration: &Configuration) -> Status {
    Status { configuration: configuration.clone().into(), ..status }
}

/// Five nodes, of which three founded the cluster; the first leads in term 1.
fn checker_of_five() -> Checker {
    let nodes: Vec<NodeId> = (1..=5).map(node).collect();
    let mut checker = Checker::new(&nodes, &members(1..=3, &[]), Law::Terms, false);
    for node in nodes {
        checker.recovered(node, Ballot::ZERO, LogId::ZERO, (&[], &Acceptances::default()), 0);
    }
    checker.leads(
        node(1),
        &status(Role::Leader, Ballot::new(1, node(1)), 0),
        (Time::ZERO, Time::ZERO),
    );
    assert_eq!(checker.violations(), []);
    checker
}

#[test]
fn two_configurations_that_decide_apart() {
    let mut checker = checker_of_five();
    let joint = members(1..=3, &[remove(1), add(4)]);
    write(&mut checker, 1, 1, &[configures(id(1, 1, 1), &joint)]);
    assert_eq!(broken(&checker), []);
    write(&mut checker, 2, 1, &[configures(id(2, 2, 1), &joint.settled())]);
    assert_eq!(broken(&checker), [Invariant::Membership]);
}

#[test]
fn a_change_before_the_last_one_is_committed() {
    for (holders, expected) in [(2, &[][..]), (1, &[Invariant::Membership][..])] {
        let mut checker = checker_of_five();
        let lead = Ballot::new(1, node(1));
        let joint = members(1..=3, &[add(4)]);
        for at in 1..=holders {
            write(&mut checker, at, 1, &[configures(id(1, 1, 1), &joint)]);
        }
        checker.progressed(node(1), &goes_by(status(Role::Leader, lead, 0), &joint));
        let settled = joint.settled();
        write(&mut checker, 1, 2, &[configures(id(1, 1, 2), &settled)]);
        let commit = u64::from(holders == 2);
        checker.progressed(node(1), &goes_by(status(Role::Leader, lead, commit), &settled));
        // Three of the four new voters would have to hold it, but that is another matter.
        let found: Vec<Invariant> =
            broken(&checker).into_iter().filter(|it| *it != Invariant::Durability).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_commit_that_only_learners_or_one_set_of_voters_hold() {
    let learner = Change::AddLearner { node: node(4), card: Arc::default() };
    for changes in [&[learner][..], &[remove(1), remove(2), remove(3), add(4), add(5)]] {
        let mut checker = checker_of_five();
        let next = members(1..=3, changes);
        for at in [1, 4, 5] {
            write(&mut checker, at, 1, &[configures(id(1, 1, 1), &next)]);
        }
        let status = status(Role::Leader, Ballot::new(1, node(1)), 1);
        checker.progressed(node(1), &goes_by(status, &next));
        assert_eq!(broken(&checker), [Invariant::Durability]);
    }
}

#[test]
fn a_node_that_goes_by_other_members_than_its_log_names() {
    let mut checker = checker_of_five();
    let follows = status(Role::Follower, Ballot::ZERO, 0);
    let waits = goes_by(follows.clone(), &Configuration::default());
    checker.progressed(node(2), &follows);
    checker.progressed(node(4), &waits);
    assert_eq!(broken(&checker), []);
    checker.progressed(node(2), &waits);
    assert_eq!(broken(&checker), [Invariant::Membership]);
}

#[test]
fn a_leader_that_is_no_voter_or_was_not_voted_for() {
    let mut checker = checker_of_five();
    checker.is_eager = true;
    let vote = [Record::Promise(Ballot::new(2, node(2)))];
    for at in [2, 4, 5] {
        checker.issued(node(at), Op(1), &vote);
        checker.persisted(node(at), Op(1));
    }
    let leads = |leader| status(Role::Leader, Ballot::new(2, node(leader)), 0);
    checker.leads(node(2), &leads(2), (Time::ZERO, Time::ZERO));
    assert_eq!(broken(&checker), [Invariant::Quorum], "4 and 5 are no members");

    let mut checker = checker_of_five();
    checker.leads(node(4), &leads(4), (Time::ZERO, Time::ZERO));
    assert_eq!(broken(&checker), [Invariant::Membership]);
}

#[test]
fn a_removed_node_that_comes_back_or_commits_a_command() {
    let mut checker = checker_of_five();
    let lead = Ballot::new(1, node(1));
    let joint = members(1..=3, &[remove(1)]);
    let settled = joint.settled();
    for (index, configuration) in [(1, &joint), (2, &settled)] {
        let entry = configures(id(1, 1, index), configuration);
        for at in 1..=3 {
            write(&mut checker, at, index, std::slice::from_ref(&entry));
        }
        let status = goes_by(status(Role::Leader, lead, index), configuration);
        checker.progressed(node(1), &status);
    }
    assert_eq!(broken(&checker), []);
    let opening = Entry { id: id(1, 1, 3), payload: Payload::Opening };
    for (index, entry) in [(3, opening), (4, entry(id(1, 1, 4), "a"))] {
        assert_eq!(broken(&checker), []);
        for at in 1..=3 {
            write(&mut checker, at, index, std::slice::from_ref(&entry));
        }
        checker.progressed(node(1), &goes_by(status(Role::Leader, lead, index), &settled));
    }
    assert_eq!(broken(&checker), [Invariant::Membership], "an opening is no command");

    let back = members(1..=3, &[]);
    write(&mut checker, 2, 5, &[configures(id(2, 2, 5), &back)]);
    assert_eq!(broken(&checker), [Invariant::Membership; 2]);
}

#[test]
fn a_leader_beside_one_who_may_read_by_lease() {
    let mut checker = Checker { is_eager: true, ..checker() };
    let lease_until = Time::from_nanos(5);
    let leads = |number| status(Role::Leader, Ballot::new(number, node(number)), 0);
    checker.leads(node(1), &leads(1), (Time::from_nanos(1), lease_until));
    checker.leads(node(2), &leads(2), (Time::from_nanos(4), Time::ZERO));
    assert!(broken(&checker).contains(&Invariant::ReadLease));

    let mut checker = Checker { is_eager: true, ..self::checker() };
    checker.leads(node(1), &leads(1), (Time::from_nanos(1), lease_until));
    checker.leads(node(2), &leads(2), (lease_until, Time::ZERO));
    assert!(!broken(&checker).contains(&Invariant::ReadLease));
}
