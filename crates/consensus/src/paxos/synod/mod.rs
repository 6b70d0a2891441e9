//! Single-decree Paxos: a group agrees on one value, whoever fails and whatever is lost.
//!
//! Three machines, one for each role of the paper: a [`Proposer`] asks, [`Acceptor`]s remember, a
//! [`Learner`] counts. One process may play all three. Where the rules of the paper are:
//!
//! | rule | place |
//! |---|---|
//! | ballots are distinct (section 2.2) | [`Proposer::prepare`], and [`Ballot`] itself |
//! | P1a: accept unless a greater ballot was promised | [`Acceptor::accept`] |
//! | phase 1(b): promise, and tell the greatest that was accepted | [`Acceptor::prepare`] |
//! | P2c: propose the value of the greatest that a quorum told of | [`Proposer::promised`] |
//! | chosen: a quorum accepted the same ballot | [`Learner::accepted`] |
//! | what was promised and accepted survives (section 2.5) | [`Unwritten`] |
//!
//! Two things are ours. A refusal is told with the ballot that stands in the way, so that the
//! proposer can go past it at once (the paper permits it in section 2.2). And what is proposed is a
//! [`Change`] of what a quorum may have chosen before: [`Decide`] leaves that alone, which is the
//! paper; any other change makes the group a register that changes its value without a log (Denis
//! Rystsov, *CASPaxos: Replicated State Machines without logs*, 2018), as [`register`] uses it.
//!
//! ```
//! use althing_consensus::paxos::synod::{Acceptor, Decide, Learner, Proposer};
//! use althing_core::{Majority, NodeId};
//!
//! let [a, b, c] = [1, 2, 3].map(|number| NodeId::new(number).expect("not zero"));
//! let group = Majority::new([a, b, c]);
//! let mut acceptors = [a, b, c].map(|node| (node, Acceptor::default()));
//! let mut proposer = Proposer::new(a, group.clone(), 0);
//! let mut learner = Learner::new(group);
//!
//! // Phase one. Each answer may leave once what it depends on is on disk.
//! let prepare = proposer.prepare(Decide("blue")).written();
//! let mut accept = None;
//! for (node, acceptor) in &mut acceptors {
//!     let promise = acceptor.prepare(prepare).expect("nobody else asks").written();
//!     accept = accept.or(proposer.promised(*node, promise).expect("it decides"));
//! }
//! // Phase two.
//! let accept = accept.expect("all promised");
//! let mut chosen = None;
//! for (node, acceptor) in &mut acceptors {
//!     let accepted = acceptor.accept(accept.clone()).expect("nobody else asks").written();
//!     chosen = chosen.or(learner.accepted(*node, accepted));
//! }
//! assert_eq!(chosen, Some("blue"));
//! ```

mod acceptor;
mod change;
mod learner;
mod proposer;
pub mod register;
mod unwritten;

pub use acceptor::{Acceptor, Refused};
pub use change::{Change, Decide};
pub use learner::Learner;
pub use proposer::{Bug, Proposer};
pub use unwritten::Unwritten;

use althing_core::Ballot;

/// Phase 1(a): "promise to accept nothing below this ballot, and tell what you have accepted".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prepare(pub Ballot);

/// Phase 1(b): the answer to a [`Prepare`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Promise<V> {
    /// The ballot that was asked for.
    pub ballot: Ballot,
    /// What the acceptor had accepted, if anything.
    pub accepted: Option<Accept<V>>,
}

/// Phase 2(a): "accept this value under this ballot". It is also what an acceptor remembers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Accept<V> {
    /// The ballot.
    pub ballot: Ballot,
    /// The value.
    pub value: V,
}

/// Phase 2(b): the answer to an [`Accept`], to its proposer and to every learner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Accepted<V> {
    /// The ballot under which it was accepted.
    pub ballot: Ballot,
    /// The value.
    pub value: V,
}
