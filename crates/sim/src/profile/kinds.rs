//! What can be done to a cluster, by whoever wishes it ill and whoever wishes it well.

use crate::Fault;

/// What an operator can want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    AddVoter,
    AddLearner,
    Promote,
    Remove,
    /// One comes, another goes.
    Replace,
    /// Two come, two go.
    Exchange,
    SetCard,
    Transfer,
}

impl Errand {
    pub(crate) const COUNT: usize = 8;
    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::AddVoter,
        Self::AddLearner,
        Self::Promote,
        Self::Remove,
        Self::Replace,
        Self::Exchange,
        Self::SetCard,
        Self::Transfer,
    ];
}

/// The kinds of faults that come from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    PowerLoss,
    PowerLossOfAll,
    ProcessDeath,
    Pause,
    Isolation,
    Deafness,
    Muteness,
    Halves,
    Tangle,
    SlowDisk,
    DiskFull,
    DiskFails,
}

impl Kind {
    pub(crate) const COUNT: usize = 12;
    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::PowerLoss,
        Self::PowerLossOfAll,
        Self::ProcessDeath,
        Self::Pause,
        Self::Isolation,
        Self::Deafness,
        Self::Muteness,
        Self::Halves,
        Self::Tangle,
        Self::SlowDisk,
        Self::DiskFull,
        Self::DiskFails,
    ];

    /// Its class.
    pub(crate) const fn fault(self) -> Fault {
        match self {
            Self::PowerLoss => Fault::PowerLoss,
            Self::PowerLossOfAll => Fault::PowerLossOfAll,
            Self::ProcessDeath => Fault::ProcessDeath,
            Self::Pause => Fault::Pause,
            Self::Isolation | Self::Halves => Fault::Partition,
            Self::Deafness | Self::Muteness | Self::Tangle => Fault::OneWay,
            Self::SlowDisk => Fault::SlowDisk,
            Self::DiskFull => Fault::DiskFull,
            Self::DiskFails => Fault::DiskError,
        }
    }
}
