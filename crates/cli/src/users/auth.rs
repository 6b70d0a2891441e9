//! `althing auth`: whether users count.

use althing_etcd_api::etcdserverpb::{AuthDisableRequest, AuthEnableRequest, AuthStatusRequest};
use clap::Subcommand;
use serde_json::json;

use super::{change, look, show};
use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::failure::Failure;
use crate::output::{Format, print, print_line};

/// What there is to do with users as a whole.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
From `enable` on nobody may do anything without a right to it. There must be a user root that has
the role root, which may do everything.

Examples:
  althing user add root
  althing user grant-role root root
  althing auth enable
  althing --user root auth status -o json")]
pub(crate) enum AuthCommand {
    /// Let users count from now on
    Enable,
    /// Let everybody do everything from now on
    Disable,
    /// Show whether users count
    Status,
}

/// Does it.
pub(crate) async fn run(
    global: &GlobalArguments,
    command: AuthCommand,
) -> Result<Outcome, Failure> {
    let (client, format) = (global.client()?, global.format());
    match command {
        AuthCommand::Enable => {
            change(&client, |mut stub| async move { stub.auth_enable(AuthEnableRequest {}).await })
                .await?;
            let document = json!({ "enabled": true });
            print(&show::done(format, "users count from now on", "enabled", document))?;
        }
        AuthCommand::Disable => {
            let call = |mut stub: super::AuthClient<_>| async move {
                stub.auth_disable(AuthDisableRequest {}).await
            };
            change(&client, call).await?;
            let document = json!({ "enabled": false });
            let text = "everybody may do everything from now on";
            print(&show::done(format, text, "disabled", document))?;
        }
        AuthCommand::Status => {
            let status =
                look(
                    &client,
                    |mut stub| async move { stub.auth_status(AuthStatusRequest {}).await },
                )
                .await?;
            let (enabled, revision) = (status.enabled, status.auth_revision);
            match format {
                Format::Json => print_line(json!({ "enabled": enabled, "revision": revision }))?,
                Format::Raw => print_line(if enabled { "enabled" } else { "disabled" })?,
                Format::Table if enabled => {
                    print_line(format!("users count; they were changed {revision} times"))?;
                }
                Format::Table => print_line("users don't count: everybody may do everything")?,
            }
        }
    }
    Ok(Outcome::Done)
}
