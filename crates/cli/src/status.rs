//! `althing status`: every node of the cluster in one table.

use std::collections::BTreeMap;
use std::time::Duration;

use althing_etcd_api::etcdserverpb::cluster_client::ClusterClient;
use althing_etcd_api::etcdserverpb::maintenance_client::MaintenanceClient;
use althing_etcd_api::etcdserverpb::{
    Member, MemberListRequest, MemberListResponse, StatusRequest, StatusResponse,
};
use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::client::{Address, Client, Effect};
use crate::duration;
use crate::failure::{Failure, Kind};
use crate::output::{self, Format, print, print_line};

/// Arguments of `althing status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Asks one endpoint who belongs to the cluster and every member how it is. The lag is how many
entries of the leader's committed log a node has yet to apply. Exits with 7 where no node leads.

Examples:
  althing status
  althing status -o json | jq '.nodes[] | select(.lag > 100) | .name'
  althing status --watch 2s")]
pub(crate) struct StatusArguments {
    /// Show it again and again, with this pause between, until interrupted
    #[arg(
        long,
        value_name = "PAUSE",
        num_args = 0..=1,
        default_missing_value = "1s",
        value_parser = duration::parse
    )]
    watch: Option<Duration>,
}

/// Shows the cluster once or for ever.
pub(crate) async fn run(
    global: &GlobalArguments,
    arguments: StatusArguments,
) -> Result<Outcome, Failure> {
    let client = global.client()?;
    let Some(pause) = arguments.watch else {
        let cluster = Cluster::ask(&client).await?;
        cluster.show(global.format())?;
        return cluster.require_leader().map(|()| Outcome::Done);
    };
    loop {
        // A cluster that cannot be reached for a while is what a watcher wants to see, not an end.
        match Cluster::ask(&client).await {
            Ok(cluster) => {
                if global.format() == Format::Table {
                    print(b"\x1b[H\x1b[2J")?;
                }
                cluster.show(global.format())?;
            }
            Err(failure) => failure.report(global.format()),
        }
        tokio::time::sleep(pause).await;
    }
}

/// What every member said of itself, in ascending order of their names.
struct Cluster {
    id: u64,
    nodes: Vec<Node>,
}

struct Node {
    member: Member,
    address: Option<Address>,
    status: Result<StatusResponse, Failure>,
}

impl Cluster {
    async fn ask(client: &Client) -> Result<Self, Failure> {
        let list = client.call(Effect::Read, list_members).await?;
        let mut questions = JoinSet::new();
        for member in list.members {
            questions.spawn(Node::ask(client.clone(), member));
        }
        let mut nodes = questions.join_all().await;
        nodes.sort_by(|one, other| {
            (&one.member.name, one.member.id).cmp(&(&other.member.name, other.member.id))
        });
        Ok(Self { id: list.header.map_or(0, |header| header.cluster_id), nodes })
    }

    /// The leader's number, as most nodes of the newest term know it; `None` where there is none.
    fn leader(&self) -> Option<u64> {
        let statuses = || self.nodes.iter().filter_map(|node| node.status.as_ref().ok());
        let term = statuses().map(|status| status.raft_term).max()?;
        let mut votes: BTreeMap<u64, usize> = BTreeMap::new();
        for status in statuses().filter(|status| status.raft_term == term && status.leader != 0) {
            *votes.entry(status.leader).or_default() += 1;
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(leader, _)| leader)
    }

    /// How far the log is known to be committed.
    fn commit(&self) -> u64 {
        let statuses = self.nodes.iter().filter_map(|node| node.status.as_ref().ok());
        statuses.map(|status| status.raft_index).max().unwrap_or(0)
    }

    /// By which protocol the nodes agree, if they say so.
    fn consensus(&self) -> Option<&str> {
        let mut statuses = self.nodes.iter().filter_map(|node| node.status.as_ref().ok());
        let told = statuses.find(|status| !status.consensus.is_empty());
        told.map(|status| &*status.consensus)
    }

    fn require_leader(&self) -> Result<(), Failure> {
        if self.leader().is_some() {
            return Ok(());
        }
        let up = self.nodes.iter().filter(|node| node.status.is_ok()).count();
        let failure = Failure::new(Kind::NoLeader, "the cluster has no leader")
            .cause(format!("{up} of {} nodes can be reached", self.nodes.len()));
        Err(failure.hint("start the others: more than half must be up"))
    }

    fn show(&self, format: Format) -> Result<(), Failure> {
        match format {
            Format::Json => print_line(self.as_json()),
            Format::Table => print(self.as_table().as_bytes()),
            Format::Raw => {
                let lines = self.rows().into_iter().map(|row| row.join("\t") + "\n");
                print(lines.collect::<String>().as_bytes())
            }
        }
    }

    fn as_table(&self) -> String {
        let mut table = output::table(&[
            "node", "role", "term", "commit", "applied", "lag", "db size", "version", "address",
        ]);
        table.add_rows(self.rows());
        for numeric in 2..=6 {
            let column = table.column_mut(numeric).expect("the table has nine columns");
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
        output::table_text(&table)
    }

    fn rows(&self) -> Vec<Vec<String>> {
        self.nodes.iter().map(|node| node.row(self.leader(), self.commit())).collect()
    }

    fn as_json(&self) -> Value {
        let (leader, commit) = (self.leader(), self.commit());
        let nodes = self.nodes.iter().map(|node| node.as_json(leader, commit));
        json!({
            "cluster_id": format!("{:x}", self.id),
            "consensus": self.consensus(),
            "leader": leader.map(|leader| format!("{leader:x}")),
            "nodes": nodes.collect::<Vec<_>>(),
        })
    }
}

impl Node {
    async fn ask(client: Client, member: Member) -> Self {
        let address = member.client_ur_ls.iter().find_map(|url| url.parse::<Address>().ok());
        let status = match &address {
            Some(address) => client.only(address.clone()).call(Effect::Read, ask_status).await,
            None => Err(Failure::new(Kind::Unreachable, "it names no address for clients")),
        };
        Self { member, address, status }
    }

    fn role(&self, leader: Option<u64>) -> &'static str {
        match &self.status {
            Err(_) if self.member.client_ur_ls.is_empty() => "not started",
            Err(failure) if failure.kind == Kind::Unreachable => "unreachable",
            Err(_) => "no answer",
            Ok(_) if leader == Some(self.member.id) => "leader",
            Ok(status) if status.is_learner || self.member.is_learner => "learner",
            Ok(_) => "follower",
        }
    }

    fn row(&self, leader: Option<u64>, commit: u64) -> Vec<String> {
        let missing = || "-".to_owned();
        let shown = |value: &dyn Fn(&StatusResponse) -> String| {
            self.status.as_ref().map_or_else(|_| missing(), value)
        };
        vec![
            self.name(),
            self.role(leader).to_owned(),
            shown(&|status| status.raft_term.to_string()),
            shown(&|status| status.raft_index.to_string()),
            shown(&|status| status.raft_applied_index.to_string()),
            shown(&|status| lag(status, commit).to_string()),
            shown(&|status| output::size(status.db_size.try_into().unwrap_or(0))),
            shown(&|status| status.version.clone()),
            self.address.as_ref().map_or_else(missing, ToString::to_string),
        ]
    }

    fn as_json(&self, leader: Option<u64>, commit: u64) -> Value {
        let mut node = json!({
            "id": format!("{:x}", self.member.id),
            "name": self.name(),
            "role": self.role(leader),
            "address": self.address.as_ref().map(ToString::to_string),
        });
        match &self.status {
            Ok(status) => {
                node["term"] = json!(status.raft_term);
                node["commit"] = json!(status.raft_index);
                node["applied"] = json!(status.raft_applied_index);
                node["lag"] = json!(lag(status, commit));
                node["db_size"] = json!(status.db_size);
                node["db_size_in_use"] = json!(status.db_size_in_use);
                node["version"] = json!(status.version);
                node["errors"] = json!(status.errors);
            }
            Err(failure) => {
                node["errors"] = json!([failure.cause.as_ref().unwrap_or(&failure.message)]);
            }
        }
        node
    }

    /// The name, or the number of a member that has not started yet.
    fn name(&self) -> String {
        if self.member.name.is_empty() {
            format!("{:x}", self.member.id)
        } else {
            self.member.name.clone()
        }
    }
}

fn lag(status: &StatusResponse, commit: u64) -> u64 {
    commit.saturating_sub(status.raft_applied_index)
}

async fn list_members(
    channel: crate::transport::Channel,
) -> Result<tonic::Response<MemberListResponse>, tonic::Status> {
    // Not linearizable: a cluster without a leader has members too.
    ClusterClient::new(channel).member_list(MemberListRequest { linearizable: false }).await
}

async fn ask_status(
    channel: crate::transport::Channel,
) -> Result<tonic::Response<StatusResponse>, tonic::Status> {
    MaintenanceClient::new(channel).status(StatusRequest {}).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u64, term: u64, leader: u64, commit: u64, applied: u64) -> Node {
        let status = StatusResponse {
            leader,
            raft_term: term,
            raft_index: commit,
            raft_applied_index: applied,
            ..StatusResponse::default()
        };
        let member = Member { id, name: format!("n{id}"), ..Member::default() };
        Node { member, address: None, status: Ok(status) }
    }

    #[test]
    fn the_leader_is_who_the_newest_term_follows() {
        let mut cluster = Cluster { id: 1, nodes: vec![node(1, 3, 1, 9, 9), node(2, 4, 3, 8, 7)] };
        cluster.nodes.push(node(3, 4, 3, 10, 10));
        assert_eq!(cluster.leader(), Some(3));
        let roles: Vec<_> = cluster.nodes.iter().map(|node| node.role(Some(3))).collect();
        assert_eq!(roles, ["follower", "follower", "leader"]);
        let lags: Vec<_> = cluster.rows().into_iter().map(|row| row[5].clone()).collect();
        assert_eq!(lags, ["1", "3", "0"]);
        cluster.require_leader().expect("there is one");
    }

    #[test]
    fn a_cluster_where_nobody_leads_is_a_failure() {
        let cluster = Cluster { id: 1, nodes: vec![node(1, 5, 0, 9, 9), node(2, 4, 2, 8, 7)] };
        assert_eq!(cluster.require_leader().map_err(|failure| failure.kind), Err(Kind::NoLeader));
    }
}
