use std::time::Duration;

use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{Ballot, NodeId, Time};
use althing_keyspace::{Command, Keyspace, Lessor, Reply, Timed};
use tokio::sync::oneshot;

use crate::handle::RequestError;
use crate::questions::Questions;

/// Questions about the time of leases, and on the leader the clock that answers them.
///
/// How much time a lease has is not in the log, so it is asked of the leader, from member to
/// member. An answer carries the leadership it was given under; whether that leadership still
/// counted is for the one who asked to find out, see
/// [`Handle::keep_alive`](crate::Handle::keep_alive).
#[derive(Debug)]
pub(crate) struct Leases {
    lessor: Lessor,
    /// The leadership that the lessor's clock counts under.
    ballot: Ballot,
    /// After a refusal, nothing is proposed before this.
    pause_until: Time,
    questions: Questions<LeaseTime>,
}

/// What is asked about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseQuestion {
    pub(crate) lease: i64,
    /// Give it all of its time again.
    pub(crate) renews: bool,
}

/// What the leader knows of a lease's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseTime {
    /// What the leadership is named by.
    pub(crate) ballot: Ballot,
    /// `None` if there is no such lease, or it is about to end.
    pub(crate) time: Option<Timed>,
}

/// What members say to each other about leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseMessage {
    /// To whom the sender takes for the leader.
    Ask { number: u64, question: LeaseQuestion },
    /// From the leader; nobody else answers.
    Answer { number: u64, answer: LeaseTime },
}

/// What was refused is proposed again after this long.
const PAUSE: Duration = Duration::from_millis(10);

impl Leases {
    /// The most questions that wait for their answer at a time.
    const ASKED_MAX: usize = 32_768;

    /// A question that got no answer for `patience` is given up on. `first` must differ from run to
    /// run: the answer to a question of an earlier run may still be on its way.
    pub(crate) fn new(patience: Duration, first: u64) -> Self {
        Self {
            lessor: Lessor::default(),
            ballot: Ballot::default(),
            pause_until: Time::ZERO,
            questions: Questions::new(Self::ASKED_MAX, patience, first),
        }
    }

    /// Takes in a question of a client of this node: answers it, or returns what to send to the
    /// leader.
    pub(crate) fn ask(
        &mut self,
        now: Time,
        question: LeaseQuestion,
        leader: Option<NodeId>,
        respond: oneshot::Sender<Result<LeaseTime, RequestError>>,
    ) -> Option<(NodeId, LeaseMessage)> {
        // A client that went away does not miss any of these answers.
        if let Some(answer) = self.answer(now, question) {
            let _ = respond.send(Ok(answer));
            return None;
        }
        let Some(leader) = leader else {
            let _ = respond.send(Err(RequestError::NoLeader));
            return None;
        };
        let number = self.questions.ask(now, respond)?;
        Some((leader, LeaseMessage::Ask { number, question }))
    }

    /// Takes in what another member says; returns what to answer.
    pub(crate) fn receive(&mut self, now: Time, message: LeaseMessage) -> Option<LeaseMessage> {
        match message {
            LeaseMessage::Ask { number, question } => {
                let answer = self.answer(now, question)?;
                Some(LeaseMessage::Answer { number, answer })
            }
            LeaseMessage::Answer { number, answer } => {
                self.questions.answer(number, answer);
                None
            }
        }
    }

    fn answer(&mut self, now: Time, question: LeaseQuestion) -> Option<LeaseTime> {
        if !self.lessor.is_leading() {
            return None;
        }
        let LeaseQuestion { lease, renews } = question;
        let time =
            if renews { self.lessor.renew(now, lease) } else { self.lessor.time(now, lease) };
        Some(LeaseTime { ballot: self.ballot, time })
    }

    /// This node leads under `ballot`, and everything before that is applied.
    pub(crate) fn begin(&mut self, now: Time, ballot: Ballot, keyspace: &Keyspace) {
        self.ballot = ballot;
        self.lessor.begin(now, keyspace.leases());
    }

    /// This node does not lead.
    pub(crate) fn end(&mut self) {
        self.lessor.end();
    }

    /// A command was applied, which may have begun or ended leases.
    pub(crate) fn applied(&mut self, now: Time, reply: &Reply) {
        match reply {
            Reply::LeaseGrant { id, ttl, .. } => self.lessor.granted(now, *id, *ttl),
            Reply::LeaseRevoke { id, .. } => self.lessor.ended(*id),
            Reply::LeaseExpire { ids } => ids.iter().for_each(|id| self.lessor.ended(*id)),
            Reply::LeaseNote { remaining } => {
                remaining.iter().for_each(|(id, seconds)| self.lessor.noted(*id, *seconds));
            }
            Reply::Put(_)
            | Reply::DeleteRange(_)
            | Reply::Txn(_)
            | Reply::Compact { .. }
            | Reply::PublishMember
            | Reply::Auth { .. }
            | Reply::SignIn { .. }
            | Reply::Alarm { .. } => {}
        }
    }

    /// Proposes what is due, as long as `propose` takes it. It must refuse what it cannot put into
    /// this node's own log under the ballot given, which is the leadership that the clock counts
    /// under.
    pub(crate) fn propose_due(
        &mut self,
        now: Time,
        mut propose: impl FnMut(Ballot, &Command) -> bool,
    ) {
        if now < self.pause_until {
            return;
        }
        while let Some(command) = self.lessor.due(now) {
            if !propose(self.ballot, &command) {
                self.pause_until = now + PAUSE;
                return;
            }
            self.lessor.proposed(&command);
        }
    }

    /// When [`Self::propose_due`] has something to do.
    pub(crate) fn wake_at(&self) -> Time {
        self.lessor.wake_at().max(self.pause_until)
    }

    /// Gives up on what has waited too long.
    pub(crate) fn expire(&mut self, now: Time) {
        self.questions.expire(now);
    }
}

impl LeaseMessage {
    pub(crate) fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Ask { number, question: LeaseQuestion { lease, renews } } => {
                writer.u8(1);
                writer.u64(*number);
                writer.i64(*lease);
                writer.bool(*renews);
            }
            Self::Answer { number, answer: LeaseTime { ballot, time } } => {
                writer.u8(2);
                writer.u64(*number);
                writer.ballot(*ballot);
                writer.bool(time.is_some());
                if let Some(Timed { ttl, remaining, must_note }) = time {
                    writer.i64(*ttl);
                    writer.i64(*remaining);
                    writer.bool(*must_note);
                }
            }
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            1 => Self::Ask {
                number: reader.u64()?,
                question: LeaseQuestion { lease: reader.i64()?, renews: reader.bool()? },
            },
            2 => {
                let (number, ballot) = (reader.u64()?, reader.ballot()?);
                let time = match reader.bool()? {
                    true => Some(Timed {
                        ttl: reader.i64()?,
                        remaining: reader.i64()?,
                        must_note: reader.bool()?,
                    }),
                    false => None,
                };
                Self::Answer { number, answer: LeaseTime { ballot, time } }
            }
            tag => return Err(DecodeError::UnknownTag { what: "lease message", tag }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("not zero")
    }

    fn leading() -> Leases {
        let mut leases = Leases::new(PATIENCE, 0);
        leases.begin(Time::ZERO, Ballot::new(3, node(1)), &Keyspace::new());
        leases.applied(Time::ZERO, &Reply::LeaseGrant { id: 7, ttl: 10, revision: 1 });
        leases
    }

    fn renewal(lease: i64) -> LeaseQuestion {
        LeaseQuestion { lease, renews: true }
    }

    #[test]
    fn a_question_goes_to_the_leader_and_its_answer_back() {
        let (mut leader, mut follower) = (leading(), Leases::new(PATIENCE, 40));
        let (respond, mut outcome) = oneshot::channel();
        let sent = follower.ask(Time::ZERO, renewal(7), Some(node(1)), respond);
        let (to, question) = sent.expect("somebody leads");
        assert_eq!(to, node(1));
        let answer = leader.receive(Time::ZERO, question).expect("it leads");
        for message in [question, answer] {
            let mut bytes = Vec::new();
            message.encode(&mut Writer(&mut bytes));
            assert_eq!(LeaseMessage::decode(&mut Reader::new(&bytes)), Ok(message));
        }
        assert_eq!(follower.receive(Time::ZERO, answer), None);
        let time = Some(Timed { ttl: 10, remaining: 10, must_note: false });
        assert_eq!(outcome.try_recv(), Ok(Ok(LeaseTime { ballot: Ballot::new(3, node(1)), time })));
    }

    #[test]
    fn who_does_not_lead_does_not_answer() {
        let mut follower = Leases::new(PATIENCE, 0);
        let question = LeaseMessage::Ask { number: 1, question: renewal(7) };
        assert_eq!(follower.receive(Time::ZERO, question), None);
        let mut deposed = leading();
        deposed.end();
        assert_eq!(deposed.receive(Time::ZERO, question), None);
        assert_eq!(deposed.wake_at(), Time::NEVER);
    }

    #[test]
    fn every_question_ends() {
        let mut follower = Leases::new(PATIENCE, 0);
        let (respond, mut outcome) = oneshot::channel();
        assert_eq!(follower.ask(Time::ZERO, renewal(7), None, respond), None);
        assert_eq!(outcome.try_recv(), Ok(Err(RequestError::NoLeader)));
        let (respond, mut outcome) = oneshot::channel();
        assert!(follower.ask(Time::ZERO, renewal(7), Some(node(1)), respond).is_some());
        follower.expire(Time::ZERO + PATIENCE);
        assert_eq!(outcome.try_recv(), Ok(Err(RequestError::TimedOut)));
    }

    #[test]
    fn what_is_due_is_proposed_once_and_again_if_it_was_refused() {
        let mut leases = leading();
        let mut proposed = Vec::new();
        let mut propose = |leases: &mut Leases, seconds: u64, taken: bool| {
            let now = Time::ZERO + Duration::from_secs(seconds);
            leases.propose_due(now, |ballot, command| {
                proposed.push((ballot.round, command.clone(), taken));
                taken
            });
        };
        propose(&mut leases, 4, true);
        propose(&mut leases, 9, true);
        propose(&mut leases, 10, false);
        propose(&mut leases, 11, true);
        propose(&mut leases, 12, true);
        let note = Command::LeaseNote { remaining: vec![(7, 1)] };
        let expire = Command::LeaseExpire { ids: vec![7] };
        assert_eq!(proposed, [(3, note, true), (3, expire.clone(), false), (3, expire, true)]);
    }
}
