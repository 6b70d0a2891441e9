//! `althing role`.

use althing_etcd_api::authpb::{Permission, permission::Type};
use althing_etcd_api::etcdserverpb as pb;
use clap::{Args, Subcommand};
use serde_json::json;

use super::permission::{Access, RangeArguments, keys_of};
use super::{change, look, show};
use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::print;

/// What there is to do with roles.
#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    /// Add a role, without rights
    #[command(after_help = "Example:\n  althing role add reader")]
    Add {
        /// The role
        name: String,
    },
    /// Show the rights of a role
    #[command(after_help = "Example:\n  althing role get reader -o json")]
    Get {
        /// The role
        name: String,
    },
    /// List the roles
    List,
    /// Delete a role, and take it away from whoever has it
    #[command(after_help = "Example:\n  althing role delete reader")]
    Delete {
        /// The role
        name: String,
    },
    /// Grant a right to a role
    GrantPermission(GrantArguments),
    /// Take a right away from a role; the same keys as when it was granted
    RevokePermission(RevokeArguments),
}

/// Arguments of `althing role grant-permission`.
#[derive(Args, Debug)]
#[command(after_help = "\
What is granted for the same keys already is changed to this.

Examples:
  althing role grant-permission reader read config/ --prefix
  althing role grant-permission worker readwrite jobs/ --prefix
  althing role grant-permission worker write status")]
pub(crate) struct GrantArguments {
    /// The role
    role: String,
    /// To do what
    access: Access,
    #[command(flatten)]
    range: RangeArguments,
}

/// Arguments of `althing role revoke-permission`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  althing role revoke-permission reader config/ --prefix")]
pub(crate) struct RevokeArguments {
    /// The role
    role: String,
    #[command(flatten)]
    range: RangeArguments,
}

/// Does it.
pub(crate) async fn run(
    global: &GlobalArguments,
    command: RoleCommand,
) -> Result<Outcome, Failure> {
    let (client, format) = (&global.client()?, global.format());
    let result =
        match command {
            RoleCommand::Add { name } => {
                change(client, |mut stub| {
                    let request = pb::AuthRoleAddRequest { name: name.clone() };
                    async move { stub.role_add(request).await }
                })
                .await?;
                show::done(format, &format!("role {name} added"), &name, json!({ "role": name }))
            }
            RoleCommand::Get { name } => {
                let answer = look(client, |mut stub| {
                    let request = pb::AuthRoleGetRequest { role: name.clone() };
                    async move { stub.role_get(request).await }
                })
                .await?;
                show::rights(format, &name, &answer.perm)
            }
            RoleCommand::List => {
                let answer = look(client, |mut stub| async move {
                    stub.role_list(pb::AuthRoleListRequest {}).await
                })
                .await?;
                show::names(format, "roles", &answer.roles)
            }
            RoleCommand::Delete { name } => {
                change(client, |mut stub| {
                    let request = pb::AuthRoleDeleteRequest { role: name.clone() };
                    async move { stub.role_delete(request).await }
                })
                .await?;
                show::done(format, &format!("role {name} deleted"), &name, json!({ "role": name }))
            }
            RoleCommand::GrantPermission(arguments) => {
                let right = grant(client, &arguments).await?;
                let (role, access) = (&arguments.role, Access::of(&right));
                let text = format!("role {role} may {access} {}", keys_of(&right));
                show::done(format, &text, role, json!({ "role": role, "access": access }))
            }
            RoleCommand::RevokePermission(RevokeArguments { role, range }) => {
                let (key, range_end) = range.range()?;
                change(client, |mut stub| {
                    let (role, key) = (role.clone(), key.clone().into());
                    let range_end = range_end.clone().into();
                    let request = pb::AuthRoleRevokePermissionRequest { role, key, range_end };
                    async move { stub.role_revoke_permission(request).await }
                })
                .await?;
                let text = format!("role {role} has one right less");
                show::done(format, &text, &role, json!({ "role": role }))
            }
        };
    print(&result).map(|()| Outcome::Done)
}

async fn grant(client: &Client, arguments: &GrantArguments) -> Result<Permission, Failure> {
    let (key, range_end) = arguments.range.range()?;
    let kind = match arguments.access {
        Access::Read => Type::Read,
        Access::Write => Type::Write,
        Access::Readwrite => Type::Readwrite,
    };
    let (key, range_end) = (key.into(), range_end.into());
    let right = Permission { perm_type: kind.into(), key, range_end };
    change(client, |mut stub| {
        let (name, perm) = (arguments.role.clone(), Some(right.clone()));
        let request = pb::AuthRoleGrantPermissionRequest { name, perm };
        async move { stub.role_grant_permission(request).await }
    })
    .await?;
    Ok(right)
}
