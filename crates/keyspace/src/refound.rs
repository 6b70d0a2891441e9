use crate::Rejection;
use crate::keyspace::{Keyspace, Members};

impl Keyspace {
    /// Makes the state that of a new cluster, which is founded on it: the members of the former one
    /// and the alarms are forgotten, and the revision goes ahead by `ahead`, so that none is given
    /// twice. Whoever has seen the former cluster go on after this state would otherwise meet
    /// revisions that it knows with other keys in them. History before the new revision is
    /// compacted away, so that a watch of the former cluster does not go on here as if nothing had
    /// happened.
    ///
    /// The same on every node that is founded on the same state with the same `ahead`.
    ///
    /// # Errors
    /// The revision would go beyond what can be counted; nothing has changed.
    pub fn refound(&mut self, ahead: u32) -> Result<(), Rejection> {
        let revision = self.revision().checked_add(i64::from(ahead));
        let revision = revision.ok_or(Rejection::FutureRevision)?;
        self.state.members = Members::new();
        self.state.alarms.clear();
        if ahead > 0 {
            self.state.revision = revision;
            self.compact(revision)?;
            while self.sweep(usize::MAX) {}
        }
        Ok(())
    }
}
