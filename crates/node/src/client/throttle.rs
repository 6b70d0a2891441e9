use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use althing_keyspace::{Principal, Rejection};

use super::bucket::{Bucket, Rate};

/// How many requests each user may make, so that one that runs wild leaves room for the others.
/// Whoever is no user is not counted: without users there is nobody to tell apart.
pub(super) struct Throttle {
    rate: Rate,
    buckets: Mutex<HashMap<Arc<str>, Bucket>>,
}

/// With so many buckets, those that are full again are given up.
const BUCKETS_KEPT: usize = 10_000;

impl Throttle {
    /// So many requests a second, and twice as many at once; zero for as many as one likes.
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self { rate: Rate { per_second, burst: 2.0 * per_second }, buckets: Mutex::default() }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// The user has made too many.
    pub(super) fn admit(&self, principal: &Principal) -> Result<(), Rejection> {
        let Principal::User { name, .. } = principal else { return Ok(()) };
        if self.rate.per_second == 0.0 {
            return Ok(());
        }
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = match buckets.get_mut(name) {
            Some(bucket) => bucket,
            None => {
                // A certificate can name anybody, so that the names are not bounded by the users.
                if buckets.len() >= BUCKETS_KEPT {
                    buckets.retain(|_, bucket| !bucket.is_full(self.rate, now));
                }
                let full = Bucket::full(self.rate, now);
                buckets.entry(Arc::clone(name)).or_insert(full)
            }
        };
        if bucket.take(self.rate, now) { Ok(()) } else { Err(Rejection::TooManyRequests) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(throttle: &Throttle, principal: &Principal, count: usize) -> usize {
        (0..count).filter(|_| throttle.admit(principal).is_ok()).count()
    }

    #[test]
    fn who_runs_wild_is_told_so_and_the_others_go_on() {
        let throttle = Throttle::new(1);
        let (wild, calm) = (Principal::user("wild", 1), Principal::user("calm", 1));
        // The clock goes on meanwhile, so that one or two more may come through.
        assert!((2..100).contains(&admitted(&throttle, &wild, 1000)));
        assert_eq!(admitted(&throttle, &calm, 2), 2);
        assert_eq!(admitted(&throttle, &Principal::Nobody, 1000), 1000);
        assert_eq!(admitted(&Throttle::new(0), &wild, 1000), 1000);
    }

    #[test]
    fn names_that_are_quiet_again_are_forgotten() {
        let throttle = Throttle::new(u32::MAX);
        for number in 0..3 * BUCKETS_KEPT {
            throttle.admit(&Principal::user(number.to_string(), 0)).expect("its first");
        }
        let kept = throttle.buckets.lock().expect("nobody panicked").len();
        assert!(kept <= BUCKETS_KEPT + 1, "{kept}");
    }
}
