//! `althing ring plan`: what would move if the nodes changed, before anything does.

mod change;
mod picture;
mod show;
mod study;

use althing_ring::{RapidHash, Ring, RingError, Settings};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::nodes::NodeArguments;
use crate::Outcome;
use crate::failure::Failure;
use crate::output::Format;
use change::{Change, Numbered};
use study::Study;

/// Keys that are thrown at the ring at most.
const KEYS_MAX: u64 = 1_000_000_000;

/// Arguments of `althing ring plan`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Shares and moves are exact, computed from the arcs of both rings. Keys are counted beside them to
show how far chance is from that, and how many would move if a key's owner were the rest of its hash
divided by the number of nodes. The raw format has a line for each node, `node NAME WEIGHT WEIGHT
SHARE SHARE KEYS KEYS`, before and after; for each move, `move FROM TO SHARE KEYS`; and at the end
`moved SHARE KEYS` and `modulo SHARE KEYS`.

Examples:
  althing ring plan --nodes a=1,b=2 --add c=1
  althing ring plan --nodes a,b,c,d --remove d --reweight a=2 --keys 10000000
  althing ring plan --nodes-file nodes --add new@10.0.0.9:11211 -o json")]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    nodes: NodeArguments,
    /// Nodes that come
    #[arg(long, value_name = "NODE,..")]
    add: Option<String>,
    /// Names of nodes that go
    #[arg(long, value_name = "NAME,..")]
    remove: Option<String>,
    /// Nodes that get another weight
    #[arg(long, value_name = "NAME=WEIGHT,..")]
    reweight: Option<String>,
    /// How many keys to count, up to a billion; none with 0
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "1000000",
        value_parser = clap::value_parser!(u64).range(..=KEYS_MAX)
    )]
    keys: u64,
    /// Points of the ring for each unit of weight
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "160",
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    points: u32,
}

/// Makes the plan.
pub(crate) fn run(arguments: &PlanArguments, format: Format) -> Result<Outcome, Failure> {
    let change = Change::new(
        arguments.nodes.read()?,
        arguments.add.as_deref(),
        arguments.remove.as_deref(),
        arguments.reweight.as_deref(),
    )?;
    let before = ring(&change, arguments.points, |planned| planned.before)?;
    let after = ring(&change, arguments.points, |planned| planned.after)?;
    let bar = progress(arguments.keys);
    let study =
        Study::new(&change, &before, &after, arguments.keys, &|done| bar.set_position(done));
    bar.finish_and_clear();
    show::show(&change, &study, format)?;
    Ok(Outcome::Done)
}

/// The ring of one side of the change.
fn ring(
    change: &Change,
    points: u32,
    weight: impl Fn(&change::Planned) -> Option<u32>,
) -> Result<Ring<Numbered>, Failure> {
    let settings = Settings::default().points_per_weight(points);
    let nodes = change
        .nodes()
        .filter_map(|(id, planned)| Some(althing_ring::Node::new(id).weight(weight(planned)?)));
    Ring::with(settings, RapidHash, nodes).map_err(|error| {
        let failure = Failure::usage("these nodes make no ring").cause(error);
        match error {
            RingError::TooManyPoints { .. } => {
                failure.hint("smaller weights in the same proportion, or fewer --points")
            }
            _ => failure,
        }
    })
}

fn progress(count: u64) -> ProgressBar {
    // Nothing is drawn where the standard error is no terminal.
    let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr());
    let style =
        ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} keys, {eta} left");
    bar.with_style(style.expect("the template is fixed"))
}
