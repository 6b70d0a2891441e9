use std::fmt;
use std::str::FromStr;

use althing_consensus::{Message, paxos, raft};

/// How the members of a cluster agree on its log. It is one for all of them, and for good: what one
/// protocol wrote down means nothing to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consensus {
    /// Raft: who is to lead must hold everything that was agreed on.
    #[default]
    Raft,
    /// Multi-Paxos: any member may lead, for it learns what was agreed on from a majority.
    Paxos,
}

impl Consensus {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Raft, Self::Paxos];

    /// Its name, as in settings and in the data folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raft => "raft",
            Self::Paxos => "paxos",
        }
    }

    /// What its members say to each other, and in which version.
    pub(crate) const fn protocol(self) -> &'static str {
        match self {
            Self::Raft => raft::Message::PROTOCOL,
            Self::Paxos => paxos::Message::PROTOCOL,
        }
    }
}

impl fmt::Display for Consensus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Consensus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|consensus| consensus.name() == text);
        found.ok_or_else(|| format!("expected {} or {}", Self::Raft, Self::Paxos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_known_by_its_name() {
        for consensus in Consensus::ALL {
            assert_eq!(consensus.name().parse(), Ok(consensus));
            // The folders of earlier versions are known by the part before the version.
            let (name, _) = consensus.protocol().split_once('/').expect("it has a version");
            assert_eq!(name, consensus.name());
        }
        assert_eq!("Raft".parse::<Consensus>(), Err("expected raft or paxos".to_owned()));
    }
}
