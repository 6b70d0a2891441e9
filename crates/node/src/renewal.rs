//! What clients ask about the time of leases. The leader's clock has the answer; whether that
//! leader still led is found out here.

use std::time::Duration;

use althing_keyspace::{Command, Principal, Timed};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::handle::{Handle, Request, RequestError};
use crate::leases::{LeaseQuestion, LeaseTime};

/// A question that the present leader could not answer is put again after this long.
const PAUSE: Duration = Duration::from_millis(20);

impl Handle {
    /// Gives a lease all of its time again, counted from a moment after the call. Returns that time
    /// in seconds, or `None` if there is no such lease.
    ///
    /// # Errors
    /// See [`RequestError`]; the lease may have been kept alive all the same.
    pub async fn keep_alive(&self, lease: i64) -> Result<Option<i64>, RequestError> {
        let question = LeaseQuestion { lease, renews: true };
        let Some(time) = self.settled(question).await? else { return Ok(None) };
        Ok(Some(time.ttl))
    }

    /// How much time a lease has, or `None` if there is no such lease.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn lease_time(&self, lease: i64) -> Result<Option<Timed>, RequestError> {
        self.settled(LeaseQuestion { lease, renews: false }).await
    }

    /// Asks until there is an answer that counts.
    async fn settled(&self, question: LeaseQuestion) -> Result<Option<Timed>, RequestError> {
        let deadline = Instant::now() + self.request_timeout();
        loop {
            let unsettled = match self.ask_leader(question).await {
                Ok(answer) => match self.judge(question, answer).await? {
                    Some(settled) => return Ok(settled),
                    None => RequestError::TimedOut,
                },
                // Both pass: somebody will lead, or has begun to.
                Err(error @ (RequestError::NoLeader | RequestError::TimedOut)) => error,
                Err(error) => return Err(error),
            };
            if Instant::now() >= deadline {
                return Err(unsettled);
            }
            sleep(PAUSE).await;
        }
    }

    /// What an answer is worth; `None` if the question must be put again.
    ///
    /// The answer came before the read that is confirmed here. If the keyspace, once it is as new
    /// as that read demands, holds nothing of a later leadership, then none had begun when the
    /// answer was given, and one that begins later gives each lease at least what the log knows of.
    async fn judge(
        &self,
        question: LeaseQuestion,
        answer: LeaseTime,
    ) -> Result<Option<Option<Timed>>, RequestError> {
        let lease = question.lease;
        if let Some(Timed { ttl, must_note: true, .. }) = answer.time {
            let note = Command::LeaseNote { remaining: vec![(lease, ttl)] };
            self.propose(&Principal::Server, note).await?;
        }
        self.linearizable().await?;
        if self.applied_ballot() > answer.ballot {
            return Ok(None);
        }
        if answer.time.is_none() && self.keyspace().lease(lease).is_some() {
            // The leader has not come so far yet, or the lease's end is on its way.
            return Ok(None);
        }
        Ok(Some(answer.time))
    }

    async fn ask_leader(&self, question: LeaseQuestion) -> Result<LeaseTime, RequestError> {
        let (respond, outcome) = oneshot::channel();
        self.ask(Request::Lease { question, respond })?;
        outcome.await.unwrap_or(Err(RequestError::Stopped))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use althing_core::{Ballot, ClusterId, Index, NodeId};
    use althing_keyspace::{Keyspace, Reply};
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::consensus::Consensus;
    use crate::handle::{Applied, Facts, RequestLimits, Shared};

    /// What the leader under a ballot says of the lease, if it is asked.
    type Word = fn(ballot: Ballot) -> LeaseTime;

    /// The ballot of a node in round 3; those of two nodes differ in nothing else.
    fn ballot(node: u64) -> Ballot {
        Ballot::new(3, NodeId::new(node).expect("not zero"))
    }

    /// Keeps a lease alive with a driver that has `word` from node 1, which led, and from node 2,
    /// which leads next, once it was asked for the first time; what became of it, and what the
    /// driver was asked.
    async fn keep_alive(word: Word) -> (Result<Option<i64>, RequestError>, Vec<&'static str>) {
        let facts = Facts {
            cluster: ClusterId(1),
            node: NodeId::new(1).expect("not zero"),
            name: "only".to_owned(),
            consensus: Consensus::Raft,
            founding: BTreeMap::new(),
            quota_bytes: 1 << 20,
            limits: RequestLimits {
                timeout: Duration::from_secs(60),
                lease_seconds_min: 1,
                token_time: Duration::from_secs(300),
            },
        };
        let (_stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared::new(facts, 0, stopping, Keyspace::new()));
        let (requests, mut inbox) = mpsc::channel(16);
        let handle = Handle::new(Arc::clone(&shared), requests);
        let driver = async {
            let mut asked = Vec::new();
            let mut leading = ballot(1);
            while let Some(request) = inbox.recv().await {
                match request {
                    Request::Lease { respond, .. } => {
                        asked.push("lease");
                        let _ = respond.send(Ok(word(leading)));
                        leading = ballot(2);
                    }
                    // What is read is as new as the next leadership.
                    Request::Read { respond } => {
                        asked.push("read");
                        shared.gauge.show_applied_ballot(ballot(2));
                        let _ = respond.send(Ok(()));
                    }
                    Request::Propose { respond, .. } => {
                        asked.push("note");
                        let reply = Reply::LeaseNote { remaining: Vec::new() };
                        let _ = respond.send(Ok(Applied { reply, term: 3, index: Index(1) }));
                    }
                    Request::Members { .. } | Request::Transfer { .. } => {
                        unreachable!("it has to do with leases only");
                    }
                }
            }
            asked
        };
        let keeping = async {
            let outcome = handle.keep_alive(7).await;
            drop(handle);
            outcome
        };
        tokio::join!(keeping, driver)
    }

    #[tokio::test]
    async fn the_word_of_a_leader_that_led_no_more_does_not_count() {
        let word: Word = |ballot| {
            let ttl = if ballot == self::ballot(1) { 101 } else { 102 };
            let time = Some(Timed { ttl, remaining: ttl, must_note: false });
            LeaseTime { ballot, time }
        };
        let (outcome, asked) = keep_alive(word).await;
        assert_eq!(outcome, Ok(Some(102)), "the word of the next one does");
        assert_eq!(asked, ["lease", "read", "lease", "read"]);
    }

    #[tokio::test]
    async fn what_the_log_must_know_is_noted_before_anybody_relies_on_it() {
        let word: Word = |_| {
            let time = Some(Timed { ttl: 9, remaining: 9, must_note: true });
            LeaseTime { ballot: ballot(2), time }
        };
        let (outcome, asked) = keep_alive(word).await;
        assert_eq!((outcome, asked), (Ok(Some(9)), vec!["lease", "note", "read"]));
    }

    #[tokio::test]
    async fn a_lease_is_gone_once_the_cluster_says_so() {
        let (outcome, asked) = keep_alive(|_| LeaseTime { ballot: ballot(2), time: None }).await;
        assert_eq!((outcome, asked), (Ok(None), vec!["lease", "read"]));
    }
}
