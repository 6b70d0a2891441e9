use std::time::Duration;

/// What a group's members must agree on more or less, and what bounds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// A follower that hears nothing for this long, up to twice this long, stands for election.
    /// Default 1 s; at least five times `heartbeat_interval`.
    pub election_timeout: Duration,
    /// A leader speaks at least this often. Default 100 ms.
    pub heartbeat_interval: Duration,
    /// A message carries at most about this many bytes of entries, and at least one entry.
    /// Default 1 MiB.
    pub append_bytes_max: usize,
    /// A follower is sent at most this many messages ahead of its answers. Default 128.
    pub window_messages: usize,
    /// A follower is sent at most about this many bytes ahead of its answers. Default 8 MiB.
    pub window_bytes: usize,
    /// A leader takes no proposal while it holds this many uncommitted bytes. Default 64 MiB.
    pub uncommitted_bytes_max: usize,
    /// Behind a snapshot the log keeps about this many bytes of entries for followers that are a
    /// little late. Default 16 MiB.
    pub keep_bytes: usize,
    /// As long as a follower is being sent a snapshot, the log keeps up to about this many bytes of
    /// entries that follow it. Default 512 MiB.
    pub transfer_keep_bytes: usize,
    /// Whether members keep what reads by lease need: the greatest drift of their clocks, in
    /// millionths, that a leader counts on. Who was heard by a leader then helps nobody else to
    /// lead for an election timeout, nor after a start, and a leader that a quorum heard lately
    /// reads without asking. It is safe only as long as no clock of a member, while that member
    /// lives, runs faster or slower than this. Default `None`: each read is confirmed by a quorum.
    pub lease_drift: Option<u32>,
    /// A defect put in on purpose, to prove that the checkers find it. Without the crate's feature
    /// `planted-bugs` it has no effect.
    pub bug: Option<Bug>,
}

/// Defects that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A vote is given but not written down.
    ForgetsVote,
    /// Entries of earlier terms are committed by counting copies.
    CommitsOldTerms,
    /// The leader answers reads without asking whether it still leads.
    ReadsUnconfirmed,
    /// Followers say that entries are durable before they are.
    AcknowledgesEarly,
    /// A follower keeps its own entries where the leader has others.
    KeepsConflicts,
    /// Other voters take over in one step, without a joint configuration.
    SkipsJoint,
    /// A joint configuration is left before it is committed.
    LeavesJointEarly,
    /// Members are changed by a leader that has not committed anything yet, and before the last
    /// change is committed: the mistake of 2015.
    ChangesEarly,
    /// A joint configuration is decided by its new voters alone.
    AsksNewVotersOnly,
    /// Learners count.
    CountsLearners,
    /// A leader counts itself, though it is being removed.
    CountsItself,
    /// An entry that is taken back leaves its configuration in force.
    KeepsConfiguration,
    /// After a restart the configurations in the log are forgotten.
    ForgetsConfiguration,
    /// A snapshot that comes in brings no configuration with it.
    InstallsOldConfiguration,
    /// A leader goes on after its removal.
    StaysWhenRemoved,
    /// A server that is being removed does not stand for election any more, though nobody else can
    /// be elected.
    LeavesSilently,
    /// A learner stands for election.
    LearnersStand,
    /// A leader hands over to a server whose log is behind, and it is voted for all the same.
    HandsOverBlindly,
    /// A promise is given but not written down.
    ForgetsPromise,
    /// A candidate does not write down the ballot that it opens.
    ReusesBallot,
    /// A promise says nothing of what was accepted.
    TellsNothing,
    /// Of the entries that were accepted at a place, that of the smallest ballot is proposed again.
    LowestBallotWins,
    /// What is proposed again is not accepted under the greater ballot.
    KeepsOldBallots,
    /// After a restart the ballots under which entries were accepted are forgotten.
    ForgetsAcceptances,
    /// A candidate leads without the promises of the members whom it learned of.
    IgnoresLearnedMembers,
    /// A candidate leads with the promise of one other member.
    NeedsOnePromise,
    /// A snapshot that comes in drops what was accepted behind it.
    DropsBehindSnapshot,
    /// A lease counts from when the answer came, not from when the question was sent.
    LeaseFromAnswer,
    /// A lease is as long as the others are loyal, whatever the clocks do.
    LeaseIgnoresDrift,
    /// A leader reads by lease though it has asked another to stand for election.
    LeaseDuringHandover,
    /// After a start a member helps whoever asks, though it told a leader that it would not.
    ForgetsLoyalty,
    /// A vote goes to whoever asks first, however much its log lacks.
    VotesBlindly,
    /// A vote goes to everyone who asks for it.
    VotesTwice,
    /// A follower commits as far as its leader did, whatever stands there in its own log.
    CommitsUnmatched,
    /// A leader commits what it alone holds.
    MiscountsQuorum,
    /// A leader counts what it has not written yet.
    CountsUnwritten,
    /// A new leader answers reads by the commit index of the time before it led.
    ReadsTooEarly,
    /// The answers to one round of confirmation count for the next: the mistake of etcd 3.5.
    ReusesRounds,
    /// A follower cuts its log at every append, also where it holds the same already.
    TruncatesAlways,
    /// The messages of earlier epochs are taken for those of the present.
    ObeysOldEpochs,
    /// A follower answers in an epoch that it has not written down.
    AnswersUnpromised,
    /// A forwarded proposal that comes twice is taken twice.
    TakesRepeats,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            election_timeout: Duration::from_secs(1),
            heartbeat_interval: Duration::from_millis(100),
            append_bytes_max: 1 << 20,
            window_messages: 128,
            window_bytes: 8 << 20,
            uncommitted_bytes_max: 64 << 20,
            keep_bytes: 16 << 20,
            transfer_keep_bytes: 512 << 20,
            lease_drift: None,
            bug: None,
        }
    }
}
