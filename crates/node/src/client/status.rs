//! What a client is told when a request fails: gRPC's code and etcd's words, since client libraries
//! decide by both whether to try again.

use althing_keyspace::{Blame, Rejection};
use tonic::{Code, Status};

use super::convert::Refusal;
use crate::handle::RequestError;
use crate::members::{ChangeError, MemberError};

/// The request reached the node and failed there.
pub(super) fn failed(error: RequestError) -> Status {
    match error {
        RequestError::Rejected(rejection) => rejected(rejection),
        RequestError::NoLeader => Status::unavailable("etcdserver: no leader"),
        RequestError::TimedOut => Status::unavailable("etcdserver: request timed out"),
        RequestError::Overloaded => Status::resource_exhausted("etcdserver: too many requests"),
        RequestError::NoSpace => rejected(Rejection::NoSpace),
        RequestError::Stopped => Status::unavailable("etcdserver: server stopped"),
    }
}

/// The members, or the leader, are not what somebody wanted them to be.
pub(super) fn not_changed(error: ChangeError) -> Status {
    let code = match error {
        ChangeError::Request(error) => return failed(error),
        ChangeError::Refused(MemberError::NotFound) => Code::NotFound,
        ChangeError::Refused(MemberError::Unhealthy) | ChangeError::TransferTookTooLong => {
            Code::Unavailable
        }
        ChangeError::Refused(
            MemberError::PeerUrlsExist
            | MemberError::NotALearner
            | MemberError::NotReady
            | MemberError::TooMany
            | MemberError::NotEnoughStarted,
        )
        | ChangeError::NotLeader
        | ChangeError::BadTransferee => Code::FailedPrecondition,
    };
    Status::new(code, error.to_string())
}

/// The keyspace refuses the request.
pub(super) fn rejected(rejection: Rejection) -> Status {
    let code = match rejection.blame() {
        Blame::Request => Code::InvalidArgument,
        Blame::Range => Code::OutOfRange,
        Blame::Missing => Code::NotFound,
        Blame::State => Code::FailedPrecondition,
        Blame::Rights => Code::PermissionDenied,
        Blame::Credentials => Code::Unauthenticated,
        Blame::Space => Code::ResourceExhausted,
        Blame::Log => Code::DataLoss,
    };
    Status::new(code, rejection.to_string())
}

/// The message says nothing that the keyspace could do.
pub(super) fn refused(refusal: Refusal) -> Status {
    match refusal {
        Refusal::Rejected(rejection) => rejected(rejection),
        Refusal::UnknownCompare => {
            Status::invalid_argument("etcdserver: unknown compare result or target")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_see_the_code_and_the_words_that_etcd_gives() {
        let cases = [
            (
                RequestError::Rejected(Rejection::KeyNotProvided),
                Code::InvalidArgument,
                "etcdserver: key is not provided",
            ),
            (
                RequestError::Rejected(Rejection::TooManyOperations),
                Code::InvalidArgument,
                "etcdserver: too many operations in txn request",
            ),
            (
                RequestError::Rejected(Rejection::RequestTooLarge),
                Code::InvalidArgument,
                "etcdserver: request is too large",
            ),
            (
                RequestError::Rejected(Rejection::Compacted),
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
            ),
            (
                RequestError::Rejected(Rejection::FutureRevision),
                Code::OutOfRange,
                "etcdserver: mvcc: required revision is a future revision",
            ),
            (
                RequestError::Rejected(Rejection::LeaseNotFound),
                Code::NotFound,
                "etcdserver: requested lease not found",
            ),
            (RequestError::NoLeader, Code::Unavailable, "etcdserver: no leader"),
            (RequestError::TimedOut, Code::Unavailable, "etcdserver: request timed out"),
            (RequestError::Overloaded, Code::ResourceExhausted, "etcdserver: too many requests"),
            (
                RequestError::NoSpace,
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
            ),
            (RequestError::Stopped, Code::Unavailable, "etcdserver: server stopped"),
        ];
        for (error, code, message) in cases {
            let status = failed(error);
            assert_eq!((status.code(), status.message()), (code, message));
        }
    }
}
