//! `althing lock`: hold a lock, and run a command under it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::arguments::GlobalArguments;
use crate::failure::Failure;
use crate::output::{Format, json_bytes, print, printable};
use crate::session::{Acquired, Claim, Holding, Patience};
use crate::signals::Signals;
use crate::{Outcome, duration};

/// Arguments of `althing lock`.
#[derive(Args, Debug)]
#[command(after_help = "\
The lock is a key that ends with a lease, as etcd's client and its lock service use it: users of
either stand in one queue. The lease is kept alive while the command runs. When the lock is lost, or
may be because no server has confirmed the lease in time, the command is told to end (SIGTERM), and
killed before another can hold the lock; the exit code is then 9. Where its input is no terminal,
all that it started is ended with it. Where this program itself is stopped or killed it can end
nothing in time: on Linux the command dies with it, but not what the command has started.

The command finds in its environment ALTHING_LOCK_NAME, _KEY, _LEASE and _TOKEN. The token grows
from holder to holder: whatever the command writes to should remember the highest it has seen and
refuse lower ones, because no lock can stop a write that is already on its way.

The exit code is the command's, 128 + N where signal N ended it. Without a command the key and the
token are printed, and the lock is held until Ctrl-C.

Examples:
  althing lock jobs/nightly -- ./backup.sh
  althing lock jobs/nightly --no-wait -- sh -c 'echo my token is $ALTHING_LOCK_TOKEN'
  althing lock jobs/nightly --ttl 30s --wait 5m -- ./backup.sh
  althing lock jobs/nightly -o json")]
pub(crate) struct LockArguments {
    /// The lock's name
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
    /// How long the lock outlives a holder that was killed or cut off
    #[arg(long, value_parser = duration::parse, default_value = "10s")]
    ttl: Duration,
    /// Give up when the lock was not obtained in this time (exit code 10)
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    wait: Option<Duration>,
    /// Give up at once when another holds the lock (exit code 10)
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
    /// What to run while the lock is held
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Holds the lock.
pub(crate) async fn run(
    global: &GlobalArguments,
    arguments: LockArguments,
) -> Result<Outcome, Failure> {
    let client = global.client()?;
    let mut signals = Signals::listen()?;
    let claim = Claim {
        noun: "lock",
        name: &arguments.name,
        value: b"",
        ttl: arguments.ttl,
        patience: match arguments.wait {
            Some(limit) => Patience::AtMost(limit),
            None if arguments.no_wait => Patience::None,
            None => Patience::Forever,
        },
    };
    let holding = match claim.acquire(&client, &mut signals).await? {
        Acquired::Held(holding) => holding,
        Acquired::Interrupted(code) => return Ok(Outcome::Exit(code)),
    };
    if arguments.command.is_empty() {
        print(&shown(&holding, &arguments.name, global.format()))?;
        return holding.until_a_signal(&mut signals).await;
    }
    let variables = [
        ("ALTHING_LOCK_NAME", arguments.name.into()),
        ("ALTHING_LOCK_KEY", OsString::from_vec(holding.key().to_vec())),
        ("ALTHING_LOCK_TOKEN", holding.token().to_string().into()),
        ("ALTHING_LOCK_LEASE", holding.lease().into()),
    ];
    holding.run(&arguments.command, &variables, &mut signals).await
}

fn shown(holding: &Holding, name: &str, format: Format) -> Vec<u8> {
    let (token, lease) = (holding.token(), holding.lease());
    let line = match format {
        Format::Json => {
            let key = json_bytes(holding.key());
            json!({ "name": name, "key": key, "token": token, "lease": lease }).to_string()
        }
        Format::Table => {
            let key = printable(holding.key());
            format!("locked {name}  key {key}  token {token}; Ctrl-C unlocks it")
        }
        Format::Raw => {
            return [holding.key(), format!("\t{token}\n").as_bytes()].concat();
        }
    };
    format!("{line}\n").into_bytes()
}
