//! The queue behind a lock or an election: keys with a common prefix, in the order in which they
//! were created. Whoever is first holds it; everybody else waits for the one right before.
//!
//! This is the order that etcd's lock and election services keep, with the same keys (the name, a
//! slash and the lease in hex), so that users of either stand in one queue.

use std::time::Duration;

use althing_etcd_api::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use althing_etcd_api::etcdserverpb::range_request::{SortOrder, SortTarget};
use althing_etcd_api::etcdserverpb::request_op::Request;
use althing_etcd_api::etcdserverpb::response_op::Response;
use althing_etcd_api::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest,
    TxnResponse,
};

use crate::client::{Client, Effect};
use crate::failure::{Failure, Kind};
use crate::kv::keys::Keys;
use crate::kv::show::revision;
use crate::kv::stub;

/// The pause before a request that found no server is sent again.
const PAUSE: Duration = Duration::from_millis(200);

/// A place in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    prefix: Vec<u8>,
    /// The key that is the place.
    pub(crate) key: Vec<u8>,
    /// The revision that created the key. It grows from holder to holder, whatever happened to
    /// those before: the fencing token.
    pub(crate) token: i64,
}

/// Who stands right before a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// Their key; `None` where nobody does.
    pub(crate) key: Option<Vec<u8>>,
    /// The store's revision at which this was so.
    pub(crate) revision: i64,
}

/// What the keys of the queue for `name` begin with.
pub(crate) fn prefix(name: &str) -> Vec<u8> {
    format!("{name}/").into_bytes()
}

/// A read of whoever is first in the queue, at present.
pub(crate) async fn first(client: &Client, name: &str) -> Result<RangeResponse, Failure> {
    let keys = Keys::new(&prefix(name), None, true, false)?;
    let request = RangeRequest {
        key: keys.key.into(),
        range_end: keys.range_end.into(),
        limit: 1,
        sort_order: SortOrder::Ascend.into(),
        sort_target: SortTarget::Create.into(),
        ..RangeRequest::default()
    };
    let send = |channel| {
        let request = request.clone();
        async move { stub(channel).range(request).await }
    };
    client.call(Effect::Read, send).await
}

impl Place {
    /// Takes the last place, with a key that ends with `lease` and says `value`.
    pub(crate) async fn take(
        client: &Client,
        name: &str,
        lease: i64,
        value: &[u8],
    ) -> Result<Self, Failure> {
        let prefix = prefix(name);
        let key = [&prefix[..], format!("{lease:x}").as_bytes()].concat();
        let put = PutRequest {
            key: key.clone().into(),
            value: value.to_vec().into(),
            lease,
            ..PutRequest::default()
        };
        // Nobody else has this key. If it exists, an earlier request was not lost after all.
        let get = RangeRequest { key: key.clone().into(), ..RangeRequest::default() };
        let request = TxnRequest {
            compare: vec![created_at(&key, 0)],
            success: vec![operation(Request::RequestPut(put))],
            failure: vec![operation(Request::RequestRange(get))],
        };
        let response = patiently(client, &request).await?;
        let token = match first_answer(&response) {
            Some(Response::ResponseRange(range)) => {
                range.kvs.first().map_or(0, |pair| pair.create_revision)
            }
            _ => revision(response.header.as_ref()),
        };
        Ok(Self { prefix, key, token })
    }

    /// Who stands right before; `None` where this place is lost, because its key is gone.
    pub(crate) async fn ahead(&self, client: &Client) -> Result<Option<Ahead>, Failure> {
        let keys = Keys::new(&self.prefix, None, true, false)?;
        let before = RangeRequest {
            key: keys.key.into(),
            range_end: keys.range_end.into(),
            limit: 1,
            max_create_revision: self.token - 1,
            sort_order: SortOrder::Descend.into(),
            sort_target: SortTarget::Create.into(),
            keys_only: true,
            ..RangeRequest::default()
        };
        let request = TxnRequest {
            compare: vec![created_at(&self.key, self.token)],
            success: vec![operation(Request::RequestRange(before))],
            failure: Vec::new(),
        };
        let response = patiently(client, &request).await?;
        let Some(Response::ResponseRange(range)) = first_answer(&response) else {
            return Ok(None);
        };
        let key = range.kvs.first().map(|pair| pair.key.to_vec());
        Ok(Some(Ahead { key, revision: revision(response.header.as_ref()) }))
    }

    /// Gives the place up; `false` where it was lost before.
    pub(crate) async fn leave(&self, client: &Client) -> Result<bool, Failure> {
        let delete =
            DeleteRangeRequest { key: self.key.clone().into(), ..DeleteRangeRequest::default() };
        let request = TxnRequest {
            compare: vec![created_at(&self.key, self.token)],
            success: vec![operation(Request::RequestDeleteRange(delete))],
            failure: Vec::new(),
        };
        // Not sent twice: the second answer would be that there is no such key.
        let send = |channel| {
            let request = request.clone();
            async move { stub(channel).txn(request).await }
        };
        client.call(Effect::Write, send).await.map(|response| response.succeeded)
    }
}

/// Sends a request that can be sent twice, until a server answers.
async fn patiently(client: &Client, request: &TxnRequest) -> Result<TxnResponse, Failure> {
    loop {
        let send = |channel| {
            let request = request.clone();
            async move { stub(channel).txn(request).await }
        };
        match client.call(Effect::Read, send).await {
            Err(failure)
                if matches!(failure.kind, Kind::Unreachable | Kind::Unknown | Kind::NoLeader) =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            answered => return answered,
        }
    }
}

fn created_at(key: &[u8], revision: i64) -> Compare {
    Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Create.into(),
        key: key.to_vec().into(),
        target_union: Some(TargetUnion::CreateRevision(revision)),
        ..Compare::default()
    }
}

fn operation(request: Request) -> RequestOp {
    RequestOp { request: Some(request) }
}

fn first_answer(response: &TxnResponse) -> Option<&Response> {
    response.responses.first().and_then(|one| one.response.as_ref())
}
