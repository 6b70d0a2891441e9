use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use althing_consensus::{ProposalId, Refusal};
use althing_core::{Ballot, Time};
use tokio::sync::oneshot;

use crate::handle::{Applied, RequestError};

/// The proposals of this node's clients that have no outcome yet.
///
/// A proposal is *submitted* under a leadership or *parked* until there is one. When the opening
/// entry of a later leadership is applied, whatever was submitted under an earlier one and has not
/// been applied never will be, and it is parked again: clients don't notice that a leader died,
/// but for the time it takes. Nothing is ever submitted twice while it could still be committed.
///
/// # Invariants
/// - Every waiting proposal is in `waiting`, and its deadline in `deadlines`.
/// - `parked` names only proposals that are not submitted anywhere.
#[derive(Debug)]
pub(crate) struct Proposals {
    timeout: Duration,
    waiting: HashMap<ProposalId, Waiting>,
    parked: VecDeque<ProposalId>,
    /// In order, for the timeout is the same for all.
    deadlines: VecDeque<(Time, ProposalId)>,
}

#[derive(Debug)]
struct Waiting {
    envelope: Arc<[u8]>,
    respond: oneshot::Sender<Result<Applied, RequestError>>,
    since: Time,
    submitted: Option<Ballot>,
    /// Whether it may have been committed without this node noticing.
    is_in_doubt: bool,
}

impl Proposals {
    /// The most proposals that wait at a time.
    const WAITING_MAX: usize = 32_768;

    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            waiting: HashMap::new(),
            parked: VecDeque::new(),
            deadlines: VecDeque::new(),
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes one in, parked.
    pub(crate) fn park(
        &mut self,
        now: Time,
        id: ProposalId,
        envelope: Arc<[u8]>,
        respond: oneshot::Sender<Result<Applied, RequestError>>,
    ) {
        if self.waiting.len() >= Self::WAITING_MAX {
            // A client that went away does not miss the answer.
            let _ = respond.send(Err(RequestError::Overloaded));
            return;
        }
        let waiting =
            Waiting { envelope, respond, since: now, submitted: None, is_in_doubt: false };
        self.waiting.insert(id, waiting);
        self.parked.push_back(id);
        self.deadlines.push_back((now + self.timeout, id));
    }

    /// Submits what is parked with `propose`, until it is refused.
    pub(crate) fn submit_parked(
        &mut self,
        mut propose: impl FnMut(ProposalId, Arc<[u8]>) -> Result<Ballot, Refusal>,
    ) {
        while let Some(id) = self.parked.pop_front() {
            let Some(waiting) = self.waiting.get_mut(&id) else { continue };
            assert!(waiting.submitted.is_none(), "{id:?} is parked and submitted");
            match propose(id, Arc::clone(&waiting.envelope)) {
                Ok(ballot) => waiting.submitted = Some(ballot),
                Err(Refusal::NoLeader | Refusal::Transferring) => {
                    self.parked.push_front(id);
                    return;
                }
                Err(Refusal::Overloaded) => self.answer(id, Err(RequestError::Overloaded)),
            }
        }
    }

    /// The leader did not take it; it is in no log.
    pub(crate) fn refused(&mut self, id: ProposalId, reason: Refusal) {
        match reason {
            Refusal::Overloaded => self.answer(id, Err(RequestError::Overloaded)),
            // The leader remembers the name, and does not take it any more if it leads on.
            Refusal::Transferring => self.answer(id, Err(RequestError::NoLeader)),
            Refusal::NoLeader => {
                if let Some(waiting) = self.waiting.get_mut(&id) {
                    waiting.submitted = None;
                    self.parked.push_back(id);
                }
            }
        }
    }

    /// The opening entry of `ballot` was applied: what was submitted earlier is lost.
    pub(crate) fn opened(&mut self, ballot: Ballot) {
        let mut lost: Vec<(Time, ProposalId)> = Vec::new();
        for (id, waiting) in &mut self.waiting {
            let is_lost = waiting.submitted.is_some_and(|submitted| submitted < ballot);
            if is_lost && !waiting.is_in_doubt {
                waiting.submitted = None;
                lost.push((waiting.since, *id));
            }
        }
        lost.sort_unstable();
        self.parked.extend(lost.into_iter().map(|(_, id)| id));
    }

    /// A snapshot was installed: entries were passed over unseen, and what was submitted may have
    /// been among them.
    pub(crate) fn passed_over(&mut self) {
        for waiting in self.waiting.values_mut() {
            waiting.is_in_doubt = waiting.submitted.is_some();
        }
    }

    /// It was committed and applied.
    pub(crate) fn answer(&mut self, id: ProposalId, outcome: Result<Applied, RequestError>) {
        if let Some(waiting) = self.waiting.remove(&id) {
            let _ = waiting.respond.send(outcome);
        }
    }

    /// How long it has waited.
    pub(crate) fn age(&self, now: Time, id: ProposalId) -> Option<Duration> {
        self.waiting.get(&id).map(|waiting| now.since(waiting.since))
    }

    /// Gives up on what has waited too long; returns how many were left without a known outcome.
    pub(crate) fn expire(&mut self, now: Time) -> u64 {
        let mut unknown = 0;
        while let Some((_, id)) = self.deadlines.pop_front_if(|(deadline, _)| *deadline <= now) {
            let Some(waiting) = self.waiting.get(&id) else { continue };
            let error = match waiting.submitted {
                Some(_) => RequestError::TimedOut,
                None => RequestError::NoLeader,
            };
            unknown += u64::from(error == RequestError::TimedOut);
            self.answer(id, Err(error));
        }
        unknown
    }
}

#[cfg(test)]
mod tests {
    use althing_core::NodeId;

    use super::*;

    type Outcome = oneshot::Receiver<Result<Applied, RequestError>>;

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn park(proposals: &mut Proposals, id: u64) -> Outcome {
        let (respond, outcome) = oneshot::channel();
        proposals.park(Time::ZERO, ProposalId(id), b"x"[..].into(), respond);
        outcome
    }

    fn ballot(round: u64) -> Ballot {
        Ballot::new(round, NodeId::new(1).expect("not zero"))
    }

    fn submit(proposals: &mut Proposals, round: u64) -> Vec<u64> {
        let mut submitted = Vec::new();
        proposals.submit_parked(|id, _| {
            submitted.push(id.0);
            Ok(ballot(round))
        });
        submitted
    }

    #[test]
    fn a_proposal_is_submitted_again_only_once_it_is_known_to_be_lost() {
        let mut proposals = Proposals::new(TIMEOUT);
        let _outcomes: Vec<Outcome> = (1..=2).map(|id| park(&mut proposals, id)).collect();
        proposals.submit_parked(|_, _| Err(Refusal::NoLeader));
        assert_eq!(submit(&mut proposals, 3), [1, 2]);
        assert_eq!(submit(&mut proposals, 3), [0; 0], "both are on their way");
        proposals.opened(ballot(3));
        assert_eq!(submit(&mut proposals, 3), [0; 0], "the opening of their own leadership");
        proposals.opened(ballot(4));
        assert_eq!(submit(&mut proposals, 4), [1, 2]);
    }

    #[test]
    fn after_a_snapshot_the_outcome_stays_open() {
        let mut proposals = Proposals::new(TIMEOUT);
        let mut outcome = park(&mut proposals, 1);
        submit(&mut proposals, 3);
        proposals.passed_over();
        proposals.opened(ballot(4));
        assert_eq!(submit(&mut proposals, 4), [0; 0], "it may have been committed");
        assert_eq!(proposals.expire(Time::ZERO + TIMEOUT), 1);
        assert_eq!(outcome.try_recv(), Ok(Err(RequestError::TimedOut)));
    }

    #[test]
    fn what_was_never_submitted_ends_with_a_known_outcome() {
        let mut proposals = Proposals::new(TIMEOUT);
        let mut outcome = park(&mut proposals, 1);
        assert_eq!(proposals.expire(Time::ZERO + TIMEOUT), 0);
        assert_eq!(outcome.try_recv(), Ok(Err(RequestError::NoLeader)));
        assert_eq!(proposals.len(), 0);
    }
}
