use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use althing_core::Time;
use tokio::sync::oneshot;

use crate::handle::RequestError;

/// Questions of this node's clients that went to another member and have no answer yet.
#[derive(Debug)]
pub(crate) struct Questions<A> {
    asked_max: usize,
    patience: Duration,
    next: u64,
    asked: HashMap<u64, oneshot::Sender<Result<A, RequestError>>>,
    /// In order, for the patience is the same for all.
    deadlines: VecDeque<(Time, u64)>,
}

impl<A> Questions<A> {
    /// At most `asked_max` wait for their answer at a time. A question that got none for `patience`
    /// is given up on. `first` must differ from run to
    /// run: the answer to a question of an earlier run may still be on its way.
    pub(crate) fn new(asked_max: usize, patience: Duration, first: u64) -> Self {
        let (asked, deadlines) = (HashMap::new(), VecDeque::new());
        Self { asked_max, patience, next: first, asked, deadlines }
    }

    /// Takes a question in; its number, unless too many wait.
    pub(crate) fn ask(
        &mut self,
        now: Time,
        respond: oneshot::Sender<Result<A, RequestError>>,
    ) -> Option<u64> {
        if self.asked.len() >= self.asked_max {
            // A client that went away does not miss the answer.
            let _ = respond.send(Err(RequestError::Overloaded));
            return None;
        }
        self.next = self.next.wrapping_add(1);
        self.asked.insert(self.next, respond);
        self.deadlines.push_back((now + self.patience, self.next));
        Some(self.next)
    }

    /// Hands an answer to who asked.
    pub(crate) fn answer(&mut self, number: u64, answer: A) {
        if let Some(respond) = self.asked.remove(&number) {
            let _ = respond.send(Ok(answer));
        }
    }

    /// Gives up on what has waited too long.
    pub(crate) fn expire(&mut self, now: Time) {
        while let Some((_, number)) = self.deadlines.pop_front_if(|(deadline, _)| *deadline <= now)
        {
            if let Some(respond) = self.asked.remove(&number) {
                let _ = respond.send(Err(RequestError::TimedOut));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_ends() {
        let mut questions = Questions::new(2, Duration::from_secs(1), 7);
        let ask = |questions: &mut Questions<&'static str>| {
            let (respond, outcome) = oneshot::channel();
            (questions.ask(Time::ZERO, respond).expect("there is room"), outcome)
        };
        let (first, mut answered) = ask(&mut questions);
        let (second, mut forgotten) = ask(&mut questions);
        assert_ne!(first, second);
        let (respond, mut refused) = oneshot::channel();
        assert_eq!(questions.ask(Time::ZERO, respond), None, "there is no room for a third");
        assert_eq!(refused.try_recv(), Ok(Err(RequestError::Overloaded)));
        questions.answer(first, "yes");
        questions.answer(first, "no");
        questions.expire(Time::ZERO + Duration::from_secs(1));
        questions.answer(second, "late");
        assert_eq!(answered.try_recv(), Ok(Ok("yes")));
        assert_eq!(forgotten.try_recv(), Ok(Err(RequestError::TimedOut)));
    }
}
