//! etcd's JSON gateway: the same calls as over gRPC, as JSON in the body of a POST.
//!
//! What is compatible here is what etcd 3.4 and 3.5 answer, error bodies and status codes included,
//! since several clients speak nothing else (Patroni, the PHP, Perl and Lua clients).

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use althing_etcd_api::etcdserverpb as pb;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Status};

use super::credentials::Credentials;
use super::{Api, MESSAGE_BYTES_MAX, json_stream};

/// The gateway's routes: `/v3/` and the older spelling that etcd 3.4 still answers to.
pub(super) fn router(api: &Api) -> Router {
    ["/v3", "/v3beta"]
        .into_iter()
        .fold(Router::new(), |router, version| router.nest(version, routes(api)))
}

fn routes(api: &Api) -> Router {
    Router::new()
        .route(
            "/kv/range",
            call(api, |api, who, request| async move { api.range(who, request).await }),
        )
        .route("/kv/put", call(api, |api, who, request| async move { api.put(who, request).await }))
        .route(
            "/kv/deleterange",
            call(api, |api, who, request| async move { api.delete_range(who, request).await }),
        )
        .route("/kv/txn", call(api, |api, who, request| async move { api.txn(who, request).await }))
        .route(
            "/kv/compaction",
            call(api, |api, who, request| async move { api.compact(who, request).await }),
        )
        .route(
            "/maintenance/status",
            call(api, |api, who, request| async move { api.status(who, request).await }),
        )
        .route(
            "/maintenance/alarm",
            call(api, |api, who, request| async move { api.alarm(who, request).await }),
        )
        .route(
            "/maintenance/downgrade",
            call(api, |api, who, request| async move { api.downgrade(who, request).await }),
        )
        .route("/maintenance/snapshot", snapshot(api))
        .route("/watch", stream(api, |api, who, requests| api.watch(who, requests, false)))
        .route(
            "/lease/grant",
            call(api, |api, who, request| async move { api.lease_grant(who, request).await }),
        )
        .route("/lease/revoke", lease_revoke(api))
        .route("/kv/lease/revoke", lease_revoke(api))
        .route(
            "/lease/keepalive",
            stream(api, |api, who, requests| api.lease_keep_alive(who, requests)),
        )
        .route("/lease/timetolive", lease_time_to_live(api))
        .route("/kv/lease/timetolive", lease_time_to_live(api))
        .route("/lease/leases", lease_leases(api))
        .route("/kv/lease/leases", lease_leases(api))
        .route(
            "/maintenance/defragment",
            call(api, |api, who, request| async move { api.defragment(who, request).await }),
        )
        .route(
            "/maintenance/hash",
            call(api, |api, who, request| async move { api.hash_kv(who, request).await }),
        )
        .merge(members(api))
        .merge(lines(api))
        .merge(users(api))
        .merge(roles(api))
        .fallback(not_served)
}

/// Who belongs to the cluster, and who leads it.
fn members(api: &Api) -> Router {
    Router::new()
        .route(
            "/cluster/member/add",
            call(api, |api, who, request| async move { api.member_add(who, request).await }),
        )
        .route(
            "/cluster/member/remove",
            call(api, |api, who, request| async move { api.member_remove(who, request).await }),
        )
        .route(
            "/cluster/member/update",
            call(api, |api, who, request| async move { api.member_update(who, request).await }),
        )
        .route(
            "/cluster/member/list",
            call(api, |api, who, request| async move { api.member_list(who, request).await }),
        )
        .route(
            "/cluster/member/promote",
            call(api, |api, who, request| async move { api.member_promote(who, request).await }),
        )
        .route(
            "/maintenance/transfer-leadership",
            call(api, |api, who, request| async move { api.move_leader(who, request).await }),
        )
}

/// Locks and elections.
fn lines(api: &Api) -> Router {
    Router::new()
        .route(
            "/lock/lock",
            call(api, |api, who, request| async move { api.lock(who, request).await }),
        )
        .route(
            "/lock/unlock",
            call(api, |api, who, request| async move { api.unlock(who, request).await }),
        )
        .route(
            "/election/campaign",
            call(api, |api, who, request| async move { api.campaign(who, request).await }),
        )
        .route(
            "/election/proclaim",
            call(api, |api, who, request| async move { api.proclaim(who, request).await }),
        )
        .route(
            "/election/leader",
            call(api, |api, who, request| async move { api.leader(who, request).await }),
        )
        .route(
            "/election/resign",
            call(api, |api, who, request| async move { api.resign(who, request).await }),
        )
        .route("/election/observe", observe(api))
}

/// Users.
fn users(api: &Api) -> Router {
    Router::new()
        .route(
            "/auth/enable",
            call(api, |api, who, request| async move { api.auth_enable(who, request).await }),
        )
        .route(
            "/auth/disable",
            call(api, |api, who, request| async move { api.auth_disable(who, request).await }),
        )
        .route(
            "/auth/status",
            call(api, |api, who, request| async move { api.auth_status(who, request).await }),
        )
        .route(
            "/auth/authenticate",
            call(api, |api, who, request| async move { api.authenticate(who, request).await }),
        )
        .route(
            "/auth/user/add",
            call(api, |api, who, request| async move { api.user_add(who, request).await }),
        )
        .route(
            "/auth/user/get",
            call(api, |api, who, request| async move { api.user_get(who, request).await }),
        )
        .route(
            "/auth/user/list",
            call(api, |api, who, request| async move { api.user_list(who, request).await }),
        )
        .route(
            "/auth/user/delete",
            call(api, |api, who, request| async move { api.user_delete(who, request).await }),
        )
        .route(
            "/auth/user/changepw",
            call(
                api,
                |api, who, request| async move { api.user_change_password(who, request).await },
            ),
        )
        .route(
            "/auth/user/grant",
            call(api, |api, who, request| async move { api.user_grant_role(who, request).await }),
        )
        .route(
            "/auth/user/revoke",
            call(api, |api, who, request| async move { api.user_revoke_role(who, request).await }),
        )
}

/// Roles.
fn roles(api: &Api) -> Router {
    Router::new()
        .route(
            "/auth/role/add",
            call(api, |api, who, request| async move { api.role_add(who, request).await }),
        )
        .route(
            "/auth/role/get",
            call(api, |api, who, request| async move { api.role_get(who, request).await }),
        )
        .route(
            "/auth/role/list",
            call(api, |api, who, request| async move { api.role_list(who, request).await }),
        )
        .route(
            "/auth/role/delete",
            call(api, |api, who, request| async move { api.role_delete(who, request).await }),
        )
        .route(
            "/auth/role/grant",
            call(
                api,
                |api, who, request| async move { api.role_grant_permission(who, request).await },
            ),
        )
        .route(
            "/auth/role/revoke",
            call(
                api,
                |api, who, request| async move { api.role_revoke_permission(who, request).await },
            ),
        )
}

fn lease_revoke(api: &Api) -> MethodRouter {
    call(api, |api, who, request| async move { api.lease_revoke(who, request).await })
}

fn lease_time_to_live(api: &Api) -> MethodRouter {
    call(api, |api, who, request| async move { api.lease_time_to_live(who, request).await })
}

fn lease_leases(api: &Api) -> MethodRouter {
    call(api, |api, who, request| async move { api.lease_leases(who, request).await })
}

fn snapshot(api: &Api) -> MethodRouter {
    let api = api.clone();
    post(move |request: Request| async move {
        let who = Credentials::found(request.headers(), request.extensions());
        match read::<pb::SnapshotRequest>(request.into_body()).await {
            Ok(_) => as_lines(api.snapshot(who)),
            Err(status) => failure(&status),
        }
    })
}

fn observe(api: &Api) -> MethodRouter {
    let api = api.clone();
    post(move |request: Request| async move {
        let who = Credentials::found(request.headers(), request.extensions());
        match read(request.into_body()).await {
            Ok(request) => as_lines(api.observe(who, request)),
            Err(status) => failure(&status),
        }
    })
}

/// A route whose body is a stream of messages and whose answer is another.
fn stream<Q, A, F, S>(api: &Api, method: F) -> MethodRouter
where
    Q: DeserializeOwned + Default + Send + 'static,
    A: Serialize + Send + 'static,
    F: Fn(Api, Credentials, ReceiverStream<Result<Q, Status>>) -> S + Clone + Send + Sync + 'static,
    S: Stream<Item = Result<A, Status>> + Send + 'static,
{
    let api = api.clone();
    post(move |request: Request| async move {
        let who = Credentials::found(request.headers(), request.extensions());
        as_lines(method(api, who, json_stream::read(request.into_body())))
    })
}

/// Answers as the gateway streams them: each in a line of its own.
fn as_lines<A>(answers: impl Stream<Item = Result<A, Status>> + Send + 'static) -> Response
where
    A: Serialize + Send + 'static,
{
    let lines = answers.map(|answer| {
        let line = match answer {
            Ok(answer) => json!({ "result": answer }),
            Err(status) => {
                let http = http_status(status.code());
                json!({ "error": {
                    "grpc_code": status.code() as i32,
                    "http_code": http.as_u16(),
                    "message": status.message(),
                    "http_status": http.canonical_reason().unwrap_or_default(),
                } })
            }
        };
        Ok::<_, Infallible>(format!("{line}\n"))
    });
    let content_type = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (StatusCode::OK, [content_type], Body::from_stream(lines)).into_response()
}

/// A route that reads a message, makes a call, and writes what it answered.
fn call<Q, A, F, R>(api: &Api, method: F) -> MethodRouter
where
    Q: DeserializeOwned + Default + Send + 'static,
    A: Serialize + 'static,
    F: Fn(Api, Credentials, Q) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<A, Status>> + Send + 'static,
{
    let api = api.clone();
    post(move |request: Request| async move {
        let who = Credentials::found(request.headers(), request.extensions());
        let answer = match read(request.into_body()).await {
            Ok(request) => method(api, who, request).await,
            Err(status) => Err(status),
        };
        match answer.and_then(|answer| written(&answer)) {
            Ok(body) => as_json(StatusCode::OK, body),
            Err(status) => failure(&status),
        }
    })
}

/// Base64 makes four bytes of three, and a name and a quote cost something too.
const BODY_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

async fn read<Q: DeserializeOwned + Default>(body: Body) -> Result<Q, Status> {
    let body = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES_MAX))
        .await
        .map_err(|_| Status::deadline_exceeded("the body of the request did not arrive in time"))?
        .map_err(|_| {
            Status::resource_exhausted(format!(
                "the body of the request broke off or exceeds {BODY_BYTES_MAX} bytes"
            ))
        })?;
    parse(&body)
}

/// Reads a message. No text at all is the message without fields, and `null` is a field left out.
pub(super) fn parse<Q: DeserializeOwned + Default>(text: &[u8]) -> Result<Q, Status> {
    if text.is_empty() {
        return Ok(Q::default());
    }
    serde_json::from_slice(text)
        .or_else(|error| match serde_json::from_slice(text) {
            // Nearly nobody writes nulls, so their removal is only tried on what failed.
            Ok(value) => serde_json::from_value(without_nulls(value)),
            Err(_) => Err(error),
        })
        .map_err(|error| Status::invalid_argument(error.to_string()))
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(values) => values.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

fn written(answer: &impl Serialize) -> Result<Vec<u8>, Status> {
    serde_json::to_vec(answer).map_err(|error| Status::internal(error.to_string()))
}

/// An error in the gateway's shape.
fn failure(status: &Status) -> Response {
    let body = json!({
        "error": status.message(),
        "code": status.code() as i32,
        "message": status.message(),
    });
    as_json(http_status(status.code()), body.to_string().into_bytes())
}

fn as_json(status: StatusCode, body: Vec<u8>) -> Response {
    let content_type = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (status, [content_type], body).into_response()
}

/// The HTTP status that gRPC's gateways give a gRPC code.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn not_served(request: Request) -> Response {
    let path = request.uri().path();
    let known = ["/cluster/", "/maintenance/"];
    if known.into_iter().any(|prefix| path.starts_with(prefix)) {
        return failure(&Status::unimplemented(format!("althing does not serve {path} yet")));
    }
    StatusCode::NOT_FOUND.into_response()
}

#[cfg(test)]
mod tests {
    use althing_etcd_api::etcdserverpb::{PutRequest, RangeRequest, TxnRequest};

    use super::*;

    #[test]
    fn an_empty_body_is_the_message_without_fields() {
        assert_eq!(parse::<RangeRequest>(b"").expect("legal"), RangeRequest::default());
        assert_eq!(parse::<RangeRequest>(b"{}").expect("legal"), RangeRequest::default());
    }

    #[test]
    fn null_is_a_field_left_out() {
        let request: PutRequest =
            parse(br#"{"key":"YQ==","value":null,"lease":null,"prev_kv":null}"#).expect("legal");
        assert_eq!(request, PutRequest { key: "a".into(), ..PutRequest::default() });
        let nested = br#"{"success":[{"requestPut":{"key":"YQ==","lease":null}}]}"#;
        assert_eq!(parse::<TxnRequest>(nested).expect("legal").success.len(), 1);
    }

    #[test]
    fn what_is_not_a_message_is_an_invalid_argument() {
        for text in [&b"nonsense"[..], b"{", b"[]", br#"{"key":7}"#, br#"{"key":"!!"}"#, &[0xff]] {
            let status = parse::<PutRequest>(text).expect_err("not a message");
            assert_eq!(status.code(), Code::InvalidArgument, "{text:?}");
            assert!(!status.message().is_empty(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn an_error_names_itself_twice_and_gives_its_code() {
        let answer = failure(&Status::out_of_range("too far"));
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
        let body = to_bytes(answer.into_body(), 1000).await.expect("a small body");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body, json!({ "error": "too far", "code": 11, "message": "too far" }));
    }
}
