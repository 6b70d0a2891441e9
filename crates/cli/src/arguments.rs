//! The command line: what there is to say, and the help that teaches it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::alarm::AlarmCommand;
use crate::certificate::CertificateCommand;
use crate::client::{Address, Client, HTTPS};
use crate::compact::CompactArguments;
use crate::credentials::{Credentials, UserArguments};
use crate::dev::DevArguments;
use crate::duration;
use crate::elect::ElectArguments;
use crate::failure::Failure;
use crate::health::HealthArguments;
use crate::kv::KvCommand;
use crate::lease::LeaseCommand;
use crate::lock::LockArguments;
use crate::member::MemberCommand;
use crate::output::Format;
use crate::ring::RingCommand;
use crate::settings::ServeArguments;
use crate::sim::SimArguments;
use crate::snapshot::SnapshotCommand;
use crate::status::StatusArguments;
use crate::transport::{TlsArguments, Transport};
use crate::users::auth::AuthCommand;
use crate::users::role::RoleCommand;
use crate::users::user::UserCommand;
use crate::watch::WatchArguments;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 other, 2 usage, 3 no such key or lease, 4 comparison failed, 5 unreachable,
            6 outcome unknown (timeout), 7 no leader, 8 no right to that, 9 lock lost,
            10 lock not obtained in time, 11 this node was removed from its cluster; lock and elect
            pass the exit code of their command on, 128 + N after signal N";

/// A replicated store with the API of etcd, and the commands to use it.
#[derive(Debug, Parser)]
#[command(name = "althing", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What there is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole cluster on this machine, to try things with
    Dev(DevArguments),
    /// Run one node of a cluster
    Serve(Box<ServeArguments>),
    /// Read and write keys
    #[command(subcommand)]
    Kv(KvCommand),
    /// Tell of every change of a key, or of a range of keys
    Watch(WatchArguments),
    /// Begin, keep and end leases
    #[command(subcommand)]
    Lease(LeaseCommand),
    /// Hold a lock, and run a command under it
    Lock(LockArguments),
    /// Stand for an election, and run a command while leading; or see who leads
    Elect(ElectArguments),
    /// Show every node of the cluster: who leads, who lags
    Status(StatusArguments),
    /// Say who belongs to the cluster, and who leads it
    #[command(subcommand)]
    Member(MemberCommand),
    /// Ask every endpoint whether it can serve
    Health(HealthArguments),
    /// See, raise and clear alarms
    #[command(subcommand)]
    Alarm(AlarmCommand),
    /// Save a cluster's state to a file, and found another cluster on it
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Forget the history before a revision
    Compact(CompactArguments),
    /// Look after users, once nobody else may do everything
    #[command(subcommand)]
    User(UserCommand),
    /// Look after roles: what who has them may do
    #[command(subcommand)]
    Role(RoleCommand),
    /// Let users count, or not
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Make the certificates of a cluster, for TLS
    #[command(subcommand)]
    Certificate(CertificateCommand),
    /// Ask which node owns a key, and what moves when the nodes change
    #[command(subcommand)]
    Ring(RingCommand),
    /// Live simulated lives of a cluster, and look for what goes wrong
    Sim(SimArguments),
    /// Print the version of this command
    Version,
    /// Print the completions for a shell
    #[command(after_help = "Example:\n  althing completions bash > \
        ~/.local/share/bash-completion/completions/althing")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages, one for every command
    #[command(after_help = "Example:\n  althing manual ~/.local/share/man/man1")]
    Manual {
        /// The folder to write them to
        folder: PathBuf,
    },
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct GlobalArguments {
    /// The servers to ask, in this order until one answers, with commas between; with https://
    /// before each they are reached under TLS
    /// [env: ALTHING_ENDPOINTS, else ETCDCTL_ENDPOINTS] [default: 127.0.0.1:2379]
    #[arg(long, global = true, value_name = "HOST:PORT,..", help_heading = "Global options")]
    endpoints: Option<String>,
    /// The shape of results and errors; table on a terminal and raw in a pipe unless it is given
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        env = "ALTHING_OUTPUT",
        help_heading = "Global options"
    )]
    output: Option<Format>,
    /// How long to wait for an answer, as in 500ms, 5s or 2m
    #[arg(
        long,
        global = true,
        value_parser = duration::parse,
        default_value = "5s",
        env = "ALTHING_TIMEOUT",
        help_heading = "Global options"
    )]
    timeout: Duration,
    #[command(flatten)]
    user: UserArguments,
    #[command(flatten)]
    tls: TlsArguments,
}

impl GlobalArguments {
    /// The shape of the output.
    pub(crate) fn format(&self) -> Format {
        self.output.unwrap_or_else(Format::automatic)
    }

    /// The client of the cluster that the user means.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let sources = [
            ("--endpoints", self.endpoints.clone()),
            ("ALTHING_ENDPOINTS", variable("ALTHING_ENDPOINTS")),
            ("ETCDCTL_ENDPOINTS", variable("ETCDCTL_ENDPOINTS")),
        ];
        let said = sources.into_iter().find_map(|(name, value)| Some((name, value?)));
        let (source, list) = said.unwrap_or_else(|| ("default", "127.0.0.1:2379".to_owned()));
        let unreadable = |cause: &str| {
            Failure::usage(format!("the endpoints in {source} cannot be read")).cause(cause)
        };
        let parsed = list.split(',').map(str::parse).collect::<Result<Vec<Address>, String>>();
        let endpoints = parsed.map_err(|cause| unreadable(&cause))?;
        let secure = list.split(',').filter(|text| text.trim().starts_with(HTTPS)).count();
        if secure != 0 && secure != endpoints.len() {
            return Err(unreadable("some begin with https:// and others don't; write all alike"));
        }
        let credentials = Credentials::find(&self.user)?;
        let transport = Transport::new(&self.tls, credentials, secure != 0)?;
        Ok(Client::new(endpoints, transport, self.timeout))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_teaches_with_an_example() {
        fn visit(command: &clap::Command) {
            let is_leaf = command.get_subcommands().next().is_none();
            let has_arguments = command.get_arguments().any(|argument| !argument.is_global_set());
            if is_leaf && has_arguments {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example"), "{} has no example", command.get_name());
            }
            command.get_subcommands().for_each(visit);
        }
        visit(&Arguments::command());
    }
}
