//! `althing alarm`: what is wrong with members, as the cluster has been told.

use althing_etcd_api::etcdserverpb::alarm_request::AlarmAction;
use althing_etcd_api::etcdserverpb::maintenance_client::MaintenanceClient;
use althing_etcd_api::etcdserverpb::{AlarmMember, AlarmRequest, AlarmType};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::client::{Client, Effect};
use crate::failure::Failure;
use crate::output::{self, Format, print, print_line};

/// What there is to do with alarms.
#[derive(Debug, Subcommand)]
pub(crate) enum AlarmCommand {
    /// List the alarms that are raised
    #[command(after_help = "Example:\n  althing alarm list -o json")]
    List,
    /// Raise an alarm, for a cluster that should take no more writes
    #[command(after_help = "Example:\n  althing alarm raise corrupt")]
    Raise(OneAlarm),
    /// Clear an alarm, when what it tells of is mended
    #[command(after_help = "Example:\n  althing alarm clear nospace")]
    Clear(OneAlarm),
}

/// One alarm.
#[derive(Args, Debug)]
pub(crate) struct OneAlarm {
    /// What is wrong: `nospace` refuses what takes space, `corrupt` all writes
    kind: Kind,
    /// With which member: its number in hex, as `althing status -o json` shows it [default: none]
    #[arg(long, value_name = "ID", value_parser = member)]
    member: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Nospace,
    Corrupt,
}

/// Does it.
pub(crate) async fn run(
    global: &GlobalArguments,
    command: AlarmCommand,
) -> Result<Outcome, Failure> {
    let client = global.client()?;
    let alarms = match command {
        AlarmCommand::List => ask(&client, AlarmRequest::default(), Effect::Read).await?,
        AlarmCommand::Raise(one) => set(&client, &one, AlarmAction::Activate).await?,
        AlarmCommand::Clear(one) => set(&client, &one, AlarmAction::Deactivate).await?,
    };
    show(&alarms, global.format()).map(|()| Outcome::Done)
}

async fn set(
    client: &Client,
    one: &OneAlarm,
    action: AlarmAction,
) -> Result<Vec<AlarmMember>, Failure> {
    let kind = match one.kind {
        Kind::Nospace => AlarmType::Nospace,
        Kind::Corrupt => AlarmType::Corrupt,
    };
    let request = AlarmRequest {
        action: action.into(),
        member_id: one.member.unwrap_or(0),
        alarm: kind.into(),
    };
    ask(client, request, Effect::Write).await
}

async fn ask(
    client: &Client,
    request: AlarmRequest,
    effect: Effect,
) -> Result<Vec<AlarmMember>, Failure> {
    let call = |channel| async move { MaintenanceClient::new(channel).alarm(request).await };
    Ok(client.call(effect, call).await?.alarms)
}

/// What is raised, or what was raised or cleared just now.
fn show(alarms: &[AlarmMember], format: Format) -> Result<(), Failure> {
    let rows = alarms.iter().map(|alarm| {
        let kind = AlarmType::try_from(alarm.alarm).unwrap_or(AlarmType::None);
        [kind.as_str_name().to_lowercase(), format!("{:x}", alarm.member_id)]
    });
    match format {
        Format::Json => {
            let alarms = rows.map(|[kind, member]| json!({ "kind": kind, "member": member }));
            print_line(json!({ "alarms": alarms.collect::<Vec<_>>() }))
        }
        Format::Raw => print(rows.map(|row| row.join("\t") + "\n").collect::<String>().as_bytes()),
        Format::Table if alarms.is_empty() => print_line("no alarms"),
        Format::Table => {
            let mut table = output::table(&["alarm", "member"]);
            table.add_rows(rows);
            print(output::table_text(&table).as_bytes())
        }
    }
}

fn member(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16).map_err(|_| "expected a number in hex".to_owned())
}
