use std::ops::Range;

use althing_core::{Disk, DiskFile};

use crate::OpenError;
use crate::frame::{self, BLOCK, Kind};
use crate::head::{FORMAT_VERSION, Head, HeadFault, SegmentNumber};

/// The largest segment that is read, in bytes; far above every size that makes sense.
pub(crate) const SEGMENT_SIZE_MAX: u64 = 1 << 30;

/// A segment as it was found: its head, and its frames up to the first place where none follows.
pub(crate) struct Scan {
    pub(crate) file: String,
    pub(crate) head: Head,
    pub(crate) salt: u64,
    pub(crate) places: Vec<Place>,
    /// Where the next frame would begin.
    pub(crate) end: usize,
    /// The sequence number of the head; the frames after it count on from there.
    pub(crate) sequence: u64,
    bytes: Vec<u8>,
}

/// Where a frame after the head stands in its segment.
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) offset: usize,
    body: Range<usize>,
}

impl Scan {
    /// Reads a segment, all of it.
    pub(crate) fn read<D: Disk>(disk: &D, number: SegmentNumber) -> Result<Self, OpenError> {
        let name = number.file();
        let file = disk.open(&name)?;
        let damaged = |why| OpenError::Damaged { file: number.file(), offset: 0, why };
        let mut block = vec![0; BLOCK];
        let length = file.read_at(0, &mut block)?;
        let frame =
            frame::open(&block[..length]).ok_or_else(|| damaged("its head does not check"))?;
        if frame.kind != Kind::Head {
            return Err(damaged("it begins with something that is not a head"));
        }
        let head = Head::decode(frame.body).map_err(|fault| match fault {
            HeadFault::Version(found) if found > FORMAT_VERSION => {
                let supported = FORMAT_VERSION;
                OpenError::NewerFormat { file: number.file(), found, supported }
            }
            HeadFault::Version(_) | HeadFault::Malformed => damaged("its head is malformed"),
        })?;
        if head.number != number || head.oldest > number {
            return Err(damaged("its head belongs to another segment"));
        }
        if head.size > SEGMENT_SIZE_MAX || file.length()? != head.size {
            return Err(damaged("its length is not the one that its head states"));
        }
        let mut bytes = vec![0; usize::try_from(head.size).expect("it is at most a GiB")];
        let read = file.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        let (salt, sequence) = (frame.salt, frame.sequence);
        let mut scan =
            Self { file: name, head, salt, places: Vec::new(), end: BLOCK, sequence, bytes };
        scan.find_frames();
        Ok(scan)
    }

    /// The body of a frame.
    pub(crate) fn body(&self, place: &Place) -> &[u8] {
        &self.bytes[place.body.clone()]
    }

    /// All bytes of the last frame after the head, and where they stand.
    pub(crate) fn last_frame(&self) -> Option<(u64, &[u8])> {
        let offset = self.places.last()?.offset;
        Some((offset as u64, &self.bytes[offset..self.end]))
    }

    /// The sequence number of the frame that would come next.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence + 1 + self.places.len() as u64
    }

    /// Where a frame was begun after the last whole one, if one was.
    pub(crate) fn torn(&self) -> Option<u64> {
        let salt = frame::salt_of(&self.bytes[self.end..]);
        (salt == Some(self.salt)).then_some(self.end as u64)
    }

    /// Fails if a frame of this segment stands after the place where the frames end. A frame is
    /// written only after the one before it was synced, so that one was durable once.
    pub(crate) fn check_nothing_follows(&self) -> Result<(), OpenError> {
        for offset in (self.end..self.bytes.len()).step_by(BLOCK) {
            let rest = &self.bytes[offset..];
            if frame::salt_of(rest) == Some(self.salt) && frame::open(rest).is_some() {
                return Err(OpenError::Damaged {
                    file: self.file.clone(),
                    offset: self.end as u64,
                    why: "a frame here does not check, although a later one was written after it",
                });
            }
        }
        Ok(())
    }

    fn find_frames(&mut self) {
        while let Some(frame) = frame::open(&self.bytes[self.end..]) {
            let is_next = frame.salt == self.salt && frame.sequence == self.next_sequence();
            if !is_next || frame.kind == Kind::Head {
                break;
            }
            let start = self.end + frame::HEADER_SIZE;
            let (kind, offset, size) = (frame.kind, self.end, frame.size);
            let body = start..start + frame.body.len();
            self.places.push(Place { kind, offset, body });
            self.end += size;
        }
    }
}
