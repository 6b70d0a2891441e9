//! What clients ask about the time of leases. The leader's clock has the answer; whether that
//! leader still led is found out here.

use std::time::Duration;

use althing_keyspace::{Command, Timed};
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
            self.propose(&Command::LeaseNote { remaining: vec![(lease, ttl)] }).await?;
        }
        self.linearizable().await?;
        if self.applied_round() > answer.round {
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
