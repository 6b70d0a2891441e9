//! A command that dies with us.
//!
//! Whoever kills this process with a signal that it cannot catch kills no command with it, and that
//! command would run on after the lease has ended. On Linux a process can ask to die with its
//! parent, and only for itself. So this program is started once more in between: it asks, and then
//! becomes the command.

use std::ffi::OsString;
use std::process::ExitCode;

use tokio::process::Command;

/// `program` with `arguments`, to be started so that it dies with us where the system can do that.
#[cfg(target_os = "linux")]
pub(crate) fn command(program: &OsString, arguments: &[OsString]) -> Command {
    // The file may have been replaced while it runs; this name still means the running one.
    const OURSELVES: &str = "/proc/self/exe";
    let mut command = Command::new(OURSELVES);
    if std::path::Path::new(OURSELVES).exists() {
        command.arg0("althing").arg(WORD).arg(std::process::id().to_string()).arg(program);
    } else {
        command = Command::new(program);
    }
    command.args(arguments);
    command
}

/// `program` with `arguments`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn command(program: &OsString, arguments: &[OsString]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Becomes the command, where this process was started for that; comes back only with a failure,
/// and with nothing where it was not.
#[cfg(target_os = "linux")]
pub(crate) fn run_if_leashed() -> Option<ExitCode> {
    use std::os::unix::process::CommandExt as _;

    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let parent = arguments.next().and_then(|text| text.to_str()?.parse().ok());
    let program = arguments.next()?;
    let asked = set_parent_process_death_signal(Some(Signal::KILL));
    // Had the parent died before we asked, nobody would tell us.
    if asked.is_err() || getppid() != parent.and_then(Pid::from_raw) {
        return Some(ExitCode::from(CANNOT_RUN));
    }
    let error = std::process::Command::new(&program).args(arguments).exec();
    let is_missing = error.kind() == std::io::ErrorKind::NotFound;
    eprintln!("error: cannot run `{}`\ncause: {error}", program.display());
    Some(ExitCode::from(if is_missing { NOT_FOUND } else { CANNOT_RUN }))
}

/// Nobody is started for that here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn run_if_leashed() -> Option<ExitCode> {
    None
}

/// The first argument of the process in between.
#[cfg(target_os = "linux")]
const WORD: &str = "--become-a-command-that-dies-with";

/// What shells say of a command that cannot be run, and of one that does not exist.
#[cfg(target_os = "linux")]
const CANNOT_RUN: u8 = 126;
#[cfg(target_os = "linux")]
const NOT_FOUND: u8 = 127;
