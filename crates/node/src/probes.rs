use std::collections::BTreeMap;
use std::time::Duration;

use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{NodeId, Time};

/// What members say to each other to learn how long a word takes there and back, their drivers'
/// turns included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Answer this at once.
    Ask { number: u64 },
    /// At once.
    Answer { number: u64 },
}

/// The probes of this node that were not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    due: Time,
    number: u64,
    /// The last one to each peer, and when it was sent.
    asked: BTreeMap<NodeId, (u64, Time)>,
}

impl Probes {
    /// How often each peer is asked.
    const INTERVAL: Duration = Duration::from_secs(1);

    /// The first probe's number; it must differ from run to run.
    pub(crate) fn new(first: u64) -> Self {
        Self { number: first, ..Self::default() }
    }

    /// Whether it is time to ask again.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        now >= self.due
    }

    /// What to send to these peers. A question of the last time that has no answer is given up on.
    pub(crate) fn ask(
        &mut self,
        now: Time,
        peers: impl IntoIterator<Item = NodeId>,
    ) -> Vec<(NodeId, Probe)> {
        self.due = now + Self::INTERVAL;
        self.number = self.number.wrapping_add(1);
        let number = self.number;
        self.asked = peers.into_iter().map(|peer| (peer, (number, now))).collect();
        self.asked.keys().map(|peer| (*peer, Probe::Ask { number })).collect()
    }

    /// How long it took there and back, if this answers the last question.
    pub(crate) fn answered(&mut self, now: Time, from: NodeId, number: u64) -> Option<Duration> {
        let (_, since) = self.asked.remove(&from).filter(|(asked, _)| *asked == number)?;
        Some(now.since(since))
    }
}

impl Probe {
    pub(crate) fn encode(self, writer: &mut Writer<'_>) {
        let (tag, number) = match self {
            Self::Ask { number } => (1, number),
            Self::Answer { number } => (2, number),
        };
        writer.u8(tag);
        writer.u64(number);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Ask { number: reader.u64()? }),
            2 => Ok(Self::Answer { number: reader.u64()? }),
            tag => Err(DecodeError::UnknownTag { what: "probe", tag }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("not zero")
    }

    #[test]
    fn only_the_answer_to_the_last_question_counts_and_once() {
        let mut probes = Probes::new(7);
        assert!(probes.is_due(Time::ZERO));
        let asked = probes.ask(Time::ZERO, [node(2), node(3)]);
        assert_eq!(asked, [2, 3].map(|peer| (node(peer), Probe::Ask { number: 8 })));
        assert!(!probes.is_due(Time::ZERO));
        let later = Time::ZERO + Duration::from_millis(3);
        assert_eq!(probes.answered(later, node(2), 8), Some(Duration::from_millis(3)));
        assert_eq!(probes.answered(later, node(2), 8), None, "it was answered");
        let next = Time::ZERO + Probes::INTERVAL;
        assert!(probes.is_due(next));
        probes.ask(next, [node(2), node(3)]);
        assert_eq!(probes.answered(next, node(3), 8), None, "an old answer says nothing");
    }

    #[test]
    fn probes_come_back_as_they_went() {
        for probe in [Probe::Ask { number: 1 }, Probe::Answer { number: 2 }] {
            let mut bytes = Vec::new();
            probe.encode(&mut Writer(&mut bytes));
            assert_eq!(Probe::decode(&mut Reader::new(&bytes)), Ok(probe));
        }
    }
}
