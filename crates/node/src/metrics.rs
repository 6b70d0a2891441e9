//! What a server counts about itself.
//!
//! The counters are plain atomics that any thread may move; one movement costs a few nanoseconds
//! and orders nothing. They become text only when somebody asks for `/metrics`, and what can be
//! read from the node's status at that moment (who leads, how far the log is) isn't counted here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use althing_core::NodeId;
use tonic::Code;

/// Everything one server counts.
#[derive(Debug, Default)]
pub struct Metrics {
    /// How often this server saw the leadership go to another node, or to nobody.
    pub leader_changes_seen: Count,
    /// Proposals of this server's clients that wait for their outcome.
    pub proposals_pending: Level,
    /// Proposals of this server's clients that ended without a known outcome.
    pub proposals_failed: Count,
    /// How long the log took to make a batch durable.
    pub wal_fsync: Durations,
    /// How long a proposal of this server's clients took, from its arrival to its outcome.
    pub commit: Durations,
    /// How long it took to apply a batch of committed entries.
    pub apply: Durations,
    /// How long a word took to each other member and back.
    pub round_trips: RoundTrips,
    /// Connections that clients hold open.
    pub client_connections: Level,
    /// Connections refused, or ended for others, because as many as allowed were open.
    pub client_connections_refused: Count,
    /// Connections that ended in the handshake of TLS.
    pub client_handshakes_failed: Count,
    /// When the certificate for clients ends, in seconds since 1970; 0 without one.
    pub client_certificate_end: Level,
    /// When the certificate for the other members ends, in seconds since 1970; 0 without one.
    pub peer_certificate_end: Level,
    /// Streams over which clients watch.
    pub watch_streams: Level,
    /// Watches on all of them.
    pub watchers: Level,
    /// Events that watches were told.
    pub watch_events: Count,
    /// Answered requests of the client API, by method and outcome.
    pub requests: Requests,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Level(AtomicI64);

impl Level {
    /// One more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// One less.
    pub fn decrement(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// As many as this.
    pub fn set(&self, count: i64) {
        self.0.store(count, Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// How many durations fell between bounds that double: up to 16 microseconds, up to 32, and so on
/// to 8.4 seconds, and those that were longer still.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [AtomicU64; Self::BUCKETS],
    nanoseconds: AtomicU64,
}

impl Durations {
    const BUCKETS: usize = 21;
    const FIRST_BOUND_LOG2_MICROSECONDS: u32 = 4;

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[Self::bucket(nanoseconds)].fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// The sum of all durations in seconds.
    pub fn sum(&self) -> f64 {
        Duration::from_nanos(self.nanoseconds.load(Relaxed)).as_secs_f64()
    }

    /// Each bucket's upper bound in seconds and how many durations fell into it and into none
    /// before; the last bound is `f64::MAX`.
    pub fn buckets(&self) -> [(f64, u64); Self::BUCKETS] {
        std::array::from_fn(|bucket| {
            let bound = if bucket + 1 == Self::BUCKETS {
                f64::MAX
            } else {
                Duration::from_micros(1 << (bucket as u32 + Self::FIRST_BOUND_LOG2_MICROSECONDS))
                    .as_secs_f64()
            };
            (bound, self.buckets[bucket].load(Relaxed))
        })
    }

    fn bucket(nanoseconds: u64) -> usize {
        let microseconds = nanoseconds.div_ceil(1000);
        // The number of bits of `microseconds - 1` is the exponent of the next power of two.
        let exponent = u64::BITS - microseconds.saturating_sub(1).leading_zeros();
        let bucket = exponent.saturating_sub(Self::FIRST_BOUND_LOG2_MICROSECONDS) as usize;
        bucket.min(Self::BUCKETS - 1)
    }
}

/// Durations by the peer they are about.
#[derive(Debug, Default)]
pub struct RoundTrips(Mutex<BTreeMap<NodeId, Durations>>);

impl RoundTrips {
    /// Counts one duration.
    pub fn observe(&self, peer: NodeId, duration: Duration) {
        self.lock().entry(peer).or_default().observe(duration);
    }

    /// Forgets all peers but these.
    pub fn keep(&self, mut is_kept: impl FnMut(NodeId) -> bool) {
        self.lock().retain(|peer, _| is_kept(*peer));
    }

    /// Looks at those of each peer.
    pub fn look<E>(
        &self,
        mut look: impl FnMut(NodeId, &Durations) -> Result<(), E>,
    ) -> Result<(), E> {
        self.lock().iter().try_for_each(|(peer, durations)| look(*peer, durations))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Durations>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A method of the client API that this server answers, in etcd's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read keys.
    Range,
    /// Write a key.
    Put,
    /// Delete keys.
    DeleteRange,
    /// Compare and act.
    Txn,
    /// Forget history.
    Compact,
    /// Let a node into the cluster.
    MemberAdd,
    /// Take a member out of it.
    MemberRemove,
    /// Say where a member is.
    MemberUpdate,
    /// Who is in the cluster?
    MemberList,
    /// Give a learner its vote.
    MemberPromote,
    /// How is this server?
    Status,
    /// Which alarms are raised?
    Alarm,
    /// Give space back.
    Defragment,
    /// The hash of everything.
    Hash,
    /// The hash of the keys.
    HashKv,
    /// May the cluster be run by an earlier version?
    Downgrade,
    /// Let another member lead.
    MoveLeader,
    /// Tell what happens to keys.
    Watch,
    /// Begin a lease.
    LeaseGrant,
    /// End a lease.
    LeaseRevoke,
    /// Keep leases alive.
    LeaseKeepAlive,
    /// How long does a lease still have?
    LeaseTimeToLive,
    /// Which leases are there?
    LeaseLeases,
    /// Take a lock.
    Lock,
    /// Give a lock back.
    Unlock,
    /// Become the leader of an election.
    Campaign,
    /// Say something as the leader.
    Proclaim,
    /// Who leads?
    Leader,
    /// Tell who leads.
    Observe,
    /// Lead no longer.
    Resign,
    /// Prove to be a user.
    Authenticate,
    /// Make users count.
    AuthEnable,
    /// Let everybody do everything.
    AuthDisable,
    /// Do users count?
    AuthStatus,
    /// Add a user.
    UserAdd,
    /// Which roles does a user have?
    UserGet,
    /// Which users are there?
    UserList,
    /// Delete a user.
    UserDelete,
    /// Give a user another password.
    UserChangePassword,
    /// Grant a role to a user.
    UserGrantRole,
    /// Take a role away from a user.
    UserRevokeRole,
    /// Add a role.
    RoleAdd,
    /// Which rights does a role have?
    RoleGet,
    /// Which roles are there?
    RoleList,
    /// Delete a role.
    RoleDelete,
    /// Grant a right to a role.
    RoleGrantPermission,
    /// Take a right away from a role.
    RoleRevokePermission,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 47] = [
        Self::Range,
        Self::Put,
        Self::DeleteRange,
        Self::Txn,
        Self::Compact,
        Self::MemberAdd,
        Self::MemberRemove,
        Self::MemberUpdate,
        Self::MemberList,
        Self::MemberPromote,
        Self::Status,
        Self::Alarm,
        Self::Defragment,
        Self::Hash,
        Self::HashKv,
        Self::Downgrade,
        Self::MoveLeader,
        Self::Watch,
        Self::LeaseGrant,
        Self::LeaseRevoke,
        Self::LeaseKeepAlive,
        Self::LeaseTimeToLive,
        Self::LeaseLeases,
        Self::Lock,
        Self::Unlock,
        Self::Campaign,
        Self::Proclaim,
        Self::Leader,
        Self::Observe,
        Self::Resign,
        Self::Authenticate,
        Self::AuthEnable,
        Self::AuthDisable,
        Self::AuthStatus,
        Self::UserAdd,
        Self::UserGet,
        Self::UserList,
        Self::UserDelete,
        Self::UserChangePassword,
        Self::UserGrantRole,
        Self::UserRevokeRole,
        Self::RoleAdd,
        Self::RoleGet,
        Self::RoleList,
        Self::RoleDelete,
        Self::RoleGrantPermission,
        Self::RoleRevokePermission,
    ];

    /// The gRPC service it belongs to.
    pub const fn service(self) -> &'static str {
        match self {
            Self::Range | Self::Put | Self::DeleteRange | Self::Txn | Self::Compact => {
                "etcdserverpb.KV"
            }
            Self::MemberAdd
            | Self::MemberRemove
            | Self::MemberUpdate
            | Self::MemberList
            | Self::MemberPromote => "etcdserverpb.Cluster",
            Self::Status
            | Self::Alarm
            | Self::Defragment
            | Self::Hash
            | Self::HashKv
            | Self::Downgrade
            | Self::MoveLeader => "etcdserverpb.Maintenance",
            Self::Watch => "etcdserverpb.Watch",
            Self::LeaseGrant
            | Self::LeaseRevoke
            | Self::LeaseKeepAlive
            | Self::LeaseTimeToLive
            | Self::LeaseLeases => "etcdserverpb.Lease",
            Self::Lock | Self::Unlock => "v3lockpb.Lock",
            Self::Campaign | Self::Proclaim | Self::Leader | Self::Observe | Self::Resign => {
                "v3electionpb.Election"
            }
            Self::Authenticate
            | Self::AuthEnable
            | Self::AuthDisable
            | Self::AuthStatus
            | Self::UserAdd
            | Self::UserGet
            | Self::UserList
            | Self::UserDelete
            | Self::UserChangePassword
            | Self::UserGrantRole
            | Self::UserRevokeRole
            | Self::RoleAdd
            | Self::RoleGet
            | Self::RoleList
            | Self::RoleDelete
            | Self::RoleGrantPermission
            | Self::RoleRevokePermission => "etcdserverpb.Auth",
        }
    }

    /// Its name within the service.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "Range",
            Self::Put => "Put",
            Self::DeleteRange => "DeleteRange",
            Self::Txn => "Txn",
            Self::Compact => "Compact",
            Self::MemberAdd => "MemberAdd",
            Self::MemberRemove => "MemberRemove",
            Self::MemberUpdate => "MemberUpdate",
            Self::MemberList => "MemberList",
            Self::MemberPromote => "MemberPromote",
            Self::Status => "Status",
            Self::Alarm => "Alarm",
            Self::Defragment => "Defragment",
            Self::Hash => "Hash",
            Self::HashKv => "HashKV",
            Self::Downgrade => "Downgrade",
            Self::MoveLeader => "MoveLeader",
            Self::Watch => "Watch",
            Self::LeaseGrant => "LeaseGrant",
            Self::LeaseRevoke => "LeaseRevoke",
            Self::LeaseKeepAlive => "LeaseKeepAlive",
            Self::LeaseTimeToLive => "LeaseTimeToLive",
            Self::LeaseLeases => "LeaseLeases",
            Self::Lock => "Lock",
            Self::Unlock => "Unlock",
            Self::Campaign => "Campaign",
            Self::Proclaim => "Proclaim",
            Self::Leader => "Leader",
            Self::Observe => "Observe",
            Self::Resign => "Resign",
            Self::Authenticate => "Authenticate",
            Self::AuthEnable => "AuthEnable",
            Self::AuthDisable => "AuthDisable",
            Self::AuthStatus => "AuthStatus",
            Self::UserAdd => "UserAdd",
            Self::UserGet => "UserGet",
            Self::UserList => "UserList",
            Self::UserDelete => "UserDelete",
            Self::UserChangePassword => "UserChangePassword",
            Self::UserGrantRole => "UserGrantRole",
            Self::UserRevokeRole => "UserRevokeRole",
            Self::RoleAdd => "RoleAdd",
            Self::RoleGet => "RoleGet",
            Self::RoleList => "RoleList",
            Self::RoleDelete => "RoleDelete",
            Self::RoleGrantPermission => "RoleGrantPermission",
            Self::RoleRevokePermission => "RoleRevokePermission",
        }
    }
}

/// Answered requests, by method and gRPC status code.
#[derive(Debug)]
pub struct Requests([[AtomicU64; Self::CODES]; Method::ALL.len()]);

impl Default for Requests {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Default::default()))
    }
}

impl Requests {
    /// gRPC has the codes 0 to 16.
    const CODES: usize = 17;

    /// Counts one request.
    pub fn answered(&self, method: Method, code: Code) {
        self.0[method as usize][code as usize].fetch_add(1, Relaxed);
    }

    /// How many requests of the method ended with the code.
    pub fn get(&self, method: Method, code: Code) -> u64 {
        self.0[method as usize][code as usize].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_whose_bound_it_does_not_pass() {
        let cases = [
            (Duration::ZERO, 0),
            (Duration::from_micros(16), 0),
            (Duration::from_nanos(16_001), 1),
            (Duration::from_micros(32), 1),
            (Duration::from_micros(33), 2),
            (Duration::from_micros(1 << 23), 19),
            (Duration::from_micros((1 << 23) + 1), 20),
            (Duration::MAX, 20),
        ];
        for (duration, wanted) in cases {
            let durations = Durations::default();
            durations.observe(duration);
            let buckets = durations.buckets();
            let found = buckets.iter().position(|(_, count)| *count == 1);
            assert_eq!(found, Some(wanted), "{duration:?}");
            assert!(duration.as_secs_f64() <= buckets[wanted].0, "{duration:?}");
        }
    }

    #[test]
    fn durations_add_up() {
        let durations = Durations::default();
        durations.observe(Duration::from_millis(3));
        durations.observe(Duration::from_millis(5));
        assert!((durations.sum() - 0.008).abs() < 1e-9);
        assert_eq!(durations.buckets().iter().map(|(_, count)| count).sum::<u64>(), 2);
    }

    #[test]
    fn requests_are_counted_where_they_belong() {
        let requests = Requests::default();
        requests.answered(Method::Alarm, Code::Unauthenticated);
        assert_eq!(requests.get(Method::Alarm, Code::Unauthenticated), 1);
        assert_eq!(requests.get(Method::Alarm, Code::Ok), 0);
        for (place, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(method as usize, place, "{method:?} is where its number says");
        }
    }
}
