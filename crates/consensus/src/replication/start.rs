use std::sync::Arc;

use althing_core::{Acceptances, Ballot, LogId, NodeId, Random, Time};

use super::configurations::Configurations;
use super::follower::Follower;
use super::journal::Journal;
use super::{Bug, Machine, Options, Protocol, Role, Told};
use crate::{Log, Restart};

impl<P: Protocol> Machine<P> {
    /// A server that starts, or starts again with what it remembers. `seed` spreads election
    /// timeouts and should differ between the members.
    ///
    /// # Panics
    /// `restart` contradicts itself.
    pub fn new(id: NodeId, options: Options, restart: Restart, seed: u64, now: Time) -> Self {
        let Restart { promise, configuration, begin, entries, acceptances } = restart;
        let forgets =
            cfg!(feature = "planted-bugs") && options.bug == Some(Bug::ForgetsConfiguration);
        let told = if forgets { &[][..] } else { &entries[..] };
        let configurations = Configurations::new(begin.index, configuration, told.iter());
        let current = Arc::clone(configurations.current());
        // Entries are written behind the promise of their term. A snapshot that a leader sent is
        // written elsewhere, and may have outlived the promise that was made when it came.
        let promise = promise.max(Ballot::unvoted(begin.ballot.round));
        let forgets =
            cfg!(feature = "planted-bugs") && options.bug == Some(Bug::ForgetsAcceptances);
        let acceptances = if forgets { Acceptances::default() } else { acceptances };
        let log = Log::new(begin, entries);
        assert!(
            promise.round >= log.last().ballot.round,
            "the log holds term {} but the promise is only {promise}",
            log.last().ballot.round
        );
        let mut random = Random::new(seed);
        // Nothing is lost by asking early after a start: if a leader lives, stickiness protects it.
        let patience = options.election_timeout;
        // Which leader it told that it would be loyal is forgotten; it told none if there was none.
        let forgets = cfg!(feature = "planted-bugs") && options.bug == Some(Bug::ForgetsLoyalty);
        let was_led = (promise > Ballot::ZERO || log.last() > LogId::ZERO) && !forgets;
        let loyal_until =
            if was_led && options.lease_drift.is_some() { now + patience } else { now };
        let deadline = loyal_until + random.duration(patience / 10, patience / 3);
        let mut machine = Self {
            id,
            configurations,
            deciding: Arc::clone(&current),
            peers: Arc::default(),
            is_removed: false,
            random,
            promise,
            journal: Journal::new(log.last().index),
            commit: begin.index,
            snapshot: begin,
            receiving: None,
            loyal_until,
            role: Role::Follower(Follower::new(None, now, deadline)),
            handover: None,
            outgoing: Vec::new(),
            told: Told {
                commit: begin.index,
                epoch: Ballot::ZERO,
                leader: None,
                configuration: current,
            },
            log,
            acceptances,
            options,
        };
        machine.configured();
        machine
    }
}
