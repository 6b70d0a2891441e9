use std::fmt;

use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{Acceptance, Ballot, Entry, Index, LogId, decode_entries, encode_entries};

use crate::replication::{self, Body, Protocol, require_following};

/// What candidates and acceptors say to each other in phase one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Would-be candidate → everyone: would you help me to lead? Costs nobody a ballot.
    Canvass {
        /// The sender's log, without what it holds.
        outline: Outline,
    },
    /// Candidate → everyone: promise me this ballot, and tell me what you accepted (phase 1a).
    Prepare {
        /// The sender's log, without what it holds.
        outline: Outline,
        /// The leader asked the sender to stand: that it lives is no reason not to listen.
        handed_over: bool,
    },
    /// Candidate → acceptor: your promise did not fit into one message; go on after this entry.
    More {
        /// The last entry that came.
        after: Index,
    },
    /// Acceptor → candidate: I promise, and this is what I accepted (phase 1b). It is durable
    /// before it is sent.
    Promise(Promise),
    /// Acceptor → candidate: I promised a greater ballot, the one this message bears.
    Outbid,
}

/// What an acceptor accepted, as far as the candidate does not hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// Up to here the candidate's log and the acceptor's are the same, or were told before.
    pub previous: Index,
    /// What the acceptor holds after that.
    pub entries: Vec<Entry>,
    /// Whether more follow.
    pub more: bool,
    /// The acceptor knows that everything up to here is chosen.
    pub commit: Index,
    /// The ballots under which it accepted its entries, where those do not name them.
    pub acceptances: Vec<Acceptance>,
}

/// A log without what its entries carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The entry after which the log begins.
    pub begin: LogId,
    /// The last of every run of entries that one ballot names, in order.
    pub runs: Vec<LogId>,
}

impl Outline {
    /// The last entry.
    pub(super) fn last(&self) -> LogId {
        self.runs.last().copied().unwrap_or(self.begin)
    }

    /// The ballot that names the entry at `index`.
    pub(super) fn ballot_at(&self, index: Index) -> Option<Ballot> {
        if index == self.begin.index {
            return Some(self.begin.ballot);
        }
        let after = index > self.begin.index;
        let run = self.runs.iter().find(|run| after && run.index >= index)?;
        Some(run.ballot)
    }
}

impl replication::Ask for Ask {
    fn disturbs(&self) -> bool {
        matches!(self, Self::Canvass { .. } | Self::Prepare { handed_over: false, .. })
    }

    fn is_question(&self) -> bool {
        matches!(self, Self::Canvass { .. } | Self::Prepare { .. })
    }

    fn refusal<P: Protocol<Ask = Self>>(&self) -> Option<Body<P>> {
        match self {
            Self::Canvass { .. } => Some(Body::PreVoteReply { granted: false }),
            Self::Prepare { .. } => Some(Body::Ask(Self::Outbid)),
            Self::More { .. } | Self::Promise(_) | Self::Outbid => None,
        }
    }

    fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Canvass { outline } => {
                writer.u8(31);
                encode_outline(outline, writer);
            }
            Self::Prepare { outline, handed_over } => {
                writer.u8(32);
                writer.bool(*handed_over);
                encode_outline(outline, writer);
            }
            Self::More { after } => {
                writer.u8(33);
                writer.index(*after);
            }
            Self::Promise(Promise { previous, entries, more, commit, acceptances }) => {
                writer.u8(34);
                writer.index(*previous);
                writer.bool(*more);
                writer.index(*commit);
                let count = u32::try_from(acceptances.len()).expect("no more than leaderships");
                writer.u32(count);
                for Acceptance { ballot, through } in acceptances {
                    writer.ballot(*ballot);
                    writer.index(*through);
                }
                encode_entries(entries, writer);
            }
            Self::Outbid => writer.u8(35),
        }
    }

    fn decode(tag: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match tag {
            31 => Self::Canvass { outline: decode_outline(reader)? },
            32 => {
                let handed_over = reader.bool()?;
                Self::Prepare { outline: decode_outline(reader)?, handed_over }
            }
            33 => Self::More { after: reader.index()? },
            34 => Self::Promise(decode_promise(reader)?),
            35 => Self::Outbid,
            tag => return Err(DecodeError::UnknownTag { what: "message", tag }),
        })
    }
}

fn encode_outline(Outline { begin, runs }: &Outline, writer: &mut Writer<'_>) {
    writer.log_id(*begin);
    writer.u32(u32::try_from(runs.len()).expect("as many as leaderships at most"));
    runs.iter().for_each(|run| writer.log_id(*run));
}

fn decode_outline(reader: &mut Reader<'_>) -> Result<Outline, DecodeError> {
    let begin = reader.log_id()?;
    let count = reader.u32()? as usize;
    // A run takes 24 bytes, so a hostile count cannot reserve more than the input.
    let mut runs: Vec<LogId> = Vec::with_capacity(count.min(reader.remaining() / 24 + 1));
    for _ in 0..count {
        let run = reader.log_id()?;
        let before = runs.last().copied().unwrap_or(begin);
        if run.index <= before.index || run.ballot < before.ballot {
            return Err(DecodeError::Invalid { what: "runs that do not ascend" });
        }
        runs.push(run);
    }
    Ok(Outline { begin, runs })
}

fn decode_promise(reader: &mut Reader<'_>) -> Result<Promise, DecodeError> {
    let previous = reader.index()?;
    let more = reader.bool()?;
    let commit = reader.index()?;
    let count = reader.u32()? as usize;
    // An acceptance takes 24 bytes.
    let mut acceptances = Vec::with_capacity(count.min(reader.remaining() / 24 + 1));
    for _ in 0..count {
        acceptances.push(Acceptance { ballot: reader.ballot()?, through: reader.index()? });
    }
    let entries = decode_entries(reader)?;
    require_following(previous, &entries)?;
    if more && entries.is_empty() {
        return Err(DecodeError::Invalid { what: "a part of a promise without entries" });
    }
    Ok(Promise { previous, entries, more, commit, acceptances })
}

impl fmt::Display for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.begin)?;
        self.runs.iter().try_for_each(|run| write!(f, " {run}"))?;
        f.write_str("]")
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Canvass { outline } => write!(f, "Canvass log={outline}"),
            Self::Prepare { outline, handed_over } => {
                let handed_over = if *handed_over { " handed-over" } else { "" };
                write!(f, "Prepare log={outline}{handed_over}")
            }
            Self::More { after } => write!(f, "More after={after}"),
            Self::Promise(Promise { previous, entries, more, commit, acceptances }) => {
                write!(f, "Promise previous={previous} entries=[")?;
                for (position, entry) in entries.iter().enumerate() {
                    let space = if position == 0 { "" } else { " " };
                    write!(f, "{space}{}", entry.id)?;
                }
                write!(f, "] commit={commit}")?;
                for Acceptance { ballot, through } in acceptances {
                    write!(f, " accepted={through}@{ballot}")?;
                }
                f.write_str(if *more { " more" } else { "" })
            }
            Self::Outbid => f.write_str("Outbid"),
        }
    }
}

#[cfg(test)]
mod tests {
    use althing_core::{NodeId, Payload, Random};

    use super::*;
    use crate::Message as _;
    use crate::paxos::Message;

    fn one_of_each() -> Vec<Message> {
        let ballot = |round| Ballot::new(round, NodeId::new(3).expect("not zero"));
        let id = |round, index| LogId::new(ballot(round), Index(index));
        let entry = |id| Entry { id, payload: Payload::Command(b"x"[..].into()) };
        let promise = Promise {
            previous: Index(4),
            entries: vec![entry(id(2, 5)), entry(id(7, 6))],
            more: true,
            commit: Index(3),
            acceptances: vec![Acceptance { ballot: ballot(8), through: Index(5) }],
        };
        let outline = Outline { begin: id(1, 2), runs: vec![id(2, 5), id(7, 6)] };
        let asks = [
            Ask::Canvass { outline: outline.clone() },
            Ask::Prepare { outline, handed_over: true },
            Ask::More { after: Index(9) },
            Ask::Promise(promise),
            Ask::Outbid,
        ];
        asks.into_iter().map(|ask| Message { epoch: ballot(9), body: Body::Ask(ask) }).collect()
    }

    #[test]
    fn every_message_comes_back_as_it_went_and_no_prefix_of_it_does() {
        for message in one_of_each() {
            let mut bytes = Vec::new();
            message.encode(&mut Writer(&mut bytes));
            let mut reader = Reader::new(&bytes);
            assert_eq!(Message::decode(&mut reader).as_ref(), Ok(&message));
            assert_eq!(reader.finish(), Ok(()));
            for cut in 0..bytes.len() {
                let decoded = Message::decode(&mut Reader::new(&bytes[..cut]));
                assert!(decoded.is_err(), "{message} cut at {cut}");
            }
        }
    }

    #[test]
    fn damaged_messages_never_panic() {
        let mut random = Random::new(1);
        for message in one_of_each() {
            let mut bytes = Vec::new();
            message.encode(&mut Writer(&mut bytes));
            for _ in 0..2_000 {
                let mut damaged = bytes.clone();
                let at = random.below(damaged.len() as u64) as usize;
                damaged[at] = random.next_u64() as u8;
                let _decoded = Message::decode(&mut Reader::new(&damaged));
            }
        }
    }

    #[test]
    fn an_outline_knows_every_name() {
        let ballot = |round| Ballot::new(round, NodeId::new(3).expect("not zero"));
        let id = |round, index| LogId::new(ballot(round), Index(index));
        let outline = Outline { begin: id(1, 2), runs: vec![id(2, 5), id(7, 6)] };
        let names = (1..=7).map(|index| outline.ballot_at(Index(index)).map(|known| known.round));
        let names: Vec<Option<u64>> = names.collect();
        assert_eq!(names, [None, Some(1), Some(2), Some(2), Some(2), Some(7), None]);
    }
}
