use althing_etcd_api::etcdserverpb as pb;
use althing_etcd_api::mvccpb;
use althing_keyspace::{Event, Happened, KeyRange, Principal, Rejection};
use pb::watch_create_request::FilterType;

use super::super::convert;
use super::super::door::Door;
use crate::watches::Interest;

/// One watch of a stream: what it wants, and how far it has been told.
///
/// Nothing is kept for it: what it is told is read from the history when the client is ready to
/// read on.
#[derive(Debug)]
pub(super) struct Watcher {
    wants: Wants,
    /// The first revision that it has not been told of.
    next: i64,
    /// Ends with it.
    _interest: Interest,
}

/// What a client wants to be told, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wants {
    pub(super) range: KeyRange,
    pub(super) puts: bool,
    pub(super) deletes: bool,
    pub(super) previous: bool,
    /// Answers that are too large may be split.
    pub(super) fragments: bool,
    /// Tell now and then that nothing has happened.
    pub(super) progress: bool,
}

/// A piece of the history.
#[derive(Debug, PartialEq)]
pub(super) struct Piece {
    /// What the watcher wants of it.
    pub(super) events: Vec<mvccpb::Event>,
    /// The last revision of the piece; whole revisions only.
    pub(super) through: i64,
    /// More has been written since.
    pub(super) has_more: bool,
}

/// A piece is cut at the first revision that ends beyond so many bytes of events,
const EVENT_BYTES: usize = 256 << 10;
/// or beyond so many writes looked at, wanted or not.
const WRITES: usize = 4096;

impl Wants {
    /// What a request asks for; `None` if no key can be in its range.
    pub(super) fn of(request: &pb::WatchCreateRequest) -> Option<Self> {
        // No key means the least there can be, as in etcd.
        let key = if request.key.is_empty() { &[0][..] } else { request.key.as_ref() };
        let range = KeyRange::new(key.into(), request.range_end.as_ref().into())?;
        let has = |filter: FilterType| request.filters.contains(&filter.into());
        Some(Self {
            range,
            puts: !has(FilterType::Noput),
            deletes: !has(FilterType::Nodelete),
            previous: request.prev_kv,
            fragments: request.fragment,
            progress: request.progress_notify,
        })
    }

    fn wants(&self, event: &Event) -> bool {
        if event.is_delete { self.deletes } else { self.puts }
    }
}

impl Watcher {
    pub(super) const fn new(wants: Wants, next: i64, interest: Interest) -> Self {
        Self { wants, next, _interest: interest }
    }

    pub(super) const fn wants(&self) -> &Wants {
        &self.wants
    }

    /// Nothing before `revision` concerns it.
    pub(super) fn skip_to(&mut self, revision: i64) {
        self.next = self.next.max(revision);
    }

    /// Reads on from where it was.
    ///
    /// # Errors
    /// What it has not been told yet was compacted away, or the caller may not read its keys any
    /// more. It must end, and say so.
    pub(super) fn read(&mut self, door: &Door, caller: &Principal) -> Result<Piece, Rejection> {
        let (range, next) = (&self.wants.range, self.next);
        let piece = door
            .read_history(caller, range, next, |present, happened| self.piece(present, happened))?;
        self.next = self.next.max(piece.through + 1);
        Ok(piece)
    }

    fn piece(&self, present: i64, history: &mut dyn Iterator<Item = Happened<'_>>) -> Piece {
        let mut piece = Piece { events: Vec::new(), through: present, has_more: false };
        let (mut bytes, mut writes) = (0, 0);
        let mut revision = self.next;
        for happened in history {
            if happened.revision() > revision {
                if bytes >= EVENT_BYTES || writes >= WRITES {
                    piece.through = revision;
                    piece.has_more = true;
                    break;
                }
                revision = happened.revision();
            }
            writes += 1;
            if !self.wants.range.contains(happened.key()) {
                continue;
            }
            let event = happened.event(self.wants.previous);
            let Some(event) = event.filter(|event| self.wants.wants(event)) else { continue };
            bytes += size(&event);
            piece.events.push(convert::event(event));
        }
        piece
    }
}

/// About what an event takes in an answer, in bytes.
fn size(event: &Event) -> usize {
    let previous = event.previous.iter();
    let kvs = std::iter::once(&event.kv).chain(previous);
    kvs.map(|kv| kv.key.len() + kv.value.len() + 32).sum()
}
