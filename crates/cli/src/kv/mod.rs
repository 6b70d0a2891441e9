//! `althing kv`: read and write keys.

mod delete;
mod get;
pub(crate) mod keys;
mod put;
pub(crate) mod show;
mod txn;

use althing_etcd_api::etcdserverpb::kv_client::KvClient;
use clap::Subcommand;

use crate::Outcome;
use crate::arguments::GlobalArguments;
use crate::client::ANSWER_BYTES_MAX;
use crate::failure::Failure;
use crate::transport::Channel;

/// What there is to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KvCommand {
    /// Write a key
    Put(put::PutArguments),
    /// Read a key, or a range of keys
    Get(get::GetArguments),
    /// Delete a key, or a range of keys
    #[command(visible_alias = "delete")]
    Del(delete::DeleteArguments),
    /// Compare, then do one of two lists of operations, all at once or nothing
    Txn(txn::TxnArguments),
}

/// Does it.
pub(crate) async fn run(global: &GlobalArguments, command: KvCommand) -> Result<Outcome, Failure> {
    match command {
        KvCommand::Put(arguments) => put::run(global, arguments).await,
        KvCommand::Get(arguments) => get::run(global, arguments).await,
        KvCommand::Del(arguments) => delete::run(global, arguments).await,
        KvCommand::Txn(arguments) => txn::run(global, arguments).await,
    }
}

/// The service, over a connection.
pub(crate) fn stub(channel: Channel) -> KvClient<Channel> {
    KvClient::new(channel)
        .max_decoding_message_size(ANSWER_BYTES_MAX)
        .max_encoding_message_size(ANSWER_BYTES_MAX)
}
