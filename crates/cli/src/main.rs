//! The `althing` command: parse, do, exit code.
//!
//! Every command is a module that takes its arguments and gives back an [`Outcome`] or a
//! [`failure::Failure`]; what it finds goes to the standard output, everything else to the standard
//! error. Nothing in here decides anything about the store: that is the node's.

mod alarm;
mod arguments;
mod certificate;
mod client;
mod clock;
mod compact;
mod credentials;
mod dev;
mod duration;
mod elect;
mod failure;
mod health;
mod kv;
mod lease;
mod lock;
mod member;
mod output;
mod ring;
mod roam;
mod serve;
mod session;
mod settings;
mod signals;
mod sim;
mod snapshot;
mod status;
mod traces;
mod transport;
mod users;
mod watch;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::arguments::{Arguments, Command, GlobalArguments};
use crate::failure::{Failure, Kind};
use crate::output::{Format, print, print_line};

/// A server allocates several times a request; the system's allocator takes a tenth of its time for
/// that, and stalls when a large keyspace is freed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How a command that worked ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// As asked.
    Done,
    /// A transaction took its second branch, which a script wants to know.
    CompareFailed,
    /// As the command did that was run, or by a signal: 128 and its number.
    Exit(u8),
}

fn main() -> ExitCode {
    if let Some(code) = session::run_if_leashed() {
        return code;
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let format = arguments.global.format();
    match run(arguments) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Exit(code)) => ExitCode::from(code),
        Ok(Outcome::CompareFailed) => ExitCode::from(Kind::CompareFailed as u8),
        Err(failure) => {
            failure.report(format);
            ExitCode::from(failure.kind as u8)
        }
    }
}

fn run(arguments: Arguments) -> Result<Outcome, Failure> {
    let global = &arguments.global;
    match arguments.command {
        Command::Dev(dev) => wait(dev::run(&dev, global.format())),
        Command::Serve(serve) => match settings::resolve(&serve, global.format())? {
            Some(settings) => wait(serve::run(settings)),
            None => Ok(Outcome::Done),
        },
        Command::Kv(command) => wait(kv::run(global, command)),
        Command::Watch(arguments) => wait(watch::run(global, arguments)),
        Command::Lease(command) => wait(lease::run(global, command)),
        Command::Lock(arguments) => wait(lock::run(global, arguments)),
        Command::Elect(arguments) => wait(elect::run(global, arguments)),
        Command::Health(arguments) => wait(health::run(global, arguments)),
        Command::Alarm(command) => wait(alarm::run(global, command)),
        Command::Snapshot(command) => wait(snapshot::run(global, command)),
        Command::Compact(arguments) => wait(compact::run(global, arguments)),
        Command::Certificate(command) => certificate::run(&command, global.format()),
        Command::Ring(command) => ring::run(&command, global.format()),
        Command::Sim(sim) => sim::run(&sim, global.format()),
        Command::Member(command) => wait(member::run(global, command)),
        Command::Status(status) => wait(status::run(global, status)),
        Command::User(command) => wait(users::user::run(global, command)),
        Command::Role(command) => wait(users::role::run(global, command)),
        Command::Auth(command) => wait(users::auth::run(global, command)),
        Command::Version => version(global),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "althing", &mut script);
            print(&script).map(|()| Outcome::Done)
        }
        Command::Manual { folder } => manual(&folder),
    }
}

/// Runs one command to its end. One thread is enough for one request.
fn wait<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Failure::new(Kind::Other, "cannot start the runtime that waits for answers").cause(error)
    })?;
    let outcome = runtime.block_on(command);
    // What still blocks was given up on; the process must not wait for it.
    runtime.shutdown_background();
    outcome
}

fn manual(folder: &Path) -> Result<Outcome, Failure> {
    let cannot = |error| {
        Failure::new(Kind::Other, format!("cannot write to {}", folder.display())).cause(error)
    };
    std::fs::create_dir_all(folder).map_err(cannot)?;
    clap_mangen::generate_to(Arguments::command(), folder).map_err(cannot)?;
    Ok(Outcome::Done)
}

fn version(global: &GlobalArguments) -> Result<Outcome, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    match global.format() {
        Format::Json => print_line(serde_json::json!({ "version": version, "api": "etcd v3" }))?,
        Format::Table => print_line(format!("althing {version} (API of etcd v3)"))?,
        Format::Raw => print_line(version)?,
    }
    Ok(Outcome::Done)
}

/// A command line that could not be read, or one that asked for help.
fn usage(error: &clap::Error) -> ExitCode {
    // What is not UTF-8 is one of the ways to be wrong.
    let wants_json =
        std::env::args_os().any(|argument| argument.as_encoded_bytes().ends_with(b"json"));
    if error.use_stderr() && wants_json {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        let message = first.strip_prefix("error: ").unwrap_or(first);
        let hint = "althing --help, or --help after a command";
        Failure::usage(message).hint(hint).report(Format::Json);
    } else {
        // Where the terminal is gone there is nobody left to tell.
        let _ = error.print();
    }
    ExitCode::from(if error.use_stderr() { Kind::Usage as u8 } else { 0 })
}
