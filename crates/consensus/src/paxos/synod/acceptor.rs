use althing_core::Ballot;

use super::{Accept, Accepted, Prepare, Promise, Unwritten};

/// Remembers what it promised and what it accepted.
///
/// A copy of it is what must be on disk before it answers; an acceptor that lost it must not take
/// part again under its old name, since its promises were somebody's quorum.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acceptor<V> {
    promised: Ballot,
    accepted: Option<Accept<V>>,
}

/// The request's ballot is below one that was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refused {
    /// The ballot that was refused.
    pub ballot: Ballot,
    /// The ballot that stands in its way.
    pub promised: Ballot,
}

impl<V> Default for Acceptor<V> {
    /// One that has promised and accepted nothing.
    fn default() -> Self {
        Self { promised: Ballot::ZERO, accepted: None }
    }
}

impl<V: Clone> Acceptor<V> {
    /// Phase 1(b): promises to accept nothing below the ballot, unless a greater one was promised.
    ///
    /// The same ballot again is answered again: the first answer may have been lost.
    ///
    /// # Errors
    /// A greater ballot was promised.
    pub fn prepare(
        &mut self,
        Prepare(ballot): Prepare,
    ) -> Result<Unwritten<Self, Promise<V>>, Refused> {
        self.promise(ballot)?;
        let promise = Promise { ballot, accepted: self.accepted.clone() };
        Ok(Unwritten::new(self.clone(), promise))
    }

    /// Phase 2(b), the paper's P1a: accepts unless a greater ballot was promised.
    ///
    /// # Errors
    /// A greater ballot was promised.
    pub fn accept(&mut self, accept: Accept<V>) -> Result<Unwritten<Self, Accepted<V>>, Refused> {
        // Who accepts a ballot has seen it: nothing below may follow.
        self.promise(accept.ballot)?;
        let accepted = Accepted { ballot: accept.ballot, value: accept.value.clone() };
        self.accepted = Some(accept);
        Ok(Unwritten::new(self.clone(), accepted))
    }

    fn promise(&mut self, ballot: Ballot) -> Result<(), Refused> {
        if ballot < self.promised {
            return Err(Refused { ballot, promised: self.promised });
        }
        self.promised = ballot;
        Ok(())
    }

    /// The greatest ballot that it promised.
    pub const fn promised(&self) -> Ballot {
        self.promised
    }

    /// What it accepted last.
    pub const fn accepted(&self) -> Option<&Accept<V>> {
        self.accepted.as_ref()
    }
}
