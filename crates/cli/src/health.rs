//! `althing health`: whether each endpoint can serve, for people and for probes.

use std::time::{Duration, Instant};

use althing_etcd_api::etcdserverpb::maintenance_client::MaintenanceClient;
use althing_etcd_api::etcdserverpb::{AlarmRequest, AlarmType, RangeRequest};
use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::client::{Address, Client, Effect};
use crate::failure::{Failure, Kind};
use crate::kv;
use crate::output::{self, Format, print, print_line};

/// Arguments of `althing health`.
#[derive(Args, Debug)]
#[command(after_help = "\
Asks every endpoint for a linearizable read, which takes a leader that most nodes follow, and for
its alarms. Exits with 0 where all endpoints are well, with 5 where none can be reached, with 1
otherwise.

Examples:
  althing health
  althing health --endpoints 10.0.0.1:2379,10.0.0.2:2379 -o json")]
pub(crate) struct HealthArguments {}

/// Asks every endpoint at once.
pub(crate) async fn run(global: &GlobalArguments, _: HealthArguments) -> Result<Outcome, Failure> {
    let client = global.client()?;
    let mut questions = JoinSet::new();
    for (position, endpoint) in client.endpoints().iter().enumerate() {
        let (client, endpoint) = (client.only(endpoint.clone()), endpoint.clone());
        questions.spawn(async move { (position, Health::ask(&client, endpoint).await) });
    }
    let mut answers = questions.join_all().await;
    answers.sort_by_key(|(position, _)| *position);
    let all: Vec<Health> = answers.into_iter().map(|(_, health)| health).collect();
    show(&all, global.format())?;
    verdict(&all).map(|()| Outcome::Done)
}

/// How one endpoint is.
struct Health {
    endpoint: Address,
    took: Duration,
    outcome: Result<(), Failure>,
}

impl Health {
    async fn ask(client: &Client, endpoint: Address) -> Self {
        let start = Instant::now();
        let outcome = Self::examine(client).await;
        Self { endpoint, took: start.elapsed(), outcome }
    }

    async fn examine(client: &Client) -> Result<(), Failure> {
        let any = RangeRequest { key: b"health".to_vec().into(), ..RangeRequest::default() };
        let read = |channel| {
            let any = any.clone();
            async move { kv::stub(channel).range(any).await }
        };
        answered(client.call(Effect::Read, read).await)?;
        let list = |channel| async move {
            MaintenanceClient::new(channel).alarm(AlarmRequest::default()).await
        };
        let alarms = answered(client.call(Effect::Read, list).await)?;
        let alarms = alarms.map(|answer| answer.alarms).unwrap_or_default();
        let names: Vec<&str> = alarms
            .iter()
            .filter_map(|alarm| AlarmType::try_from(alarm.alarm).ok())
            .map(|alarm| alarm.as_str_name())
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(Failure::new(Kind::Other, format!("alarm: {}", names.join(", "))))
    }

    fn why(&self) -> String {
        match &self.outcome {
            Ok(()) => String::new(),
            Err(failure) => match &failure.cause {
                Some(cause) => format!("{}: {cause}", failure.message),
                None => failure.message.clone(),
            },
        }
    }

    fn as_json(&self) -> Value {
        json!({
            "endpoint": self.endpoint.to_string(),
            "healthy": self.outcome.is_ok(),
            "took_milliseconds": self.took.as_millis(),
            "why": self.outcome.is_err().then(|| self.why()),
        })
    }

    fn row(&self) -> [String; 4] {
        let word = if self.outcome.is_ok() { "healthy" } else { "unhealthy" };
        let took = format!("{} ms", self.took.as_millis());
        [self.endpoint.to_string(), word.to_owned(), took, self.why()]
    }
}

/// An answer, or nothing where the user has no right to one: that was found out as the answer would
/// have been, by asking the other nodes.
fn answered<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(failure) if failure.kind == Kind::Denied => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn show(all: &[Health], format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => {
            print_line(json!({ "endpoints": all.iter().map(Health::as_json).collect::<Vec<_>>() }))
        }
        Format::Raw => {
            let lines = all.iter().map(|health| health.row().join("\t") + "\n");
            print(lines.collect::<String>().as_bytes())
        }
        Format::Table => {
            let mut table = output::table(&["endpoint", "health", "took", "why"]);
            table.add_rows(all.iter().map(Health::row));
            print(output::table_text(&table).as_bytes())
        }
    }
}

fn verdict(all: &[Health]) -> Result<(), Failure> {
    let well = all.iter().filter(|health| health.outcome.is_ok()).count();
    if well == all.len() {
        return Ok(());
    }
    let is_gone = |failure: &Failure| failure.kind == Kind::Unreachable;
    let all_gone = all.iter().all(|health| health.outcome.as_ref().is_err_and(is_gone));
    let kind = if all_gone { Kind::Unreachable } else { Kind::Other };
    let failure = Failure::new(kind, format!("{well} of {} endpoints are healthy", all.len()));
    Err(failure.hint("`althing status` shows every node of the cluster"))
}
