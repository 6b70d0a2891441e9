use std::fmt;

use crate::Fault;

/// Something that a run can meet: a kind of fault, or a branch of recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// A message was lost.
    MessageLost,
    /// A message came twice.
    MessageDuplicated,
    /// A message came after one that was sent later, on the same link.
    MessageReordered,
    /// A message was sent where no way led.
    MessageCut,
    /// Nodes were parted, both ways.
    Partition,
    /// Nodes were parted one way only, or not transitively.
    PartitionOneWay,
    /// A node lost its power.
    PowerLoss,
    /// All nodes lost their power at once.
    PowerLossOfAll,
    /// A process died.
    ProcessDeath,
    /// A node died while its log was being written.
    DeathDuringWrite,
    /// A node died while it was starting.
    DeathDuringStart,
    /// Of a file's unsynced writes, some sectors survived and some did not.
    TornWrite,
    /// A node was not scheduled for a while.
    Pause,
    /// A node's disk was slow for a while.
    SlowDisk,
    /// A node ended because its disk was full.
    DiskFull,
    /// A node ended because its disk failed.
    DiskFailed,
    /// A node's clock ran more than one percent too fast or too slow.
    ClockDrift,
    /// A node's clock leapt ahead.
    ClockJump,
    /// A node was slow in everything.
    SlowNode,
    /// Bits on a disk changed.
    BitRot,
    /// A write went over something else.
    MisdirectedWrite,
    /// A block was as if it had never been written.
    StaleBlock,
    /// A file was cut short or gone.
    LostFile,
    /// A disk was gone, and the node with it.
    LostDisk,
    /// Clients asked for more than there was time for.
    Overload,
    /// A node started with an empty disk.
    FirstStart,
    /// A node came back.
    Restart,
    /// A node could not open its store because the disk was full or failed, and tried later.
    StartFailed,
    /// The log ended in a write that was never completed, and it was cut off.
    TornTailCut,
    /// A node restored its state from a snapshot when it started.
    SnapshotRestored,
    /// A node took a snapshot.
    SnapshotTaken,
    /// A piece of a snapshot was sent.
    SnapshotChunkSent,
    /// A snapshot was asked for that was no longer there.
    SnapshotGone,
    /// A node died with a snapshot half received.
    SnapshotInterrupted,
    /// A node went on from a snapshot that it received.
    SnapshotInstalled,
    /// A follower's entries were replaced by a leader's.
    ConflictTruncated,
    /// A proposal was taken by a follower, for its leader.
    ProposalForwarded,
    /// A proposal was refused, here or by the leader.
    ProposalRefused,
    /// A proposal was known to be lost when a later leader's first entry was applied.
    ProposalLost,
    /// A read was asked for at a follower.
    ReadForwarded,
    /// A read was refused because nobody was known to lead.
    ReadRefused,
    /// A deposed leader refused its reads.
    ReadDeposed,
    /// A leader stopped leading while it lived.
    LeaderDeposed,
    /// A client gave up waiting.
    ClientTimeout,
    /// A swap found something else.
    SwapKept,
    /// The keyspace was compacted.
    Compacted,
    /// The faults ended while a minority stayed down.
    MinorityLeftDown,
    /// Other voters began to take over.
    JointBegun,
    /// A voter came and another went in one change.
    MemberReplaced,
    /// A learner was added.
    LearnerAdded,
    /// A learner became a voter.
    LearnerPromoted,
    /// A learner was not promoted because it lacked too much.
    LearnerBehind,
    /// A learner was removed.
    LearnerRemoved,
    /// A member's card was changed.
    CardChanged,
    /// A change was refused because another was under way.
    ChangeUnderWay,
    /// A change was refused by a leader that was elected just now.
    ChangeTooEarly,
    /// A change was refused by a node that did not lead.
    ChangeNotHere,
    /// The name of a removed node was refused.
    RemovedNameRefused,
    /// A leader led on until its own removal was committed, and stepped down.
    LeaderRemovedItself,
    /// A node was told that it had been removed.
    RemovalLearned,
    /// A change was taken back with its entry.
    ConfigurationTakenBack,
    /// A node found changed members on its disk when it started.
    ConfigurationRecovered,
    /// A node learned the members from a snapshot.
    ConfigurationInstalled,
    /// A leader was elected in the middle of a change.
    JointLedOn,
    /// A node died in the middle of a change.
    DeathInJoint,
    /// A leader began to hand over.
    TransferBegun,
    /// It handed over.
    TransferDone,
    /// It gave up handing over.
    TransferAbandoned,
    /// It was asked to hand over and did not begin.
    TransferRefused,
    /// A node found that its disk was damaged, and did not start.
    DamageFound,
    /// A node started on a damaged disk and had lost nothing.
    DamageHarmless,
    /// A snapshot that came in was damaged, and refused.
    SnapshotRefused,
    /// So many disks were lost that the cluster could not go on, and did not pretend to.
    QuorumLost,
    /// A watch went on at another node.
    WatchResumed,
    /// A watch was told that what it wanted to know was compacted away.
    WatchCompacted,
    /// A lease was granted or kept alive.
    LeaseHeld,
    /// The time that a lease has was noted in the log.
    LeaseNoted,
    /// A lease was over.
    LeaseEnded,
}

impl Mark {
    /// All of them, in order.
    pub const ALL: [Self; 78] = [
        Self::MessageLost,
        Self::MessageDuplicated,
        Self::MessageReordered,
        Self::MessageCut,
        Self::Partition,
        Self::PartitionOneWay,
        Self::PowerLoss,
        Self::PowerLossOfAll,
        Self::ProcessDeath,
        Self::DeathDuringWrite,
        Self::DeathDuringStart,
        Self::TornWrite,
        Self::Pause,
        Self::SlowDisk,
        Self::DiskFull,
        Self::DiskFailed,
        Self::ClockDrift,
        Self::ClockJump,
        Self::SlowNode,
        Self::BitRot,
        Self::MisdirectedWrite,
        Self::StaleBlock,
        Self::LostFile,
        Self::LostDisk,
        Self::Overload,
        Self::FirstStart,
        Self::Restart,
        Self::StartFailed,
        Self::TornTailCut,
        Self::SnapshotRestored,
        Self::SnapshotTaken,
        Self::SnapshotChunkSent,
        Self::SnapshotGone,
        Self::SnapshotInterrupted,
        Self::SnapshotInstalled,
        Self::ConflictTruncated,
        Self::ProposalForwarded,
        Self::ProposalRefused,
        Self::ProposalLost,
        Self::ReadForwarded,
        Self::ReadRefused,
        Self::ReadDeposed,
        Self::LeaderDeposed,
        Self::ClientTimeout,
        Self::SwapKept,
        Self::Compacted,
        Self::MinorityLeftDown,
        Self::JointBegun,
        Self::MemberReplaced,
        Self::LearnerAdded,
        Self::LearnerPromoted,
        Self::LearnerBehind,
        Self::LearnerRemoved,
        Self::CardChanged,
        Self::ChangeUnderWay,
        Self::ChangeTooEarly,
        Self::ChangeNotHere,
        Self::RemovedNameRefused,
        Self::LeaderRemovedItself,
        Self::RemovalLearned,
        Self::ConfigurationTakenBack,
        Self::ConfigurationRecovered,
        Self::ConfigurationInstalled,
        Self::JointLedOn,
        Self::DeathInJoint,
        Self::TransferBegun,
        Self::TransferDone,
        Self::TransferAbandoned,
        Self::TransferRefused,
        Self::DamageFound,
        Self::DamageHarmless,
        Self::SnapshotRefused,
        Self::QuorumLost,
        Self::WatchResumed,
        Self::WatchCompacted,
        Self::LeaseHeld,
        Self::LeaseNoted,
        Self::LeaseEnded,
    ];

    /// The class of faults that brings it about, if it is one.
    pub const fn fault(self) -> Option<Fault> {
        Some(match self {
            Self::MessageLost => Fault::Loss,
            Self::MessageDuplicated => Fault::Duplication,
            Self::MessageReordered => Fault::Delay,
            Self::MessageCut | Self::Partition => Fault::Partition,
            Self::PartitionOneWay => Fault::OneWay,
            Self::PowerLoss => Fault::PowerLoss,
            Self::PowerLossOfAll => Fault::PowerLossOfAll,
            Self::ProcessDeath => Fault::ProcessDeath,
            Self::DeathDuringWrite | Self::DeathDuringStart => Fault::CrashPoint,
            Self::TornWrite => Fault::TornWrite,
            Self::Pause => Fault::Pause,
            Self::SlowDisk => Fault::SlowDisk,
            Self::DiskFull => Fault::DiskFull,
            Self::DiskFailed => Fault::DiskError,
            Self::ClockDrift => Fault::ClockDrift,
            Self::ClockJump => Fault::ClockJump,
            Self::SlowNode => Fault::SlowNode,
            Self::BitRot => Fault::BitRot,
            Self::MisdirectedWrite => Fault::MisdirectedWrite,
            Self::StaleBlock => Fault::StaleBlock,
            Self::LostFile => Fault::LostFile,
            Self::LostDisk => Fault::LostDisk,
            Self::Overload => Fault::Overload,
            _ => return None,
        })
    }

    /// Whether it is a fault that the simulator brings about, rather than something that followed.
    pub const fn is_fault(self) -> bool {
        self.fault().is_some()
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // "MessageLost" reads as "message lost".
        for (position, letter) in format!("{self:?}").char_indices() {
            if letter.is_ascii_uppercase() && position > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{}", letter.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

/// How often a run, or many, met each [`Mark`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage([u64; Mark::ALL.len()]);

impl Default for Coverage {
    fn default() -> Self {
        Self([0; Mark::ALL.len()])
    }
}

impl Coverage {
    /// How often this happened.
    pub const fn count(&self, mark: Mark) -> u64 {
        self.0[mark as usize]
    }

    /// Each mark with its count, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Mark, u64)> {
        Mark::ALL.into_iter().map(|mark| (mark, self.count(mark)))
    }

    /// What never happened.
    pub fn missing(&self) -> impl Iterator<Item = Mark> {
        self.iter().filter(|(_, count)| *count == 0).map(|(mark, _)| mark)
    }

    /// How many faults were brought about.
    pub fn faults(&self) -> u64 {
        self.iter().filter(|(mark, _)| mark.is_fault()).map(|(_, count)| count).sum()
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    pub(crate) const fn mark(&mut self, mark: Mark) {
        self.0[mark as usize] += 1;
    }
}
