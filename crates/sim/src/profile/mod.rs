mod harm;
mod kinds;

pub(crate) use harm::{Harm, Harms};
pub(crate) use kinds::{Errand, Kind};

use std::num::NonZero;
use std::time::Duration;

use althing_core::Random;

use crate::network::Weather;

/// What one seed's life is like. Drawn from the seed, so that each seed stresses something else:
/// in most lives most kinds of faults are absent and the others therefore frequent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Profile {
    pub(crate) weather: Weather,
    pub(crate) faults: Faults,
    pub(crate) timing: Timing,
    pub(crate) sizes: Sizes,
    pub(crate) load: Load,
    /// `None` where the members stay.
    pub(crate) change: Option<Changes>,
    /// `None` where disks keep what they have, and clocks and nodes are as they should be.
    pub(crate) harms: Option<Harms>,
    /// Clocks run at most this much too fast or too slow, in millionths.
    pub(crate) drift_max: i64,
    /// Leaders read by lease, and count on that drift.
    pub(crate) has_leases: bool,
}

/// What is done to the nodes, and how often.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Faults {
    /// Between one fault and the next, on average.
    pub(crate) pause_between: Duration,
    /// How often each kind is chosen, relative to the others.
    pub(crate) weights: [(Kind, u32); Kind::COUNT],
    /// How likely a node dies at any one thing that it does.
    pub(crate) death_at_step: f64,
    /// How likely a node dies while it writes its log.
    pub(crate) death_at_write: f64,
    /// How likely a node dies right after a promise of its became durable and was spoken of.
    pub(crate) death_at_promise: f64,
    /// A node that died comes back after this long, at least and at most.
    pub(crate) restart: (Duration, Duration),
    /// A node that is not dead suffers for this long, at least and at most.
    pub(crate) lasting: (Duration, Duration),
    /// How likely it is the leader that suffers, rather than anyone.
    pub(crate) at_leader: f64,
}

/// What operators do to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Changes {
    /// How many nodes wait to be added.
    pub(crate) spares: usize,
    /// Between one thing that an operator does and the next, on average.
    pub(crate) pause_between: Duration,
    /// How often each thing is done, relative to the others.
    pub(crate) weights: [(Errand, u32); Errand::COUNT],
    /// How likely an operator asks the node that leads, rather than any.
    pub(crate) at_leader: f64,
}

/// How patient everybody is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timing {
    pub(crate) election_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    /// A write and its sync take this long, at least and at most, on a disk that is well.
    pub(crate) write: (Duration, Duration),
}

/// How much of everything.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sizes {
    /// A snapshot is taken after this many entries.
    pub(crate) snapshot_every: u64,
    pub(crate) chunk_bytes: usize,
    pub(crate) keep_bytes: usize,
    pub(crate) append_bytes_max: usize,
    pub(crate) window_messages: usize,
    pub(crate) uncommitted_bytes_max: usize,
    pub(crate) segment_bytes: u64,
}

/// What clients do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    pub(crate) keys: u64,
    /// Values are at least this long, so that writes are torn in more than one place.
    pub(crate) value_bytes: usize,
    /// Between an answer and the next request, at most.
    pub(crate) think: Duration,
    /// When they give up.
    pub(crate) patience: Duration,
    /// Between one request of a client and its next, if the load is even.
    pub(crate) period: Option<Duration>,
    /// Of a hundred requests, this many are reads.
    pub(crate) reads: u64,
    /// How likely a client asks another node than the time before.
    pub(crate) wander: f64,
}

const fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn one_of<T: Copy>(random: &mut Random, choices: &[T]) -> T {
    choices[random.below(choices.len() as u64) as usize]
}

/// Under an even load it takes so many times as long, in election timeouts, until something
/// happens.
const EVEN_PAUSES: u32 = 5;

/// What a life is mostly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Temper {
    /// Anything.
    Mixed,
    /// Leaders do not last; candidates are many; voters die after they voted and are back at once.
    Elections,
    /// Leaders are cut off or asleep, and do not know what the others did meanwhile.
    StaleLeaders,
    /// Single logs lag far behind what their nodes know, apply and take snapshots of, and then the
    /// power goes.
    SlowLogs,
}

impl Temper {
    const MIX: [Self; 8] = [
        Self::Mixed,
        Self::Mixed,
        Self::Mixed,
        Self::Elections,
        Self::Elections,
        Self::StaleLeaders,
        Self::StaleLeaders,
        Self::SlowLogs,
    ];
}

impl Profile {
    /// `operations` as in the options.
    pub(crate) fn draw(random: &mut Random, operations: Option<NonZero<u32>>) -> Self {
        let impatient = millis(one_of(random, &[60, 100, 150]));
        let heartbeats = one_of(random, &[5, 6, 8]);
        let (election_timeout, heartbeats) = match operations {
            None => (impatient, heartbeats),
            Some(_) => (Duration::from_secs(1), 10),
        };
        let timing = Timing {
            election_timeout,
            heartbeat_interval: election_timeout / heartbeats,
            write: one_of(
                random,
                &[(micros(50), micros(400)), (micros(200), millis(4)), (millis(1), millis(25))],
            ),
        };
        let (mut sizes, load) = (sizes(random), load(random, election_timeout));
        if load.value_bytes > 0 {
            // Or a snapshot would take longer than the world lasts.
            sizes.chunk_bytes *= 10;
        }
        let mut profile = Self {
            weather: weather(random, election_timeout),
            faults: faults(random, election_timeout),
            sizes,
            load,
            timing,
            drift_max: one_of(random, &[0, 500, 20_000, 150_000]),
            change: None,
            has_leases: false,
            harms: None,
        };
        match one_of(random, &Temper::MIX) {
            Temper::Mixed => {}
            Temper::Elections => profile.elect_often(random),
            Temper::StaleLeaders => profile.depose_unnoticed(random),
            Temper::SlowLogs => profile.write_slowly(),
        }
        if let Some(operations) = operations {
            profile.even_out(operations);
        }
        profile
    }

    /// Half of all lives see operators at work. Drawn apart from everything else, so that the other
    /// half is what it was before there were any.
    pub(crate) fn draw_changes(&mut self, random: &mut Random) {
        if random.chance(0.5) {
            return;
        }
        let enabled = one_of(random, &[0.5, 0.9]);
        let weights = Errand::ALL.map(|errand| {
            let usual = match errand {
                Errand::AddLearner | Errand::Promote | Errand::Remove | Errand::Replace => 3,
                Errand::AddVoter | Errand::Exchange | Errand::Transfer => 2,
                Errand::SetCard => 1,
            };
            (errand, if random.chance(enabled) { usual } else { 0 })
        });
        let pauses = if self.load.period.is_some() { EVEN_PAUSES } else { 1 };
        self.change = Some(Changes {
            spares: one_of(random, &[1, 3, 4]),
            pause_between: self.timing.election_timeout * pauses * one_of(random, &[1, 2, 4]) / 2,
            weights,
            at_leader: one_of(random, &[0.6, 0.95]),
        });
    }

    /// In a third of all lives leaders read by lease, unless clocks leap: of that no lease is safe.
    /// Drawn apart as well, and after the harms.
    pub(crate) fn draw_leases(&mut self, random: &mut Random) {
        let leaps = self.harms.as_ref().is_some_and(Harms::leap_clocks);
        self.has_leases = random.chance(0.33) && !leaps;
        if self.has_leases && random.chance(0.3) {
            self.try_loyalty();
        }
    }

    /// Somebody hears the leader no more and would like to lead, and those who still heard it die
    /// and are back in no time.
    fn try_loyalty(&mut self) {
        let election_timeout = self.timing.election_timeout;
        self.timing.write = (micros(50), micros(400));
        let faults = &mut self.faults;
        faults.pause_between = election_timeout / 2;
        faults.lasting = (election_timeout, election_timeout * 3);
        faults.restart = (micros(100), millis(2));
        faults.at_leader = 0.2;
        faults.only(&[Kind::Deafness, Kind::Isolation, Kind::PowerLoss, Kind::ProcessDeath]);
    }

    /// The load of a service at rest. Something goes wrong about every 5 to 40 s then, each time
    /// for up to 5 s, operators come as often, and a step in the middle of which a node dies is ten
    /// times as rare as in a storm: or there would be no service most of the time.
    fn even_out(&mut self, operations: NonZero<u32>) {
        let clients = u32::try_from(self.load.clients).expect("there are few clients");
        self.load.period = Some(Duration::from_secs(1) * clients / operations.get());
        self.faults.pause_between *= EVEN_PAUSES;
        self.faults.death_at_step /= 10.0;
        self.faults.death_at_write /= 10.0;
        // Or a log would grow with its life, and take ever longer to be read back.
        self.sizes.snapshot_every = self.sizes.snapshot_every.min(500);
    }

    /// Draws what disks lose, apart from everything else.
    pub(crate) fn draw_harms(&mut self, random: &mut Random) {
        let pauses = if self.load.period.is_some() { EVEN_PAUSES } else { 1 };
        self.harms = Harms::draw(random, &self.timing, pauses);
    }

    fn elect_often(&mut self, random: &mut Random) {
        let election_timeout = self.timing.election_timeout;
        self.timing.write = (micros(50), micros(400));
        self.weather = Weather {
            loss: one_of(random, &[0.0, 0.05]),
            duplication: one_of(random, &[0.1, 0.3]),
            is_ordered: false,
            delay_min: micros(100),
            delay_max: election_timeout / one_of(random, &[3, 6]),
            tail: one_of(random, &[0.1, 0.3]),
            tail_max: election_timeout / 2,
        };
        let faults = &mut self.faults;
        faults.pause_between = election_timeout * 2;
        faults.lasting = (election_timeout, election_timeout * 3);
        faults.restart = (micros(100), millis(2));
        faults.death_at_promise = 0.3;
        faults.at_leader = 0.9;
        faults.only(&[Kind::Isolation, Kind::Pause, Kind::Muteness, Kind::PowerLoss]);
        self.sizes.snapshot_every = one_of(random, &[40, 100_000]);
        self.sizes.append_bytes_max = 1;
        self.sizes.window_messages = one_of(random, &[1, 4]);
        self.load.think = millis(20);
        self.load.patience = election_timeout * 2;
        self.load.reads = 10;
    }

    fn write_slowly(&mut self) {
        let election_timeout = self.timing.election_timeout;
        self.timing.write = (millis(1), millis(15));
        self.weather = Weather::FAIR;
        self.sizes.snapshot_every = 2;
        self.load.clients = 5;
        self.load.think = millis(5);
        let faults = &mut self.faults;
        faults.pause_between = election_timeout / 2;
        faults.lasting = (election_timeout, election_timeout * 2);
        faults.restart = (micros(100), millis(2));
        faults.at_leader = 0.1;
        faults.only(&[Kind::SlowDisk, Kind::PowerLoss, Kind::PowerLossOfAll, Kind::Isolation]);
    }

    fn depose_unnoticed(&mut self, random: &mut Random) {
        let election_timeout = self.timing.election_timeout;
        self.timing.write = (micros(50), micros(400));
        self.weather = Weather { loss: 0.0, tail: 0.0, ..self.weather };
        self.weather.delay_max = millis(1);
        // A leader with a slow clock is patient with itself.
        self.drift_max = 200_000;
        let faults = &mut self.faults;
        faults.pause_between = election_timeout * one_of(random, &[4, 6]);
        faults.lasting = (election_timeout * 2, election_timeout * 4);
        faults.at_leader = 1.0;
        faults.only(&[Kind::Isolation, Kind::Deafness, Kind::Pause, Kind::Halves]);
        self.load.clients = 5;
        self.load.keys = 1;
        self.load.wander = 1.0;
        self.load.think = millis(10);
        self.load.patience = election_timeout / 2;
        self.load.reads = 60;
    }
}

impl Faults {
    fn only(&mut self, kinds: &[Kind]) {
        for (kind, weight) in &mut self.weights {
            *weight = u32::from(kinds.contains(kind));
        }
    }
}

fn weather(random: &mut Random, election_timeout: Duration) -> Weather {
    let delay_max = one_of(random, &[micros(600), millis(2), millis(8)]);
    Weather {
        loss: one_of(random, &[0.0, 0.0, 0.01, 0.05, 0.2]),
        duplication: one_of(random, &[0.0, 0.0, 0.02, 0.2]),
        is_ordered: random.chance(0.4),
        delay_min: micros(100),
        delay_max,
        tail: one_of(random, &[0.0, 0.01, 0.1]),
        tail_max: delay_max + election_timeout * one_of(random, &[1, 3]),
    }
}

fn faults(random: &mut Random, election_timeout: Duration) -> Faults {
    let enabled = one_of(random, &[0.15, 0.4, 0.8]);
    let weights = Kind::ALL.map(|kind| {
        let usual = match kind {
            Kind::PowerLoss | Kind::Isolation => 4,
            Kind::ProcessDeath | Kind::Pause | Kind::Halves | Kind::Tangle => 2,
            Kind::PowerLossOfAll
            | Kind::Deafness
            | Kind::Muteness
            | Kind::SlowDisk
            | Kind::DiskFull
            | Kind::DiskFails => 1,
        };
        (kind, if random.chance(enabled) { usual } else { 0 })
    });
    let long = election_timeout * one_of(random, &[2, 5]);
    Faults {
        pause_between: election_timeout * one_of(random, &[1, 3, 8]),
        weights,
        death_at_step: one_of(random, &[0.0, 0.0, 0.0005, 0.002]),
        death_at_write: one_of(random, &[0.0, 0.0, 0.005, 0.03]),
        death_at_promise: one_of(random, &[0.0, 0.0, 0.05]),
        restart: one_of(random, &[(micros(200), millis(5)), (millis(1), long)]),
        lasting: (election_timeout / 2, long),
        at_leader: one_of(random, &[0.0, 0.5, 0.9]),
    }
}

fn sizes(random: &mut Random) -> Sizes {
    Sizes {
        snapshot_every: one_of(random, &[10, 40, 150, 100_000]),
        chunk_bytes: one_of(random, &[200, 1_000, 64_000]),
        keep_bytes: one_of(random, &[0, 200, 4_000]),
        append_bytes_max: one_of(random, &[1, 1, 300, 1 << 20]),
        window_messages: one_of(random, &[1, 4, 12]),
        uncommitted_bytes_max: one_of(random, &[400, 64 << 20, 64 << 20]),
        segment_bytes: one_of(random, &[16 << 10, 64 << 10]),
    }
}

fn load(random: &mut Random, election_timeout: Duration) -> Load {
    Load {
        clients: one_of(random, &[2, 3, 5]),
        keys: one_of(random, &[1, 2, 5]),
        value_bytes: one_of(random, &[0, 0, 600, 1_500]),
        think: millis(one_of(random, &[10, 40])),
        patience: election_timeout * one_of(random, &[2, 5]),
        reads: one_of(random, &[20, 50]),
        wander: one_of(random, &[0.05, 0.3, 1.0]),
        period: None,
    }
}
