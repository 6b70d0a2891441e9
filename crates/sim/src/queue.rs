use std::cmp::Reverse;
use std::collections::BinaryHeap;

use althing_core::Time;

/// What will happen, in the order of its time; what is due at the same time happens in the order in
/// which it was put in. That order is all there is of concurrency, so a seed has one course.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    heap: BinaryHeap<Reverse<Due>>,
    /// The events themselves, in slots that are used again, so that the heap moves small things.
    slots: Vec<Option<E>>,
    free: Vec<usize>,
    pushed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Time,
    sequence: u64,
    slot: usize,
}

impl<E> Queue<E> {
    pub(crate) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), pushed: 0 }
    }

    pub(crate) fn push(&mut self, at: Time, event: E) {
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot] = Some(event);
            slot
        } else {
            self.slots.push(Some(event));
            self.slots.len() - 1
        };
        self.pushed += 1;
        self.heap.push(Reverse(Due { at, sequence: self.pushed, slot }));
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, E)> {
        let Reverse(Due { at, slot, .. }) = self.heap.pop()?;
        self.free.push(slot);
        let event = self.slots[slot].take().expect("a slot is filled while it is in the heap");
        Some((at, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_the_order_they_were_put_in() {
        let mut queue = Queue::new();
        for (at, event) in [(5, "c"), (1, "a"), (5, "d"), (3, "b")] {
            queue.push(Time::from_nanos(at), event);
        }
        assert_eq!(queue.pop(), Some((Time::from_nanos(1), "a")));
        queue.push(Time::from_nanos(5), "e");
        let rest: Vec<&str> = std::iter::from_fn(|| queue.pop()).map(|due| due.1).collect();
        assert_eq!(rest, ["b", "c", "d", "e"]);
    }
}
