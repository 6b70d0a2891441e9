use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use althing_keyspace::Rejection;
use tonic::{Code, Status};

use super::bucket::{Bucket, Rate};
use crate::metrics::Method;

/// Where an audit's lines can be told apart from a log's others.
pub const AUDIT_TARGET: &str = "althing::audit";

/// So many lines, or the disk could be filled by whoever is refused again and again.
const RATE: Rate = Rate { per_second: 100.0, burst: 1000.0 };

/// So many letters of a name are told.
const NAME_LENGTH_MAX: usize = 128;

/// Tells who did what only few may, and who was refused.
pub(super) struct Audit(Mutex<(Bucket, u64)>);

impl Default for Audit {
    fn default() -> Self {
        Self(Mutex::new((Bucket::full(RATE, Instant::now()), 0)))
    }
}

impl Audit {
    /// A call has ended, made by `who`, or by nobody that is known; with an error, if there was
    /// one.
    pub(super) fn ended(&self, method: Method, who: Option<&str>, error: Option<&Status>) {
        let is_refused = error.is_some_and(|error| is_refusal(method, error));
        if !is_refused && !is_administrative(method) {
            return;
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (bucket, left_out) = &mut *state;
        if !bucket.take(RATE, Instant::now()) {
            *left_out += 1;
            return;
        }
        let left_out = std::mem::take(left_out);
        drop(state);
        if left_out > 0 {
            tracing::warn!(target: AUDIT_TARGET, left_out, "too many to tell of all");
        }
        let (service, call) = (method.service(), method.name());
        // A name can be as long as a request.
        let who: String = who.unwrap_or_default().chars().take(NAME_LENGTH_MAX).collect();
        let outcome = error.map_or("ok", Status::message);
        if is_refused {
            tracing::warn!(target: AUDIT_TARGET, user = who, service, call, outcome, "refused");
        } else {
            tracing::info!(target: AUDIT_TARGET, user = who, service, call, outcome, "done");
        }
    }
}

/// Whether somebody was turned away for who they are, or are not.
fn is_refusal(method: Method, error: &Status) -> bool {
    match error.code() {
        Code::PermissionDenied | Code::Unauthenticated => true,
        // That is how etcd tells that nobody asked.
        Code::InvalidArgument => {
            method == Method::Authenticate || error.message() == Rejection::UserEmpty.to_string()
        }
        _ => false,
    }
}

/// What is told of whatever came of it: what changes who may do what, who belongs to the cluster,
/// or what can still be read.
fn is_administrative(method: Method) -> bool {
    match method.service() {
        "etcdserverpb.Auth" => !matches!(
            method,
            Method::AuthStatus
                | Method::UserGet
                | Method::UserList
                | Method::RoleGet
                | Method::RoleList
        ),
        "etcdserverpb.Cluster" => method != Method::MemberList,
        "etcdserverpb.Maintenance" => {
            !matches!(method, Method::Status | Method::Hash | Method::HashKv)
        }
        _ => method == Method::Compact,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_few_may_is_administrative_and_what_everybody_does_is_not() {
        for method in [Method::UserAdd, Method::AuthEnable, Method::Alarm, Method::Compact] {
            assert!(is_administrative(method), "{method:?}");
        }
        for method in [Method::Put, Method::Range, Method::MemberList, Method::Status] {
            assert!(!is_administrative(method), "{method:?}");
        }
    }
}
