use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use althing_consensus::ReadId;
use althing_core::{Index, Time};
use tokio::sync::oneshot;

use crate::handle::RequestError;

/// The reads of this node's clients that may not look at the keyspace yet.
///
/// Reads that arrive together share one *attempt*: the question to consensus how far the keyspace
/// must have come. An attempt that gets no answer is made again under a new id, never under the old
/// one: an answer to the old question may be older than the reads that have joined since.
#[derive(Debug)]
pub(crate) struct Reads {
    timeout: Duration,
    retry: Duration,
    next: u64,
    /// Not asked for yet.
    arrived: Vec<Waiting>,
    asked: HashMap<ReadId, Attempt>,
    /// Answered: they wait until the keyspace has come to the index.
    ready: BTreeMap<Index, Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    deadline: Time,
    respond: oneshot::Sender<Result<(), RequestError>>,
}

#[derive(Debug)]
struct Attempt {
    at: Time,
    waiting: Vec<Waiting>,
}

impl Reads {
    /// The most reads that wait for their attempt at a time.
    const ARRIVED_MAX: usize = 32_768;

    /// `first` must differ from run to run: the answer to a question of an earlier run may still be
    /// on its way.
    pub(crate) fn new(timeout: Duration, retry: Duration, first: u64) -> Self {
        Self {
            timeout,
            retry,
            next: first,
            arrived: Vec::new(),
            asked: HashMap::new(),
            ready: BTreeMap::new(),
        }
    }

    /// Takes a read in.
    pub(crate) fn arrive(&mut self, now: Time, respond: oneshot::Sender<Result<(), RequestError>>) {
        if self.arrived.len() >= Self::ARRIVED_MAX {
            // A client that went away does not miss the answer.
            let _ = respond.send(Err(RequestError::Overloaded));
            return;
        }
        self.arrived.push(Waiting { deadline: now + self.timeout, respond });
    }

    /// The attempt that consensus is to be asked now, if any. Without a leader nobody is asked.
    pub(crate) fn attempt(&mut self, now: Time, has_leader: bool) -> Option<ReadId> {
        if self.arrived.is_empty() || !has_leader {
            return None;
        }
        self.next = self.next.wrapping_add(1);
        let id = ReadId(self.next);
        let waiting = std::mem::take(&mut self.arrived);
        self.asked.insert(id, Attempt { at: now, waiting });
        Some(id)
    }

    /// Consensus answered: the keyspace must come to `index`.
    pub(crate) fn answered(&mut self, id: ReadId, index: Index) {
        if let Some(attempt) = self.asked.remove(&id) {
            self.ready.entry(index).or_default().extend(attempt.waiting);
        }
    }

    /// Consensus has no answer: the reads join the next attempt.
    pub(crate) fn refused(&mut self, id: ReadId) {
        if let Some(attempt) = self.asked.remove(&id) {
            self.arrived.extend(attempt.waiting);
        }
    }

    /// Another leader: what the old one was asked is asked again.
    pub(crate) fn leader_changed(&mut self) {
        for (_, attempt) in std::mem::take(&mut self.asked) {
            self.arrived.extend(attempt.waiting);
        }
    }

    /// The keyspace has come to `index`.
    pub(crate) fn applied(&mut self, index: Index) {
        while let Some(entry) = self.ready.first_entry() {
            if *entry.key() > index {
                return;
            }
            for waiting in entry.remove() {
                let _ = waiting.respond.send(Ok(()));
            }
        }
    }

    /// Gives up on what has waited too long, and asks again what got no answer.
    pub(crate) fn expire(&mut self, now: Time) {
        let late = |attempt: &Attempt| now.since(attempt.at) >= self.retry;
        let mut unanswered: Vec<ReadId> =
            self.asked.iter().filter(|(_, attempt)| late(attempt)).map(|(id, _)| *id).collect();
        unanswered.sort_unstable();
        for id in unanswered {
            self.refused(id);
        }
        give_up(&mut self.arrived, now, RequestError::NoLeader);
        self.ready.retain(|_, waiting| {
            give_up(waiting, now, RequestError::TimedOut);
            !waiting.is_empty()
        });
    }
}

fn give_up(waiting: &mut Vec<Waiting>, now: Time, error: RequestError) {
    if waiting.iter().all(|read| read.deadline > now) {
        return;
    }
    let (expired, kept) = waiting.drain(..).partition(|read| read.deadline <= now);
    *waiting = kept;
    for read in Vec::from_iter::<Vec<Waiting>>(expired) {
        let _ = read.respond.send(Err(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);
    const RETRY: Duration = Duration::from_millis(500);

    fn arrive(reads: &mut Reads) -> oneshot::Receiver<Result<(), RequestError>> {
        let (respond, outcome) = oneshot::channel();
        reads.arrive(Time::ZERO, respond);
        outcome
    }

    #[test]
    fn reads_share_an_attempt_and_wait_for_the_keyspace() {
        let mut reads = Reads::new(TIMEOUT, RETRY, 7);
        let mut outcomes = [arrive(&mut reads), arrive(&mut reads)];
        assert_eq!(reads.attempt(Time::ZERO, false), None, "nobody to ask");
        let id = reads.attempt(Time::ZERO, true).expect("two reads wait");
        assert_eq!(reads.attempt(Time::ZERO, true), None);
        reads.answered(id, Index(7));
        reads.applied(Index(6));
        assert!(outcomes[0].try_recv().is_err());
        reads.applied(Index(7));
        assert!(outcomes.iter_mut().all(|outcome| outcome.try_recv() == Ok(Ok(()))));
    }

    #[test]
    fn an_old_attempts_answer_is_worth_nothing_once_it_was_asked_again() {
        let mut reads = Reads::new(TIMEOUT, RETRY, 7);
        let mut outcome = arrive(&mut reads);
        let old = reads.attempt(Time::ZERO, true).expect("a read waits");
        reads.expire(Time::ZERO + RETRY);
        let new = reads.attempt(Time::ZERO + RETRY, true).expect("it is asked again");
        assert_ne!(old, new);
        reads.answered(old, Index(1));
        reads.applied(Index(1));
        assert!(outcome.try_recv().is_err(), "the old answer does not count");
        reads.answered(new, Index(1));
        reads.applied(Index(1));
        assert_eq!(outcome.try_recv(), Ok(Ok(())));
    }

    #[test]
    fn a_read_without_a_leader_ends() {
        let mut reads = Reads::new(TIMEOUT, RETRY, 7);
        let mut outcome = arrive(&mut reads);
        reads.expire(Time::ZERO + TIMEOUT);
        assert_eq!(outcome.try_recv(), Ok(Err(RequestError::NoLeader)));
    }
}
