//! The world in one thread: a cluster's whole life from one seed.
//!
//! The machines of the other crates run here as they run in a server: the same consensus, the same
//! log and snapshots, the same keyspace. Around them stands a world that is made up: a network that
//! loses, repeats, delays and reorders messages and comes apart; disks that lose and tear what was
//! not synced, fill up, fail and rot; clocks that drift and leap; processes that die at any moment,
//! are slow or not scheduled for a while; operators who add, remove and replace members all the
//! while; holders of leases, and watches. All of it is drawn from the seed, so a life that went
//! wrong can be lived again, step for step. Checkers look on: after every step at what must always
//! hold ([`Invariant`]), at the end at what clients saw ([`linearizability`]), and at whether the
//! cluster works again once nothing goes wrong any more.
//!
//! ```
//! let outcome = althing_sim::run(7, &althing_sim::Options::default());
//! assert_eq!(outcome.violations, []);
//! println!("{outcome}");
//! ```
//!
//! What it is not: it starts no thread and reads no clock. Seeds do not depend on one another, so
//! whoever has several cores runs several seeds.
//!
//! Left out so far: nodes of different versions, and a disk that is put back from an old copy.

pub mod linearizability;
#[cfg(feature = "planted-bugs")]
pub mod mutants;

mod answer;
mod bug;
mod client;
mod clock;
mod coverage;
mod disk;
mod envelope;
mod fault;
mod fold;
mod invariants;
mod leases;
mod minimise;
mod network;
mod options;
mod outcome;
mod profile;
mod protocol;
mod queue;
mod schedule;
mod server;
mod shared;
mod starting;
mod timeline;
mod watches;
mod world;

pub use bug::{Bug, ServerBug};
pub use coverage::{Coverage, Mark};
pub use fault::{Fault, FaultSet};
pub use invariants::{Invariant, Violation};
pub use minimise::minimise;
pub use options::{Consensus, Diary, Options};
pub use outcome::{Outcome, Summary};
pub use protocol::{Law, PaxosProtocol, Protocol, RaftProtocol, Settings};
pub use schedule::{Befallen, Schedule};

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use althing_core::Random;

use profile::Profile;
use timeline::Timeline;
use world::World;

/// Lives the life of this seed, on the protocol of the options.
///
/// The same seed and options give the same outcome, on every machine. An assertion that fires in
/// one of the machines is an outcome too ([`Invariant::Assertion`]); the panic's message goes
/// wherever the program's panics go.
pub fn run(seed: u64, options: &Options) -> Outcome {
    match options.consensus {
        Consensus::Raft => run_with(seed, options, RaftProtocol::draw),
        Consensus::Paxos => run_with(seed, options, PaxosProtocol::draw),
    }
}

/// Lives the life that these bytes are, whatever they are: the first eight are the seed, the lowest
/// first, and the others say which of the faults that it draws happen, as in
/// [`Schedule::from_bytes`]. Fewer than eight are followed by zeros.
pub fn run_bytes(bytes: &[u8], options: &Options) -> Outcome {
    let (head, rest) = bytes.split_at(bytes.len().min(8));
    let mut seed = [0; 8];
    seed[..head.len()].copy_from_slice(head);
    let schedule = Some(Schedule::from_bytes(rest));
    run(u64::from_le_bytes(seed), &Options { schedule, ..options.clone() })
}

/// As [`run`], with another protocol: `protocol` makes it from the sizes and times that were drawn
/// for this life.
pub fn run_with<P: Protocol>(
    seed: u64,
    options: &Options,
    protocol: impl Fn(&Settings, &Options) -> P,
) -> Outcome {
    let lines = if options.diary == Diary::Always { options.diary_lines } else { 0 };
    let outcome = live(seed, options, &protocol, lines);
    if outcome.violations.is_empty() || options.diary != Diary::OfViolations {
        return outcome;
    }
    live(seed, options, &protocol, options.diary_lines)
}

/// Sets the draws of what operators do apart from all others.
const CHANGES: u64 = 0x6d65_6d62_6572_7321;
/// Sets apart the draw of how leaders read.
const LEASES: u64 = 0x6c65_6173_6521_0000;

/// Sets the draws of harm apart from all others.
const HARMS: u64 = 0x6861_726d_6861_726d;

/// Sets the draws of those who hold leases apart from all others.
const HOLDERS: u64 = 0x6c65_6173_6573_2121;

fn live<P: Protocol>(
    seed: u64,
    options: &Options,
    protocol: &impl Fn(&Settings, &Options) -> P,
    timeline_lines: usize,
) -> Outcome {
    let mut random = Random::new(seed);
    let mut profile = Profile::draw(&mut random.fork(), options.operations);
    profile.draw_changes(&mut Random::new(seed ^ CHANGES));
    profile.draw_harms(&mut Random::new(seed ^ HARMS));
    profile.draw_leases(&mut Random::new(seed ^ LEASES));
    let drawn = if random.chance(0.7) { 3 } else { 5 };
    let nodes = options.nodes.unwrap_or(drawn);
    let protocol = protocol(&profile.settings(), options);
    let timeline = Timeline::new(timeline_lines);

    bug::plant(options.bug);
    let mut world = World::new(protocol, nodes, options, profile, timeline, &mut random);
    world.expect_harm(Random::new(seed ^ HARMS).fork());
    if options.leases {
        world.expect_holders(Random::new(seed ^ HOLDERS));
    }
    let lived = catch_unwind(AssertUnwindSafe(|| world.live()));
    bug::plant(None);
    if let Err(panic) = lived {
        let detail = text(&*panic);
        world.shared().checker.report(Invariant::Assertion, detail);
    }
    Outcome::of(seed, nodes, world)
}

/// What a panic says.
fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word").into()
}
