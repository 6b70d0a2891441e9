//! How a founding member with an empty folder makes sure that it founds the cluster, and has not
//! lost what it promised to a cluster that lives.
//!
//! It asks all other founding members at once, again and again, and waits until it knows. It
//! refuses if somebody knows that it has started before, or that it was removed. It begins if a
//! member has confirmed with the leader that it never started; or, where nobody holds anything of
//! the cluster, if a majority of the founding members, itself included, holds nothing. As long as
//! they wait the founding members answer each other, so that all can begin at once.
//!
//! # Not noticed
//! - The loss of most folders at once, and that of a cluster of one: nobody is left to tell.
//! - The loss of one folder while another founding member has never started and the rest cannot be
//!   reached: these two look as if they founded the cluster.
//! - The loss of a folder before its member first told the cluster where its clients find it, a
//!   moment after the first start, if those that it spoke to have started again since.

use std::collections::BTreeMap;
use std::net;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::split;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Tls;
use super::frame::{FrameError, FrameReader};
use super::handshake::{Founder, Greeting, Opinion, OtherProtocol};
use super::inbound::{accept_under, reply};
use super::outbound::{consult, prepare};

/// A member that is about to found its cluster.
pub(crate) struct Founding {
    pub(crate) founder: Founder,
    /// Where the other founding members listen for their peers, as `host:port`.
    pub(crate) others: Vec<String>,
    pub(crate) tls: Tls,
}

/// Why a member must not found the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotFounding {
    /// It has started before, with data that is not here.
    StartedBefore,
    /// It was a member and never will be again.
    Removed,
    /// Too many of the others speak another consensus protocol, or another version of it.
    OtherProtocol(OtherProtocol),
}

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a question of another founding member may take to come.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);
/// How many of them are answered at a time.
const QUESTIONS_MAX: usize = 64;

impl Founding {
    /// Asks until it is known whether to begin, and answers the others meanwhile.
    pub(crate) async fn ask(self, listener: net::TcpListener) -> std::io::Result<Founded> {
        if self.others.is_empty() {
            return Ok(Ok(()));
        }
        let listener = TcpListener::from_std(listener)?;
        let this = Arc::new(self);
        Ok(tokio::select! {
            founded = this.ask_others() => founded,
            never = Arc::clone(&this).answer_others(listener) => match never {},
        })
    }

    async fn ask_others(&self) -> Founded {
        let mut told: BTreeMap<String, String> = BTreeMap::new();
        let mut pause = PAUSE_MIN;
        loop {
            let mut questions = JoinSet::new();
            for address in &self.others {
                let (tls, address) = (self.tls.clone(), address.clone());
                let founder = self.founder.clone();
                questions.spawn(async move {
                    let opinion = consult(&tls, &address, founder).await;
                    (address, opinion)
                });
            }
            let mut opinions = Vec::new();
            for (address, answer) in questions.join_all().await {
                let why = self.hindrance(&answer);
                opinions.extend(answer);
                // Once, not all the time.
                if let Some(why) = why.filter(|why| told.get(&address) != Some(why)) {
                    tracing::info!("waits to found the cluster: {address}: {why}");
                    told.insert(address, why);
                }
            }
            if let Some(founded) = self.weigh(&opinions) {
                return founded;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// What there is to tell of an answer that does not help.
    fn hindrance(&self, answer: &Result<Opinion, String>) -> Option<String> {
        match answer {
            Ok(Opinion::Unknown) => Some(
                "it holds data of the cluster, and cannot tell yet whether this member is new"
                    .to_owned(),
            ),
            Ok(Opinion::OtherCluster(cluster)) => {
                Some(format!("it belongs to cluster {cluster}; check the cluster token on both"))
            }
            Ok(Opinion::OtherProtocol(theirs)) => Some(self.mismatch(theirs).to_string()),
            Ok(
                Opinion::Nothing
                | Opinion::NeverStarted
                | Opinion::StartedBefore
                | Opinion::Removed,
            ) => None,
            Err(why) => Some(why.clone()),
        }
    }

    fn mismatch(&self, theirs: &str) -> OtherProtocol {
        OtherProtocol { ours: self.founder.protocol.clone(), theirs: theirs.to_owned() }
    }

    /// What follows from these opinions of as many of the others; `None` if that is not known yet.
    fn weigh(&self, opinions: &[Opinion]) -> Option<Founded> {
        let founders = self.others.len() + 1;
        let majority = founders / 2 + 1;
        let count = |wanted: &Opinion| opinions.iter().filter(|said| *said == wanted).count();
        if count(&Opinion::Removed) > 0 {
            return Some(Err(NotFounding::Removed));
        }
        if count(&Opinion::StartedBefore) > 0 {
            return Some(Err(NotFounding::StartedBefore));
        }
        let others: Vec<&String> = opinions
            .iter()
            .filter_map(|said| match said {
                Opinion::OtherProtocol(theirs) => Some(theirs),
                _ => None,
            })
            .collect();
        if let Some(theirs) = others.first().filter(|_| founders - others.len() < majority) {
            return Some(Err(NotFounding::OtherProtocol(self.mismatch(theirs))));
        }
        if count(&Opinion::NeverStarted) > 0 {
            return Some(Ok(()));
        }
        let is_blank = count(&Opinion::Unknown) == 0;
        (is_blank && count(&Opinion::Nothing) + 1 >= majority).then_some(Ok(()))
    }

    async fn answer_others(self: Arc<Self>, listener: TcpListener) -> std::convert::Infallible {
        let places = Arc::new(Semaphore::new(QUESTIONS_MAX));
        let mut questions = JoinSet::new();
        loop {
            while questions.try_join_next().is_some() {}
            let Ok((stream, address)) = listener.accept().await else {
                sleep(PAUSE_MIN).await;
                continue;
            };
            // Who finds no place asks again.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let this = Arc::clone(&self);
            questions.spawn(async move {
                let answered = timeout(QUESTION_TIMEOUT, this.answer(stream)).await;
                if let Ok(Err(error)) = answered {
                    tracing::debug!("connection from {address}: {error}");
                }
                drop(place);
            });
        }
    }

    /// Answers another founding member; whoever wants something else comes again.
    async fn answer(&self, stream: TcpStream) -> Result<(), FrameError> {
        prepare(&stream)?;
        let (reader, mut writer) = split(accept_under(&self.tls, stream).await?);
        let mut reader = FrameReader::new(reader);
        let Greeting::Founder(other) = Greeting::decode(reader.next().await?)? else {
            return Ok(());
        };
        let Founder { cluster, protocol, .. } = &self.founder;
        let opinion = if other.cluster != *cluster {
            Opinion::OtherCluster(*cluster)
        } else if other.protocol != *protocol {
            Opinion::OtherProtocol(protocol.clone())
        } else {
            Opinion::Nothing
        };
        reply(&mut writer, |payload| opinion.encode(payload)).await
    }
}

/// Whether a member founds the cluster.
pub(crate) type Founded = Result<(), NotFounding>;

#[cfg(test)]
mod tests {
    use althing_core::{ClusterId, NodeId};

    use super::*;

    fn founding(others: usize) -> Founding {
        let founder = Founder {
            cluster: ClusterId(7),
            node: NodeId::new(1).expect("not zero"),
            protocol: "raft/1".to_owned(),
        };
        Founding { founder, others: vec![String::new(); others], tls: None }
    }

    #[test]
    fn a_majority_that_holds_nothing_founds_the_cluster() {
        let weigh = |others, opinions: &[Opinion]| founding(others).weigh(opinions);
        let nothing = || Opinion::Nothing;
        assert_eq!(weigh(2, &[]), None, "one of three");
        assert_eq!(weigh(2, &[nothing()]), Some(Ok(())), "the third may be down");
        assert_eq!(weigh(4, &[nothing()]), None, "two of five");
        assert_eq!(weigh(3, &[nothing()]), None, "two of four");
        assert_eq!(weigh(3, &[nothing(), nothing()]), Some(Ok(())));
        let elsewhere = Opinion::OtherCluster(ClusterId(8));
        assert_eq!(weigh(2, &[elsewhere.clone(), elsewhere]), None, "they are not of us");
    }

    #[test]
    fn where_somebody_holds_something_only_a_confirmed_word_counts() {
        let weigh = |opinions: &[Opinion]| founding(4).weigh(opinions);
        let (nothing, unknown) = (|| Opinion::Nothing, || Opinion::Unknown);
        assert_eq!(weigh(&[nothing(), nothing(), unknown()]), None);
        assert_eq!(weigh(&[unknown(), Opinion::NeverStarted]), Some(Ok(())));
    }

    #[test]
    fn who_has_been_there_before_does_not_found_whatever_others_say() {
        let weigh = |opinions: &[Opinion]| founding(4).weigh(opinions);
        let with = |said: Opinion| {
            weigh(&[Opinion::Nothing, Opinion::NeverStarted, said, Opinion::Nothing])
        };
        assert_eq!(with(Opinion::StartedBefore), Some(Err(NotFounding::StartedBefore)));
        assert_eq!(with(Opinion::Removed), Some(Err(NotFounding::Removed)));
    }

    #[test]
    fn who_is_alone_with_its_protocol_is_told_so() {
        let paxos = || Opinion::OtherProtocol("paxos/1".to_owned());
        assert_eq!(founding(2).weigh(&[paxos()]), None, "the other may be the mistaken one");
        let refused = founding(2).weigh(&[paxos(), paxos()]);
        let (ours, theirs) = ("raft/1".to_owned(), "paxos/1".to_owned());
        let expected = NotFounding::OtherProtocol(OtherProtocol { ours, theirs });
        assert_eq!(refused, Some(Err(expected)));
    }
}
