use std::fmt;

use althing_core::codec::DecodeError;

/// Why a request is refused. Nothing was changed. Every node that is asked to apply the same
/// command at the same place gives the same answer.
///
/// The texts are etcd's own, because clients compare them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The key is empty.
    KeyNotProvided,
    /// `ignore_value` is set and a value was given.
    ValueProvided,
    /// `ignore_lease` is set and a lease was given.
    LeaseProvided,
    /// `ignore_value` or `ignore_lease` is set and there is no key to keep them of; also a
    /// transaction's operation that asks for nothing.
    KeyNotFound,
    /// A branch of a transaction is over [`crate::OPERATIONS_MAX`].
    TooManyOperations,
    /// A branch of a transaction writes a key twice, or writes and deletes it.
    DuplicateKey,
    /// The sort order or target is none that there is. etcd 3.4 crashes; this is 3.5's answer.
    InvalidSortOption,
    /// The request is larger than the server takes.
    RequestTooLarge,
    /// The revision was compacted away.
    Compacted,
    /// The revision has not happened yet.
    FutureRevision,
    /// The store is over its quota.
    NoSpace,
    /// The lease does not exist.
    LeaseNotFound,
    /// There is a lease of this number already.
    LeaseExists,
    /// The lease is to last longer than [`crate::LEASE_SECONDS_MAX`].
    LeaseTooLong,
    /// The log holds bytes that are no command of this version.
    Malformed(DecodeError),
}

/// Who has to act on a rejection; the server maps it to its protocol's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The request is wrong by itself (gRPC: invalid argument).
    Request,
    /// The request asks for a revision outside of what is kept, or for more time than there is
    /// (gRPC: out of range).
    Range,
    /// The state is not such that the request makes sense (gRPC: failed precondition).
    State,
    /// The request names something that does not exist (gRPC: not found).
    Missing,
    /// The operator: space has run out (gRPC: resource exhausted).
    Space,
    /// Whoever wrote the log: a build that does not match this one, or a bug (gRPC: data loss).
    Log,
}

impl Rejection {
    /// Who has to act on it.
    pub const fn blame(self) -> Blame {
        match self {
            Self::KeyNotProvided
            | Self::ValueProvided
            | Self::LeaseProvided
            | Self::KeyNotFound
            | Self::TooManyOperations
            | Self::DuplicateKey
            | Self::InvalidSortOption
            | Self::RequestTooLarge => Blame::Request,
            Self::Compacted | Self::FutureRevision | Self::LeaseTooLong => Blame::Range,
            Self::LeaseExists => Blame::State,
            Self::NoSpace => Blame::Space,
            Self::LeaseNotFound => Blame::Missing,
            Self::Malformed(_) => Blame::Log,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyNotProvided => "etcdserver: key is not provided",
            Self::ValueProvided => "etcdserver: value is provided",
            Self::LeaseProvided => "etcdserver: lease is provided",
            Self::KeyNotFound => "etcdserver: key not found",
            Self::TooManyOperations => "etcdserver: too many operations in txn request",
            Self::DuplicateKey => "etcdserver: duplicate key given in txn request",
            Self::InvalidSortOption => "etcdserver: invalid sort option",
            Self::RequestTooLarge => "etcdserver: request is too large",
            Self::Compacted => "etcdserver: mvcc: required revision has been compacted",
            Self::FutureRevision => "etcdserver: mvcc: required revision is a future revision",
            Self::NoSpace => "etcdserver: mvcc: database space exceeded",
            Self::LeaseNotFound => "etcdserver: requested lease not found",
            Self::LeaseExists => "etcdserver: lease already exists",
            Self::LeaseTooLong => "etcdserver: too large lease TTL",
            Self::Malformed(error) => {
                return write!(f, "the log holds a command that cannot be read: {error}");
            }
        })
    }
}

impl std::error::Error for Rejection {}
