use std::time::Duration;

use althing_consensus::paxos::MultiPaxos;
use althing_consensus::raft::Raft;
use althing_consensus::replication;
use althing_consensus::{Message, Replica, Restart};
use althing_core::{Ballot, NodeId, Time};

use crate::profile::Profile;
use crate::{Bug, Options};

/// A consensus protocol that can be simulated: something that starts replicas.
pub trait Protocol {
    /// What it starts.
    type Replica: Replica;

    /// Starts the replica of `node` on what it remembers.
    fn start(&self, node: NodeId, restart: Restart, seed: u64, now: Time) -> Self::Replica;

    /// What holds of who may lead.
    fn law(&self) -> Law;

    /// What stands in the nodes' folders as the protocol's name.
    fn name(&self) -> &'static str {
        <Self::Replica as Replica>::Message::PROTOCOL
    }
}

/// What a protocol promises about its leaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// A term has one leader, elected for having all that was committed (Raft).
    Terms,
    /// A ballot has one leader, the node in its name, which learns what was committed from those
    /// who accepted it under the greatest ballots (Multi-Paxos).
    Ballots,
}

impl Law {
    /// What names the leadership that goes with this promise.
    pub(crate) const fn reign(self, promise: Ballot) -> Ballot {
        match self {
            Self::Terms => Ballot::unvoted(promise.round),
            Self::Ballots => promise,
        }
    }
}

/// What a protocol can be set to, as drawn for one life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Silence for this long, or up to twice as long, makes a node want to lead.
    pub election_timeout: Duration,
    /// A leader speaks at least this often.
    pub heartbeat_interval: Duration,
    /// About this many bytes of entries go into a message.
    pub append_bytes_max: usize,
    /// This many messages may be under way to a follower.
    pub window_messages: usize,
    /// This many bytes may wait to be committed.
    pub uncommitted_bytes_max: usize,
    /// Behind a snapshot this many bytes of entries are kept.
    pub keep_bytes: usize,
    /// Where leaders read by lease: how far clocks drift at most, in millionths.
    pub lease_drift: Option<u32>,
}

impl Profile {
    fn lease_drift(&self) -> Option<u32> {
        let drift = u32::try_from(self.drift_max).expect("a clock runs on");
        self.has_leases.then_some(drift)
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            election_timeout: self.timing.election_timeout,
            heartbeat_interval: self.timing.heartbeat_interval,
            append_bytes_max: self.sizes.append_bytes_max,
            window_messages: self.sizes.window_messages,
            uncommitted_bytes_max: self.sizes.uncommitted_bytes_max,
            keep_bytes: self.sizes.keep_bytes,
            lease_drift: self.lease_drift(),
        }
    }
}

/// Raft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftProtocol(replication::Options);

impl RaftProtocol {
    /// Raft with these settings, and the planted bug of the options, if any.
    pub fn draw(settings: &Settings, options: &Options) -> Self {
        Self(drawn(settings, options))
    }
}

fn drawn(settings: &Settings, options: &Options) -> replication::Options {
    replication::Options {
        election_timeout: settings.election_timeout,
        heartbeat_interval: settings.heartbeat_interval,
        append_bytes_max: settings.append_bytes_max,
        window_messages: settings.window_messages,
        uncommitted_bytes_max: settings.uncommitted_bytes_max,
        keep_bytes: settings.keep_bytes,
        transfer_keep_bytes: settings.keep_bytes * 10,
        lease_drift: settings.lease_drift,
        bug: options.bug.and_then(Bug::in_consensus),
        ..replication::Options::default()
    }
}

impl Protocol for RaftProtocol {
    type Replica = Raft;

    fn law(&self) -> Law {
        Law::Terms
    }

    fn start(&self, node: NodeId, restart: Restart, seed: u64, now: Time) -> Raft {
        Raft::new(node, self.0.clone(), restart, seed, now)
    }
}

/// Multi-Paxos.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaxosProtocol(replication::Options);

impl PaxosProtocol {
    /// Multi-Paxos with these settings, and the planted bug of the options, if any.
    pub fn draw(settings: &Settings, options: &Options) -> Self {
        Self(drawn(settings, options))
    }
}

impl Protocol for PaxosProtocol {
    type Replica = MultiPaxos;

    fn law(&self) -> Law {
        Law::Ballots
    }

    fn start(&self, node: NodeId, restart: Restart, seed: u64, now: Time) -> MultiPaxos {
        MultiPaxos::new(node, self.0.clone(), restart, seed, now)
    }
}
