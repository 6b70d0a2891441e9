//! `althing member`: who belongs to the cluster, and who leads it.

mod add;
mod show;

use althing_etcd_api::etcdserverpb as pb;
use clap::{Args, Subcommand};
use pb::cluster_client::ClusterClient;
use pb::maintenance_client::MaintenanceClient;

use self::add::AddArguments;
use self::show::Members;
use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::client::{Address, Client, Effect};
use crate::failure::{Failure, Kind};

/// What there is to do with members.
#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// List the members
    List,
    /// Let a new node into the cluster, and print the command that starts it
    Add(AddArguments),
    /// Take a member out of the cluster, for good
    #[command(after_help = "\
The node stops by itself where it still runs. Its data is of no use any more: a machine that comes
back is a new member, with an empty folder, and may have the same name.

Examples:
  althing member remove n2
  althing member remove 9d2c81a0b5e3f747")]
    Remove(Who),
    /// Tell the others where they find a member from now on
    #[command(after_help = "Example:\n  althing member update n2 --peer 10.0.0.7:2380")]
    Update {
        #[command(flatten)]
        who: Who,
        /// Where the other members find it
        #[arg(long, value_name = "HOST:PORT")]
        peer: Address,
    },
    /// Give a learner its vote, once it has caught up
    #[command(after_help = "Example:\n  althing member promote n4")]
    Promote(Who),
    /// Let another member lead, as before the leader's machine is stopped
    #[command(after_help = "Example:\n  althing member lead n2")]
    Lead(Who),
}

/// One member.
#[derive(Args, Debug)]
pub(crate) struct Who {
    /// The member: its name, or its id as `althing member list` shows it
    #[arg(value_name = "NAME|ID")]
    who: String,
}

/// Does it, and shows the members afterwards.
pub(crate) async fn run(
    global: &GlobalArguments,
    command: MemberCommand,
) -> Result<Outcome, Failure> {
    let (client, format) = (global.client()?, global.format());
    let members = Members::ask(&client).await?;
    let after = match command {
        MemberCommand::List => members,
        MemberCommand::Add(arguments) => {
            return add::run(&client, members, arguments, format).await;
        }
        MemberCommand::Remove(who) => {
            let id = members.find(&who.who)?.id;
            change(&client, |mut stub: Stub| async move {
                stub.member_remove(pb::MemberRemoveRequest { id }).await
            })
            .await?;
            Members::ask(&client).await?
        }
        MemberCommand::Update { who, peer } => {
            let member = members.find(&who.who)?;
            let peer_ur_ls = vec![format!("{}{peer}", members.scheme())];
            let request = pb::MemberUpdateRequest { id: member.id, peer_ur_ls };
            change(&client, |mut stub: Stub| {
                let request = request.clone();
                async move { stub.member_update(request).await }
            })
            .await?;
            Members::ask(&client).await?
        }
        MemberCommand::Promote(who) => {
            let id = members.find(&who.who)?.id;
            change(&client, |mut stub: Stub| async move {
                stub.member_promote(pb::MemberPromoteRequest { id }).await
            })
            .await?;
            Members::ask(&client).await?
        }
        MemberCommand::Lead(who) => {
            lead(&client, &members, members.find(&who.who)?.id).await?;
            Members::ask(&client).await?
        }
    };
    after.show(format).map(|()| Outcome::Done)
}

type Stub = ClusterClient<crate::transport::Channel>;

/// Asks for a change. One whose answer is lost may have been made.
async fn change<T, F>(client: &Client, request: impl Fn(Stub) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<tonic::Response<T>, tonic::Status>>,
{
    let outcome = client.call(Effect::Write, |channel| request(ClusterClient::new(channel))).await;
    outcome.map_err(open)
}

fn open(failure: Failure) -> Failure {
    match failure.kind {
        Kind::Unknown => failure.hint("`althing member list` shows whether it was done"),
        _ => failure,
    }
}

/// Finds who leads, which only that one can hand on, and asks it to.
async fn lead(client: &Client, members: &Members, id: u64) -> Result<(), Failure> {
    let status = client
        .call(Effect::Read, |channel| async move {
            MaintenanceClient::new(channel).status(pb::StatusRequest {}).await
        })
        .await?;
    let leader = members.all().iter().find(|member| member.id == status.leader);
    let address = leader.and_then(|leader| leader.client_ur_ls.iter().find_map(|u| u.parse().ok()));
    let Some(address) = address else {
        let hint = "`althing status` shows which nodes are up; more than half must be";
        return Err(Failure::new(Kind::NoLeader, "nobody is known to lead").hint(hint));
    };
    let request = pb::MoveLeaderRequest { target_id: id };
    let leader = client.only(address);
    let moved = leader.call(Effect::Write, |channel| async move {
        MaintenanceClient::new(channel).move_leader(request).await
    });
    moved.await.map(|_| ()).map_err(open)
}

/// What a refusal of the cluster to change its members means to whoever asked.
pub(crate) fn advice(refusal: &str) -> Option<(Kind, &'static str)> {
    Some(match refusal {
        "member not found" => (Kind::NotFound, "`althing member list` shows those that there are"),
        "Peer URLs already exists" => {
            (Kind::Other, "another member is there: remove it first, or name another address")
        }
        "can only promote a learner member" => (Kind::Other, "it votes already"),
        "can only promote a learner member which is in sync with leader" => {
            (Kind::Other, "wait until it has caught up: `althing status` shows its lag")
        }
        "unhealthy cluster" => {
            let hint = "too few of those who would vote can be reached: `althing status` shows who";
            (Kind::Other, hint)
        }
        "re-configuration failed due to not enough started members" => {
            (Kind::Other, "somebody must be left to vote: add another member first")
        }
        "too many learner members in cluster" => {
            (Kind::Other, "a cluster has at most 64 members: remove some")
        }
        "given member URLs are invalid" => {
            (Kind::Usage, "name the host and the port at which its peers find it")
        }
        "not leader" => (Kind::Other, "the leader has changed meanwhile; ask again"),
        "bad leader transferee" => (Kind::Other, "only a member that votes can lead"),
        "request timed out, leader transfer took too long" => (
            Kind::Other,
            "it was not up to date or not to be reached; `althing status` shows who leads",
        ),
        _ => return None,
    })
}
