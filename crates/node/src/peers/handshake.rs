use std::fmt;

use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{ClusterId, Index, NodeId};

use crate::members::{Card, decode_texts, encode_texts};

/// The first bytes of every connection between peers.
const MAGIC: &[u8; 8] = b"althing\n";
/// The version of the handshake, of the frames and of what is in them beside consensus.
const VERSION: u32 = 4;
/// The longest name of a protocol, in bytes.
const PROTOCOL_SIZE_MAX: usize = 64;

/// What the side that dialled says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    /// It wants to speak as a member.
    Hello(Hello),
    /// It wants to know which member it is.
    Inquiry(Inquiry),
    /// It is a founding member that holds nothing, and wants to know whether it is to found the
    /// cluster.
    Founder(Founder),
}

/// The greeting of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) cluster: ClusterId,
    pub(super) from: NodeId,
    /// Whom it believes to have reached.
    pub(super) to: NodeId,
    /// The consensus protocol, with the version of its messages.
    pub(super) protocol: String,
    /// Up to where it knows who the members are.
    pub(super) settled_at: Index,
    /// Where it is found, as `host:port`.
    pub(super) addresses: Vec<String>,
}

/// The question of a node that was added to the cluster and knows nothing yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inquiry {
    /// The consensus protocol, with the version of its messages.
    pub(crate) protocol: String,
    /// Where the member is to be found, as `host:port`.
    pub(crate) address: String,
}

/// The question of a founding member that holds nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Founder {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    /// The consensus protocol, with the version of its messages.
    pub(crate) protocol: String,
}

/// What the other side answers to a [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Speak.
    Welcome,
    /// The caller is of another cluster.
    OtherCluster(ClusterId),
    /// The caller wanted somebody else.
    OtherNode(NodeId),
    /// The caller is not a member.
    NotAMember,
    /// The caller speaks another consensus protocol, or another version of it, than this one.
    OtherProtocol(String),
    /// The caller was a member and never will be again.
    Removed,
}

/// What the other side answers to an [`Inquiry`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// This is who the caller is.
    Member { cluster: ClusterId, node: NodeId },
    /// No member is to be found there.
    NotAMember,
    /// That member has been there before, with data of its own.
    StartedBefore(NodeId),
    /// It cannot be told now.
    Unknown,
    /// The caller speaks another consensus protocol, or another version of it, than this one.
    OtherProtocol(String),
}

/// What the other side answers to a [`Founder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opinion {
    /// Nothing of the cluster is here either.
    Nothing,
    /// The cluster lives, and has just confirmed that the caller was never part of it.
    NeverStarted,
    /// The caller was part of the cluster, with data of its own.
    StartedBefore,
    /// The caller was a member and never will be again.
    Removed,
    /// Something of the cluster is here, and more cannot be told now.
    Unknown,
    /// The caller is of another cluster.
    OtherCluster(ClusterId),
    /// The caller speaks another consensus protocol, or another version of it, than this one.
    OtherProtocol(String),
}

/// Two nodes cannot agree on anything, for they do not agree on how to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this node speaks {ours} and the other one {theirs}; start all members of a cluster with the \
     same consensus protocol and the same version"
)]
pub struct OtherProtocol {
    /// The protocol of this node, with the version of its messages.
    pub ours: String,
    /// That of the other.
    pub theirs: String,
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
                write!(f, "it is another member, {node}; check the members' peer addresses")
            }
            Self::NotAMember => f.write_str("it does not know us as a member"),
            Self::OtherProtocol(theirs) => write!(f, "it speaks {theirs}"),
            Self::Removed => f.write_str("it says that we were removed from the cluster"),
        }
    }
}

impl Greeting {
    pub(super) fn encode(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(MAGIC);
        let mut writer = Writer(buffer);
        writer.u32(VERSION);
        match self {
            Self::Hello(hello) => {
                writer.u8(1);
                writer.u64(hello.cluster.0);
                writer.u64(hello.from.number());
                writer.u64(hello.to.number());
                writer.bytes(hello.protocol.as_bytes());
                writer.index(hello.settled_at);
                encode_texts(&hello.addresses, &mut writer);
            }
            Self::Founder(Founder { cluster, node, protocol }) => {
                writer.u8(3);
                writer.u64(cluster.0);
                writer.u64(node.number());
                writer.bytes(protocol.as_bytes());
            }
            Self::Inquiry(Inquiry { protocol, address }) => {
                writer.u8(2);
                writer.bytes(protocol.as_bytes());
                writer.bytes(address.as_bytes());
            }
        }
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(DecodeError::Invalid { what: "not the greeting of a peer" });
        }
        if reader.u32()? != VERSION {
            return Err(DecodeError::Invalid { what: "another version of the peer protocol" });
        }
        let greeting = match reader.u8()? {
            1 => Self::Hello(Hello {
                cluster: ClusterId(reader.u64()?),
                from: node(&mut reader)?,
                to: node(&mut reader)?,
                protocol: reader.string(PROTOCOL_SIZE_MAX)?,
                settled_at: reader.index()?,
                addresses: decode_texts(&mut reader)?,
            }),
            2 => Self::Inquiry(Inquiry {
                protocol: reader.string(PROTOCOL_SIZE_MAX)?,
                address: reader.string(Card::TEXT_SIZE_MAX)?,
            }),
            3 => Self::Founder(Founder {
                cluster: ClusterId(reader.u64()?),
                node: node(&mut reader)?,
                protocol: reader.string(PROTOCOL_SIZE_MAX)?,
            }),
            tag => return Err(DecodeError::UnknownTag { what: "greeting", tag }),
        };
        reader.finish()?;
        Ok(greeting)
    }
}

impl Answer {
    pub(super) fn encode(&self, buffer: &mut Vec<u8>) {
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
            Self::OtherProtocol(protocol) => {
                writer.u8(4);
                writer.bytes(protocol.as_bytes());
            }
            Self::Removed => writer.u8(5),
        }
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let answer = match reader.u8()? {
            0 => Self::Welcome,
            1 => Self::OtherCluster(ClusterId(reader.u64()?)),
            2 => Self::OtherNode(node(&mut reader)?),
            3 => Self::NotAMember,
            4 => Self::OtherProtocol(reader.string(PROTOCOL_SIZE_MAX)?),
            5 => Self::Removed,
            tag => return Err(DecodeError::UnknownTag { what: "answer", tag }),
        };
        reader.finish()?;
        Ok(answer)
    }
}

impl Admission {
    pub(super) fn encode(&self, buffer: &mut Vec<u8>) {
        let mut writer = Writer(buffer);
        match self {
            Self::Member { cluster, node } => {
                writer.u8(0);
                writer.u64(cluster.0);
                writer.u64(node.number());
            }
            Self::NotAMember => writer.u8(1),
            Self::StartedBefore(node) => {
                writer.u8(2);
                writer.u64(node.number());
            }
            Self::Unknown => writer.u8(3),
            Self::OtherProtocol(protocol) => {
                writer.u8(4);
                writer.bytes(protocol.as_bytes());
            }
        }
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let admission = match reader.u8()? {
            0 => Self::Member { cluster: ClusterId(reader.u64()?), node: node(&mut reader)? },
            1 => Self::NotAMember,
            2 => Self::StartedBefore(node(&mut reader)?),
            3 => Self::Unknown,
            4 => Self::OtherProtocol(reader.string(PROTOCOL_SIZE_MAX)?),
            tag => return Err(DecodeError::UnknownTag { what: "admission", tag }),
        };
        reader.finish()?;
        Ok(admission)
    }
}

impl Opinion {
    pub(super) fn encode(&self, buffer: &mut Vec<u8>) {
        let mut writer = Writer(buffer);
        match self {
            Self::Nothing => writer.u8(0),
            Self::NeverStarted => writer.u8(1),
            Self::StartedBefore => writer.u8(2),
            Self::Removed => writer.u8(3),
            Self::Unknown => writer.u8(4),
            Self::OtherCluster(cluster) => {
                writer.u8(5);
                writer.u64(cluster.0);
            }
            Self::OtherProtocol(protocol) => {
                writer.u8(6);
                writer.bytes(protocol.as_bytes());
            }
        }
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let opinion = match reader.u8()? {
            0 => Self::Nothing,
            1 => Self::NeverStarted,
            2 => Self::StartedBefore,
            3 => Self::Removed,
            4 => Self::Unknown,
            5 => Self::OtherCluster(ClusterId(reader.u64()?)),
            6 => Self::OtherProtocol(reader.string(PROTOCOL_SIZE_MAX)?),
            tag => return Err(DecodeError::UnknownTag { what: "opinion", tag }),
        };
        reader.finish()?;
        Ok(opinion)
    }
}

fn node(reader: &mut Reader<'_>) -> Result<NodeId, DecodeError> {
    NodeId::new(reader.u64()?).ok_or(DecodeError::Invalid { what: "node zero" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("not zero")
    }

    #[test]
    fn greetings_come_back_as_they_went() {
        let hello = Hello {
            cluster: ClusterId(7),
            from: node(1),
            to: node(2),
            protocol: "raft/1".to_owned(),
            settled_at: Index(9),
            addresses: vec!["a:1".to_owned()],
        };
        let inquiry = Inquiry { protocol: "raft/1".to_owned(), address: "a:1".to_owned() };
        let (cluster, protocol) = (ClusterId(7), "raft/1".to_owned());
        let founder = Founder { cluster, node: node(1), protocol };
        for greeting in
            [Greeting::Hello(hello), Greeting::Inquiry(inquiry), Greeting::Founder(founder)]
        {
            let mut bytes = Vec::new();
            greeting.encode(&mut bytes);
            for cut in 0..bytes.len() {
                assert!(Greeting::decode(&bytes[..cut]).is_err(), "cut at {cut}");
            }
            assert_eq!(Greeting::decode(&bytes), Ok(greeting));
        }
    }

    #[test]
    fn answers_come_back_as_they_went() {
        for answer in [
            Answer::Welcome,
            Answer::OtherCluster(ClusterId(3)),
            Answer::OtherNode(node(3)),
            Answer::NotAMember,
            Answer::OtherProtocol("paxos/1".to_owned()),
            Answer::Removed,
        ] {
            let mut bytes = Vec::new();
            answer.encode(&mut bytes);
            assert_eq!(Answer::decode(&bytes), Ok(answer));
        }
        for admission in [
            Admission::Member { cluster: ClusterId(3), node: node(4) },
            Admission::NotAMember,
            Admission::StartedBefore(node(5)),
            Admission::Unknown,
            Admission::OtherProtocol("paxos/1".to_owned()),
        ] {
            let mut bytes = Vec::new();
            admission.encode(&mut bytes);
            assert_eq!(Admission::decode(&bytes), Ok(admission));
        }
        for opinion in [
            Opinion::Nothing,
            Opinion::NeverStarted,
            Opinion::StartedBefore,
            Opinion::Removed,
            Opinion::Unknown,
            Opinion::OtherCluster(ClusterId(3)),
            Opinion::OtherProtocol("paxos/1".to_owned()),
        ] {
            let mut bytes = Vec::new();
            opinion.encode(&mut bytes);
            assert_eq!(Opinion::decode(&bytes), Ok(opinion));
        }
    }
}
