//! `althing watch`: tell of every change, one by one, and never leave one out.

pub(crate) mod follow;
mod show;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use althing_etcd_api::etcdserverpb::WatchCreateRequest;
use althing_etcd_api::etcdserverpb::watch_create_request::FilterType;
use althing_etcd_api::mvccpb::Event;
use clap::Args;
use tokio::process::Command;

use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::failure::{Failure, Kind};
use crate::kv::keys::KeyArguments;
use crate::output::{Format, print_part};
use crate::signals::ending_code;
use follow::{End, Following, Told};

/// Arguments of `althing watch`.
#[derive(Args, Debug)]
#[command(after_help = "\
Prints every change as it happens, until it is stopped. When the connection breaks or the server
dies it goes on by itself, elsewhere if need be, with the first revision that it has not told yet.

Raw output is PUT or DELETE, the key and the value, a line each (with --prev-kv the former key and
value before them, as etcdctl does); JSON is a line for each change. A command is run for each
change, one after the other, with ALTHING_WATCH_TYPE, _KEY, _VALUE and _REVISION in its environment;
where it fails, so does the watch.

Examples:
  althing watch greeting
  althing watch --prefix config/ --prev-kv -o json
  althing watch --prefix jobs/ --revision 42 --events 10
  althing watch --prefix --no-delete config/ -- ./reload.sh")]
pub(crate) struct WatchArguments {
    #[command(flatten)]
    keys: KeyArguments,
    /// Begin with what happened at this revision; without it, with what happens from now on
    #[arg(long, visible_alias = "rev", value_parser = clap::value_parser!(i64).range(1..))]
    revision: Option<i64>,
    /// Tell with each change what the key was before
    #[arg(long, visible_alias = "prev")]
    prev_kv: bool,
    /// Without writes
    #[arg(long, conflicts_with = "no_delete")]
    no_put: bool,
    /// Without deletions
    #[arg(long)]
    no_delete: bool,
    /// Tell now and then how far it has come, also where nothing happens
    #[arg(long, conflicts_with = "command")]
    progress: bool,
    /// End after so many changes
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
    /// What to run for each change
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl WatchArguments {
    fn request(&self) -> Result<WatchCreateRequest, Failure> {
        let keys = self.keys.keys()?;
        let filters = [(self.no_put, FilterType::Noput), (self.no_delete, FilterType::Nodelete)];
        Ok(WatchCreateRequest {
            key: keys.key.into(),
            range_end: keys.range_end.into(),
            start_revision: self.revision.unwrap_or_default(),
            prev_kv: self.prev_kv,
            filters: filters
                .into_iter()
                .filter_map(|(is_on, filter)| is_on.then_some(filter.into()))
                .collect(),
            ..WatchCreateRequest::default()
        })
    }
}

/// Watches.
pub(crate) async fn run(
    global: &GlobalArguments,
    arguments: WatchArguments,
) -> Result<Outcome, Failure> {
    let client = global.client()?;
    let format = global.format();
    let mut following = Following::new(&client, arguments.request()?).announced();
    following.open().await.map_err(failure)?;
    if format == Format::Table && arguments.command.is_empty() {
        print_part(show::heading().as_bytes())?;
    }
    let mut left = arguments.events.unwrap_or(u64::MAX);
    loop {
        let is_read = match following.next().await.map_err(failure)? {
            Told::Progress(revision) if arguments.progress => {
                print_part(show::progress(revision, format).as_bytes())?
            }
            Told::Progress(_) => true,
            Told::Events(events) => {
                let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(events.len());
                left -= wanted as u64;
                tell(&events[..wanted], &arguments.command, format).await?
            }
        };
        if left == 0 || !is_read {
            return Ok(Outcome::Done);
        }
    }
}

/// Prints the events or runs the command for each; `false` where nobody reads any more.
async fn tell(events: &[Event], command: &[OsString], format: Format) -> Result<bool, Failure> {
    for event in events {
        let is_read = match command {
            [] => print_part(&show::event(event, format))?,
            [program, arguments @ ..] => {
                run_for(event, program, arguments).await?;
                true
            }
        };
        if !is_read {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn run_for(event: &Event, program: &OsString, arguments: &[OsString]) -> Result<(), Failure> {
    let pair = event.kv.clone().unwrap_or_default();
    let name = program.display();
    let status = Command::new(program)
        .args(arguments)
        .env("ALTHING_WATCH_TYPE", show::type_name(event))
        .env("ALTHING_WATCH_KEY", OsString::from_vec(pair.key.to_vec()))
        .env("ALTHING_WATCH_VALUE", OsString::from_vec(pair.value.to_vec()))
        .env("ALTHING_WATCH_REVISION", pair.mod_revision.to_string())
        .status()
        .await;
    let failed = |message: String| {
        let again = format!("--revision {} goes on with the same change", pair.mod_revision);
        Failure::new(Kind::Other, message).hint(again)
    };
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(format!("`{name}` ended with {}", ending_code(status)))),
        Err(error) => Err(failed(format!("cannot run `{name}`")).cause(error)),
    }
}

/// The end of a watch, as its user sees it.
pub(crate) fn failure(end: End) -> Failure {
    match end {
        End::Refused(failure) => failure,
        End::Compacted { wanted, compacted } => {
            let message = format!(
                "revision {wanted} is forgotten: the history was compacted up to {compacted}"
            );
            Failure::new(Kind::Other, message)
                .cause("what happened in between cannot be told any more")
                .hint(format!(
                    "read the keys anew, then watch with --revision {compacted} or later"
                ))
        }
    }
}
