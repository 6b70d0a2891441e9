use std::sync::Arc;
use std::thread::available_parallelism;

use althing_keyspace::PasswordHash;
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tonic::Status;
use zeroize::Zeroizing;

/// Passwords and what they are checked against: Argon2id with 19 MiB and two passes.
///
/// A check is meant to cost much, so that few are made at once, away from the threads that serve
/// and apply, and so few wait that a flood of them keeps neither memory nor processors from others.
#[derive(Clone)]
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// How many may wait for their turn; others are told to come back.
const WAITING_MAX: usize = 64;

/// As expensive to check as any other, and of no password: what a user who is not there is checked
/// against, so that it takes as long to find out.
const OF_NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlz\
    $bm9ib2R5IGhhcyB0aGlzIHBhc3N3b3JkIGF0IGFsbCE";

impl Default for Passwords {
    fn default() -> Self {
        // Half of the processors, for the rest is needed meanwhile.
        let processors = available_parallelism().map_or(1, usize::from);
        let turns = (processors / 2).clamp(1, 4);
        Self {
            turns: Arc::new(Semaphore::new(turns)),
            places: Arc::new(Semaphore::new(turns + WAITING_MAX)),
        }
    }
}

impl Passwords {
    /// What a new password will be checked against.
    ///
    /// # Errors
    /// Too many wait for the same.
    pub(super) async fn hash(&self, password: Zeroizing<String>) -> Result<PasswordHash, Status> {
        self.in_turn(move || {
            let hash = Argon2::default().hash_password(password.as_bytes());
            // It fails without randomness, or where the parameters contradict themselves.
            hash.map(|hash| PasswordHash::new(hash.to_string())).expect("randomness")
        })
        .await
    }

    /// Whether it is the password. That there is no user takes as long to find out.
    ///
    /// # Errors
    /// Too many wait for the same.
    pub(super) async fn fits(
        &self,
        password: Zeroizing<String>,
        hash: Option<PasswordHash>,
    ) -> Result<bool, Status> {
        self.in_turn(move || {
            let text = hash.as_ref().map_or(OF_NOBODY, PasswordHash::expose);
            let fits = argon2::PasswordHash::new(text).is_ok_and(|parsed| {
                Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
            });
            fits && hash.is_some()
        })
        .await
    }

    /// Works on a thread where that may take its time, once it is this work's turn. A client that
    /// goes away meanwhile does not make room for the next before the work is done.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Status> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Err(Status::resource_exhausted("etcdserver: too many requests"));
        };
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let held: (OwnedSemaphorePermit, _) = (place, turn.expect("it is never closed"));
        let done = spawn_blocking(move || {
            let outcome = work();
            drop(held);
            outcome
        });
        done.await.map_err(|_| Status::unavailable("etcdserver: server stopped"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_fits_what_was_made_of_it_and_nothing_else() {
        let passwords = Passwords::default();
        let hash = passwords.hash(secret("open sesame")).await.expect("nobody waits");
        let again = passwords.hash(secret("open sesame")).await.expect("nobody waits");
        assert_ne!(hash, again, "each has a salt of its own");
        assert!(!hash.expose().contains("sesame"));
        let fits = async |text, hash| passwords.fits(secret(text), hash).await.expect("few wait");
        assert!(fits("open sesame", Some(hash.clone())).await);
        assert!(!fits("open barley", Some(hash)).await);
        assert!(!fits("", Some(PasswordHash::new("nonsense"))).await);
        assert!(!fits("", None).await);
    }

    #[test]
    fn who_is_not_there_is_checked_with_the_same_effort() {
        let parsed = argon2::PasswordHash::new(OF_NOBODY).expect("it is one");
        let made = Argon2::default().hash_password(b"x").expect("randomness");
        assert_eq!(parsed.params.to_string(), made.params.to_string());
        assert_eq!(parsed.algorithm, made.algorithm);
        assert_eq!(parsed.hash.map(|hash| hash.len()), made.hash.map(|hash| hash.len()));
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let passwords = Passwords::default();
        let all = passwords.places.available_permits();
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let gone = Arc::new(std::sync::Mutex::new(gone));
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..all {
            let (passwords, gone) = (passwords.clone(), Arc::clone(&gone));
            let wait = move || gone.lock().is_ok_and(|gone| gone.recv().is_err());
            waiting.spawn(async move { passwords.in_turn(wait).await.unwrap_or(false) });
        }
        while passwords.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = passwords.in_turn(|| ()).await.expect_err("no place is left");
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        drop(go);
        assert!(waiting.join_all().await.into_iter().all(|done| done));
        passwords.in_turn(|| ()).await.expect("all have gone");
    }
}
