use althing_core::{NodeId, Random, Time};
use althing_keyspace::{
    Command, Compare, CompareResult, CompareTarget, DeleteRange, Operation as KeyspaceOperation,
    Put, Range, Txn,
};

use crate::answer::{key_name, value_text};
use crate::linearizability::Action;
use crate::profile::Load;

/// A client: asks, waits for the answer, thinks, asks again.
#[derive(Debug)]
pub(crate) struct Client {
    /// The node it talks to.
    pub(crate) node: usize,
    /// What it waits for.
    pub(crate) waits_for: Option<usize>,
    /// Where the load is even, when its next request is due. What it could not ask in time it asks
    /// later, up to a bound.
    pub(crate) due: Time,
    /// What it saw last under each key, to swap it for something else.
    seen: Vec<Option<u64>>,
    pub(crate) random: Random,
}

/// What a server is asked.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// To read a key.
    Read,
    /// To write.
    Write(Command),
    /// To keep a lease alive.
    Renew(i64),
}

/// What a client wants.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) key: u32,
    /// For the history; `None` for what changes nothing that can be read.
    pub(crate) action: Option<Action>,
    pub(crate) ask: Ask,
}

impl Client {
    pub(crate) fn new(nodes: &[NodeId], load: &Load, mut random: Random) -> Self {
        let node = random.below(nodes.len() as u64) as usize;
        let seen = vec![None; usize::try_from(load.keys).expect("there are few keys")];
        Self { node, waits_for: None, due: Time::ZERO, seen, random }
    }

    /// Draws what to do next. `fresh` is a value that nobody wrote before.
    pub(crate) fn wish(&mut self, load: &Load, nodes: usize, fresh: u64, revision: i64) -> Wish {
        if self.random.chance(load.wander) {
            self.node = self.random.below(nodes as u64) as usize;
        }
        let key = u32::try_from(self.random.below(load.keys)).expect("there are few keys");
        let draw = self.random.below(100);
        if draw < load.reads {
            return Wish { key, action: Some(Action::Get), ask: Ask::Read };
        }
        if draw == 99 {
            let revision = revision.saturating_sub(5).max(1);
            let ask = Ask::Write(Command::Compact { revision });
            return Wish { key, action: None, ask };
        }
        let name = key_name(key);
        let put = Put::new(name.as_str(), value_text(fresh, load.value_bytes).as_str());
        match self.random.below(10) {
            0..5 => Wish {
                key,
                action: Some(Action::Put { value: fresh }),
                ask: Ask::Write(Command::Put(put)),
            },
            5 => Wish {
                key,
                action: Some(Action::Delete),
                ask: Ask::Write(Command::DeleteRange(DeleteRange::key(name.as_str()))),
            },
            _ => {
                let expected = self.seen[key as usize];
                Wish {
                    key,
                    action: Some(Action::Swap { expected, value: fresh }),
                    ask: Ask::Write(Command::Txn(swap(&name, expected, put, load.value_bytes))),
                }
            }
        }
    }

    /// What it knows of a key from an answer.
    pub(crate) fn learn(&mut self, key: u32, value: Option<u64>) {
        self.seen[key as usize] = value;
    }
}

/// If the key has this value, or none: put; otherwise say what is there.
fn swap(key: &str, expected: Option<u64>, put: Put, bytes: usize) -> Txn {
    let target = match expected {
        Some(value) => CompareTarget::Value(value_text(value, bytes).as_str().into()),
        None => CompareTarget::CreateRevision(0),
    };
    let result = CompareResult::Equal;
    Txn {
        compare: vec![Compare { key: key.into(), range_end: "".into(), result, target }],
        success: vec![KeyspaceOperation::Put(put)],
        failure: vec![KeyspaceOperation::Range(Range::key(key))],
    }
}
