//! The door between whatever serves clients and the node: nothing behind it can be read, written or
//! learned of but on behalf of somebody who may.
//!
//! The handle is in here and nowhere else in this half of the server, so that a call which forgot
//! to ask would not compile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use althing_core::{ClusterId, NodeId};
use althing_keyspace::{
    Alarm, AlarmKind, Ask, AuthState, Command, Happened, KeyRange, PasswordHash, Principal, Range,
    RangeReply, Rejection, SignIn, Snapshot, Timed, Txn, TxnReply, View, validate, validate_range,
    validate_txn,
};
use tokio::sync::Semaphore;
use tonic::Status;

use super::auth::Jwt;
use super::credentials::{CertificateName, Credentials};
use super::status;
use super::traces::in_span;
use crate::handle::{Applied, Handle, RequestError};
use crate::metrics::Metrics;
use crate::tokens::{recognise, wall_clock_seconds};
use crate::watches::Watches;

/// Reads of ranges leave the runtime's thread when the keyspace holds more keys than this: so many
/// are read in less time than it takes to move the work.
const KEYS_READ_IN_PLACE: usize = 1000;

/// How many reads may run beside the runtime at once; others wait their turn.
const READS_BESIDE: usize = 4;

/// The way to the node. A clone is the same way.
#[derive(Clone)]
pub(super) struct Door {
    handle: Handle,
    jwt: Option<Arc<Jwt>>,
    reads_beside: Arc<Semaphore>,
}

/// On whose behalf something is asked.
impl Door {
    pub(super) fn new(handle: Handle, jwt: Option<Arc<Jwt>>) -> Self {
        Self { handle, jwt, reads_beside: Arc::new(Semaphore::new(READS_BESIDE)) }
    }

    /// Who brought these credentials along. While users don't count, they need not be good.
    ///
    /// # Errors
    /// They are no good, or no good any more.
    pub(super) async fn identify(&self, credentials: &Credentials) -> Result<Principal, Status> {
        if let Some(token) = &credentials.token {
            if let Some(principal) = self.known_by(token) {
                return Ok(principal);
            }
            // It may have been given out elsewhere a moment ago, or before this node stopped.
            self.linearizable().await?;
            return match self.known_by(token) {
                Some(principal) => Ok(principal),
                None if !self.handle.has_users() => Ok(Principal::Nobody),
                None => Err(status::rejected(Rejection::InvalidAuthToken)),
            };
        }
        let certificate = credentials.certificate.as_ref();
        Ok(certificate.map_or(Principal::Nobody, |CertificateName(name)| {
            Principal::certified(Arc::clone(name))
        }))
    }

    fn known_by(&self, token: &str) -> Option<Principal> {
        let digest = recognise(token);
        let known = self.handle.tokens().find(&digest);
        let (None, Some(jwt)) = (&known, &self.jwt) else { return known };
        let claim = jwt.check(token, wall_clock_seconds())?;
        // A signature costs more to check than a token to remember.
        let name = Arc::from(claim.username);
        let end = Instant::now() + claim.left;
        self.handle.tokens().checked(digest, Arc::clone(&name), claim.revision, end);
        Some(Principal::User { name, since: claim.revision })
    }

    /// Whether the principal may do it, as the cluster has it by now.
    ///
    /// # Errors
    /// It may not, or that could not be found out.
    pub(super) async fn may(&self, principal: &Principal, ask: Ask<'_>) -> Result<(), Status> {
        if self.handle.keyspace().view(principal).may(ask).is_ok() {
            return Ok(());
        }
        // It may have become allowed elsewhere a moment ago.
        self.linearizable().await?;
        self.handle.keyspace().view(principal).may(ask).map_err(status::rejected)
    }

    /// What the password of the user of this name is checked against, and since when it is. For the
    /// server's own use: it is not to be told.
    pub(super) fn password_of(&self, name: &str) -> Option<(PasswordHash, u64)> {
        let keyspace = self.handle.keyspace();
        let user = keyspace.auth().user(name)?;
        Some((user.password()?.clone(), user.since()))
    }

    /// Tells every node that somebody has proved to be a user.
    ///
    /// # Errors
    /// The password was changed meanwhile; or as any command.
    pub(super) async fn sign_in(&self, sign_in: SignIn) -> Result<Applied, Status> {
        let signed_in = self.handle.propose(&Principal::Server, Command::SignIn(sign_in)).await;
        signed_in.map_err(status::failed)
    }

    /// Whether users count, and how often they and roles were changed.
    pub(super) fn users_now(&self) -> (bool, u64) {
        let keyspace = self.handle.keyspace();
        (keyspace.auth().is_enabled(), keyspace.auth().revision())
    }

    /// What is known of users and roles, for who looks after them.
    ///
    /// # Errors
    /// The principal does not.
    pub(super) fn users<T>(
        &self,
        principal: &Principal,
        look: impl FnOnce(&AuthState) -> T,
    ) -> Result<T, Status> {
        let keyspace = self.handle.keyspace();
        keyspace.view(principal).may(Ask::Administer).map_err(status::rejected)?;
        Ok(look(keyspace.auth()))
    }
}

/// Writing and reading.
impl Door {
    pub(super) async fn propose(
        &self,
        principal: &Principal,
        command: Command,
    ) -> Result<Applied, Status> {
        self.try_propose(principal, command).await.map_err(status::failed)
    }

    /// As [`Self::propose`], for who wants to know what went wrong.
    pub(super) async fn try_propose(
        &self,
        principal: &Principal,
        command: Command,
    ) -> Result<Applied, RequestError> {
        validate(&command)?;
        in_span("commit and apply", self.handle.propose(principal, command)).await
    }

    pub(super) async fn read(
        &self,
        principal: &Principal,
        range: Range,
    ) -> Result<RangeReply, Status> {
        validate_range(&range).map_err(status::rejected)?;
        if range.range_end.is_empty() || self.is_small() {
            return self.look(principal, |view| view.range(&range));
        }
        self.beside(principal, move |view| view.range(&range)).await
    }

    pub(super) async fn read_txn(
        &self,
        principal: &Principal,
        txn: Txn,
    ) -> Result<TxnReply, Status> {
        validate_txn(&txn).map_err(status::rejected)?;
        // One that reads nothing still compares, and nobody said that it may compare with the past.
        let reads_nothing = txn.success.is_empty() && txn.failure.is_empty();
        if reads_nothing || !txn.is_serializable() {
            self.linearizable().await?;
        }
        if self.is_small() {
            return self.look(principal, |view| view.read_txn(&txn));
        }
        self.beside(principal, move |view| view.read_txn(&txn)).await
    }

    /// Looks at the keyspace as it is here and now.
    pub(super) fn look<T>(
        &self,
        principal: &Principal,
        look: impl FnOnce(View<'_>) -> Result<T, Rejection>,
    ) -> Result<T, Status> {
        look(self.handle.keyspace().view(principal)).map_err(status::rejected)
    }

    /// Looks at the keyspace as it is now, on a thread where that may take its time; writes go on.
    async fn beside<T: Send + 'static>(
        &self,
        principal: &Principal,
        look: impl FnOnce(View<'_>) -> Result<T, Rejection> + Send + 'static,
    ) -> Result<T, Status> {
        let principal = principal.clone();
        self.digest(move |snapshot| look(snapshot.view(&principal))).await
    }

    /// Makes something of the whole state that tells nothing of what is in it.
    ///
    /// # Errors
    /// The principal does not look after servers.
    pub(super) async fn hash<T: Send + 'static>(
        &self,
        principal: &Principal,
        hash: impl FnOnce(&Snapshot) -> Result<T, Rejection> + Send + 'static,
    ) -> Result<T, Status> {
        let principal = principal.clone();
        self.digest(move |snapshot| {
            snapshot.view(&principal).may(Ask::Administer)?;
            hash(snapshot)
        })
        .await
    }

    /// The whole state, for a backup.
    ///
    /// # Errors
    /// The principal does not look after servers.
    pub(super) async fn whole(&self, principal: &Principal) -> Result<Snapshot, Status> {
        self.may(principal, Ask::Administer).await?;
        Ok(self.handle.keyspace().snapshot())
    }

    async fn digest<T: Send + 'static>(
        &self,
        make: impl FnOnce(&Snapshot) -> Result<T, Rejection> + Send + 'static,
    ) -> Result<T, Status> {
        let Ok(_turn) = self.reads_beside.acquire().await else {
            unreachable!("the semaphore is never closed");
        };
        let snapshot = self.handle.keyspace().snapshot();
        match tokio::task::spawn_blocking(move || make(&snapshot)).await {
            Ok(reply) => reply.map_err(status::rejected),
            Err(_) => Err(Status::unavailable("etcdserver: server stopped")),
        }
    }

    /// Whether any read is over in no time.
    fn is_small(&self) -> bool {
        self.handle.keyspace().key_count() <= KEYS_READ_IN_PLACE
    }

    /// Reads the history from `revision` on, for a watch of `range`; with it comes the revision
    /// that the keyspace is at.
    ///
    /// # Errors
    /// The principal may not read the range, or the history is not known any more.
    pub(super) fn read_history<T>(
        &self,
        principal: &Principal,
        range: &KeyRange,
        revision: i64,
        read: impl FnOnce(i64, &mut dyn Iterator<Item = Happened<'_>>) -> T,
    ) -> Result<T, Rejection> {
        let keyspace = self.handle.keyspace();
        let mut happened = keyspace.watched_since(principal, range, revision)?;
        Ok(read(keyspace.revision(), &mut happened))
    }

    /// Gives a lease all of its time again; `None` if there is no such lease.
    pub(super) async fn keep_alive(
        &self,
        principal: &Principal,
        lease: i64,
    ) -> Result<Option<i64>, Status> {
        self.may(principal, Ask::LeaseRenew { id: lease }).await?;
        self.handle.keep_alive(lease).await.map_err(status::failed)
    }

    /// How much time a lease has, or `None` if there is no such lease.
    pub(super) async fn lease_time(
        &self,
        principal: &Principal,
        lease: i64,
    ) -> Result<Option<Timed>, Status> {
        self.may(principal, Ask::LeaseTime { id: lease, keys: false }).await?;
        self.handle.lease_time(lease).await.map_err(status::failed)
    }
}

/// Who belongs to the cluster, and who leads it.
impl Door {
    /// Only who looks after servers changes them.
    async fn may_administer(&self, principal: &Principal) -> Result<(), Status> {
        self.may(principal, Ask::Administer).await
    }

    pub(super) async fn add_member(
        &self,
        principal: &Principal,
        peer_urls: Vec<String>,
        is_learner: bool,
    ) -> Result<NodeId, Status> {
        self.may_administer(principal).await?;
        let added = self.handle.add_member(peer_urls, is_learner).await;
        added.map_err(status::not_changed)
    }

    pub(super) async fn remove_member(
        &self,
        principal: &Principal,
        node: NodeId,
    ) -> Result<(), Status> {
        self.may_administer(principal).await?;
        self.handle.remove_member(node).await.map_err(status::not_changed)
    }

    pub(super) async fn promote_member(
        &self,
        principal: &Principal,
        node: NodeId,
    ) -> Result<(), Status> {
        self.may_administer(principal).await?;
        self.handle.promote_member(node).await.map_err(status::not_changed)
    }

    pub(super) async fn move_member(
        &self,
        principal: &Principal,
        node: NodeId,
        peer_urls: Vec<String>,
    ) -> Result<(), Status> {
        self.may_administer(principal).await?;
        self.handle.move_member(node, peer_urls).await.map_err(status::not_changed)
    }

    pub(super) async fn transfer_leadership(
        &self,
        principal: &Principal,
        to: NodeId,
    ) -> Result<(), Status> {
        self.may_administer(principal).await?;
        self.handle.transfer_leadership(to).await.map_err(status::not_changed)
    }
}

/// What anybody may know: nothing of it is a key or a name.
impl Door {
    pub(super) async fn linearizable(&self) -> Result<(), Status> {
        in_span("confirm the read", self.handle.linearizable()).await.map_err(status::failed)
    }

    pub(super) fn revision(&self) -> i64 {
        self.handle.keyspace().revision()
    }

    pub(super) fn is_alarmed(&self, kind: AlarmKind) -> bool {
        self.handle.keyspace().is_alarmed(kind)
    }

    pub(super) fn alarms(&self) -> BTreeSet<Alarm> {
        self.handle.keyspace().alarms().clone()
    }

    pub(super) fn compacted_revision(&self) -> i64 {
        self.handle.keyspace().compacted_revision()
    }

    pub(super) fn term(&self) -> u64 {
        self.handle.term()
    }

    pub(super) fn cluster(&self) -> ClusterId {
        self.handle.cluster()
    }

    pub(super) fn node(&self) -> NodeId {
        self.handle.node()
    }

    /// The node at this moment, for its own pages, and for who may know.
    pub(super) fn status(&self) -> crate::handle::Status {
        self.handle.status()
    }

    pub(super) fn metrics(&self) -> &Metrics {
        self.handle.metrics()
    }

    pub(super) fn watches(&self) -> &Arc<Watches> {
        self.handle.watches()
    }

    pub(super) fn lease_seconds_min(&self) -> i64 {
        self.handle.lease_seconds_min()
    }

    pub(super) fn fresh_number(&self) -> u64 {
        self.handle.fresh_number()
    }

    pub(super) async fn stopping(&self) {
        self.handle.stopping().await;
    }
}
