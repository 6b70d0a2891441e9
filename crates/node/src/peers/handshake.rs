use std::fmt;

use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{ClusterId, NodeId};

/// The first bytes of every connection between peers.
const MAGIC: &[u8; 8] = b"althing\n";
/// The version of the handshake, of the frames and of what is in them beside consensus.
const VERSION: u32 = 2;
/// The longest name of a protocol, in bytes.
const PROTOCOL_SIZE_MAX: usize = 64;

/// What the side that dialled says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) cluster: ClusterId,
    pub(super) from: NodeId,
    /// Whom it believes to have reached.
    pub(super) to: NodeId,
    /// The consensus protocol, with the version of its messages.
    pub(super) protocol: String,
}

/// What the other side answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Speak.
    Welcome,
    /// The caller is of another cluster.
    OtherCluster(ClusterId),
    /// The caller wanted somebody else.
    OtherNode(NodeId),
    /// The caller is not a member.
    NotAMember,
    /// The caller speaks another consensus protocol, or another version of it.
    OtherProtocol,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Welcome => f.write_str("it agreed"),
            Self::OtherCluster(cluster) => write!(
                f,
                "it belongs to cluster {cluster}; check the initial cluster and the cluster token \
                 on both"
            ),
            Self::OtherNode(node) => {
                write!(
                    f,
                    "it is another member, {node}; check the addresses in the initial cluster"
                )
            }
            Self::NotAMember => f.write_str("it does not know us as a member"),
            Self::OtherProtocol => f.write_str("it speaks another consensus protocol or version"),
        }
    }
}

impl Hello {
    pub(super) fn encode(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(MAGIC);
        let mut writer = Writer(buffer);
        writer.u32(VERSION);
        writer.u64(self.cluster.0);
        writer.u64(self.from.number());
        writer.u64(self.to.number());
        writer.bytes(self.protocol.as_bytes());
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(DecodeError::Invalid { what: "not the greeting of a peer" });
        }
        if reader.u32()? != VERSION {
            return Err(DecodeError::Invalid { what: "another version of the peer protocol" });
        }
        let cluster = ClusterId(reader.u64()?);
        let nobody = DecodeError::Invalid { what: "node zero" };
        let from = NodeId::new(reader.u64()?).ok_or(nobody)?;
        let to = NodeId::new(reader.u64()?).ok_or(nobody)?;
        let protocol = reader.string(PROTOCOL_SIZE_MAX)?;
        reader.finish()?;
        Ok(Self { cluster, from, to, protocol })
    }
}

impl Answer {
    pub(super) fn encode(self, buffer: &mut Vec<u8>) {
        let mut writer = Writer(buffer);
        match self {
            Self::Welcome => writer.u8(0),
            Self::OtherCluster(cluster) => {
                writer.u8(1);
                writer.u64(cluster.0);
            }
            Self::OtherNode(node) => {
                writer.u8(2);
                writer.u64(node.number());
            }
            Self::NotAMember => writer.u8(3),
            Self::OtherProtocol => writer.u8(4),
        }
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let answer = match reader.u8()? {
            0 => Self::Welcome,
            1 => Self::OtherCluster(ClusterId(reader.u64()?)),
            2 => {
                let nobody = DecodeError::Invalid { what: "node zero" };
                Self::OtherNode(NodeId::new(reader.u64()?).ok_or(nobody)?)
            }
            3 => Self::NotAMember,
            4 => Self::OtherProtocol,
            tag => return Err(DecodeError::UnknownTag { what: "answer", tag }),
        };
        reader.finish()?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("not zero")
    }

    #[test]
    fn greetings_and_answers_come_back_as_they_went() {
        let hello = Hello {
            cluster: ClusterId(7),
            from: node(1),
            to: node(2),
            protocol: "raft/1".to_owned(),
        };
        let mut bytes = Vec::new();
        hello.encode(&mut bytes);
        assert_eq!(Hello::decode(&bytes), Ok(hello));
        for cut in 0..bytes.len() {
            assert!(Hello::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for answer in [
            Answer::Welcome,
            Answer::OtherCluster(ClusterId(3)),
            Answer::OtherNode(node(3)),
            Answer::NotAMember,
            Answer::OtherProtocol,
        ] {
            let mut bytes = Vec::new();
            answer.encode(&mut bytes);
            assert_eq!(Answer::decode(&bytes), Ok(answer));
        }
    }
}
