use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use althing_keyspace::{Principal, SignIn};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

/// By which tokens users are known on this node.
///
/// That a token was given out is told to every node through the log; how long it has not been used
/// is known to each for itself, as in etcd. Only what a token is recognised by is kept, here and in
/// the log: neither tells the token. A node that starts from a snapshot knows none from before, and
/// clients sign in again.
pub(crate) struct Tokens {
    time: Duration,
    table: Mutex<Table>,
}

/// What a token is recognised by.
pub(crate) type TokenDigest = [u8; 32];

#[derive(Default)]
struct Table {
    known: BTreeMap<TokenDigest, Known>,
    /// When each ends.
    ends: BTreeSet<(Instant, TokenDigest)>,
    /// The same of each user.
    users: BTreeMap<Arc<str>, BTreeSet<(Instant, TokenDigest)>>,
}

struct Known {
    name: Arc<str>,
    since: u64,
    end: Instant,
    /// Whether it lasts longer if it is used.
    is_renewed: bool,
}

/// The most tokens at a time; beyond that the one ends that would end first.
const TOKENS_MAX: usize = 65_536;
/// The most tokens of one user, likewise: nobody can push the tokens of others out.
const TOKENS_OF_USER_MAX: usize = 1024;
/// A token that was used is not moved again for so long.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);

/// A token that nobody has guessed, and what it is recognised by.
pub(crate) fn new_token() -> (String, TokenDigest) {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).expect("the system has random bytes");
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let recognised = recognise(&token);
    (token, recognised)
}

pub(crate) fn recognise(token: &str) -> TokenDigest {
    let digest = digest(&SHA256, token.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The time by the clock on the wall, in seconds since 1970.
pub(crate) fn wall_clock_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

impl Tokens {
    /// A token that is not used for `time` ends.
    pub(crate) fn new(time: Duration) -> Self {
        Self { time, table: Mutex::default() }
    }

    /// The log tells of a token. One from long ago, which a node meets that reads its log again,
    /// has no time left.
    pub(crate) fn signed_in(&self, sign_in: &SignIn) {
        let age = wall_clock_seconds().saturating_sub(sign_in.issued_seconds);
        let left = self.time.saturating_sub(Duration::from_secs(age));
        if !left.is_zero() {
            let SignIn { name, since, token_digest, .. } = sign_in;
            self.know(*token_digest, Arc::clone(name), *since, Instant::now() + left, true);
        }
    }

    /// A token that proves by itself who it is for was checked, and does until `end`.
    pub(crate) fn checked(&self, token: TokenDigest, name: Arc<str>, since: u64, end: Instant) {
        self.know(token, name, since, end, false);
    }

    fn know(&self, token: TokenDigest, name: Arc<str>, since: u64, end: Instant, is_renewed: bool) {
        let mut table = self.table();
        table.end(&token);
        let of_user = table.users.get(&name).filter(|of_user| of_user.len() >= TOKENS_OF_USER_MAX);
        let first = match of_user {
            Some(of_user) => of_user.first(),
            None => table.ends.first().filter(|_| table.known.len() >= TOKENS_MAX),
        };
        if let Some((_, first)) = first.copied() {
            table.end(&first);
        }
        table.begin(token, Known { name, since, end, is_renewed });
    }

    /// Who is known by the token.
    pub(crate) fn find(&self, token: &TokenDigest) -> Option<Principal> {
        let now = Instant::now();
        let mut table = self.table();
        table.expire(now);
        let known = table.known.get(token)?;
        let principal = Principal::user(Arc::clone(&known.name), known.since);
        if known.is_renewed && known.end + RENEWAL_PAUSE < now + self.time {
            let known = table.end(token).expect("it was just found");
            table.begin(*token, Known { end: now + self.time, ..known });
        }
        Some(principal)
    }

    /// Nobody is known any more.
    pub(crate) fn forget(&self) {
        *self.table() = Table::default();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn begin(&mut self, token: TokenDigest, known: Known) {
        self.ends.insert((known.end, token));
        self.users.entry(Arc::clone(&known.name)).or_default().insert((known.end, token));
        self.known.insert(token, known);
    }

    fn end(&mut self, token: &TokenDigest) -> Option<Known> {
        let known = self.known.remove(token)?;
        self.ends.remove(&(known.end, *token));
        if let Some(of_user) = self.users.get_mut(&known.name) {
            of_user.remove(&(known.end, *token));
            if of_user.is_empty() {
                self.users.remove(&known.name);
            }
        }
        Some(known)
    }

    /// Ends what has had its time.
    fn expire(&mut self, now: Instant) {
        while let Some((_, token)) = self.ends.first().filter(|(end, _)| *end <= now).copied() {
            self.end(&token);
        }
    }
}

/// What is known by whom stays here.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("time", &self.time).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn sign_in(name: &str, token_digest: TokenDigest, age_seconds: u64) -> SignIn {
        let issued_seconds = wall_clock_seconds() - age_seconds;
        SignIn { name: name.into(), since: 2, token_digest, issued_seconds }
    }

    #[test]
    fn a_token_is_known_by_what_it_is_and_differs_each_time() {
        let tokens = Tokens::new(HOUR);
        let ((token, digest), (other, _)) = (new_token(), new_token());
        tokens.signed_in(&sign_in("ann", digest, 0));
        assert_eq!(tokens.find(&recognise(&token)), Some(Principal::user("ann", 2)));
        assert_eq!(tokens.find(&recognise(&other)), None);
        tokens.forget();
        assert_eq!(tokens.find(&recognise(&token)), None);
    }

    #[test]
    fn a_token_that_the_log_tells_of_too_late_is_not_known() {
        let tokens = Tokens::new(HOUR);
        tokens.signed_in(&sign_in("ann", [1; 32], 3601));
        tokens.signed_in(&sign_in("ann", [2; 32], 3000));
        assert_eq!(tokens.find(&[1; 32]), None);
        assert!(tokens.find(&[2; 32]).is_some());
    }

    #[test]
    fn what_has_had_its_time_is_gone_and_what_is_used_gets_more() {
        let tokens = Tokens::new(HOUR);
        let now = Instant::now();
        let find = |end: Instant, is_renewed| {
            tokens.know([1; 32], "ann".into(), 2, end, is_renewed);
            let found = tokens.find(&[1; 32]).is_some();
            (found, tokens.table().ends.first().map(|(end, _)| *end))
        };
        assert_eq!(find(now, true), (false, None));
        let soon = now + HOUR / 2;
        assert!(matches!(find(soon, true), (true, Some(end)) if end >= now + HOUR));
        assert_eq!(find(soon, false), (true, Some(soon)));
        assert_eq!(tokens.table().users.len(), 1);
    }

    #[test]
    fn a_user_with_too_many_tokens_loses_their_own() {
        let tokens = Tokens::new(HOUR);
        tokens.signed_in(&sign_in("bob", [255; 32], 0));
        for number in 0..=TOKENS_OF_USER_MAX {
            let mut token = [0; 32];
            token[..8].copy_from_slice(&number.to_le_bytes());
            tokens.signed_in(&sign_in("ann", token, 0));
        }
        assert_eq!(tokens.find(&[0; 32]), None, "the first of ann's");
        assert!(tokens.find(&[255; 32]).is_some(), "bob keeps his");
        assert_eq!(tokens.table().known.len(), TOKENS_OF_USER_MAX + 1);
    }
}
