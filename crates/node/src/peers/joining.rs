use std::collections::BTreeMap;
use std::time::Duration;

use althing_core::NodeId;
use tokio::time::sleep;

use super::handshake::{Admission, Inquiry, OtherProtocol};
use super::outbound::inquire;
use super::{Membership, Tls};

/// How a node that was added to a running cluster finds out who it is.
///
/// It asks the members that it was told of, one after the other and again and again: which member
/// is to be found at this address? They ask the cluster before they answer. A cluster that has not
/// added it yet is waited for, since an operator may well start the machine first.
pub(crate) struct Joining<'a> {
    /// Where members listen for their peers, as `host:port`; at least one.
    pub(crate) members: &'a [String],
    /// Where our peers are to find us.
    pub(crate) address: &'a str,
    pub(crate) protocol: &'static str,
    pub(crate) tls: &'a Tls,
}

/// Why a node cannot join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// That member has been there before, with data that is not here.
    StartedBefore(NodeId),
    /// The cluster speaks another consensus protocol, or another version of it.
    OtherProtocol(OtherProtocol),
}

const PAUSE: Duration = Duration::from_millis(500);

impl Joining<'_> {
    /// Asks until there is an answer.
    pub(crate) async fn ask(&self) -> Result<Membership, NotAdmitted> {
        let mut told: BTreeMap<&str, String> = BTreeMap::new();
        loop {
            for member in self.members {
                let inquiry = Inquiry {
                    protocol: self.protocol.to_owned(),
                    address: self.address.to_owned(),
                };
                let why = match inquire(self.tls, member, inquiry).await {
                    Ok(Admission::Member { cluster, node }) => {
                        return Ok(Membership { cluster, node });
                    }
                    Ok(Admission::StartedBefore(node)) => {
                        return Err(NotAdmitted::StartedBefore(node));
                    }
                    Ok(Admission::OtherProtocol(theirs)) => {
                        let ours = self.protocol.to_owned();
                        return Err(NotAdmitted::OtherProtocol(OtherProtocol { ours, theirs }));
                    }
                    Ok(Admission::NotAMember) => format!(
                        "waits to be added: the cluster of {member} has no member at {}; \
                         `althing member add` on any machine adds it",
                        self.address
                    ),
                    Ok(Admission::Unknown) => {
                        format!("waits for the cluster: {member} finds no leader")
                    }
                    Err(why) => format!("waits for the cluster: cannot ask {member}: {why}"),
                };
                // Once, not twice a second.
                if told.get(member.as_str()) != Some(&why) {
                    tracing::info!("{why}");
                    told.insert(member, why);
                }
            }
            sleep(PAUSE).await;
        }
    }
}
