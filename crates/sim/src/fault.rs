use std::fmt;
use std::str::FromStr;

/// A class of things that go wrong, to be switched on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Messages get lost.
    Loss,
    /// Messages come twice, the second time late.
    Duplication,
    /// Messages come late, and after those that were sent later.
    Delay,
    /// The network comes apart, both ways.
    Partition,
    /// It comes apart one way only, or not transitively.
    OneWay,
    /// A node loses its power, and with it what was not synced.
    PowerLoss,
    /// All nodes lose their power at once.
    PowerLossOfAll,
    /// A process dies; the system keeps what was written.
    ProcessDeath,
    /// A node dies at any one step: between two inputs, in the middle of a write, after a promise.
    CrashPoint,
    /// Of what was not synced, single sectors survive a loss of power.
    TornWrite,
    /// A disk is full.
    DiskFull,
    /// A write or a sync fails.
    DiskError,
    /// A disk is slow.
    SlowDisk,
    /// A node is slow in everything, and alive.
    SlowNode,
    /// A node is not scheduled for a while.
    Pause,
    /// Clocks run too fast or too slow.
    ClockDrift,
    /// A clock leaps ahead.
    ClockJump,
    /// Bits of what was durable change.
    BitRot,
    /// A write went to another place: what stood there is gone.
    MisdirectedWrite,
    /// A block is as it was before its last write.
    StaleBlock,
    /// A file is cut short, or gone.
    LostFile,
    /// A disk is gone, and the node with it.
    LostDisk,
    /// Clients ask for far more than there is time for.
    Overload,
    /// Operators change the members and hand over the leadership.
    Membership,
    /// A minority stays down when all the others are well again.
    MinorityDown,
}

impl Fault {
    /// All of them, in order.
    pub const ALL: [Self; 25] = [
        Self::Loss,
        Self::Duplication,
        Self::Delay,
        Self::Partition,
        Self::OneWay,
        Self::PowerLoss,
        Self::PowerLossOfAll,
        Self::ProcessDeath,
        Self::CrashPoint,
        Self::TornWrite,
        Self::DiskFull,
        Self::DiskError,
        Self::SlowDisk,
        Self::SlowNode,
        Self::Pause,
        Self::ClockDrift,
        Self::ClockJump,
        Self::BitRot,
        Self::MisdirectedWrite,
        Self::StaleBlock,
        Self::LostFile,
        Self::LostDisk,
        Self::Overload,
        Self::Membership,
        Self::MinorityDown,
    ];

    /// Its name on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Duplication => "duplication",
            Self::Delay => "delay",
            Self::Partition => "partition",
            Self::OneWay => "one-way",
            Self::PowerLoss => "power-loss",
            Self::PowerLossOfAll => "power-loss-of-all",
            Self::ProcessDeath => "process-death",
            Self::CrashPoint => "crash-point",
            Self::TornWrite => "torn-write",
            Self::DiskFull => "disk-full",
            Self::DiskError => "disk-error",
            Self::SlowDisk => "slow-disk",
            Self::SlowNode => "slow-node",
            Self::Pause => "pause",
            Self::ClockDrift => "clock-drift",
            Self::ClockJump => "clock-jump",
            Self::BitRot => "bit-rot",
            Self::MisdirectedWrite => "misdirected-write",
            Self::StaleBlock => "stale-block",
            Self::LostFile => "lost-file",
            Self::LostDisk => "lost-disk",
            Self::Overload => "overload",
            Self::Membership => "membership",
            Self::MinorityDown => "minority-down",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Some classes of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultSet(u32);

impl FaultSet {
    /// No class.
    pub const NONE: Self = Self(0);
    /// All classes.
    pub const ALL: Self = Self((1 << Fault::ALL.len()) - 1);

    /// Whether this class is among them.
    pub const fn contains(self, fault: Fault) -> bool {
        self.0 >> fault as u32 & 1 == 1
    }

    /// These and this class.
    #[must_use]
    pub const fn with(self, fault: Fault) -> Self {
        Self(self.0 | 1 << fault as u32)
    }

    /// These but for this class.
    #[must_use]
    pub const fn without(self, fault: Fault) -> Self {
        Self(self.0 & !(1 << fault as u32))
    }

    /// Which classes they are, in order.
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(move |fault| self.contains(*fault))
    }
}

impl Default for FaultSet {
    fn default() -> Self {
        Self::ALL
    }
}

impl fmt::Display for FaultSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("all");
        }
        if *self == Self::NONE {
            return f.write_str("none");
        }
        let names: Vec<&str> = self.iter().map(Fault::name).collect();
        f.write_str(&names.join(","))
    }
}

/// `all`, `none`, or names with commas between. The error tells the names there are.
impl FromStr for FaultSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => return Ok(Self::ALL),
            "none" => return Ok(Self::NONE),
            _ => {}
        }
        let mut faults = Self::NONE;
        for name in text.split(',') {
            let Some(fault) = Fault::ALL.into_iter().find(|fault| fault.name() == name) else {
                let names = Fault::ALL.map(Fault::name).join(", ");
                return Err(format!("no fault is called `{name}`; there are: {names}"));
            };
            faults = faults.with(fault);
        }
        Ok(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_back_as_it_is_shown() {
        let some = FaultSet::NONE.with(Fault::Loss).with(Fault::BitRot);
        for (faults, text) in
            [(FaultSet::ALL, "all"), (FaultSet::NONE, "none"), (some, "loss,bit-rot")]
        {
            assert_eq!(faults.to_string(), text);
            assert_eq!(text.parse(), Ok(faults));
        }
        assert!(some.contains(Fault::BitRot) && !some.contains(Fault::Delay));
        assert_eq!(some.without(Fault::Loss).iter().collect::<Vec<_>>(), [Fault::BitRot]);
        assert_eq!(FaultSet::ALL.iter().count(), Fault::ALL.len());
    }

    #[test]
    fn a_name_that_is_none_is_refused_with_those_that_are() {
        for wrong in ["", "los", "loss,,delay", "All", "loss, delay"] {
            let error = wrong.parse::<FaultSet>().expect_err("it names no fault");
            for fault in Fault::ALL {
                assert!(error.contains(fault.name()), "{error}");
            }
        }
    }
}
