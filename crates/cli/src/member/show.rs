//! The members as they are shown.

use althing_etcd_api::etcdserverpb as pb;
use pb::cluster_client::ClusterClient;
use serde_json::{Value, json};

use crate::client::{Client, Effect, HTTPS};
use crate::failure::{Failure, Kind};
use crate::output::{self, Format, print, print_line};

/// All members, in ascending order of their names.
pub(super) struct Members(Vec<pb::Member>);

impl Members {
    /// As the cluster has them by now.
    pub(super) async fn ask(client: &Client) -> Result<Self, Failure> {
        let request = pb::MemberListRequest { linearizable: true };
        let list = client.call(Effect::Read, |channel| async move {
            ClusterClient::new(channel).member_list(request).await
        });
        Ok(Self::new(list.await?.members))
    }

    pub(super) fn new(mut members: Vec<pb::Member>) -> Self {
        members.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
        Self(members)
    }

    pub(super) fn all(&self) -> &[pb::Member] {
        &self.0
    }

    /// The one that is meant by a name or an id.
    pub(super) fn find(&self, who: &str) -> Result<&pb::Member, Failure> {
        let is_named = |member: &&pb::Member| !who.is_empty() && member.name == who;
        let mut named = self.0.iter().filter(is_named);
        match (named.next(), named.next()) {
            (Some(member), None) => return Ok(member),
            (Some(_), Some(_)) => {
                return Err(Failure::usage(format!("two members are called `{who}`"))
                    .hint("name it by its id, as `althing member list` shows it"));
            }
            (None, _) => {}
        }
        let id = u64::from_str_radix(who, 16).ok();
        let found = self.0.iter().find(|member| Some(member.id) == id);
        found.ok_or_else(|| {
            Failure::new(Kind::NotFound, format!("there is no member `{who}`"))
                .hint("`althing member list` shows those that there are")
        })
    }

    /// What the members' peer URLs begin with: all have TLS, or none.
    pub(super) fn scheme(&self) -> &'static str {
        let mut urls = self.0.iter().flat_map(|member| &member.peer_ur_ls);
        if urls.any(|url| url.starts_with(HTTPS)) { HTTPS } else { "http://" }
    }

    pub(super) fn show(&self, format: Format) -> Result<(), Failure> {
        match format {
            Format::Json => print_line(json!({ "members": self.as_json() })),
            Format::Raw => {
                let lines = self.0.iter().map(|member| row(member).join("\t") + "\n");
                print(lines.collect::<String>().as_bytes())
            }
            Format::Table => {
                let mut table = output::table(&["name", "id", "role", "peers", "clients"]);
                table.add_rows(self.0.iter().map(row));
                print(output::table_text(&table).as_bytes())
            }
        }
    }

    pub(super) fn as_json(&self) -> Value {
        self.0.iter().map(as_json).collect()
    }
}

pub(super) fn as_json(member: &pb::Member) -> Value {
    json!({
        "id": id(member),
        "name": member.name,
        "role": role(member),
        "started": !member.client_ur_ls.is_empty(),
        "peer_urls": member.peer_ur_ls,
        "client_urls": member.client_ur_ls,
    })
}

/// A member's id, as every command takes it.
pub(super) fn id(member: &pb::Member) -> String {
    format!("{:x}", member.id)
}

fn role(member: &pb::Member) -> &'static str {
    if member.is_learner { "learner" } else { "voter" }
}

fn row(member: &pb::Member) -> Vec<String> {
    let shown = |texts: &[String]| match texts {
        [] => "not started".to_owned(),
        _ => texts.join(","),
    };
    let name = if member.name.is_empty() { "-" } else { &member.name };
    vec![
        name.to_owned(),
        id(member),
        role(member).to_owned(),
        member.peer_ur_ls.join(","),
        shown(&member.client_ur_ls),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, name: &str) -> pb::Member {
        pb::Member { id, name: name.to_owned(), ..pb::Member::default() }
    }

    #[test]
    fn a_member_is_found_by_its_name_or_its_id() {
        let members = Members::new(vec![member(0xab, "n1"), member(0xcd, ""), member(0xef, "ab")]);
        let find = |who: &str| members.find(who).map(|member| member.id);
        assert_eq!(find("n1"), Ok(0xab));
        assert_eq!(find("cd"), Ok(0xcd));
        assert_eq!(find("ab"), Ok(0xef), "a name counts before an id");
        assert_eq!(find("").map_err(|failure| failure.kind), Err(Kind::NotFound));
        let twins = Members::new(vec![member(1, "n1"), member(2, "n1")]);
        assert_eq!(twins.find("n1").map_err(|failure| failure.kind), Err(Kind::Usage));
        assert_eq!(twins.find("2").map(|member| member.id), Ok(2));
    }
}
