//! `althing elect`: stand for an election, and run a command while leading; or see who leads.

mod observe;
mod roll;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::arguments::GlobalArguments;
use crate::failure::Failure;
use crate::output::{Format, json_bytes, print, printable};
use crate::session::{Acquired, Claim, Holding, Patience};
use crate::signals::Signals;
use crate::{Outcome, duration};

/// Arguments of `althing elect`.
#[derive(Args, Debug)]
#[command(after_help = "\
Whoever came first leads, until it ends or its lease does; then the next one. The keys are those of
etcd's client and its election service. The lease, the loss of the leadership, the command and its
exit code are as in `althing lock --help`; the environment has ALTHING_ELECTION_NAME, _VALUE, _KEY,
_LEASE and _TOKEN.

--observe prints the value of each leader, and an empty line where nobody leads; --leader prints the
present one, and ends with exit code 3 where there is none.

Examples:
  althing elect scheduler $(hostname) -- ./scheduler
  althing elect scheduler 10.0.0.7:80 --ttl 5s
  althing elect scheduler --leader
  althing elect scheduler --observe -o json")]
pub(crate) struct ElectArguments {
    /// The election's name
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
    /// What others shall see of us while we lead: a name, an address
    #[arg(required_unless_present_any = ["leader", "observe"])]
    value: Option<OsString>,
    /// Print who leads
    #[arg(long, conflicts_with_all = ["observe", "value", "command"])]
    leader: bool,
    /// Print who leads, and everybody who does from then on
    #[arg(long, visible_alias = "listen", conflicts_with_all = ["value", "command"])]
    observe: bool,
    /// How long the leadership outlives a leader that was killed or cut off
    #[arg(long, value_parser = duration::parse, default_value = "10s")]
    ttl: Duration,
    /// What to run while leading
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Does it.
pub(crate) async fn run(
    global: &GlobalArguments,
    arguments: ElectArguments,
) -> Result<Outcome, Failure> {
    let client = global.client()?;
    let format = global.format();
    match arguments.value.clone() {
        _ if arguments.leader => observe::leader(&client, &arguments.name, format).await,
        Some(value) => {
            let mut signals = Signals::listen()?;
            let claim = Claim {
                noun: "leadership of",
                name: &arguments.name,
                value: value.as_bytes(),
                ttl: arguments.ttl,
                patience: Patience::Forever,
            };
            match claim.acquire(&client, &mut signals).await? {
                Acquired::Held(holding) => {
                    lead(holding, &arguments, value, format, &mut signals).await
                }
                Acquired::Interrupted(code) => Ok(Outcome::Exit(code)),
            }
        }
        None => observe::observe(&client, &arguments.name, format).await,
    }
}

async fn lead(
    holding: Holding,
    arguments: &ElectArguments,
    value: OsString,
    format: Format,
    signals: &mut Signals,
) -> Result<Outcome, Failure> {
    if arguments.command.is_empty() {
        print(&shown(&holding, &arguments.name, value.as_bytes(), format))?;
        return holding.until_a_signal(signals).await;
    }
    let variables = [
        ("ALTHING_ELECTION_NAME", arguments.name.clone().into()),
        ("ALTHING_ELECTION_VALUE", value),
        ("ALTHING_ELECTION_KEY", OsString::from_vec(holding.key().to_vec())),
        ("ALTHING_ELECTION_TOKEN", holding.token().to_string().into()),
        ("ALTHING_ELECTION_LEASE", holding.lease().into()),
    ];
    holding.run(&arguments.command, &variables, signals).await
}

fn shown(holding: &Holding, name: &str, value: &[u8], format: Format) -> Vec<u8> {
    let (token, lease) = (holding.token(), holding.lease());
    let line = match format {
        Format::Json => {
            let (key, value) = (json_bytes(holding.key()), json_bytes(value));
            json!({ "name": name, "value": value, "key": key, "token": token, "lease": lease })
                .to_string()
        }
        Format::Table => {
            let (key, value) = (printable(holding.key()), printable(value));
            format!("{value} leads {name}  key {key}  token {token}; Ctrl-C resigns")
        }
        Format::Raw => {
            return [holding.key(), format!("\t{token}\n").as_bytes()].concat();
        }
    };
    format!("{line}\n").into_bytes()
}
