use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Instant;

use althing_core::{LogId, Op, Record};
use althing_storage::{FRAME_SIZE_MAX, RealDisk, Spare, Wal, WalError};
use tokio::sync::mpsc;

use crate::driver::{Alarm, Event};
use crate::handle::Shared;

/// A write that consensus asked for.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) op: Op,
    pub(crate) records: Vec<Record>,
}

/// Starts the thread that writes the log. It ends when the sender is dropped, or with an
/// [`Event::LogFailed`].
pub(crate) fn start(
    wal: Wal<RealDisk>,
    shared: Arc<Shared>,
    events: mpsc::UnboundedSender<Event>,
) -> std::io::Result<(Sender<Write>, thread::JoinHandle<()>)> {
    let (writes, incoming) = channel();
    let thread = thread::Builder::new().name("althing-log".to_owned()).spawn(move || {
        let _alarm = Alarm { thread: "log", events: events.clone() };
        let mut log = Log { wal, shared, spare: None, pause: 0 };
        let ran = log.run(&incoming, &events);
        let spare = log.spare.take();
        if let Err(error) = ran.and_then(|()| log.wal.close()) {
            // Without a driver nobody is left to care.
            let _ = events.send(Event::LogFailed(error.to_string()));
        }
        if let Some(spare) = spare {
            // It holds the folder too, which the next to open it is to find free.
            let _ = spare.join();
        }
    })?;
    Ok((writes, thread))
}

struct Log {
    wal: Wal<RealDisk>,
    shared: Arc<Shared>,
    /// The thread that makes the next segment's file.
    spare: Option<thread::JoinHandle<Option<Spare>>>,
    /// After a spare could not be made, so many commits pass before the next try.
    pause: u32,
}

/// How many commits pass after a spare could not be made.
const PAUSE_COMMITS: u32 = 10_000;

impl Log {
    /// Group commit without a timer: while one commit is under way the next writes gather, and the
    /// next commit takes them all.
    fn run(
        &mut self,
        incoming: &Receiver<Write>,
        events: &mpsc::UnboundedSender<Event>,
    ) -> Result<(), WalError> {
        while let Ok(Write { mut op, mut records }) = incoming.recv() {
            let mut bytes = weight(&records);
            while bytes < FRAME_SIZE_MAX / 2 {
                match incoming.try_recv() {
                    Ok(next) => {
                        bytes += weight(&next.records);
                        op = next.op;
                        records.extend(next.records);
                    }
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            let started = Instant::now();
            self.wal.commit(&records)?;
            self.shared.metrics.wal_fsync.observe(started.elapsed());
            if events.send(Event::Persisted(op)).is_err() {
                return Ok(());
            }
            self.tidy(&records)?;
        }
        Ok(())
    }

    /// What can wait until the commit was reported.
    fn tidy(&mut self, records: &[Record]) -> Result<(), WalError> {
        let begins = records.iter().filter_map(|record| match record {
            Record::Begin(id) => Some(*id),
            Record::Promise(_) | Record::Append(_) | Record::Accept(_) => None,
        });
        if let Some(begin) = begins.max_by_key(|id: &LogId| id.index) {
            self.wal.purge_before(begin)?;
        }
        if let Some(made) = self.spare.take_if(|spare| spare.is_finished()) {
            match made.join() {
                Ok(Some(spare)) => self.wal.offer_spare(spare)?,
                Ok(None) | Err(_) => self.pause = PAUSE_COMMITS,
            }
        }
        self.pause = self.pause.saturating_sub(1);
        if self.wal.wants_spare() && self.spare.is_none() && self.pause == 0 {
            self.make_spare();
        }
        Ok(())
    }

    /// Has the next segment's file made elsewhere. Where that fails, the log makes it itself when
    /// it comes to it, and fails then.
    fn make_spare(&mut self) {
        let maker = self.wal.spare_maker();
        let thread = thread::Builder::new().name("althing-spare".to_owned());
        self.spare = thread.spawn(move || maker.make().ok()).ok();
    }
}

/// About how many bytes the records take.
fn weight(records: &[Record]) -> usize {
    records
        .iter()
        .map(|record| match record {
            Record::Append(entries) => {
                entries.iter().map(|entry| 32 + entry.payload.size()).sum::<usize>()
            }
            Record::Promise(_) | Record::Begin(_) | Record::Accept(_) => 32,
        })
        .sum()
}
