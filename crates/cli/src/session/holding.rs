//! A lock or a leadership: how it is got, and how it ends.

use std::ffi::OsString;
use std::fmt;
use std::pin::pin;
use std::time::Duration;

use super::queue::Place;
use super::under::Under;
use super::{Loss, Session, wait_for_deletion};
use crate::Outcome;
use crate::client::Client;
use crate::clock;
use crate::failure::{Failure, Kind};
use crate::signals::{Signals, exit_code};
use crate::{duration, lease};

/// What somebody wants to hold.
#[derive(Clone, Debug)]
pub(crate) struct Claim<'a> {
    /// What it is called in messages: `lock` or `leadership`.
    pub(crate) noun: &'static str,
    pub(crate) name: &'a str,
    /// What the key of the holder says.
    pub(crate) value: &'a [u8],
    /// The length of the lease that holds it.
    pub(crate) ttl: Duration,
    pub(crate) patience: Patience,
}

/// How long to wait for what another holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Forever,
    AtMost(Duration),
    /// Not at all.
    None,
}

/// How the wait ended.
#[derive(Debug)]
pub(crate) enum Acquired {
    Held(Holding),
    /// A signal asked to end while waiting; this is the exit code for that.
    Interrupted(u8),
}

/// Something that is held, until it is given back or lost.
#[derive(Debug)]
pub(crate) struct Holding {
    session: Session,
    place: Place,
    what: String,
}

impl Claim<'_> {
    /// Waits in the queue until the claim is at its front. Whatever ends the wait otherwise, the
    /// place in the queue is given back.
    pub(crate) async fn acquire(
        &self,
        client: &Client,
        signals: &mut Signals,
    ) -> Result<Acquired, Failure> {
        let mut session = Session::start(client, self.ttl).await?;
        let limit = match self.patience {
            Patience::Forever | Patience::None => Duration::MAX,
            Patience::AtMost(limit) => limit,
        };
        let got = tokio::select! {
            reached = self.reach_the_front(client, session.lease()) => reached.map(Ok),
            loss = session.lost() => Err(self.lost_while_waiting(loss)),
            () = tokio::time::sleep(limit) => Err(self.busy()),
            signal = signals.received() => Ok(Err(exit_code(signal))),
        };
        match got {
            Ok(Ok((place, revision))) => {
                session.depend_on(&place, revision);
                Ok(Acquired::Held(Holding { session, place, what: self.to_string() }))
            }
            Ok(Err(code)) => {
                leave_the_queue(session).await;
                Ok(Acquired::Interrupted(code))
            }
            Err(failure) => {
                leave_the_queue(session).await;
                Err(failure)
            }
        }
    }

    /// The own place, and a revision at which it was the first and still there.
    async fn reach_the_front(&self, client: &Client, lease: i64) -> Result<(Place, i64), Failure> {
        let place = Place::take(client, self.name, lease, self.value).await?;
        loop {
            let Some(ahead) = place.ahead(client).await? else {
                return Err(self.lost_while_waiting(Loss::KeyGone));
            };
            match ahead.key {
                None => return Ok((place, ahead.revision)),
                Some(_) if self.patience == Patience::None => return Err(self.busy()),
                Some(key) => wait_for_deletion(client, &key, ahead.revision + 1).await?,
            }
        }
    }

    fn lost_while_waiting(&self, loss: Loss) -> Failure {
        Failure::new(Kind::Lost, format!("lost the place in the queue for {self}"))
            .cause(loss.reason())
            .hint("run it again; --ttl survives a longer absence of the servers")
    }

    fn busy(&self) -> Failure {
        let message = match self.patience {
            Patience::AtMost(limit) => {
                format!("{self} was not obtained in {}", duration::show(limit))
            }
            Patience::Forever | Patience::None => format!("{self} is held by another"),
        };
        let prefix = format!("{}/", self.name);
        Failure::new(Kind::Busy, message)
            .hint(format!("`althing kv get --prefix --sort-by create '{prefix}'` shows the queue"))
    }
}

impl fmt::Display for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} `{}`", self.noun, self.name)
    }
}

impl Holding {
    /// The key that is the ownership.
    pub(crate) fn key(&self) -> &[u8] {
        &self.place.key
    }

    /// The fencing token: it grows from holder to holder.
    pub(crate) fn token(&self) -> i64 {
        self.place.token
    }

    /// The lease that it ends with, in hex.
    pub(crate) fn lease(&self) -> String {
        lease::id::show(self.session.lease())
    }

    /// Holds on until a signal asks to end, and gives it back then.
    pub(crate) async fn until_a_signal(self, signals: &mut Signals) -> Result<Outcome, Failure> {
        let loss = tokio::select! {
            loss = self.session.lost() => Some(loss),
            _ = signals.received() => None,
        };
        let what = self.what.clone();
        match loss {
            Some(loss) => Err(self.clear_away(loss).await),
            None if self.give_back().await => Ok(Outcome::Done),
            None => Err(lost(&what).cause("it was gone when it was to be given back")),
        }
    }

    /// Runs `command` with these variables in its environment, and gives back what is held when it
    /// ends. Where it is lost before, the command is ended, and gone before another can hold it.
    pub(crate) async fn run(
        self,
        command: &[OsString],
        variables: &[(&str, OsString)],
        signals: &mut Signals,
    ) -> Result<Outcome, Failure> {
        let mut under = match Under::start(command, variables) {
            Ok(under) => under,
            Err(failure) => {
                self.give_back().await;
                return Err(failure);
            }
        };
        let ended = {
            let mut loss = pin!(self.session.lost());
            loop {
                tokio::select! {
                    code = under.ended() => break Ok(code),
                    loss = &mut loss => break Err(loss),
                    signal = signals.received() => under.forward(signal),
                }
            }
        };
        let code = match ended {
            Ok(code) => code,
            Err(loss) => {
                let now = clock::now();
                let deadline = match loss {
                    Loss::Unconfirmed => self.session.term().kill_at_after(now),
                    // Another may hold it already.
                    Loss::LeaseGone | Loss::KeyGone => now,
                };
                under.end_before(deadline).await;
                return Err(self.clear_away(loss).await);
            }
        };
        let what = self.what.clone();
        if self.give_back().await {
            return Ok(Outcome::Exit(code));
        }
        let cause = format!("it was gone when the command ended, with exit code {code}");
        Err(lost(&what).cause(cause))
    }

    /// Gives it back; `false` where it was lost before.
    async fn give_back(self) -> bool {
        let Self { session, place, what } = self;
        let ttl = session.term().ttl();
        let left = place.leave(&session.client).await;
        match (left, session.end().await) {
            (Ok(was_held), _) | (Err(_), Ok(was_held)) => was_held,
            (Err(_), Err(failure)) => {
                let at_most = duration::show(ttl);
                eprintln!("{what} is free in {at_most} at most, not at once: {}", failure.message);
                true
            }
        }
    }

    /// The failure of a holding that was lost, after its lease has been ended where it is left.
    async fn clear_away(self, loss: Loss) -> Failure {
        let Self { session, what, .. } = self;
        let term = session.term();
        // A lease that has ended, or that nobody can be told to end, ends by itself; our own end
        // says that this is held no longer, and must not come later.
        tokio::select! {
            _ = session.end() => {}
            () = clock::wait_until(term.kill_at()) => {}
        }
        lost(&what).cause(loss.reason())
    }
}

/// Gives a place in the queue back that was not the front yet.
async fn leave_the_queue(session: Session) {
    // Where no server can be told, the place goes with the lease.
    let _ = session.end().await;
}

fn lost(what: &str) -> Failure {
    let hint =
        "whatever the command wrote to should compare the fencing token and refuse older ones";
    Failure::new(Kind::Lost, format!("{what} was lost")).hint(hint)
}
