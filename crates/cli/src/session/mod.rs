//! A lease that is kept alive in the background, and what is held by it: a lock or a leadership.
//!
//! A session knows by itself when it is over, also when no server answers: see [`Term`]. It takes
//! the lock with the same few requests that etcd's own service does (see [`queue`]), not through
//! that service: to give up waiting, to survive a server while waiting, and to check the own key
//! again afterwards is then the same code, and this side of the wire.

mod holding;
mod leash;
mod queue;
mod under;

pub(crate) use holding::{Acquired, Claim, Holding, Patience};
pub(crate) use leash::run_if_leashed;
pub(crate) use queue::{first, prefix};

use std::time::Duration;

use althing_etcd_api::etcdserverpb::WatchCreateRequest;
use althing_etcd_api::etcdserverpb::watch_create_request::FilterType;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::{Client, Effect};
use crate::clock;
use crate::failure::{Failure, Kind};
use crate::lease;
use crate::lease::keeper::{Keeper, Renewal};
use crate::lease::term::Term;
use crate::watch::follow::{End, Following, Told};
use queue::Place;

/// A lease, and the tasks that keep it.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    lease: i64,
    state: watch::Sender<State>,
    /// They end with the session.
    tasks: JoinSet<()>,
}

/// What the tasks of a session have found out.
#[derive(Clone, Copy, Debug)]
struct State {
    term: Term,
    loss: Option<Loss>,
}

/// Why what was held is held no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The cluster says that the lease has ended.
    LeaseGone,
    /// The key that is the ownership was deleted.
    KeyGone,
    /// Nobody confirmed the lease, so that by now it may have ended.
    Unconfirmed,
}

impl Loss {
    /// The reason in words.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::LeaseGone => "its lease has ended or was revoked",
            Self::KeyGone => "its key was deleted",
            Self::Unconfirmed => {
                "no server confirmed its lease in time, so that another may hold it by now"
            }
        }
    }
}

impl Session {
    /// Begins a lease of length `ttl`, and keeps it alive.
    pub(crate) async fn start(client: &Client, ttl: Duration) -> Result<Self, Failure> {
        let sent = clock::now();
        let granted = lease::grant(client, ttl, 0, Effect::Read).await?;
        let ttl = Duration::from_secs(granted.ttl.unsigned_abs());
        let state = State { term: Term::new(sent, ttl), loss: None };
        let state = watch::Sender::new(state);
        let mut tasks = JoinSet::new();
        tasks.spawn(keep(Keeper::new(client, granted.id), state.clone()));
        Ok(Self { client: client.clone(), lease: granted.id, state, tasks })
    }

    /// The lease.
    pub(crate) fn lease(&self) -> i64 {
        self.lease
    }

    /// What is known about the lease.
    pub(crate) fn term(&self) -> Term {
        self.state.borrow().term
    }

    /// Waits until the session is over, or may be.
    pub(crate) async fn lost(&self) -> Loss {
        let mut changes = self.state.subscribe();
        loop {
            let State { term, loss } = *changes.borrow_and_update();
            if let Some(loss) = loss {
                return loss;
            }
            tokio::select! {
                changed = changes.changed() => changed.expect("the session is the sender"),
                () = clock::wait_until(term.stop_at()) => return Loss::Unconfirmed,
            }
        }
    }

    /// From now on the session is also over when this key is, which existed at `revision`.
    fn depend_on(&mut self, place: &Place, revision: i64) {
        let (client, state) = (self.client.clone(), self.state.clone());
        self.tasks.spawn(guard(client, place.clone(), revision, state));
    }

    /// Ends the lease, which deletes its keys; `false` where it had ended before.
    pub(crate) async fn end(mut self) -> Result<bool, Failure> {
        self.tasks.shutdown().await;
        match lease::revoke(&self.client, self.lease, Effect::Read).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.kind == Kind::NotFound => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

/// Keeps the lease alive for as long as it is there.
async fn keep(mut keeper: Keeper, state: watch::Sender<State>) {
    loop {
        let term = state.borrow().term;
        clock::wait_until(term.renew_at()).await;
        match keeper.renew(term.answer_max()).await {
            Ok(Renewal::Kept { sent, ttl }) => {
                state.send_modify(|state| state.term.confirm(sent, ttl));
            }
            Ok(Renewal::Gone) => return lose(&state, Loss::LeaseGone),
            Err(_) => sleep(term.pause()).await,
        }
    }
}

/// Waits until the key of `place` is deleted.
async fn guard(client: Client, place: Place, mut revision: i64, state: watch::Sender<State>) {
    loop {
        match wait_for_deletion(&client, &place.key, revision + 1).await {
            Ok(()) => {}
            // Without eyes on the key, the lease alone decides.
            Err(_) => return,
        }
        // It may have been another key of the same name, or the history was forgotten.
        match place.ahead(&client).await {
            Ok(Some(seen)) => revision = seen.revision,
            Ok(None) => return lose(&state, Loss::KeyGone),
            Err(_) => sleep(clock::LOOK).await,
        }
    }
}

fn lose(state: &watch::Sender<State>, loss: Loss) {
    state.send_modify(|state| state.loss = state.loss.or(Some(loss)));
}

/// Waits until `key` may have been deleted at `revision` or later.
async fn wait_for_deletion(client: &Client, key: &[u8], revision: i64) -> Result<(), Failure> {
    let create = WatchCreateRequest {
        key: key.to_vec().into(),
        start_revision: revision,
        filters: vec![FilterType::Noput.into()],
        ..WatchCreateRequest::default()
    };
    let mut following = Following::new(client, create);
    loop {
        match following.next().await {
            Ok(Told::Progress(_)) => {}
            Ok(Told::Events(_)) | Err(End::Compacted { .. }) => return Ok(()),
            Err(End::Refused(failure)) => return Err(failure),
        }
    }
}
