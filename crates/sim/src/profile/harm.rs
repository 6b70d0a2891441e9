use std::time::Duration;

use althing_core::Random;

use super::{Timing, one_of};
use crate::Fault;

/// What goes wrong beside storms: disks that lose what they had, clocks that leap, nodes that are
/// slow, clients that are too many.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Harms {
    /// Between one harm and the next, on average.
    pub(crate) pause_between: Duration,
    /// How often each is chosen, relative to the others.
    pub(crate) weights: [(Harm, u32); Harm::COUNT],
    /// Whether so many disks may be harmed that the cluster cannot go on. It must not lie then.
    pub(crate) is_ruthless: bool,
    /// A slow node takes everything in so much later, at most.
    pub(crate) lag_max: Duration,
    /// A clock leaps so far, at most.
    pub(crate) leap_max: Duration,
}

/// The kinds of harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    BitRot,
    MisdirectedWrite,
    StaleBlock,
    LostFile,
    LostDisk,
    ClockJump,
    SlowNode,
    Overload,
}

impl Harm {
    pub(crate) const COUNT: usize = 8;
    const ALL: [Self; Self::COUNT] = [
        Self::BitRot,
        Self::MisdirectedWrite,
        Self::StaleBlock,
        Self::LostFile,
        Self::LostDisk,
        Self::ClockJump,
        Self::SlowNode,
        Self::Overload,
    ];

    /// Its class.
    pub(crate) const fn fault(self) -> Fault {
        match self {
            Self::BitRot => Fault::BitRot,
            Self::MisdirectedWrite => Fault::MisdirectedWrite,
            Self::StaleBlock => Fault::StaleBlock,
            Self::LostFile => Fault::LostFile,
            Self::LostDisk => Fault::LostDisk,
            Self::ClockJump => Fault::ClockJump,
            Self::SlowNode => Fault::SlowNode,
            Self::Overload => Fault::Overload,
        }
    }

    /// Whether a disk is not what it was any more.
    pub(crate) const fn is_of_disk(self) -> bool {
        match self {
            Self::BitRot
            | Self::MisdirectedWrite
            | Self::StaleBlock
            | Self::LostFile
            | Self::LostDisk => true,
            Self::ClockJump | Self::SlowNode | Self::Overload => false,
        }
    }
}

impl Harms {
    /// Whether clocks leap.
    pub(crate) fn leap_clocks(&self) -> bool {
        self.weights.iter().any(|(harm, weight)| *harm == Harm::ClockJump && *weight > 0)
    }

    /// Half of all lives see harm. Drawn apart from everything else, so that the others are what
    /// they were before there was any.
    pub(super) fn draw(random: &mut Random, timing: &Timing, pauses: u32) -> Option<Self> {
        if random.chance(0.5) {
            return None;
        }
        let enabled = one_of(random, &[0.3, 0.7]);
        let weights = Harm::ALL.map(|harm| (harm, u32::from(random.chance(enabled))));
        let patience = timing.election_timeout;
        Some(Self {
            pause_between: patience * pauses * one_of(random, &[2, 5]),
            weights,
            is_ruthless: random.chance(0.2),
            lag_max: patience / one_of(random, &[2, 10]),
            leap_max: patience * one_of(random, &[1, 20]),
        })
    }
}
