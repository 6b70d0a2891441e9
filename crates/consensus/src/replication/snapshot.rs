use std::sync::Arc;
use std::time::Duration;

use althing_core::{Configuration, Index, LogId, NodeId, Time};

use super::message::Body;
use super::progress::{Progress, State};
use super::{Bug, Machine, Protocol, Role};
use crate::{Chunk, Output, Stored};

/// A snapshot on its way to a follower: one chunk at a time, each asked for by the answer to the
/// one before.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    snapshot: LogId,
    offset: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The chunk at `offset` is to be read.
    Wanted,
    /// It is being read, or was sent, since then. What gets lost is asked for again.
    UnderWay(Time),
}

impl Transfer {
    pub(super) const fn new(snapshot: LogId) -> Self {
        Self { snapshot, offset: 0, stage: Stage::Wanted }
    }

    pub(super) const fn snapshot(&self) -> LogId {
        self.snapshot
    }
}

/// A snapshot that comes in.
#[derive(Clone, Debug)]
pub(super) struct Receiving {
    snapshot: LogId,
    /// The next byte that is needed.
    offset: u64,
    /// The leader that sends it.
    from: NodeId,
    storing: Option<Storing>,
}

/// A chunk that is being written to the disk.
#[derive(Clone, Copy, Debug)]
struct Storing {
    /// Where the next one begins.
    next: u64,
    /// Whether there is none.
    last: bool,
}

impl<P: Protocol> Machine<P> {
    /// Forgets entries that a snapshot covers, but for a tail that late followers may need, and for
    /// what follows a snapshot that one of them is being sent: else the log would have moved past
    /// it by the time it arrives, again and again.
    pub(super) fn compact(&mut self, now: Time) {
        let keep = self.options.keep_bytes;
        let tail = self.tail_within(self.snapshot.index, keep);
        let Some(lent) = self.oldest_transfer(now) else {
            self.compact_to(tail);
            return;
        };
        // A transfer that takes too long has to start again all the same: memory is bounded.
        let kept_at_most = self.tail_within(self.snapshot.index, self.options.transfer_keep_bytes);
        self.compact_to(tail.min(lent.max(kept_at_most)));
    }

    fn compact_to(&mut self, index: Index) {
        self.log.compact_to(index);
        self.configurations.compact_to(self.log.begin().index);
        self.acceptances.begin_after(self.log.begin().index);
    }

    /// The first place after which there are no more than so many bytes of entries up to `end`.
    pub(crate) fn tail_within(&self, end: Index, bytes_max: usize) -> Index {
        let mut bytes = 0;
        let mut index = end;
        while let Some(entry) = self.log.entry(index) {
            bytes += entry.payload.size();
            if bytes > bytes_max {
                break;
            }
            index = index.previous();
        }
        index
    }

    /// Where the oldest snapshot ends that is on its way to a follower that is there.
    fn oldest_transfer(&self, now: Time) -> Option<Index> {
        let Role::Leader(leader) = &self.role else { return None };
        let is_there =
            |progress: &Progress| now.since(progress.heard_at) < self.options.election_timeout * 2;
        let transfers = leader.progress.values().filter(|progress| is_there(progress));
        let ends = transfers.filter_map(|progress| match &progress.state {
            State::Snapshot(transfer) => Some(transfer.snapshot().index),
            State::Probe { .. } | State::Replicate(_) => None,
        });
        ends.min()
    }

    /// Leader: asks for the next chunk, if its time has come.
    pub(super) fn continue_transfer(&mut self, now: Time, peer: NodeId) {
        let patience = self.chunk_patience();
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&peer) else { return };
        let State::Snapshot(transfer) = &mut progress.state else { return };
        let due = match transfer.stage {
            Stage::Wanted => true,
            Stage::UnderWay(since) => now.since(since) >= patience,
        };
        if due {
            transfer.stage = Stage::UnderWay(now);
            let Transfer { snapshot, offset, .. } = *transfer;
            self.outgoing.push(Output::LoadChunk { to: peer, snapshot, offset });
        }
    }

    fn chunk_patience(&self) -> Duration {
        self.options.election_timeout * 2
    }

    /// Leader: the chunk was read.
    pub(super) fn send_chunk(&mut self, now: Time, peer: NodeId, chunk: Option<Chunk>) {
        let newest = self.snapshot;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&peer) else { return };
        let State::Snapshot(transfer) = &mut progress.state else { return };
        match chunk {
            Some(chunk)
                if (chunk.snapshot, chunk.offset) == (transfer.snapshot, transfer.offset) =>
            {
                transfer.stage = Stage::UnderWay(now);
                self.send(peer, Body::Snapshot(chunk));
            }
            Some(_) => {}
            // It was replaced by a newer one. `UnderWay` keeps a missing newest from spinning.
            None => {
                let stage =
                    if transfer.snapshot == newest { Stage::UnderWay(now) } else { Stage::Wanted };
                *transfer = Transfer { snapshot: newest, offset: 0, stage };
            }
        }
    }

    /// Leader: the follower says where it wants to go on.
    pub(super) fn snapshot_reply(&mut self, now: Time, from: NodeId, snapshot: LogId, offset: u64) {
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&from) else { return };
        progress.heard_at = now;
        if let State::Snapshot(transfer) = &mut progress.state
            && transfer.snapshot == snapshot
            && transfer.offset != offset
        {
            *transfer = Transfer { snapshot, offset, stage: Stage::Wanted };
        }
    }

    /// Follower: a chunk came.
    pub(super) fn snapshot_chunk(&mut self, from: NodeId, chunk: Chunk) {
        if chunk.snapshot.index <= self.commit {
            self.owe(chunk.snapshot.index, 0, false);
            return;
        }
        let receiving = match &mut self.receiving {
            Some(receiving) if receiving.storing.is_some() => return,
            Some(receiving) if receiving.snapshot == chunk.snapshot => receiving,
            other => {
                other.insert(Receiving { snapshot: chunk.snapshot, offset: 0, from, storing: None })
            }
        };
        receiving.from = from;
        if chunk.offset == receiving.offset {
            let next = chunk.offset + chunk.data.len() as u64;
            receiving.storing = Some(Storing { next, last: chunk.last });
            self.outgoing.push(Output::StoreChunk(chunk));
        } else {
            let Receiving { snapshot, offset, .. } = *receiving;
            self.send(from, Body::SnapshotReply { snapshot, offset });
        }
    }

    /// Follower: a chunk was stored, or was not usable.
    pub(super) fn store_chunk(&mut self, snapshot: LogId, stored: Stored) {
        let Some(receiving) = self.receiving.as_mut().filter(|r| r.snapshot == snapshot) else {
            return;
        };
        let Some(Storing { next, last }) = receiving.storing.take() else { return };
        let from = receiving.from;
        match stored {
            Stored::Whole { configuration } => {
                assert!(last, "{snapshot} is whole before its last piece");
                self.receiving = None;
                self.install(snapshot, configuration);
                return;
            }
            // The leader asks again in a while; to answer at once would only fail at once.
            Stored::Rejected => {
                receiving.offset = 0;
                return;
            }
            Stored::Piece => receiving.offset = next,
        }
        let offset = receiving.offset;
        self.send_to_leader(from, Body::SnapshotReply { snapshot, offset });
    }

    fn send_to_leader(&mut self, leader: NodeId, body: Body<P>) {
        if self.leader() == Some(leader) && leader != self.id {
            self.send(leader, body);
        }
    }

    /// The state machine, and with it the log, go on from a snapshot that a leader sent (7).
    fn install(&mut self, snapshot: LogId, configuration: Arc<Configuration>) {
        let leads = matches!(self.role, Role::Leader(_));
        if snapshot.index <= self.commit || leads {
            return;
        }
        let keeps_the_rest = self.log.contains(snapshot);
        if self.has(Bug::DropsBehindSnapshot) && snapshot.index < self.log.last().index {
            self.log.truncate_from(snapshot.index.next());
            self.acceptances.truncate_from(snapshot.index.next());
        }
        self.log.begin_at(snapshot);
        self.journal.begin(snapshot);
        self.acceptances.begin_after(snapshot.index);
        if !keeps_the_rest {
            self.journal.replaced(self.commit);
            self.configurations.truncate_from(Index::ZERO);
            self.acceptances.clear();
        }
        if !self.has(Bug::InstallsOldConfiguration) {
            self.configurations.begin_at(snapshot.index, configuration);
        }
        self.configured();
        self.snapshot = snapshot;
        self.commit = snapshot.index;
        self.told.commit = self.commit;
        self.outgoing.push(Output::Install { snapshot });
        self.owe(snapshot.index, 0, false);
    }
}
