use std::time::Duration;

use althing_core::{Random, Time};

use crate::Fault;

/// How the network behaves where it is not cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weather {
    /// How likely a message is lost.
    pub(crate) loss: f64,
    /// How likely it comes twice.
    pub(crate) duplication: f64,
    /// Whether messages on a link arrive in the order in which they were sent, as over TCP; only
    /// those that come twice come late then.
    pub(crate) is_ordered: bool,
    /// The least delay.
    pub(crate) delay_min: Duration,
    /// The most, but for the tail.
    pub(crate) delay_max: Duration,
    /// How likely a message is in the tail.
    pub(crate) tail: f64,
    /// The most delay in the tail.
    pub(crate) tail_max: Duration,
}

impl Weather {
    /// Nothing goes wrong.
    pub(crate) const FAIR: Self = Self {
        loss: 0.0,
        duplication: 0.0,
        is_ordered: true,
        delay_min: Duration::from_micros(200),
        delay_max: Duration::from_micros(1_500),
        tail: 0.0,
        tail_max: Duration::from_micros(1_500),
    };

    /// When messages never wait much longer than this, nothing is late.
    fn delay(&self, random: &mut Random, befalls: &mut impl FnMut(Fault) -> bool) -> Duration {
        let (least, most) = if self.tail > 0.0 && random.chance(self.tail) && befalls(Fault::Delay)
        {
            (self.delay_max, self.tail_max)
        } else {
            (self.delay_min, self.delay_max)
        };
        random.duration(least, most + Duration::from_nanos(1))
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// There is no way to the receiver.
    Cut,
    /// It got lost.
    Lost,
    /// It comes once.
    Once(Time),
    /// It comes twice.
    Twice(Time, Time),
}

/// Who can reach whom, and how well.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) weather: Weather,
    /// By sender and receiver: how many cuts lie between them.
    cuts: Vec<Vec<u32>>,
    /// By sender and receiver: when the last message arrives.
    latest: Vec<Vec<Time>>,
    random: Random,
}

/// Links that are cut together, each from one node to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cut(pub(crate) Vec<(usize, usize)>);

impl Network {
    pub(crate) fn new(nodes: usize, weather: Weather, random: Random) -> Self {
        let (cuts, latest) = (vec![vec![0; nodes]; nodes], vec![vec![Time::ZERO; nodes]; nodes]);
        Self { weather, cuts, latest, random }
    }

    /// What becomes of a message. `befalls` says whether something happens that was drawn.
    pub(crate) fn route(
        &mut self,
        now: Time,
        (from, to): (usize, usize),
        mut befalls: impl FnMut(Fault) -> bool,
    ) -> Fate {
        let Self { weather, cuts, latest, random } = self;
        if cuts[from][to] > 0 {
            return Fate::Cut;
        }
        if random.chance(weather.loss) && befalls(Fault::Loss) {
            return Fate::Lost;
        }
        let mut first = now + weather.delay(random, &mut befalls);
        if weather.is_ordered {
            first = first.max(latest[from][to]);
            latest[from][to] = first;
        }
        if random.chance(weather.duplication) && befalls(Fault::Duplication) {
            return Fate::Twice(first, now + weather.delay(random, &mut befalls));
        }
        Fate::Once(first)
    }

    /// Cuts links, until [`Self::mend`] is called as often.
    pub(crate) fn cut(&mut self, cut: &Cut) {
        for (from, to) in &cut.0 {
            self.cuts[*from][*to] += 1;
        }
    }

    pub(crate) fn mend(&mut self, cut: &Cut) {
        for (from, to) in &cut.0 {
            self.cuts[*from][*to] = self.cuts[*from][*to].saturating_sub(1);
        }
    }

    /// Mends everything.
    pub(crate) fn mend_all(&mut self) {
        for row in &mut self.cuts {
            row.fill(0);
        }
    }
}

impl Cut {
    /// All links between the nodes of one side and those of the other, both ways.
    pub(crate) fn between(side: &[bool]) -> Self {
        Self::links(side.len(), |from, to| side[from] != side[to])
    }

    /// Nothing from this node reaches anyone.
    pub(crate) fn outbound(nodes: usize, node: usize) -> Self {
        Self::links(nodes, |from, _| from == node)
    }

    /// Nothing reaches this node.
    pub(crate) fn inbound(nodes: usize, node: usize) -> Self {
        Self::links(nodes, |_, to| to == node)
    }

    /// Each direction of each link, as the coin falls.
    pub(crate) fn any(nodes: usize, random: &mut Random) -> Self {
        Self::links(nodes, |_, _| random.chance(0.4))
    }

    /// Whether each link is cut in both directions or in none.
    pub(crate) fn is_symmetric(&self) -> bool {
        self.0.iter().all(|(from, to)| self.0.contains(&(*to, *from)))
    }

    fn links(nodes: usize, mut is_cut: impl FnMut(usize, usize) -> bool) -> Self {
        let mut links = Vec::new();
        for from in 0..nodes {
            for to in 0..nodes {
                if from != to && is_cut(from, to) {
                    links.push((from, to));
                }
            }
        }
        Self(links)
    }
}
