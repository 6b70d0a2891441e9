use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use althing_core::{
    Acceptances, Ballot, Configuration, Entry, Index, LogId, NodeId, Op, Payload, Quorum, Time,
};

use super::Ballots;
use super::ask::{Ask, Outline, Promise};
use crate::replication::{Body, Bug, Candidate, Machine, Role, Stage, batch};

/// What a candidate does after it asked for promises.
#[derive(Clone, Debug)]
pub enum Phase {
    /// It gathers them.
    Asking {
        /// Whom it asked.
        asked: BTreeSet<NodeId>,
        /// What came so far.
        promises: BTreeMap<NodeId, Promised>,
    },
    /// It knows what to propose, and waits until it has itself accepted that, durably.
    Learned {
        /// The write that says so.
        written: Op,
    },
}

/// The promise of an acceptor, as far as it came.
#[derive(Clone, Debug)]
pub struct Promised {
    /// Up to here its log is the candidate's.
    previous: Index,
    /// What it holds after that.
    entries: Vec<Entry>,
    commit: Index,
    acceptances: Acceptances,
}

impl Promised {
    fn last(&self) -> Index {
        self.previous.plus(self.entries.len() as u64)
    }

    fn entry(&self, index: Index) -> Option<&Entry> {
        let position = index.0.checked_sub(self.previous.0 + 1)?;
        self.entries.get(usize::try_from(position).ok()?)
    }
}

/// An entry as one acceptor holds it.
#[derive(Clone, Copy)]
struct Held<'a> {
    /// Under which ballot it was accepted last; `None` stands above all: it is known to be chosen.
    accepted: Option<Ballot>,
    entry: &'a Entry,
}

impl Held<'_> {
    /// Whether this acceptance says more about what may be chosen than the other.
    fn outweighs(self, other: Self) -> bool {
        match (self.accepted, other.accepted) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(own), Some(other)) => own > other,
        }
    }
}

impl Machine<Ballots> {
    /// Opens a ballot of our own and asks everyone to promise it (phase 1a).
    pub(super) fn prepare(&mut self, now: Time, handed_over: bool) {
        let before = self.promise;
        self.promise = Ballot::new(before.round + 1, self.id);
        let written = if self.has(Bug::ReusesBallot) { before } else { self.promise };
        self.journal.promise(written);
        let asked: BTreeSet<NodeId> = self.fellow_voters().into_iter().collect();
        let phase = Phase::Asking { asked: asked.clone(), promises: BTreeMap::new() };
        self.candidate_of_own(now, phase);
        asked.into_iter().for_each(|acceptor| self.ask(acceptor, handed_over));
    }

    /// The ballot is durable before anyone hears of it: it is never used a second time.
    fn ask(&mut self, acceptor: NodeId, handed_over: bool) {
        let outline = self.outline();
        self.send_durably(acceptor, Body::Ask(Ask::Prepare { outline, handed_over }));
    }

    pub(super) fn outline(&self) -> Outline {
        let begin = self.log.begin();
        let mut runs: Vec<LogId> = Vec::new();
        for entry in self.log.entries_from(begin.index.next()) {
            match runs.last_mut().filter(|run| run.ballot == entry.id.ballot) {
                Some(run) => *run = entry.id,
                None => runs.push(entry.id),
            }
        }
        Outline { begin, runs }
    }

    /// Whether somebody with such a log should lead, if nobody does. It may lack what we hold, and
    /// will be told. But who lacks more than fits into a message is better led by one who has it:
    /// it would learn for long, with nobody leading meanwhile, and all in vain if it is outbid.
    /// Somebody is never refused: of those whose logs begin last, who has the greatest last entry.
    pub(super) fn would_help(&self, outline: &Outline) -> bool {
        let Some(agreed) = self.agreed_with(outline) else { return false };
        let last = self.log.last();
        let told_at_once = self.tail_within(last.index, self.options.append_bytes_max);
        agreed < outline.begin.index || outline.last() >= last || told_at_once <= agreed
    }

    /// Someone asked for a promise, which was given by entering its ballot; it is told what we
    /// accepted (phase 1b).
    pub(super) fn promise_to(&mut self, now: Time, candidate: NodeId, outline: &Outline) {
        self.be_patient(now);
        let Some(agreed) = self.agreed_with(outline) else { return };
        if agreed >= outline.begin.index {
            self.tell_accepted(candidate, agreed);
        } else {
            self.promise_without_a_say(candidate);
        }
    }

    /// We do not hold what the candidate's log begins after, which is committed. So nothing that we
    /// hold has a say in what comes next, as [`Self::found`] explains, and to tell it would only
    /// cost time: with a long log so much that others, who are told nothing meanwhile, lose their
    /// patience and outbid the candidate, time and again.
    fn promise_without_a_say(&mut self, candidate: NodeId) {
        let promise = Promise {
            previous: Index::ZERO,
            entries: Vec::new(),
            more: false,
            commit: self.commit,
            acceptances: Vec::new(),
        };
        self.send_durably(candidate, Body::Ask(Ask::Promise(promise)));
    }

    /// The last place up to which our log and this one are the same; zero if ours ends before that
    /// one begins. `None` if ours begins where that one has not come yet: then no promise would
    /// help it, for it could not be told what was chosen in between.
    fn agreed_with(&self, outline: &Outline) -> Option<Index> {
        let begin = self.log.begin().index;
        let from = begin.max(outline.begin.index);
        let mut index = self.log.last().index.min(outline.last().index);
        while index >= from {
            if outline.ballot_at(index) == self.log.ballot_at(index) {
                return Some(index);
            }
            if index == Index::ZERO {
                break;
            }
            index = index.previous();
        }
        (outline.begin.index >= begin).then_some(Index::ZERO)
    }

    /// Tells the candidate what we hold after `previous`.
    pub(super) fn tell_accepted(&mut self, candidate: NodeId, previous: Index) {
        let begin = self.log.begin().index;
        let (entries, more) = if previous < begin {
            (Vec::new(), false)
        } else {
            let rest = self.log.entries_from(previous.next());
            let (entries, _) = batch(rest, self.options.append_bytes_max);
            let told = previous.plus(entries.len() as u64);
            (entries, told < self.log.last().index)
        };
        let silent = self.has(Bug::TellsNothing);
        let promise = Promise {
            previous,
            entries: if silent { Vec::new() } else { entries },
            more: more && !silent,
            commit: self.commit,
            acceptances: self.acceptances.iter().collect(),
        };
        self.send_durably(candidate, Body::Ask(Ask::Promise(promise)));
    }

    /// An acceptor promised; this is, or begins, what it accepted.
    pub(super) fn promised(&mut self, now: Time, from: NodeId, promise: Promise) {
        let Role::Candidate(candidate) = &mut self.role else { return };
        let Stage::Asked { asking: Phase::Asking { promises, .. }, .. } = &mut candidate.stage
        else {
            return;
        };
        let Promise { previous, entries, more, commit, acceptances } = promise;
        match promises.get_mut(&from) {
            Some(known) if known.last() == previous && !entries.is_empty() => {
                known.entries.extend(entries);
                known.commit = commit;
                known.acceptances = Acceptances::new(acceptances);
            }
            // It came twice.
            Some(_) => return,
            None => {
                let acceptances = Acceptances::new(acceptances);
                promises.insert(from, Promised { previous, entries, commit, acceptances });
            }
        }
        let after = promises[&from].last();
        // As long as it learns it does not start over.
        let deadline = self.election_deadline(now);
        if let Role::Candidate(candidate) = &mut self.role {
            candidate.deadline = deadline;
        }
        if more {
            self.send(from, Body::Ask(Ask::More { after }));
        } else {
            self.count_grant(now, from);
        }
    }

    /// A quorum of our members promised. If what it accepted names other members, a quorum of those
    /// must promise as well. Then we know what may have been chosen: we accept it under our own
    /// ballot, which is to propose it again, and lead once that is durable.
    ///
    /// Who learns here that it votes no more leaves the lead to one of those from whom it learned
    /// that. But if it held all of this itself, it may be the only one that does, and leads.
    pub(super) fn learn(&mut self, now: Time) {
        let Role::Candidate(candidate) = &self.role else { return };
        let Stage::Asked { asking: Phase::Asking { asked, promises }, .. } = &candidate.stage
        else {
            return;
        };
        let found = self.found(promises);
        let members = self.members_by(&found);
        let granted = &candidate.granted;
        let is_enough = members.is_phase_one(&|node| granted.contains(&node));
        let hurries = self.has(Bug::IgnoresLearnedMembers) || self.has(Bug::NeedsOnePromise);
        if !is_enough && !hurries {
            let voters = members.nodes().into_iter();
            let own = self.id;
            let news: Vec<NodeId> =
                voters.filter(|node| *node != own && !asked.contains(node)).collect();
            self.ask_also(news);
            return;
        }
        if !members.is_voter(self.id) && found.last().is_some_and(|last| !self.is_last(last.id)) {
            self.follow(now, self.epoch(), None);
            return;
        }
        found.into_iter().for_each(|entry| self.append_entry(entry));
        self.accept_through(self.log.last().index);
        match self.journal.latest() {
            Some(written) => {
                if let Role::Candidate(Candidate { stage: Stage::Asked { asking, .. }, .. }) =
                    &mut self.role
                {
                    *asking = Phase::Learned { written };
                }
            }
            None => self.lead(now),
        }
    }

    fn is_last(&self, id: LogId) -> bool {
        self.log.last() == id
    }

    fn ask_also(&mut self, acceptors: Vec<NodeId>) {
        if let Role::Candidate(Candidate {
            stage: Stage::Asked { asking: Phase::Asking { asked, .. }, .. },
            ..
        }) = &mut self.role
        {
            asked.extend(acceptors.iter().copied());
        }
        acceptors.into_iter().for_each(|acceptor| self.ask(acceptor, false));
    }

    /// What was written is durable.
    pub(super) fn candidate_persisted(&mut self, now: Time, op: Op) {
        let Role::Candidate(candidate) = &self.role else { return };
        match &candidate.stage {
            Stage::Asked { asking: Phase::Learned { written }, .. } => {
                if *written <= op {
                    self.lead(now);
                }
            }
            Stage::Asked { own_promise, .. } => {
                if *own_promise <= op && !candidate.granted.contains(&self.id) {
                    self.count_grant(now, self.id);
                }
            }
            Stage::PreVote => {}
        }
    }

    /// The members in force once `found` follows what is committed.
    fn members_by(&self, found: &[Entry]) -> Arc<Configuration> {
        let named = found.iter().rev().find_map(|entry| match &entry.payload {
            Payload::Configuration(configuration) => Some(Arc::clone(configuration)),
            Payload::Opening | Payload::Command(_) => None,
        });
        let committed = || self.configurations.at(self.commit);
        named.or_else(|| committed().cloned()).unwrap_or_else(|| Arc::clone(&self.deciding))
    }

    /// What must be proposed again after our commit index: place by place the entry that was
    /// accepted under the greatest ballot.
    ///
    /// Only acceptors that hold what was found so far have a say in what comes next. The others
    /// hold another entry at an earlier place, under a smaller ballot. Acceptors accept in order;
    /// so had anything after that place been chosen under that ballot, the other entry would have
    /// been too, and the leader of the greater ballot would have found it.
    fn found(&self, promises: &BTreeMap<NodeId, Promised>) -> Vec<Entry> {
        let mut found: Vec<Entry> = Vec::new();
        let mut own_has_say = true;
        let mut having_say: Vec<&Promised> =
            promises.values().filter(|promised| self.agrees_on_committed(promised)).collect();
        let lowest = self.has(Bug::LowestBallotWins);
        loop {
            let index = self.commit.plus(found.len() as u64).next();
            let own = own_has_say.then(|| self.held(index)).flatten();
            let others = having_say.iter().filter_map(|promised| self.held_by(promised, index));
            let best = own
                .into_iter()
                .chain(others)
                .reduce(|best, held| if held.outweighs(best) != lowest { held } else { best });
            let Some(Held { entry, .. }) = best else { return found };
            let id = entry.id;
            found.push(entry.clone());
            own_has_say &= self.log.contains(id);
            having_say.retain(|promised| {
                self.held_by(promised, index).is_some_and(|held| held.entry.id == id)
            });
        }
    }

    /// Whether the acceptor holds what we know to be committed.
    fn agrees_on_committed(&self, promised: &Promised) -> bool {
        let last = promised.entry(self.commit).map(|entry| entry.id);
        promised.previous >= self.commit || last.is_some_and(|last| self.log.contains(last))
    }

    fn held(&self, index: Index) -> Option<Held<'_>> {
        let entry = self.log.entry(index)?;
        let accepted = Some(self.acceptances.ballot_at(index, entry.id.ballot));
        Some(Held { accepted, entry })
    }

    fn held_by<'a>(&'a self, promised: &'a Promised, index: Index) -> Option<Held<'a>> {
        let entry = if index <= promised.previous {
            self.log.entry(index)?
        } else {
            promised.entry(index)?
        };
        let accepted = promised.acceptances.ballot_at(index, entry.id.ballot);
        let accepted = (index > promised.commit).then_some(accepted);
        Some(Held { accepted, entry })
    }
}
