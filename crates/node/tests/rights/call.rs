//! Any call, from its JSON form, either way.

use althing_etcd_api::{FittedCodec, etcdserverpb as pb, v3electionpb, v3lockpb};
use http::uri::PathAndQuery;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// How a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Grpc,
    Json,
}

/// The first message that a call is answered with, as JSON. On the wire a call with one answer is a
/// stream of one.
async fn first<Q, A>(
    channel: Channel,
    path: String,
    token: &str,
    body: &str,
) -> Result<String, Status>
where
    Q: prost::Message + DeserializeOwned + Default + 'static,
    A: prost::Message + Serialize + Default + 'static,
{
    let message: Q = serde_json::from_str(body).expect("the case is a message");
    let mut request = Request::new(tokio_stream::once(message));
    if !token.is_empty() {
        request.metadata_mut().insert("token", token.parse().expect("ASCII"));
    }
    let mut client = Grpc::new(channel);
    client.ready().await.expect("the node listens");
    let path: PathAndQuery = path.parse().expect("a path");
    let answer = client.streaming(request, path, FittedCodec::<Q, A>::default()).await?;
    let message = answer.into_inner().message().await?;
    Ok(serde_json::to_string(&message).expect("every message has a JSON form"))
}

macro_rules! calls {
    ($channel:ident, $call:ident, $token:ident, $body:ident,
     $($name:literal: $package:ident $request:ident $response:ident),* $(,)?) => {
        match $call {
            $($name => {
                let path = format!("/{}.{}", stringify!($package), $name.replace('.', "/"));
                let path = path.replace("/pb.", "/etcdserverpb.");
                first::<$package::$request, $package::$response>($channel, path, $token, $body)
                    .await
            })*
            _ => panic!("there is no call {}", $call),
        }
    };
}

/// Makes a call over gRPC.
pub(crate) async fn grpc(
    channel: Channel,
    call: &str,
    token: &str,
    body: &str,
) -> Result<String, Status> {
    calls! { channel, call, token, body,
        "KV.Range": pb RangeRequest RangeResponse,
        "KV.Put": pb PutRequest PutResponse,
        "KV.DeleteRange": pb DeleteRangeRequest DeleteRangeResponse,
        "KV.Txn": pb TxnRequest TxnResponse,
        "KV.Compact": pb CompactionRequest CompactionResponse,
        "Watch.Watch": pb WatchRequest WatchResponse,
        "Lease.LeaseGrant": pb LeaseGrantRequest LeaseGrantResponse,
        "Lease.LeaseRevoke": pb LeaseRevokeRequest LeaseRevokeResponse,
        "Lease.LeaseKeepAlive": pb LeaseKeepAliveRequest LeaseKeepAliveResponse,
        "Lease.LeaseTimeToLive": pb LeaseTimeToLiveRequest LeaseTimeToLiveResponse,
        "Lease.LeaseLeases": pb LeaseLeasesRequest LeaseLeasesResponse,
        "Cluster.MemberAdd": pb MemberAddRequest MemberAddResponse,
        "Cluster.MemberRemove": pb MemberRemoveRequest MemberRemoveResponse,
        "Cluster.MemberUpdate": pb MemberUpdateRequest MemberUpdateResponse,
        "Cluster.MemberList": pb MemberListRequest MemberListResponse,
        "Cluster.MemberPromote": pb MemberPromoteRequest MemberPromoteResponse,
        "Maintenance.Alarm": pb AlarmRequest AlarmResponse,
        "Maintenance.Status": pb StatusRequest StatusResponse,
        "Maintenance.Defragment": pb DefragmentRequest DefragmentResponse,
        "Maintenance.Hash": pb HashRequest HashResponse,
        "Maintenance.HashKV": pb HashKvRequest HashKvResponse,
        "Maintenance.Snapshot": pb SnapshotRequest SnapshotResponse,
        "Maintenance.MoveLeader": pb MoveLeaderRequest MoveLeaderResponse,
        "Maintenance.Downgrade": pb DowngradeRequest DowngradeResponse,
        "Auth.AuthEnable": pb AuthEnableRequest AuthEnableResponse,
        "Auth.AuthDisable": pb AuthDisableRequest AuthDisableResponse,
        "Auth.AuthStatus": pb AuthStatusRequest AuthStatusResponse,
        "Auth.Authenticate": pb AuthenticateRequest AuthenticateResponse,
        "Auth.UserAdd": pb AuthUserAddRequest AuthUserAddResponse,
        "Auth.UserGet": pb AuthUserGetRequest AuthUserGetResponse,
        "Auth.UserList": pb AuthUserListRequest AuthUserListResponse,
        "Auth.UserDelete": pb AuthUserDeleteRequest AuthUserDeleteResponse,
        "Auth.UserChangePassword": pb AuthUserChangePasswordRequest AuthUserChangePasswordResponse,
        "Auth.UserGrantRole": pb AuthUserGrantRoleRequest AuthUserGrantRoleResponse,
        "Auth.UserRevokeRole": pb AuthUserRevokeRoleRequest AuthUserRevokeRoleResponse,
        "Auth.RoleAdd": pb AuthRoleAddRequest AuthRoleAddResponse,
        "Auth.RoleGet": pb AuthRoleGetRequest AuthRoleGetResponse,
        "Auth.RoleList": pb AuthRoleListRequest AuthRoleListResponse,
        "Auth.RoleDelete": pb AuthRoleDeleteRequest AuthRoleDeleteResponse,
        "Auth.RoleGrantPermission":
            pb AuthRoleGrantPermissionRequest AuthRoleGrantPermissionResponse,
        "Auth.RoleRevokePermission":
            pb AuthRoleRevokePermissionRequest AuthRoleRevokePermissionResponse,
        "Lock.Lock": v3lockpb LockRequest LockResponse,
        "Lock.Unlock": v3lockpb UnlockRequest UnlockResponse,
        "Election.Campaign": v3electionpb CampaignRequest CampaignResponse,
        "Election.Proclaim": v3electionpb ProclaimRequest ProclaimResponse,
        "Election.Leader": v3electionpb LeaderRequest LeaderResponse,
        "Election.Observe": v3electionpb LeaderRequest LeaderResponse,
        "Election.Resign": v3electionpb ResignRequest ResignResponse,
    }
}

/// Makes a call through the gateway; the first line of the answer's body.
pub(crate) async fn json(
    address: &str,
    path: &str,
    token: &str,
    body: &str,
) -> Result<String, Status> {
    let mut stream = TcpStream::connect(address).await.expect("the node listens");
    let who = if token.is_empty() { String::new() } else { format!("Authorization: {token}\r\n") };
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{who}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("the node reads");
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while !line.starts_with('{') {
        line.clear();
        // An answer of known length has no end of a line.
        if reader.read_line(&mut line).await.expect("it can be read") == 0 {
            reader.read_to_string(&mut line).await.expect("it can be read");
            break;
        }
    }
    let answer: serde_json::Value = serde_json::from_str(&line).expect("an object");
    let of_stream = answer["error"].as_object().map(|error| &error["grpc_code"]);
    let code = of_stream.unwrap_or_else(|| &answer["code"]).as_i64().unwrap_or(0);
    match Code::from_i32(i32::try_from(code).expect("a code of gRPC")) {
        Code::Ok => Ok(line),
        code => Err(Status::new(code, line)),
    }
}
