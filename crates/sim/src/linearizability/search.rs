use std::collections::BTreeSet;

use super::{Action, Observed, Operation};

/// How many steps a search takes before it gives up.
const STEPS_MAX: u64 = 500_000;

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// There is an order.
    Found,
    /// There is none. As many operations as possible were put in order; one of `stuck`, which all
    /// were under way then, would have had to come next.
    Impossible {
        /// Positions in what was searched.
        stuck: Vec<usize>,
    },
    /// It took too long.
    GivenUp,
}

/// Searches for an order of the operations of one key, by their values alone.
///
/// The algorithm is that of Wing and Gong (1993): of the operations that no other one had ended
/// before, try each next and go back where none fits; with Lowe's addition (2017) that a state
/// which was reached before with the same operations done is not tried again. An operation of
/// unknown outcome never ends, so it may come at any later place, or at none.
pub fn search(operations: &[&Operation]) -> Search {
    let mut list = List::new(operations);
    let mut done = Done::new(operations.len());
    let mut seen: BTreeSet<(Done, Option<u64>)> = BTreeSet::new();
    let mut path: Vec<(usize, Option<u64>)> = Vec::new();
    let mut state: Option<u64> = None;
    let mut longest = (0, Vec::new());
    let mut at = list.first();
    for _ in 0..STEPS_MAX {
        let Some(node) = at else {
            // Only operations that never ended are left over.
            return Search::Found;
        };
        match list.nodes[node] {
            Node::Call(operation) => {
                at = list.next[node];
                let Some(after) = step(operations[operation], state) else { continue };
                done.set(operation, true);
                if !seen.insert((done.clone(), after)) {
                    done.set(operation, false);
                    continue;
                }
                path.push((operation, state));
                state = after;
                list.lift(operation);
                at = list.first();
            }
            Node::Return => {
                if longest.1.is_empty() || path.len() > longest.0 {
                    longest = (path.len(), list.under_way());
                }
                let Some((operation, before)) = path.pop() else {
                    return Search::Impossible { stuck: longest.1 };
                };
                state = before;
                done.set(operation, false);
                list.put_back(operation);
                at = list.next[list.calls[operation]];
            }
        }
    }
    Search::GivenUp
}

/// The value after the operation, if it could have answered as it did.
fn step(operation: &Operation, state: Option<u64>) -> Option<Option<u64>> {
    let Some(observed) = operation.observed else {
        return Some(match operation.action {
            Action::Swap { expected, .. } if expected != state => state,
            action => action.leaves().unwrap_or(state),
        });
    };
    let fits = match (operation.action, observed) {
        (Action::Put { .. }, Observed::Put { .. }) => true,
        (Action::Get, Observed::Get { found, .. }) => found.map(|found| found.value) == state,
        (Action::Delete, Observed::Delete { deleted, .. }) => deleted == state.is_some(),
        (Action::Swap { expected, .. }, Observed::Swapped { .. }) => expected == state,
        (Action::Swap { expected, .. }, Observed::Kept { found, .. }) => {
            expected != state && found.map(|found| found.value) == state
        }
        _ => false,
    };
    let after = if observed.wrote() { operation.action.leaves().unwrap_or(state) } else { state };
    fits.then_some(after)
}

/// Which operations are in the order so far, a bit each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Done(Box<[u64]>);

impl Done {
    fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)].into())
    }

    fn set(&mut self, position: usize, value: bool) {
        let bit = 1 << (position % 64);
        if value {
            self.0[position / 64] |= bit;
        } else {
            self.0[position / 64] &= !bit;
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Node {
    Call(usize),
    Return,
}

/// Calls and returns in the order of time, from which an operation can be lifted and put back.
struct List {
    nodes: Vec<Node>,
    /// One longer than `nodes`: the last is the head.
    next: Vec<Option<usize>>,
    previous: Vec<usize>,
    calls: Vec<usize>,
    returns: Vec<Option<usize>>,
}

impl List {
    fn new(operations: &[&Operation]) -> Self {
        let mut moments: Vec<(u64, bool, usize)> = Vec::with_capacity(operations.len() * 2);
        for (position, operation) in operations.iter().enumerate() {
            // At one moment calls come before returns, so that the two overlap.
            moments.push((operation.called, false, position));
            if let Some(returned) = operation.returned {
                moments.push((returned, true, position));
            }
        }
        moments.sort_unstable();
        let head = moments.len();
        let mut list = Self {
            nodes: Vec::with_capacity(head),
            next: (1..=head).map(|next| (next < head).then_some(next)).collect(),
            previous: (0..head).map(|node| if node == 0 { head } else { node - 1 }).collect(),
            calls: vec![0; operations.len()],
            returns: vec![None; operations.len()],
        };
        list.next.push((head > 0).then_some(0));
        for (node, (_, is_return, position)) in moments.into_iter().enumerate() {
            if is_return {
                list.nodes.push(Node::Return);
                list.returns[position] = Some(node);
            } else {
                list.nodes.push(Node::Call(position));
                list.calls[position] = node;
            }
        }
        list
    }

    fn first(&self) -> Option<usize> {
        self.next[self.nodes.len()]
    }

    fn lift(&mut self, operation: usize) {
        self.unlink(self.calls[operation]);
        if let Some(node) = self.returns[operation] {
            self.unlink(node);
        }
    }

    /// Undoes the last [`Self::lift`] that was not undone.
    fn put_back(&mut self, operation: usize) {
        if let Some(node) = self.returns[operation] {
            self.link(node);
        }
        self.link(self.calls[operation]);
    }

    fn unlink(&mut self, node: usize) {
        let (previous, next) = (self.previous[node], self.next[node]);
        self.next[previous] = next;
        if let Some(next) = next {
            self.previous[next] = previous;
        }
    }

    fn link(&mut self, node: usize) {
        let (previous, next) = (self.previous[node], self.next[node]);
        self.next[previous] = Some(node);
        if let Some(next) = next {
            self.previous[next] = node;
        }
    }

    /// The operations called before the first return that is left.
    fn under_way(&self) -> Vec<usize> {
        let mut calls = Vec::new();
        let mut at = self.first();
        while let Some(node) = at {
            match self.nodes[node] {
                Node::Call(operation) => calls.push(operation),
                Node::Return => break,
            }
            at = self.next[node];
        }
        calls
    }
}
