//! What must hold whatever happens, checked after every step.
//!
//! The checker believes nobody: it keeps its own account of what each replica issued, of what is
//! durable and of what was committed, and holds every step of every node against it. The five
//! properties of Raft are those of figure 3 of the paper; with ballots for terms they hold of
//! Multi-Paxos as well. What makes them hold there is another rule, which is checked beside them:
//! a quorum accepted what is committed under one ballot.

mod invariant;
mod members;
mod memory;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use althing_consensus::{ProposalId, Role, Status};
use althing_core::{
    Acceptances, Ballot, Configuration, Entry, Index, LogId, NodeId, Op, Record, Time,
};

use crate::protocol::Law;
pub use invariant::{Invariant, Violation};
use members::{Members, agree};
use memory::{Memory, Noted, configuration_of};

/// The account of everything that happened.
#[derive(Debug)]
pub(crate) struct Checker {
    /// Whether to report also what has done no harm yet, but can.
    is_eager: bool,
    law: Law,
    nodes: BTreeMap<NodeId, Account>,
    founders: Configuration,
    members: Members,
    leaders: BTreeMap<Ballot, NodeId>,
    /// Every entry that was ever in a log: what it carries, and the ballot of the one before it.
    entries: BTreeMap<LogId, Linked>,
    /// By place, from the first on.
    committed: Vec<Committed>,
    /// By place: what was applied there first.
    applied: Vec<Applied>,
    proposals: BTreeMap<(NodeId, ProposalId), Outcome>,
    violations: Vec<Violation>,
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    refused: bool,
    applied: Option<Index>,
}

#[derive(Debug, Default)]
struct Account {
    /// As issued.
    written: Memory,
    /// As far as it is known to be durable.
    durable: Memory,
    issued: VecDeque<(Op, Vec<Record>)>,
    /// The newest durable snapshot.
    snapshot: LogId,
    /// Of this life.
    promise: Ballot,
    commit: Index,
    applied: Index,
    leads: Option<Ballot>,
    /// It may read by lease until this moment of the world.
    lease_until: Time,
    is_alive: bool,
    /// See [`Checker::snapshot_lost`].
    may_begin_earlier: bool,
    /// The members that it went by last, and the place of the entry that the checker held against
    /// it.
    went_by: Option<(Index, Arc<Configuration>)>,
    /// Changes that it appended as a leader in this step, each with the place of the one before.
    changed: Vec<(Index, LogId)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Linked {
    previous: Ballot,
    hash: u64,
}

#[derive(Clone, Copy, Debug)]
struct Committed {
    id: LogId,
    /// The reign in which it was first known to be.
    reign: Ballot,
}

#[derive(Clone, Copy, Debug)]
struct Applied {
    noted: Noted,
    /// Of the state after it, where somebody said.
    state: u64,
}

impl Account {
    /// Whether this entry, or a state with it, survives the loss of power.
    fn keeps(&self, id: LogId) -> bool {
        self.snapshot.index >= id.index
            || self.durable.begin.index >= id.index
            || self.durable.holds(id)
    }
}

impl Checker {
    pub(crate) fn new(
        nodes: &[NodeId],
        founding: &Configuration,
        law: Law,
        is_eager: bool,
    ) -> Self {
        Self {
            is_eager,
            law,
            founders: founding.clone(),
            members: Members::new(founding.clone()),
            nodes: nodes.iter().map(|node| (*node, Account::default())).collect(),
            leaders: BTreeMap::new(),
            entries: BTreeMap::new(),
            committed: Vec::new(),
            applied: Vec::new(),
            proposals: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    pub(crate) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(crate) fn into_violations(self) -> Vec<Violation> {
        self.violations
    }

    /// Elections that somebody won.
    pub(crate) fn elections(&self) -> u64 {
        self.leaders.len() as u64
    }

    /// The last committed place.
    pub(crate) fn committed(&self) -> Index {
        Index(self.committed.len() as u64)
    }

    /// The members, as far as it is committed.
    pub(crate) fn members(&self) -> &Configuration {
        self.members.committed()
    }

    /// Whether those who are up are enough, whichever of the configurations that may be in force
    /// is.
    pub(crate) fn suffice(&self, is_up: impl Fn(NodeId) -> bool) -> bool {
        let (committed, last) = self.members.committed_at(Index(u64::MAX));
        let written = self.nodes.values().flat_map(|account| {
            let written = account.written.configuration();
            [written, account.durable.configuration()].into_iter().flatten()
        });
        let issued = self.nodes.values().flat_map(|account| &account.issued);
        let issued = issued.flat_map(|(_, records)| records).flat_map(|record| match record {
            Record::Append(entries) => entries.iter().filter_map(configuration_of).collect(),
            Record::Promise(_) | Record::Begin(_) | Record::Accept(_) => Vec::new(),
        });
        let mut all = written.cloned().chain(issued).filter(|(index, _)| index > committed);
        agree(last, &is_up) && all.all(|(_, configuration)| agree(&configuration, &is_up))
    }

    pub(crate) fn report(&mut self, invariant: Invariant, detail: String) {
        self.violations.push(Violation { invariant, detail });
    }

    fn require(&mut self, holds: bool, invariant: Invariant, detail: impl FnOnce() -> String) {
        if !holds {
            self.report(invariant, detail());
        }
    }

    fn account(&mut self, node: NodeId) -> &mut Account {
        self.nodes.get_mut(&node).expect("every node has an account")
    }

    /// A node issued a write. Returns whether it replaces entries.
    pub(crate) fn issued(&mut self, node: NodeId, op: Op, records: &[Record]) -> bool {
        let mut replaces = false;
        for record in records {
            if let Record::Append(entries) = record {
                replaces |= self.appended(node, entries);
            }
            self.account(node).written.take(record);
        }
        self.account(node).issued.push_back((op, records.to_vec()));
        replaces
    }

    fn appended(&mut self, node: NodeId, entries: &[Entry]) -> bool {
        let Some(first) = entries.first() else { return false };
        let account = self.account(node);
        let overwrites = first.id.index <= account.written.last().index;
        let leads = account.leads;
        let mut previous = match account.written.at(first.id.index.previous()) {
            Some(noted) => noted.ballot,
            None => account.written.begin.ballot,
        };
        self.require(!(overwrites && leads.is_some()), Invariant::LeaderAppendOnly, || {
            format!("{node} leads in {leads:?} and overwrites {}", first.id)
        });
        self.changed(node, entries);
        for entry in entries {
            let linked = Linked { previous, hash: Noted::of(entry).hash };
            previous = entry.id.ballot;
            let known = *self.entries.entry(entry.id).or_insert(linked);
            self.require(known == linked, Invariant::LogMatching, || {
                format!(
                    "{node} has {} after an entry of {}, where another log has it after one of {}",
                    entry.id, linked.previous, known.previous
                )
            });
        }
        overwrites
    }

    /// Every change of members must fit the one before it in the log where it appears first.
    fn changed(&mut self, node: NodeId, entries: &[Entry]) {
        for entry in entries {
            let Some((index, configuration)) = configuration_of(entry) else { continue };
            if !self.members.take(entry.id, &configuration) {
                continue;
            }
            let earlier = entries.iter().take_while(|earlier| earlier.id.index < index);
            let before = match earlier.filter_map(configuration_of).last() {
                Some(before) => before,
                None => self.in_force(node, index),
            };
            if let Some(why) = Members::misstep(&before.1, &configuration) {
                let (before, id) = (&before.1, entry.id);
                let detail = format!("{node} goes from {before} to {configuration} by {id}: {why}");
                self.report(Invariant::Membership, detail);
            }
            self.account(node).changed.push((before.0, entry.id));
        }
    }

    /// The members that a node's log names before `index`, and where.
    fn in_force(&mut self, node: NodeId, index: Index) -> (Index, Arc<Configuration>) {
        let written = &self.account(node).written;
        let begin = written.begin.index;
        match written.configuration_before(index) {
            Some(found) => found.clone(),
            None => self.members.committed_at(begin).clone(),
        }
    }

    /// A node's writes up to `op` are durable.
    pub(crate) fn persisted(&mut self, node: NodeId, op: Op) {
        let law = self.law;
        let account = self.nodes.get_mut(&node).expect("every node has an account");
        let committed = &self.committed;
        let mut lost = None;
        while let Some((_, records)) = account.issued.pop_front_if(|(issued, _)| *issued <= op) {
            for record in &records {
                if let Record::Append(entries) = record {
                    lost = lost.or_else(|| overwritten(committed, &account.durable, entries));
                }
                account.durable.take(record);
                if let Record::Promise(promise) = record
                    && let Some(candidate) = promise.node
                {
                    self.members.vote(law.reign(*promise), node, candidate);
                }
            }
        }
        if let Some(id) = lost {
            self.require_kept(node, id);
        }
    }

    /// A node overwrote a committed entry. It may: a leadership that came to nothing told it to,
    /// before it heard of the later one that committed the entry with the help of others. But they
    /// must be enough.
    fn require_kept(&mut self, node: NodeId, id: LogId) {
        let keeps = |node| self.nodes.get(&node).is_some_and(|account| account.keeps(id));
        let kept = agree(self.members.committed(), keeps);
        self.require(kept, Invariant::Durability, || {
            format!("{node} overwrote {id}, which is committed, and no quorum keeps it")
        });
    }

    /// A snapshot of the state after `id` is durable on a node.
    pub(crate) fn snapshotted(&mut self, node: NodeId, id: LogId) {
        let account = self.account(node);
        if id.index > account.snapshot.index {
            account.snapshot = id;
        }
    }

    /// A node starts on a damaged disk. It may lack snapshots, if its log still has all that they
    /// stand for.
    pub(crate) fn snapshot_lost(&mut self, node: NodeId) {
        let account = self.account(node);
        account.snapshot = LogId::ZERO;
        account.may_begin_earlier = true;
    }

    /// A node died.
    pub(crate) fn ended(&mut self, node: NodeId) {
        let account = self.account(node);
        account.is_alive = false;
        account.leads = None;
    }

    /// A node starts with what its disk holds; `snapshot` is the state it was restored from, with
    /// its hash.
    pub(crate) fn recovered(
        &mut self,
        node: NodeId,
        promise: Ballot,
        begin: LogId,
        (entries, acceptances): (&[Entry], &Acceptances),
        state: u64,
    ) {
        let found = Memory::new(promise, begin, entries, acceptances);
        let account = self.account(node);
        let may_begin_earlier = std::mem::take(&mut account.may_begin_earlier);
        let is_as = |expected: &Memory| {
            expected.is_as(&found) || (may_begin_earlier && found.is_as(expected))
        };
        let mut expected = account.durable.clone();
        let mut fits = is_as(&expected);
        for (_, records) in std::mem::take(&mut account.issued) {
            for record in &records {
                expected.take(record);
            }
            fits = fits || is_as(&expected);
        }
        let (durable, snapshot) = (account.durable.last(), account.snapshot);
        account.written = found.clone();
        account.durable = found;
        if begin.index > account.snapshot.index {
            account.snapshot = begin;
        }
        account.changed.clear();
        account.went_by = None;
        account.promise = promise;
        account.commit = begin.index;
        account.applied = begin.index;
        account.is_alive = true;
        self.require(fits, Invariant::Recovery, || {
            format!(
                "{node} came back with {promise}, a log from {begin} with {} entries; durable were \
                 at least the entries up to {durable} and the snapshot at {snapshot}",
                entries.len()
            )
        });
        self.require(begin.index >= snapshot.index, Invariant::Recovery, || {
            format!("{node} came back at {begin} although a snapshot at {snapshot} was durable")
        });
        if let Some(candidate) = promise.node {
            self.members.vote(self.law.reign(promise), node, candidate);
        }
        self.state_at(node, begin.index, state);
    }

    /// A node goes on from a snapshot that it received.
    pub(crate) fn installed(&mut self, node: NodeId, id: LogId, state: u64) {
        let account = self.account(node);
        account.commit = account.commit.max(id.index);
        account.applied = account.applied.max(id.index);
        self.state_at(node, id.index, state);
    }

    fn state_at(&mut self, node: NodeId, index: Index, state: u64) {
        let Some(position) = index.0.checked_sub(1) else { return };
        let known = usize::try_from(position).ok().and_then(|at| self.applied.get(at)).copied();
        let equal = known.is_some_and(|known| known.state == state);
        self.require(equal, Invariant::EqualState, || {
            format!("{node} restored a state at {index} that nobody had there")
        });
    }

    /// A node applied an entry, and its state then had this hash.
    pub(crate) fn applied(&mut self, node: NodeId, entry: &Entry, state: u64) {
        let index = entry.id.index;
        let before = std::mem::replace(&mut self.account(node).applied, index);
        self.require(before.next() == index, Invariant::Monotonic, || {
            format!("{node} applied {index} after {before}")
        });
        let noted = Noted::of(entry);
        let position = usize::try_from(index.0 - 1).unwrap_or(usize::MAX);
        if position == self.applied.len() {
            self.applied.push(Applied { noted, state });
        }
        let Some(first) = self.applied.get(position).copied() else {
            self.report(
                Invariant::StateMachineSafety,
                format!("{node} applied {index}, and nobody the one before"),
            );
            return;
        };
        self.require(first.noted == noted, Invariant::StateMachineSafety, || {
            format!(
                "{node} applied {} where another node applied an entry of {}",
                entry.id, first.noted.ballot
            )
        });
        if first.noted == noted {
            self.require(first.state == state, Invariant::EqualState, || {
                format!("{node} has another state than others after {}", entry.id)
            });
        }
    }

    /// Whether a node leads after a step, at this moment of the world, and until when it may read
    /// by lease. Told before what it issued in that step.
    pub(crate) fn leads(
        &mut self,
        node: NodeId,
        status: &Status,
        (now, lease_until): (Time, Time),
    ) {
        let reign = self.law.reign(status.promise);
        let account = self.account(node);
        let promise = std::mem::replace(&mut account.promise, status.promise);
        let leads = (status.role == Role::Leader).then_some(reign);
        let before = std::mem::replace(&mut account.leads, leads);
        account.lease_until = lease_until;
        if status.promise < promise {
            let detail = format!("{node} promised {promise} and now only {}", status.promise);
            self.report(Invariant::Monotonic, detail);
        }
        if leads.is_some() && leads != before {
            self.elected(node, reign);
            self.require_no_lease(node, reign, now);
        }
    }

    /// How far a node's log is committed after a step. Told after what it issued in that step.
    pub(crate) fn progressed(&mut self, node: NodeId, status: &Status) {
        let is_eager = self.is_eager;
        let account = self.account(node);
        let commit = account.commit;
        account.commit = status.commit;
        // A snapshot may outlive the promise of its term, and stands for it then.
        let implied = Ballot::unvoted(account.snapshot.ballot.round);
        let written = account.written.promise.max(implied);
        if is_eager && written != status.promise {
            let promise = status.promise;
            let detail = format!("{node} acts under {promise}, but wrote down only {written}");
            self.report(Invariant::Durability, detail);
        }
        if status.commit < commit {
            let detail = format!("{node} committed up to {commit}, now up to {}", status.commit);
            self.report(Invariant::Monotonic, detail);
        }
        if status.commit > commit {
            self.committed_to(node, status.commit, status.promise);
        }
        self.goes_by(node, status);
        for (before, id) in std::mem::take(&mut self.account(node).changed) {
            let committed = self.committed();
            self.require(before <= committed, Invariant::Membership, || {
                format!("{node} appended {id} before the change at {before} was committed")
            });
        }
    }

    /// A node must go by the members that its log names.
    fn goes_by(&mut self, node: NodeId, status: &Status) {
        let (index, expected) = self.in_force(node, Index(u64::MAX));
        let founds = self.founders.contains(node);
        let account = self.account(node);
        let same = account.went_by.as_ref().is_some_and(|(at, configuration)| {
            *at == index && Arc::ptr_eq(configuration, &status.configuration)
        });
        if same {
            return;
        }
        account.went_by = Some((index, Arc::clone(&status.configuration)));
        // Who was added learns the members from the first entry that names them.
        let waits = status.configuration.is_empty() && !founds && index == Index::ZERO;
        self.require(waits || *status.configuration == *expected, Invariant::Membership, || {
            let actual = &status.configuration;
            format!("{node} goes by {actual}, but its log names {expected} at {index}")
        });
    }

    /// A proposal of this node was said never to be applied.
    pub(crate) fn proposal_refused(&mut self, node: NodeId, id: ProposalId) {
        let outcome = self.proposals.entry((node, id)).or_default();
        outcome.refused = true;
        self.require_one_outcome(node, id);
    }

    /// A proposal was applied at this place, by anyone.
    pub(crate) fn proposal_applied(&mut self, node: NodeId, id: ProposalId, index: Index) {
        let outcome = self.proposals.entry((node, id)).or_default();
        let first = *outcome.applied.get_or_insert(index);
        self.require(first == index, Invariant::ProposalOutcome, || {
            format!("proposal {} of {node} was applied at {first} and at {index}", id.0)
        });
        self.require_one_outcome(node, id);
    }

    fn require_one_outcome(&mut self, node: NodeId, id: ProposalId) {
        let Some(Outcome { refused: true, applied: Some(index) }) = self.proposals.get(&(node, id))
        else {
            return;
        };
        let detail = format!("proposal {} of {node} was refused, and applied at {index}", id.0);
        self.report(Invariant::ProposalOutcome, detail);
    }

    fn elected(&mut self, node: NodeId, reign: Ballot) {
        let leader = *self.leaders.entry(reign).or_insert(node);
        self.require(leader == node, Invariant::ElectionSafety, || {
            format!("{leader} and {node} both lead in {reign}")
        });
        let (_, configuration) = self.in_force(node, Index(u64::MAX));
        // Who is being removed is needed until that is committed.
        let votes = configuration.is_voter(node)
            || (!configuration.contains(node) && self.members.was_voter(node));
        self.require(votes, Invariant::Membership, || {
            format!("{node} leads in {reign} and is no voter of {configuration}")
        });
        if self.is_eager {
            let elected = self.members.elected(reign, node, &configuration);
            self.require(elected, Invariant::Quorum, || {
                format!("{node} leads in {reign} without the votes of {configuration}")
            });
        }
        let last = self.committed.iter().rev().find(|committed| committed.reign < reign);
        let Some(Committed { id, .. }) = last.copied() else { return };
        self.require_complete(node, reign, id);
    }

    /// Nobody may be elected while another may still read by lease.
    fn require_no_lease(&mut self, node: NodeId, reign: Ballot, now: Time) {
        let reads = |account: &Account| account.leads < Some(reign) && now < account.lease_until;
        let holder =
            self.nodes.iter().find(|(_, account)| account.leads.is_some() && reads(account));
        if self.is_eager
            && let Some((holder, _)) = holder
        {
            let detail = format!("{node} leads in {reign} while {holder} may still read by lease");
            self.report(Invariant::ReadLease, detail);
        }
    }

    /// What is committed must be in the log of every later leader; so nobody who lacks it may be
    /// able to become one, with the votes of those whose logs are no more up to date.
    fn require_unelectable_without(&mut self, node: NodeId, id: LogId) {
        let last_of = |account: &Account| account.durable.last();
        let electable = self.nodes.iter().find(|(other, account)| {
            let (begin, last) = (account.durable.begin.index, last_of(account));
            let named = account.durable.configuration();
            let (_, configuration) = named.unwrap_or_else(|| self.members.committed_at(begin));
            let waits = named.is_none() && !self.founders.contains(**other);
            let votes = |voter| self.nodes.get(&voter).is_some_and(|voter| last_of(voter) <= last);
            !account.keeps(id)
                && !waits
                && configuration.is_voter(**other)
                && agree(configuration, votes)
        });
        if let Some((other, account)) = electable {
            let last = last_of(account);
            let detail = format!(
                "{node} committed {id}, but {other}, with a log up to {last}, can still be elected"
            );
            self.report(Invariant::LeaderCompleteness, detail);
        }
    }

    /// What is called committed was accepted by a quorum under the ballot of the leader that says
    /// so, whatever ballot proposed it first: otherwise a later leader may find another entry there
    /// under a greater ballot than this one was accepted under.
    fn require_accepted(
        &mut self,
        node: NodeId,
        id: LogId,
        ballot: Ballot,
        configuration: &Configuration,
    ) {
        let accepted = |node| {
            self.nodes.get(&node).is_some_and(|account| {
                let (durable, snapshot) = (&account.durable, account.snapshot);
                let covered = snapshot.index >= id.index || durable.begin.index >= id.index;
                covered || (durable.holds(id) && durable.accepted_at(id.index) >= Some(ballot))
            })
        };
        let enough = agree(configuration, accepted);
        self.require(enough, Invariant::Durability, || {
            format!("{node} committed {id}, which no quorum accepted under {ballot}")
        });
    }

    fn require_complete(&mut self, leader: NodeId, reign: Ballot, id: LogId) {
        let written = &self.account(leader).written;
        let complete = written.begin.index >= id.index || written.holds(id);
        let last = written.last();
        self.require(complete, Invariant::LeaderCompleteness, || {
            format!(
                "{leader} leads in {reign} with a log up to {last}, without {id}, which \
                     was committed before"
            )
        });
    }

    /// A node says that its log is committed up to `to`.
    fn committed_to(&mut self, node: NodeId, to: Index, promise: Ballot) {
        let reign = self.law.reign(promise);
        let from = self.committed().next().0;
        let written = &self.account(node).written;
        let mut news = Vec::new();
        for index in from..=to.0 {
            let index = Index(index);
            match written.at(index) {
                Some(noted) => news.push(LogId::new(noted.ballot, index)),
                None if index == written.begin.index => news.push(written.begin),
                None => break,
            }
        }
        let Some(last) = news.last().copied() else { return };
        let is_command = |id: &&LogId| self.entries.get(*id).is_some_and(|linked| linked.hash != 0);
        if let Some(removed) = self.members.removed_at(node)
            && let Some(id) = news.iter().find(is_command)
        {
            let detail = format!("{node} committed {id}, and was removed at {removed}");
            self.report(Invariant::Membership, detail);
        }
        news.iter().for_each(|id| self.members.commit(*id));
        self.committed.extend(news.into_iter().map(|id| Committed { id, reign }));
        let (_, configuration) = self.in_force(node, Index(u64::MAX));
        let keeps = |node| self.nodes.get(&node).is_some_and(|account| account.keeps(last));
        let durable = agree(&configuration, keeps);
        let keepers: Vec<NodeId> = self.nodes.keys().copied().filter(|node| keeps(*node)).collect();
        self.require(durable, Invariant::Durability, || {
            format!("{node} committed {last}, durable on {keepers:?} only, under {configuration}")
        });
        if self.is_eager {
            match self.law {
                Law::Terms => self.require_unelectable_without(node, last),
                Law::Ballots => self.require_accepted(node, last, promise, &configuration),
            }
        }
        let later: Vec<(NodeId, Ballot)> = self
            .nodes
            .iter()
            .filter_map(|(other, account)| Some((*other, account.leads?)))
            .filter(|(_, leads)| *leads > reign)
            .collect();
        for (leader, reign) in later {
            self.require_complete(leader, reign, last);
        }
    }
}

/// The first committed entry that these would replace by another.
fn overwritten(committed: &[Committed], durable: &Memory, entries: &[Entry]) -> Option<LogId> {
    let first = entries.first()?.id.index;
    let from = usize::try_from(first.0 - 1).unwrap_or(usize::MAX);
    committed.get(from..)?.iter().map(|committed| committed.id).find(|id| {
        let kept = |entry: &Entry| entry.id == *id;
        durable.holds(*id) && !entries.iter().any(kept)
    })
}
