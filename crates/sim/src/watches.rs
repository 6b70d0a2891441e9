use althing_keyspace::{Event, Keyspace, Rejection};

use crate::fold::Fold;

/// How many watches there are.
const COUNT: usize = 4;

/// Watches over all keys, and what they must see: each revision once, in order, with what the first
/// node wrote that applied it, on whichever node they read, and after whatever befell it. Where
/// history was compacted away under a watch, it is told so, and never just skips.
///
/// A watch reads as a server's does, from the state of one node; when that dies, it goes on at
/// another from where it was.
#[derive(Debug)]
pub(crate) struct Watches {
    /// By revision, from 2 on: what happened, as the first node to apply it saw it at once.
    truth: Vec<u64>,
    watches: [Watch; COUNT],
    nodes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Watch {
    /// Where it reads.
    node: usize,
    /// The first revision that it has not seen.
    next: i64,
    /// It reads at every so many steps of its node: some watches are slow.
    period: u64,
    steps: u64,
}

/// What a watch met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Met {
    /// Nothing that is worth a word.
    Nothing,
    /// It was told that what it wants to know is compacted away.
    Compacted,
}

/// The revision of the first write.
const FIRST: i64 = 2;

impl Watches {
    pub(crate) fn new(nodes: usize) -> Self {
        let watch = |at: usize| {
            let period = [1, 3, 20, 200][at % 4];
            Watch { node: at % nodes, next: FIRST, period, steps: 0 }
        };
        Self { truth: Vec::new(), watches: std::array::from_fn(watch), nodes }
    }

    /// A node applied a command.
    pub(crate) fn applied(&mut self, keyspace: &Keyspace) {
        let from = FIRST + self.truth.len() as i64;
        for revision in from..=keyspace.revision() {
            let happened = keyspace.happened_since(revision).into_iter().flatten();
            let now = happened.take_while(|happened| happened.revision() == revision);
            let mut fold = Fold::new();
            now.for_each(|happened| note(&mut fold, happened.event(false).as_ref()));
            self.truth.push(fold.value());
        }
    }

    /// A node died: its watches go on elsewhere. Returns how many.
    pub(crate) fn died(&mut self, node: usize) -> u64 {
        let mut moved = 0;
        for watch in self.watches.iter_mut().filter(|watch| watch.node == node) {
            watch.node = (node + 1) % self.nodes;
            moved += 1;
        }
        moved
    }

    /// Lets the watches of a node read. An error says what one saw that it must not see.
    pub(crate) fn read(&mut self, node: usize, keyspace: &Keyspace) -> Result<Met, String> {
        let mut met = Met::Nothing;
        for at in 0..COUNT {
            let watch = &mut self.watches[at];
            if watch.node != node {
                continue;
            }
            watch.steps += 1;
            if watch.steps.is_multiple_of(watch.period) && self.read_at(at, keyspace)? {
                met = Met::Compacted;
            }
        }
        Ok(met)
    }

    /// Whether it was told of a compaction.
    fn read_at(&mut self, at: usize, keyspace: &Keyspace) -> Result<bool, String> {
        let watch = &mut self.watches[at];
        let compacted = keyspace.compacted_revision();
        let happened = match keyspace.happened_since(watch.next) {
            Ok(happened) => happened,
            Err(Rejection::Compacted) if watch.next < compacted => {
                // As a client does that is told so.
                watch.next = compacted.max(FIRST);
                return Ok(true);
            }
            Err(rejection) => {
                return Err(format!("a watch from {} is told: {rejection}", watch.next));
            }
        };
        let mut happened = happened.peekable();
        while let Some(revision) = happened.peek().map(|happened| happened.revision()) {
            // Of a compacted revision only what still stands is told, and maybe nothing.
            let is_partial = revision <= compacted;
            let may_skip = watch.next == compacted && revision > watch.next;
            if revision != watch.next && !may_skip {
                let next = watch.next;
                return Err(format!("a watch that wants {next} is told {revision}"));
            }
            let mut fold = Fold::new();
            while let Some(happened) = happened.next_if(|next| next.revision() == revision) {
                note(&mut fold, happened.event(false).as_ref());
            }
            let known = usize::try_from(revision - FIRST).ok().and_then(|at| self.truth.get(at));
            if !is_partial && known != Some(&fold.value()) {
                return Err(format!("a watch is told of {revision} what never happened"));
            }
            watch.next = revision + 1;
        }
        let behind = keyspace.revision() + 1;
        if watch.next < behind && watch.next > compacted {
            let next = watch.next;
            return Err(format!("a watch that wants {next} is told nothing up to {behind}"));
        }
        watch.next = watch.next.max(behind.min(compacted + 1));
        Ok(false)
    }
}

fn note(fold: &mut Fold, event: Option<&Event>) {
    let Some(Event { is_delete, kv, .. }) = event else { return };
    fold.word(u64::from(*is_delete));
    fold.bytes(kv.key.as_bytes());
    fold.bytes(kv.value.as_bytes());
    for number in [kv.create_revision, kv.mod_revision, kv.version, kv.lease] {
        fold.word(number.cast_unsigned());
    }
}

#[cfg(test)]
mod tests {
    use althing_core::Index;
    use althing_keyspace::{Command, Put};

    use super::*;

    fn put(keyspace: &mut Keyspace, key: &str) {
        let command = Command::Put(Put::new(key, "value"));
        let index = keyspace.applied().next();
        keyspace.apply_command(index, command).expect("a put succeeds");
    }

    /// Two nodes that applied the same.
    fn two(keys: &[&str]) -> (Watches, Keyspace, Keyspace) {
        let (mut one, mut other) = (Keyspace::new(), Keyspace::new());
        let mut watches = Watches::new(2);
        for key in keys {
            put(&mut one, key);
            put(&mut other, key);
            watches.applied(&one);
        }
        (watches, one, other)
    }

    #[test]
    fn a_watch_goes_on_at_another_node_and_one_behind_waits() {
        let (mut watches, one, other) = two(&["a", "b"]);
        assert_eq!(watches.read(0, &one), Ok(Met::Nothing));
        assert_eq!(watches.died(0), 2);
        assert_eq!(watches.read(1, &other), Ok(Met::Nothing));
        assert_eq!(watches.read(1, &Keyspace::new()), Ok(Met::Nothing), "it has not come so far");
    }

    #[test]
    fn what_never_happened_is_reported() {
        let (mut watches, ..) = two(&["a", "b"]);
        let mut false_one = Keyspace::new();
        put(&mut false_one, "a");
        put(&mut false_one, "c");
        assert!(watches.read(0, &false_one).is_err());
    }

    #[test]
    fn a_watch_under_which_history_is_compacted_is_told_so() {
        let (mut watches, mut one, _) = two(&["a", "a", "a", "a"]);
        let compact = Command::Compact { revision: 4 };
        one.apply_command(Index(9), compact).expect("it is in the past");
        assert_eq!(watches.read(0, &one), Ok(Met::Compacted));
        assert_eq!(watches.read(0, &one), Ok(Met::Nothing));
    }
}
