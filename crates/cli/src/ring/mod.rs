//! `althing ring`: which node owns a key, and what moves when the nodes change.

mod nodes;
mod owner;
mod plan;

use clap::Subcommand;

use crate::Outcome;
use crate::failure::Failure;
use crate::output::Format;

/// What there is to ask about a ring.
#[derive(Debug, Subcommand)]
pub(crate) enum RingCommand {
    /// Tell the owner of each key that comes in
    Owner(owner::OwnerArguments),
    /// Show what moves when nodes come, go or get another weight, before it happens
    Plan(plan::PlanArguments),
}

/// Answers it.
pub(crate) fn run(command: &RingCommand, format: Format) -> Result<Outcome, Failure> {
    match command {
        RingCommand::Owner(arguments) => owner::run(arguments, format),
        RingCommand::Plan(arguments) => plan::run(arguments, format),
    }
}
