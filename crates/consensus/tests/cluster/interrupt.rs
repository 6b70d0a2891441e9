//! A change of members, a snapshot on its way and a transfer of the leadership, struck at every
//! message: whatever is lost or dies at whichever moment, the group must serve again, whole, with
//! the members from before or those from after, and with nothing lost.

use std::time::Duration;

use althing_consensus::paxos::Ballots;
use althing_consensus::raft::Terms;

use super::*;

/// What is being done when the blow falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// The leader goes, another node comes: a joint configuration, and a leader that retires.
    ReplaceLeader,
    /// A follower goes, another node comes.
    ReplaceFollower,
    /// The leader goes, and of two voters one is left.
    LeaveOne,
    /// A learner becomes a voter.
    Promote,
    /// The leader hands over to a follower that lags behind.
    HandOver,
    /// A follower comes back that lacks what the log does not hold any more: it is sent a snapshot,
    /// in pieces.
    CatchUp,
}

/// What befalls a message, and those around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Loses,
    Repeats,
    KillsSender,
    KillsReceiver,
    CutsOffSender,
    CutsOffReceiver,
    /// All nodes die at once.
    KillsAll,
}

const WORKS: [Work; 6] = [
    Work::ReplaceLeader,
    Work::ReplaceFollower,
    Work::LeaveOne,
    Work::Promote,
    Work::HandOver,
    Work::CatchUp,
];
const BLOWS: [Blow; 7] = [
    Blow::Loses,
    Blow::Repeats,
    Blow::KillsSender,
    Blow::KillsReceiver,
    Blow::CutsOffSender,
    Blow::CutsOffReceiver,
    Blow::KillsAll,
];

/// How many heartbeats the group has to serve again: ten election timeouts.
const ROUNDS_MAX: usize = 100;

fn node(number: u64) -> NodeId {
    NodeId::new(number).expect("not zero")
}

impl<P: Protocol> Cluster<P> {
    /// Three nodes, or two, and one that waits. n1 leads, and the work is begun.
    fn at_work(work: Work, bug: Option<Bug>) -> Self {
        let mut cluster = Self { bug, ..Self::default() };
        let nodes = if work == Work::LeaveOne { 2 } else { 3 };
        let catches_up = work == Work::CatchUp;
        let keep_bytes = if catches_up { 0 } else { Options::default().keep_bytes };
        let chunk_bytes = if catches_up { 8 } else { 64 };
        cluster.build(nodes, 1, Options { bug, keep_bytes, ..Options::default() }, chunk_bytes);
        cluster.tick(&[Node(node(1))], Member::wake_at).expect("there is such a node");
        cluster.stabilize().expect("it comes to rest");
        let n1 = Node(node(1));
        let mut begin = |changes: &[(&str, u64)]| {
            let steps = changes.iter().map(|(step, number)| {
                change(&((*step).to_owned(), Node(node(*number)))).expect("a step")
            });
            let steps: Vec<Change> = steps.collect();
            cluster.settle_at(n1, |member| member.change(&steps)).expect("n1 lives");
        };
        match work {
            Work::ReplaceLeader => begin(&[("remove", 1), ("add", 4)]),
            Work::ReplaceFollower => begin(&[("remove", 3), ("add", 4)]),
            Work::LeaveOne => begin(&[("remove", 1)]),
            Work::Promote => {
                begin(&[("learner", 4)]);
                cluster.stabilize().expect("it comes to rest");
                let promote = [Change::Promote { node: node(4) }];
                cluster.settle_at(n1, |member| member.change(&promote)).expect("n1 lives");
            }
            Work::HandOver => {
                let commands = ["x=1".to_owned()];
                cluster.settle_at(n1, |member| member.propose(&commands)).expect("n1 lives");
                let to = node(3);
                cluster.settle_at(n1, |member| member.transfer(to)).expect("n1 lives");
            }
            Work::CatchUp => {
                cluster.kill(node(3));
                let commands = ["x=1", "a=1", "b=2", "c=3", "d=4", "e=5"].map(str::to_owned);
                cluster.settle_at(n1, |member| member.propose(&commands)).expect("n1 lives");
                cluster.stabilize().expect("it comes to rest");
                cluster.settle_at(n1, |member| member.snapshot()).expect("n1 lives");
                let options = cluster.options.clone();
                cluster.members.get_mut(&node(3)).expect("it waits").start(&options);
                let beat = |member: &Member<P>| member.now() + Duration::from_millis(100);
                cluster.tick(&[n1], beat).expect("n1 lives");
            }
        }
        cluster
    }

    fn kill(&mut self, node: NodeId) {
        self.members.get_mut(&node).expect("there is such a node").crash();
    }

    fn strike(&mut self, blow: Blow, flight: Flight<P>) {
        let (from, to) = (flight.from, flight.to);
        match blow {
            Blow::Loses => return,
            Blow::Repeats => {
                self.deliver(vec![flight.clone()]);
            }
            Blow::KillsSender => self.kill(from),
            Blow::KillsReceiver => {
                self.kill(to);
                return;
            }
            Blow::CutsOffSender => self.network.isolate(BTreeSet::from([from])),
            Blow::CutsOffReceiver => self.network.isolate(BTreeSet::from([to])),
            Blow::KillsAll => {
                let all: Vec<NodeId> = self.members.keys().copied().collect();
                all.into_iter().for_each(|node| self.kill(node));
            }
        }
        self.deliver(vec![flight]);
    }

    /// Delivers everything, oldest first, and strikes the message with this number. Returns how
    /// many there were.
    fn work_on(&mut self, blow: Option<(Blow, usize)>) -> usize {
        for count in 0..DELIVERIES_MAX {
            if self.network.flying().is_empty() {
                return count;
            }
            let flight = self.network.take_at(0);
            match blow {
                Some((blow, number)) if number == count => self.strike(blow, flight),
                _ => {
                    self.deliver(vec![flight]);
                }
            }
        }
        panic!("the messages do not come to an end");
    }

    /// What is done is done. Whoever can be missing stays away first for as long as the others
    /// need to go on without it; then everybody is back.
    fn recover(&mut self) {
        self.pass_time(30);
        let options = self.options.clone();
        for member in self.members.values_mut().filter(|member| !member.is_alive()) {
            member.start(&options);
        }
        self.network.isolate(BTreeSet::new());
        for round in 0.. {
            self.pass_time(1);
            match self.flaw() {
                None => return,
                Some(flaw) => assert!(round < ROUNDS_MAX, "after {round} rounds: {flaw}"),
            }
        }
    }

    /// One heartbeat after the other, and what follows.
    fn pass_time(&mut self, rounds: usize) {
        for _ in 0..rounds {
            // Not all clocks run at the same speed, or all would stand for election at once.
            let step =
                |member: &Member<P>| member.now() + Duration::from_millis(100 + member.id.number());
            self.tick(&[], step).expect("all are there");
            self.stabilize().expect("it comes to rest");
        }
    }

    /// Why the group does not serve yet.
    fn flaw(&self) -> Option<String> {
        let statuses = || self.members.values().filter_map(|m| Some((m.id, m.status()?)));
        let leaders: Vec<_> =
            statuses().filter(|(_, status)| status.role == Role::Leader).collect();
        let [(leader, leads)] = &leaders[..] else {
            return Some(format!("{} leaders", leaders.len()));
        };
        let members = &leads.configuration;
        if members.is_joint() || !members.voters().contains(*leader) {
            return Some(format!("{leader} leads {members}"));
        }
        let late = statuses().find(|(id, status)| {
            members.contains(*id) && (status.commit, status.last) != (leads.last.index, leads.last)
        });
        late.map(|(id, status)| format!("{id} is late: {status:?}"))
    }

    /// The members, and what the state machines of all of them hold after one more command.
    fn serve(&mut self) -> (Configuration, String) {
        let mut statuses = self.members.values().filter_map(|m| Some((m.id, m.status()?)));
        let (leader, status) =
            statuses.find(|(_, status)| status.role == Role::Leader).expect("one leads");
        let commands = ["y=2".to_owned()];
        self.settle_at(Node(leader), |member| member.propose(&commands)).expect("it lives");
        self.stabilize().expect("it comes to rest");
        let members = Configuration::clone(&status.configuration);
        let state = self.members[&leader].state().to_string();
        for (node, _) in members.members() {
            assert_eq!(self.members[&node].state().to_string(), state, "{node}");
        }
        assert!(state.ends_with("y=2"), "{leader} does not serve: {state}");
        (members, state)
    }

    /// The last committed configuration.
    fn chosen_members(&self) -> Option<String> {
        self.chosen.values().rev().find_map(|entry| match &entry.payload {
            Payload::Configuration(configuration) => Some(configuration.to_string()),
            Payload::Opening | Payload::Command(_) => None,
        })
    }
}

/// Strikes every message of every work in every way. Returns how often.
fn strike_everywhere<P: Protocol>(bug: Option<Bug>) -> usize {
    let mut strikes = 0;
    for work in WORKS {
        let mut before = Cluster::<P>::at_work(work, bug);
        let begun = before.chosen_members();
        let count = before.work_on(None);
        assert_eq!(before.flaw(), None, "{work:?}, undisturbed");
        let done = before.chosen_members();
        if work == Work::CatchUp {
            let status = before.members[&node(3)].status().expect("it lives");
            assert!(status.begin.index > Index::ZERO, "it goes on from a snapshot");
        }
        let keeps_members = matches!(work, Work::HandOver | Work::CatchUp);
        assert_eq!(begun == done, keeps_members, "{work:?} does what it should");
        for (blow, number) in BLOWS.iter().flat_map(|blow| (0..count).map(move |n| (*blow, n))) {
            let mut cluster = Cluster::<P>::at_work(work, bug);
            cluster.work_on(Some((blow, number)));
            let decided = cluster.chosen_members() != begun;
            cluster.recover();
            let (members, state) = cluster.serve();
            let what = format!("{work:?}, message {number} {blow:?}: {members} [{state}]");
            let settled = cluster.chosen_members();
            assert!(settled == begun || settled == done, "{what}");
            assert!(!decided || settled == done, "what was decided is done: {what}");
            if keeps_members {
                let lost = cluster
                    .chosen
                    .values()
                    .any(|entry| entry.payload == Payload::Command(b"x=1"[..].into()));
                assert_eq!(lost, state.contains("x=1"), "what was committed is there: {what}");
            }
            strikes += 1;
        }
    }
    strikes
}

#[test]
fn whatever_interrupts_a_change_or_a_snapshot_or_a_transfer_the_group_serves_again() {
    for strikes in [strike_everywhere::<Terms>(None), strike_everywhere::<Ballots>(None)] {
        println!("{strikes} strikes");
        assert!(strikes > 600, "only {strikes}: there is nothing to interrupt");
    }
}

#[cfg(feature = "planted-bugs")]
#[test]
fn an_interruption_tells_of_members_that_are_forgotten_or_stay_or_leave_too_early() {
    let told = |strike: fn(Option<Bug>) -> usize, bug| {
        let found = std::panic::catch_unwind(|| strike(Some(bug)));
        assert!(found.is_err(), "{bug:?} got through");
    };
    for bug in [Bug::ForgetsConfiguration, Bug::StaysWhenRemoved] {
        told(strike_everywhere::<Terms>, bug);
        told(strike_everywhere::<Ballots>, bug);
    }
    // Whoever leads under Multi-Paxos learns what only one holds, so none of these blows tells.
    told(strike_everywhere::<Terms>, Bug::LeavesSilently);
}
