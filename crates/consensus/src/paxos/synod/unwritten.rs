/// An answer that may leave only once a state is durable (the paper, section 2.5: "an acceptor must
/// remember"; a proposer must remember the greatest ballot it used).
///
/// What it holds cannot be reached but through [`written`](Self::written): whoever sends it has
/// said that [`state`](Self::state) is on disk.
#[derive(Clone, Debug)]
#[must_use = "the state is to be written, then the answer to be sent"]
pub struct Unwritten<S, A> {
    state: S,
    answer: A,
}

impl<S, A> Unwritten<S, A> {
    pub(super) const fn new(state: S, answer: A) -> Self {
        Self { state, answer }
    }

    /// What must be durable first, in place of what was written before.
    pub const fn state(&self) -> &S {
        &self.state
    }

    /// The answer, now that the state is durable.
    pub fn written(self) -> A {
        self.answer
    }
}
