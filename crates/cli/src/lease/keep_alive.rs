//! `althing lease keep-alive`.

use clap::Args;

use super::keeper::{Keeper, Renewal};
use super::term::Term;
use super::{id, missing, show};
use crate::Outcome;
use crate::client::Client;
use crate::clock;
use crate::failure::Failure;
use crate::output::{Format, print_part};

/// Arguments of `althing lease keep-alive`.
#[derive(Args, Debug)]
#[command(after_help = "\
Ends with exit code 3 when the lease is gone. While the cluster cannot be reached it tries again,
through every endpoint, for as long as the lease can still be there.

Examples:
  althing lease keep-alive 694d5765fc71500b
  althing lease keep-alive --once 694d5765fc71500b -o json")]
pub(crate) struct KeepAliveArguments {
    /// The number of the lease, in hex
    #[arg(value_parser = id::parse)]
    id: i64,
    /// Once only
    #[arg(long)]
    once: bool,
}

/// Keeps the lease alive.
pub(crate) async fn run(
    client: &Client,
    arguments: &KeepAliveArguments,
    format: Format,
) -> Result<Outcome, Failure> {
    let mut keeper = Keeper::new(client, arguments.id);
    let mut term = first(client, &mut keeper, arguments.id).await?;
    while print_part(&show::kept(arguments.id, term.ttl(), format))? && !arguments.once {
        clock::wait_until(term.renew_at()).await;
        term = next(&mut keeper, term, arguments.id).await?;
    }
    Ok(Outcome::Done)
}

/// The first confirmation, from whichever endpoint gives one.
async fn first(client: &Client, keeper: &mut Keeper, id: i64) -> Result<Term, Failure> {
    let count = client.endpoints().len();
    let share = client.timeout() / u32::try_from(count).unwrap_or(u32::MAX);
    let mut last = None;
    for _ in 0..count {
        match keeper.renew(share).await {
            Ok(Renewal::Kept { sent, ttl }) => return Ok(Term::new(sent, ttl)),
            Ok(Renewal::Gone) => return Err(missing(id)),
            Err(failure) => last = Some(failure),
        }
    }
    Err(last.expect("there is at least one endpoint"))
}

/// The next confirmation, tried for until the lease may have ended.
async fn next(keeper: &mut Keeper, term: Term, id: i64) -> Result<Term, Failure> {
    loop {
        match keeper.renew(term.answer_max()).await {
            Ok(Renewal::Kept { sent, ttl }) => return Ok(Term::new(sent, ttl)),
            Ok(Renewal::Gone) => return Err(missing(id)),
            Err(failure) if clock::now() >= term.ends_at() => return Err(failure),
            Err(_) => tokio::time::sleep(term.pause()).await,
        }
    }
}
