use core::convert::Infallible;

/// What a proposer makes of the value that may have been chosen before.
pub trait Change<V> {
    /// Why it makes nothing of it.
    type Refusal;

    /// The value to propose, after `current` or after nothing.
    ///
    /// # Errors
    /// The change does not apply to `current`; nothing is proposed.
    fn apply(&self, current: Option<&V>) -> Result<V, Self::Refusal>;
}

/// The paper's proposal: what may have been chosen before stays, and this value is for the case
/// that nothing was (P2c).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decide<V>(pub V);

impl<V: Clone> Change<V> for Decide<V> {
    type Refusal = Infallible;

    fn apply(&self, current: Option<&V>) -> Result<V, Infallible> {
        Ok(current.unwrap_or(&self.0).clone())
    }
}
