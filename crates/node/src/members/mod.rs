//! Who belongs to the cluster, and how that is changed at an operator's wish.
//!
//! The truth is the configuration in the log, of which
//! `crates/consensus/src/replication/membership.rs` tells the rules. A change is asked of the
//! leader, from member to member and beside the log; its answer only says that the change is in its
//! log. That it was made shows in the committed configuration, here as anywhere,
//! and until it does it is asked for again: every change can be asked for twice.
//!
//! A new member never counts at once, for it holds nothing: it joins as a learner, and if it is to
//! vote the leader sees to that once it has caught up. So a cluster of one can grow without
//! standing still, also when the new member never comes.

mod card;
mod change;
mod message;
mod roster;

use std::time::Duration;

use althing_core::NodeId;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

pub(crate) use card::{Card, address, decode_texts, encode_texts, is_peer_url};
pub(crate) use change::MemberChange;
pub use change::MemberError;
pub(crate) use message::{MemberAnswer, MemberMessage, Verdict};
pub(crate) use roster::Roster;

use crate::handle::{Handle, Request, RequestError};

/// The most questions about members that wait for their answer at a time.
pub(crate) const MEMBER_QUESTIONS_MAX: usize = 1024;
/// A change that could not be begun is asked for again after this long.
const PAUSE: Duration = Duration::from_millis(20);
/// One that was begun and does not show is asked for again after this long.
const DOUBT: Duration = Duration::from_secs(1);

/// Why a change of the members, or of the leader, was not made, or may not have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The change makes no sense, or is not safe now. Nothing changed.
    #[error(transparent)]
    Refused(#[from] MemberError),
    /// There is no answer. Only if nobody led or too much was asked did nothing change.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Only the leader can hand its leadership over. Nothing changed.
    #[error("etcdserver: not leader")]
    NotLeader,
    /// It is no voter, so it cannot lead. Nothing changed.
    #[error("etcdserver: bad leader transferee")]
    BadTransferee,
    /// The other did not come up to date or was not elected in time; this node may lead on.
    #[error("etcdserver: request timed out, leader transfer took too long")]
    TransferTookTooLong,
}

impl Handle {
    /// Adds a member that its peers find at these URLs, and returns its id. It joins as a learner;
    /// unless it is to remain one, it gets its vote by itself once it has caught up.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn add_member(
        &self,
        peer_urls: Vec<String>,
        is_learner: bool,
    ) -> Result<NodeId, ChangeError> {
        let node = loop {
            let known = self.roster();
            // What was an id once never is one again.
            match NodeId::new(self.fresh_number()) {
                Some(node) if !known.knows(node) && !known.has_removed(node) => break node,
                _ => {}
            }
        };
        let change = MemberChange::Add { node, peer_urls, will_vote: !is_learner };
        self.change_members(change).await.map(|()| node)
    }

    /// Removes a member, for good.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn remove_member(&self, node: NodeId) -> Result<(), ChangeError> {
        self.change_members(MemberChange::Remove { node }).await
    }

    /// Gives a learner its vote, if it has caught up.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn promote_member(&self, node: NodeId) -> Result<(), ChangeError> {
        self.change_members(MemberChange::Promote { node }).await
    }

    /// Tells the others where they find a member.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn move_member(
        &self,
        node: NodeId,
        peer_urls: Vec<String>,
    ) -> Result<(), ChangeError> {
        self.change_members(MemberChange::Move { node, peer_urls }).await
    }

    /// Hands the leadership, which this node must have, over to another member.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn transfer_leadership(&self, to: NodeId) -> Result<(), ChangeError> {
        let (respond, outcome) = oneshot::channel();
        self.ask(Request::Transfer { to, respond })?;
        let outcome = timeout(self.request_timeout(), outcome).await;
        let outcome = outcome.map_err(|_| ChangeError::TransferTookTooLong)?;
        outcome.unwrap_or_else(|_| Err(RequestError::Stopped.into()))
    }

    async fn change_members(&self, change: MemberChange) -> Result<(), ChangeError> {
        let deadline = Instant::now() + self.request_timeout();
        self.linearizable().await?;
        let known = self.roster();
        if !known.settled.is_joint() {
            change.plan(&known, &known.settled)?;
        }
        loop {
            let unsettled = match self.ask_for(&change).await {
                Ok(MemberAnswer { verdict: Verdict::Begun, .. }) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if self.is_made_within(left.min(DOUBT), &change).await {
                        return Ok(());
                    }
                    RequestError::TimedOut
                }
                Ok(MemberAnswer { verdict: Verdict::Later, .. }) => RequestError::TimedOut,
                Ok(MemberAnswer { ballot, verdict: Verdict::Refused(why) }) => {
                    // As with leases: if nothing of a later leadership is known after a read that
                    // began when the answer was there, the answer was that of the leader.
                    self.linearizable().await?;
                    if self.applied_ballot() <= ballot {
                        return Err(why.into());
                    }
                    RequestError::TimedOut
                }
                // Both pass: somebody will lead, or has begun to.
                Err(error @ (RequestError::NoLeader | RequestError::TimedOut)) => error,
                Err(error) => return Err(error.into()),
            };
            if Instant::now() >= deadline {
                return Err(unsettled.into());
            }
            sleep(PAUSE).await;
        }
    }

    async fn is_made_within(&self, time: Duration, change: &MemberChange) -> bool {
        let mut seen = self.follow_roster();
        let made = seen.wait_for(|roster| change.is_made(roster, &roster.settled));
        timeout(time, made).await.is_ok_and(|made| made.is_ok())
    }

    async fn ask_for(&self, change: &MemberChange) -> Result<MemberAnswer, RequestError> {
        let (respond, outcome) = oneshot::channel();
        self.ask(Request::Members { change: change.clone(), respond })?;
        outcome.await.unwrap_or(Err(RequestError::Stopped))
    }
}
