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
    /// The user has made more requests than it may.
    TooManyRequests,
    /// An alarm says that the members do not hold the same.
    Corrupt,
    /// The lease does not exist.
    LeaseNotFound,
    /// There is a lease of this number already.
    LeaseExists,
    /// The lease is to last longer than [`crate::LEASE_SECONDS_MAX`].
    LeaseTooLong,
    /// No user was named, or the name is empty.
    UserEmpty,
    /// There is a user of this name already.
    UserExists,
    /// There is no user of this name.
    UserNotFound,
    /// The name of the role is empty.
    RoleEmpty,
    /// There is a role of this name already.
    RoleExists,
    /// There is no role of this name.
    RoleNotFound,
    /// The user does not have the role.
    RoleNotGranted,
    /// The role does not have the right.
    PermissionNotGranted,
    /// The request to grant a right says none.
    PermissionNotGiven,
    /// Users cannot be enabled without a user root.
    RootUserMissing,
    /// Users cannot be enabled while the user root does not have the role root.
    RootRoleMissing,
    /// Users are not enabled.
    AuthNotEnabled,
    /// Name and password don't belong together.
    AuthFailed,
    /// While users are enabled, root must remain.
    InvalidAuthManagement,
    /// The user has no right to it.
    PermissionDenied,
    /// Nobody is known by the token, or not any more.
    InvalidAuthToken,
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
    /// Whoever asks: it has no right to that (gRPC: permission denied).
    Rights,
    /// Whoever asks: it must sign in anew (gRPC: unauthenticated).
    Credentials,
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
            | Self::RequestTooLarge
            | Self::UserEmpty
            | Self::RoleEmpty
            | Self::PermissionNotGiven
            | Self::AuthFailed
            | Self::InvalidAuthManagement => Blame::Request,
            Self::Compacted | Self::FutureRevision | Self::LeaseTooLong => Blame::Range,
            Self::LeaseExists
            | Self::UserExists
            | Self::UserNotFound
            | Self::RoleExists
            | Self::RoleNotFound
            | Self::RoleNotGranted
            | Self::PermissionNotGranted
            | Self::RootUserMissing
            | Self::RootRoleMissing
            | Self::AuthNotEnabled => Blame::State,
            Self::PermissionDenied => Blame::Rights,
            Self::InvalidAuthToken => Blame::Credentials,
            Self::NoSpace | Self::TooManyRequests => Blame::Space,
            Self::LeaseNotFound => Blame::Missing,
            Self::Corrupt | Self::Malformed(_) => Blame::Log,
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
            Self::TooManyRequests => "etcdserver: too many requests",
            Self::Corrupt => "etcdserver: corrupt cluster",
            Self::LeaseNotFound => "etcdserver: requested lease not found",
            Self::LeaseExists => "etcdserver: lease already exists",
            Self::LeaseTooLong => "etcdserver: too large lease TTL",
            Self::UserEmpty => "etcdserver: user name is empty",
            Self::UserExists => "etcdserver: user name already exists",
            Self::UserNotFound => "etcdserver: user name not found",
            Self::RoleEmpty => "etcdserver: role name is empty",
            Self::RoleExists => "etcdserver: role name already exists",
            Self::RoleNotFound => "etcdserver: role name not found",
            Self::RoleNotGranted => "etcdserver: role is not granted to the user",
            Self::PermissionNotGranted => "etcdserver: permission is not granted to the role",
            Self::PermissionNotGiven => "etcdserver: permission not given",
            Self::RootUserMissing => "etcdserver: root user does not exist",
            Self::RootRoleMissing => "etcdserver: root user does not have root role",
            Self::AuthNotEnabled => "etcdserver: authentication is not enabled",
            Self::AuthFailed => "etcdserver: authentication failed, invalid user ID or password",
            Self::InvalidAuthManagement => "etcdserver: invalid auth management",
            Self::PermissionDenied => "etcdserver: permission denied",
            Self::InvalidAuthToken => "etcdserver: invalid auth token",
            Self::Malformed(error) => {
                return write!(f, "the log holds a command that cannot be read: {error}");
            }
        })
    }
}

impl std::error::Error for Rejection {}
