//! `althing user`.

use std::path::PathBuf;

use althing_etcd_api::authpb::UserAddOptions;
use althing_etcd_api::etcdserverpb as pb;
use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use super::{AuthClient, change, look, show};
use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::client::Client;
use crate::credentials::{ask, first_line};
use crate::failure::{Failure, Kind};
use crate::output::print;

/// What there is to do with users.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user
    Add(AddArguments),
    /// Show the roles of a user
    #[command(after_help = "Example:\n  althing user get ann -o json")]
    Get {
        /// The user
        name: String,
    },
    /// List the users
    List,
    /// Delete a user
    #[command(after_help = "Example:\n  althing user delete ann")]
    Delete {
        /// The user
        name: String,
    },
    /// Give a user another password; whoever is signed in with the old one is not any more
    Passwd(PasswordArguments),
    /// Grant a role to a user
    #[command(after_help = "Example:\n  althing user grant-role ann reader")]
    GrantRole(RoleArguments),
    /// Take a role away from a user
    #[command(after_help = "Example:\n  althing user revoke-role ann reader")]
    RevokeRole(RoleArguments),
}

/// Arguments of `althing user add`.
#[derive(Args, Debug)]
#[command(after_help = "\
The new user has no rights before it has a role. Its password is asked for, twice, or read from a
file, and never stands on the command line.

Examples:
  althing user add ann
  althing user add ann --new-password-file ann.password
  althing user add ann --no-password          known by its certificate alone")]
pub(crate) struct AddArguments {
    /// The user
    name: String,
    #[command(flatten)]
    password: NewPassword,
    /// Give it no password
    #[arg(long, conflicts_with = "new_password_file")]
    no_password: bool,
}

/// Arguments of `althing user passwd`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  althing --user root user passwd ann
  althing --user root user passwd ann --new-password-file -  < ann.password")]
pub(crate) struct PasswordArguments {
    /// The user
    name: String,
    #[command(flatten)]
    password: NewPassword,
}

/// A user and a role.
#[derive(Args, Debug)]
pub(crate) struct RoleArguments {
    /// The user
    name: String,
    /// The role
    role: String,
}

/// Where a new password comes from.
#[derive(Args, Debug)]
struct NewPassword {
    /// The file whose first line is the new password; `-` is the standard input
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

impl NewPassword {
    fn find(&self, name: &str) -> Result<Zeroizing<String>, Failure> {
        let password = match &self.new_password_file {
            Some(path) => first_line(path)?,
            None => {
                let question = format!("New password of {name}: ");
                let typed = ask(&question, "--new-password-file FILE")?;
                if *typed != *ask("The same again: ", "--new-password-file FILE")? {
                    return Err(Failure::new(Kind::Other, "the two passwords differ"));
                }
                typed
            }
        };
        if password.is_empty() {
            return Err(Failure::usage("the new password is empty"));
        }
        Ok(password)
    }
}

/// Does it.
pub(crate) async fn run(
    global: &GlobalArguments,
    command: UserCommand,
) -> Result<Outcome, Failure> {
    let (client, format) = (&global.client()?, global.format());
    let user = |name: &str| json!({ "user": name });
    let result = match command {
        UserCommand::Add(arguments) => {
            add(client, &arguments).await?;
            let name = &arguments.name;
            show::done(format, &format!("user {name} added"), name, user(name))
        }
        UserCommand::Get { name } => show::names(format, "roles", &roles_of(client, &name).await?),
        UserCommand::List => {
            let call = |mut stub: AuthClient<_>| async move {
                stub.user_list(pb::AuthUserListRequest {}).await
            };
            show::names(format, "users", &look(client, call).await?.users)
        }
        UserCommand::Delete { name } => {
            change(client, |mut stub| {
                let request = pb::AuthUserDeleteRequest { name: name.clone() };
                async move { stub.user_delete(request).await }
            })
            .await?;
            show::done(format, &format!("user {name} deleted"), &name, user(&name))
        }
        UserCommand::Passwd(PasswordArguments { name, password }) => {
            set_password(client, &name, &password.find(&name)?).await?;
            let text = format!("user {name} has another password");
            show::done(format, &text, &name, user(&name))
        }
        UserCommand::GrantRole(RoleArguments { name, role }) => {
            change(client, |mut stub| {
                let (user, role) = (name.clone(), role.clone());
                let request = pb::AuthUserGrantRoleRequest { user, role };
                async move { stub.user_grant_role(request).await }
            })
            .await?;
            let text = format!("user {name} has the role {role}");
            show::done(format, &text, &role, json!({ "user": name, "role": role }))
        }
        UserCommand::RevokeRole(RoleArguments { name, role }) => {
            change(client, |mut stub| {
                let (name, role) = (name.clone(), role.clone());
                let request = pb::AuthUserRevokeRoleRequest { name, role };
                async move { stub.user_revoke_role(request).await }
            })
            .await?;
            let text = format!("user {name} has the role {role} no more");
            show::done(format, &text, &role, json!({ "user": name, "role": role }))
        }
    };
    print(&result).map(|()| Outcome::Done)
}

async fn add(client: &Client, arguments: &AddArguments) -> Result<(), Failure> {
    let AddArguments { name, password, no_password } = arguments;
    let password = match no_password {
        true => Zeroizing::default(),
        false => password.find(name)?,
    };
    let options = Some(UserAddOptions { no_password: *no_password });
    let add = |mut stub: AuthClient<_>| {
        let (name, password) = (name.clone(), password.to_string());
        let hashed_password = String::new();
        let request = pb::AuthUserAddRequest { name, password, options, hashed_password };
        async move { stub.user_add(request).await }
    };
    change(client, add).await.map(|_| ())
}

async fn set_password(client: &Client, name: &str, password: &str) -> Result<(), Failure> {
    let set = |mut stub: AuthClient<_>| {
        let (name, password) = (name.to_owned(), password.to_owned());
        let hashed_password = String::new();
        let request = pb::AuthUserChangePasswordRequest { name, password, hashed_password };
        async move { stub.user_change_password(request).await }
    };
    change(client, set).await.map(|_| ())
}

async fn roles_of(client: &Client, name: &str) -> Result<Vec<String>, Failure> {
    let get = |mut stub: AuthClient<_>| {
        let request = pb::AuthUserGetRequest { name: name.to_owned() };
        async move { stub.user_get(request).await }
    };
    Ok(look(client, get).await?.roles)
}
