//! `althing member add`.

use std::time::Duration;

use althing_etcd_api::etcdserverpb as pb;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pb::maintenance_client::MaintenanceClient;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::show::{self, Members};
use super::{Stub, change};
use crate::Outcome;
use crate::client::{Address, Client, Effect, HTTPS};
use crate::duration;
use crate::failure::{Failure, Kind};
use crate::output::{Format, print, print_line};
use crate::transport::Channel;

/// Arguments of `althing member add`.
#[derive(Args, Debug)]
#[command(after_help = "\
The new member receives the log at first and has no vote, so that nobody waits for it. Once it has
caught up it gets its vote by itself; with --learner only `althing member promote` gives it one.

Run what is printed on the new machine; paths and ports are yours to change, the peer address is
not: it is how the cluster knows the new node.

Examples:
  althing member add n4 --peer 10.0.0.4:2380
  althing member add n4 --peer 10.0.0.4:2380 --wait 10m    until it votes
  althing member add spare --peer 10.0.0.9:2380 --learner")]
pub(crate) struct AddArguments {
    /// What the new node is to be called
    name: String,
    /// Where the other members will find it
    #[arg(long, value_name = "HOST:PORT")]
    peer: Address,
    /// Where clients will find it [default: port 2379 of the same host]
    #[arg(long, value_name = "HOST:PORT")]
    client: Option<Address>,
    /// It is to remain without a vote until it is promoted
    #[arg(long)]
    learner: bool,
    /// Wait until it has caught up, for this long at most
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    wait: Option<Duration>,
}

/// Adds it, says how to start it, and waits for it if that was asked for.
pub(super) async fn run(
    client: &Client,
    members: Members,
    arguments: AddArguments,
    format: Format,
) -> Result<Outcome, Failure> {
    if let Some(other) = members.all().iter().find(|member| member.name == arguments.name) {
        let message = format!("there is a member `{}` already", arguments.name);
        return Err(Failure::usage(message)
            .cause(format!("its id is {}", show::id(other)))
            .hint("choose another name, or `althing member remove` that one first"));
    }
    let request = pb::MemberAddRequest {
        peer_ur_ls: vec![format!("{}{}", members.scheme(), arguments.peer)],
        is_learner: arguments.learner,
    };
    let added = change(client, |mut stub: Stub| {
        let request = request.clone();
        async move { stub.member_add(request).await }
    });
    let added = added.await?.member.unwrap_or_default();
    let consensus = client.call(Effect::Read, ask_status).await?.consensus;
    let command = command(&members, &consensus, &arguments);
    match format {
        Format::Json => {
            print_line(json!({ "member": show::as_json(&added), "command": command }))?;
        }
        Format::Raw => print_line(format!("{}\t{}", show::id(&added), command.join(" ")))?,
        Format::Table => {
            let id = show::id(&added);
            let text = format!(
                "added {} as {id}; on its machine run\n\n{}\n",
                arguments.name,
                lines(&command)
            );
            print(text.as_bytes())?;
        }
    }
    if let Some(patience) = arguments.wait {
        wait(client, &added, !arguments.learner, patience).await?;
    }
    Ok(Outcome::Done)
}

/// The command line that starts the new node, word by word.
fn command(members: &Members, consensus: &str, arguments: &AddArguments) -> Vec<String> {
    let AddArguments { name, peer, client, .. } = arguments;
    let peers = members.all().iter().filter_map(|member| member.peer_ur_ls.first());
    let peers: Vec<String> =
        peers.filter_map(|url| url.parse::<Address>().ok()).map(|a| a.to_string()).collect();
    let client = client.as_ref().map_or_else(
        || {
            let peer = peer.to_string();
            let host = peer.rsplit_once(':').map_or("", |(host, _)| host).to_owned();
            format!("{host}:2379")
        },
        ToString::to_string,
    );
    let mut words: Vec<String> = vec!["althing".to_owned(), "serve".to_owned()];
    let mut set = |flag: &str, value: &str| words.extend([flag.to_owned(), value.to_owned()]);
    set("--name", name);
    set("--data", &format!("{name}.althing"));
    set("--listen-client", &client);
    set("--listen-peer", &peer.to_string());
    set("--join", &peers.join(","));
    // It is one for all members; the default needs no word.
    if consensus == "paxos" {
        set("--consensus", consensus);
    }
    if members.scheme() == HTTPS {
        set("--tls-cert", &format!("{name}.crt"));
        set("--tls-key", &format!("{name}.key"));
        set("--client-ca", "ca.crt");
        set("--peer-ca", "ca.crt");
    }
    words
}

/// The command in lines that can be pasted into a shell.
fn lines(command: &[String]) -> String {
    let mut text = String::from(" ");
    for word in command {
        if word.starts_with("--") && word != "--name" {
            text.push_str(" \\\n     ");
        }
        text.push_str(&format!(" {word}"));
    }
    text
}

/// Waits until the member has caught up, or votes.
async fn wait(
    client: &Client,
    added: &pb::Member,
    votes: bool,
    patience: Duration,
) -> Result<(), Failure> {
    let deadline = Instant::now() + patience;
    let bar = spinner();
    let mut seen = "it has not been started".to_owned();
    while Instant::now() < deadline {
        // A cluster that cannot be asked for a moment is asked again.
        match look(client, added.id).await {
            Ok(State { is_learner, is_near, .. })
                if (votes && !is_learner) || (!votes && is_near) =>
            {
                bar.finish_and_clear();
                return Ok(());
            }
            Ok(state) => seen = state.told,
            Err(failure) if failure.kind == Kind::NotFound => return Err(failure),
            Err(failure) => seen = failure.message,
        }
        bar.set_message(seen.clone());
        bar.tick();
        sleep(Duration::from_millis(200)).await;
    }
    bar.finish_and_clear();
    let time = duration::show(patience);
    let message = format!("the new member has not caught up in {time}; it is added all the same");
    Err(Failure::new(Kind::Unknown, message)
        .cause(seen)
        .hint("`althing status` shows how far it is; `althing member remove` takes it back"))
}

/// How far a new member is.
struct State {
    is_learner: bool,
    is_near: bool,
    told: String,
}

async fn look(client: &Client, id: u64) -> Result<State, Failure> {
    let members = Members::ask(client).await?;
    let member = members.find(&format!("{id:x}"))?;
    let is_learner = member.is_learner;
    let Some(address) = member.client_ur_ls.iter().find_map(|url| url.parse().ok()) else {
        let told = "it has not been started, or has not come far enough to say so".to_owned();
        return Ok(State { is_learner, is_near: false, told });
    };
    let here = client.call(Effect::Read, ask_status).await?;
    let there = client.only(address).call(Effect::Read, ask_status).await?;
    let (has, of) = (there.raft_applied_index, here.raft_index.max(there.raft_index));
    // etcd's measure for a learner that may be promoted.
    let is_near = has.saturating_mul(10) >= of.saturating_mul(9);
    Ok(State { is_learner, is_near, told: format!("it has {has} of {of} entries") })
}

async fn ask_status(
    channel: Channel,
) -> Result<tonic::Response<pb::StatusResponse>, tonic::Status> {
    MaintenanceClient::new(channel).status(pb::StatusRequest {}).await
}

fn spinner() -> ProgressBar {
    // Nothing is drawn where the standard error is no terminal.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
    bar.with_style(style.expect("the template is fixed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_for_the_new_machine_can_be_pasted() {
        let member = |name: &str, url: &str| pb::Member {
            name: name.to_owned(),
            peer_ur_ls: vec![url.to_owned()],
            ..pb::Member::default()
        };
        let members =
            Members::new(vec![member("n1", "https://a:2380"), member("n2", "https://b:2380/")]);
        let arguments = AddArguments {
            name: "n3".to_owned(),
            peer: "c:2380".parse().expect("an address"),
            client: None,
            learner: false,
            wait: None,
        };
        let expected = "  althing serve --name n3 \\\n      --data n3.althing \\\n      \
             --listen-client c:2379 \\\n      --listen-peer c:2380 \\\n      \
             --join a:2380,b:2380 \\\n      --tls-cert n3.crt \\\n      --tls-key n3.key \\\n      \
             --client-ca ca.crt \\\n      --peer-ca ca.crt";
        assert_eq!(lines(&command(&members, "raft", &arguments)), expected);
        let command = command(&members, "paxos", &arguments).join(" ");
        assert!(command.contains("--join a:2380,b:2380 --consensus paxos --tls-cert"), "{command}");
    }
}
