use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use althing_keyspace::{Key, KeyRange, Keyspace};
use interavl::IntervalTree;
use tokio::sync::Notify;

/// Who wants to know what happens to which keys.
///
/// Nothing that happens is kept here, only that it did: for each watch that has something to be
/// told, the first revision it may not know. The events themselves are read from the keyspace's
/// history when the watcher is ready for them, so a watcher that does not read costs no memory; if
/// the history it has not read is compacted, it finds that out when it reads.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// The watches of each range.
    interests: IntervalTree<Edge, Vec<Interested>>,
    /// What was written up to here has been told on.
    noticed: i64,
    /// The revision of users and roles at that time.
    auth: Option<u64>,
}

#[derive(Clone, Debug)]
struct Interested {
    mailbox: Arc<Mailbox>,
    watch: i64,
}

/// Where one watcher learns which of its watches have something to be told.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    /// For each such watch, the first revision it may not know.
    waiting: Mutex<BTreeMap<i64, i64>>,
    filled: Notify,
}

/// A watch that is being kept; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Interest {
    watches: Arc<Watches>,
    range: Range<Edge>,
    interested: Interested,
}

/// A place before or after a key, for the ends of ranges.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    /// Whether it is after the key, and thereby before every greater one.
    At(Key, bool),
    /// After all keys.
    Last,
}

impl Watches {
    /// Begins a watch. What is written from now on, and after the revision that the keyspace is at,
    /// will be told to `mailbox` under the number `watch`.
    pub(crate) fn begin(
        self: &Arc<Self>,
        range: &KeyRange,
        watch: i64,
        mailbox: &Arc<Mailbox>,
    ) -> Interest {
        let range = edges(range);
        let interested = Interested { mailbox: Arc::clone(mailbox), watch };
        let mut table = self.table();
        match table.interests.get_mut(&range) {
            Some(all) => all.push(interested.clone()),
            None => {
                table.interests.insert(range.clone(), vec![interested.clone()]);
            }
        }
        drop(table);
        Interest { watches: Arc::clone(self), range, interested }
    }

    /// Tells on what was written since the last time. `keyspace` goes on only after this returns.
    pub(crate) fn notice(&self, keyspace: &Keyspace) {
        let mut table = self.table();
        let since = table.noticed + 1;
        table.noticed = keyspace.revision();
        let auth = keyspace.auth().revision();
        if table.auth.replace(auth).is_some_and(|before| before != auth) {
            // Each has to find out whether it may still be told anything.
            return table.tell_all(since);
        }
        if since > table.noticed || table.interests.iter().next().is_none() {
            return;
        }
        let Ok(happened) = keyspace.happened_since(since) else {
            // It cannot be known any more whom it concerns.
            return table.tell_all(since);
        };
        for happened in happened {
            let key = happened.key();
            let here = Edge::At(key.clone(), false)..Edge::At(key.clone(), true);
            let concerned = table.interests.iter_overlaps(&here).flat_map(|(_, all)| all);
            concerned.for_each(|interested| interested.tell(happened.revision()));
        }
    }

    /// What was written up to this revision has been told on.
    pub(crate) fn noticed(&self) -> i64 {
        self.table().noticed
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn tell_all(&self, revision: i64) {
        let all = self.interests.iter().flat_map(|(_, all)| all);
        all.for_each(|interested| interested.tell(revision));
    }
}

impl Interested {
    fn tell(&self, revision: i64) {
        let mut waiting = self.mailbox.waiting();
        if waiting.is_empty() {
            self.mailbox.filled.notify_one();
        }
        waiting.entry(self.watch).or_insert(revision);
    }
}

impl Mailbox {
    /// Waits until there is something in it.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Takes out what is in it: watches, and for each the first revision it may not know.
    pub(crate) fn take(&self) -> BTreeMap<i64, i64> {
        std::mem::take(&mut *self.waiting())
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<i64, i64>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let mut table = self.watches.table();
        let Some(all) = table.interests.get_mut(&self.range) else { return };
        let is_this = |other: &Interested| {
            other.watch == self.interested.watch
                && Arc::ptr_eq(&other.mailbox, &self.interested.mailbox)
        };
        if let Some(at) = all.iter().position(is_this) {
            all.swap_remove(at);
        }
        if all.is_empty() {
            table.interests.remove(&self.range);
        }
    }
}

fn edges(range: &KeyRange) -> Range<Edge> {
    let start = Edge::At(range.start().clone(), false);
    let end = match (range.single(), range.end()) {
        (Some(key), _) => Edge::At(key.clone(), true),
        (None, Some(end)) => Edge::At(end.clone(), false),
        (None, None) => Edge::Last,
    };
    start..end
}

#[cfg(test)]
mod tests {
    use althing_core::Index;
    use althing_keyspace::{Command, Put};

    use super::*;

    fn range(key: &str, range_end: &str) -> KeyRange {
        KeyRange::new(key.into(), range_end.into()).expect("it has room")
    }

    fn write(keyspace: &mut Keyspace, key: &str) {
        let put = Command::Put(Put::new(key, ""));
        keyspace.apply_command(keyspace.applied().next(), put).expect("a plain put");
    }

    #[test]
    fn each_watch_learns_the_first_revision_that_concerns_it() {
        let (watches, mailbox) = (Arc::new(Watches::default()), Arc::new(Mailbox::default()));
        let wanted = [("b", ""), ("a", "c"), ("b", "\0"), ("x", "z"), ("b", "")];
        let kept: Vec<Interest> = (0..)
            .zip(wanted)
            .map(|(watch, (key, end))| watches.begin(&range(key, end), watch, &mailbox))
            .collect();
        let mut keyspace = Keyspace::new();
        for key in ["a", "b", "b\0", "b", "c"] {
            write(&mut keyspace, key);
        }
        watches.notice(&keyspace);
        assert_eq!(mailbox.take(), BTreeMap::from([(0, 3), (1, 2), (2, 3), (4, 3)]));
        assert_eq!(watches.noticed(), keyspace.revision());
        watches.notice(&keyspace);
        assert_eq!(mailbox.take(), BTreeMap::new(), "once is enough");

        let mut kept = kept.into_iter();
        drop(kept.next());
        write(&mut keyspace, "b");
        watches.notice(&keyspace);
        assert_eq!(mailbox.take(), BTreeMap::from([(1, 7), (2, 7), (4, 7)]));
        drop(kept);
        write(&mut keyspace, "b");
        watches.notice(&keyspace);
        assert_eq!(mailbox.take(), BTreeMap::new());
        assert!(watches.table().interests.iter().next().is_none(), "nothing is left behind");
    }

    #[test]
    fn who_cannot_be_told_what_happened_is_told_that_something_did() {
        let (watches, mailbox) = (Arc::new(Watches::default()), Arc::new(Mailbox::default()));
        let _kept = watches.begin(&range("x", ""), 7, &mailbox);
        let mut keyspace = Keyspace::new();
        (0..5).for_each(|_| write(&mut keyspace, "a"));
        let compact = Command::Compact { revision: 4 };
        keyspace.apply_command(Index(6), compact).expect("it is in the past");
        watches.notice(&keyspace);
        assert_eq!(mailbox.take(), BTreeMap::from([(7, 1)]));
    }

    #[test]
    fn a_compaction_concerns_nobody_who_was_told_on_before() {
        let (watches, mailbox) = (Arc::new(Watches::default()), Arc::new(Mailbox::default()));
        let mut keyspace = Keyspace::new();
        write(&mut keyspace, "a");
        watches.notice(&keyspace);
        let _kept = watches.begin(&range("x", ""), 7, &mailbox);
        // One batch, in the middle of which the driver tells on.
        write(&mut keyspace, "a");
        write(&mut keyspace, "a");
        let revision = keyspace.revision();
        let compact = Command::Compact { revision };
        watches.notice(&keyspace);
        keyspace.apply_command(keyspace.applied().next(), compact).expect("it is in the past");
        watches.notice(&keyspace);
        assert_eq!(mailbox.take(), BTreeMap::new(), "nothing happened to x");
    }
}
