use althing_core::Ballot;
use althing_core::codec::{DecodeError, Reader, Writer};

use super::change::{MemberChange, MemberError};

/// What members say to each other about a change of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MemberMessage {
    /// To whom the sender takes for the leader.
    Ask { number: u64, change: MemberChange },
    /// From the leader; nobody else answers.
    Answer { number: u64, answer: MemberAnswer },
}

/// What a leader says to a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemberAnswer {
    /// What the leadership is named by.
    pub(crate) ballot: Ballot,
    pub(crate) verdict: Verdict,
}

/// What comes of a change, as far as the leader can tell at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is in the leader's log. Whether it stays there is for the one who asked to find out.
    Begun,
    /// Nothing can be begun now; ask again.
    Later,
    /// It is not to be made.
    Refused(MemberError),
}

impl MemberMessage {
    pub(crate) fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Ask { number, change } => {
                writer.u8(1);
                writer.u64(*number);
                change.encode(writer);
            }
            Self::Answer { number, answer: MemberAnswer { ballot, verdict } } => {
                writer.u8(2);
                writer.u64(*number);
                writer.ballot(*ballot);
                match verdict {
                    Verdict::Begun => writer.u8(1),
                    Verdict::Later => writer.u8(2),
                    Verdict::Refused(error) => {
                        writer.u8(3);
                        error.encode(writer);
                    }
                }
            }
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tag = reader.u8()?;
        let number = reader.u64()?;
        Ok(match tag {
            1 => Self::Ask { number, change: MemberChange::decode(reader)? },
            2 => {
                let ballot = reader.ballot()?;
                let verdict = match reader.u8()? {
                    1 => Verdict::Begun,
                    2 => Verdict::Later,
                    3 => Verdict::Refused(MemberError::decode(reader)?),
                    tag => return Err(DecodeError::UnknownTag { what: "verdict", tag }),
                };
                Self::Answer { number, answer: MemberAnswer { ballot, verdict } }
            }
            tag => return Err(DecodeError::UnknownTag { what: "message about members", tag }),
        })
    }
}

#[cfg(test)]
mod tests {
    use althing_core::NodeId;

    use super::*;

    #[test]
    fn messages_come_back_as_they_went() {
        let node = NodeId::new(7).expect("not zero");
        let answer = |verdict| MemberMessage::Answer {
            number: 3,
            answer: MemberAnswer { ballot: Ballot::new(4, node), verdict },
        };
        for message in [
            MemberMessage::Ask { number: 9, change: MemberChange::Remove { node } },
            answer(Verdict::Begun),
            answer(Verdict::Later),
            answer(Verdict::Refused(MemberError::Unhealthy)),
        ] {
            let mut bytes = Vec::new();
            message.encode(&mut Writer(&mut bytes));
            for cut in 0..bytes.len() {
                assert!(MemberMessage::decode(&mut Reader::new(&bytes[..cut])).is_err());
            }
            assert_eq!(MemberMessage::decode(&mut Reader::new(&bytes)), Ok(message));
        }
    }
}
