//! The half of a server that clients see: etcd's v3 API over gRPC and as JSON, and the pages for
//! operators, all on one port.
//!
//! Nothing here decides anything. A request is turned into a command or a read, handed through the
//! door to the node, and what comes back is turned into an answer. Who asks, and whether that is
//! theirs to ask, is found out at the door (`door.rs`), which no call can go around.

mod alarm;
mod api;
mod audit;
mod auth;
mod bucket;
mod budget;
mod conversation;
mod convert;
mod credentials;
mod door;
mod election;
mod gateway;
mod grpc;
mod health;
mod json_stream;
mod lease;
mod limits;
mod line;
mod listener;
mod lock;
mod members;
mod places;
mod scrape;
mod snapshot;
mod status;
#[cfg(test)]
mod tests;
mod throttle;
mod traces;
mod watch;
mod wellness;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use althing_etcd_api::etcdserverpb::auth_server::AuthServer;
use althing_etcd_api::etcdserverpb::cluster_server::ClusterServer;
use althing_etcd_api::etcdserverpb::kv_server::KvServer;
use althing_etcd_api::etcdserverpb::lease_server::LeaseServer;
use althing_etcd_api::etcdserverpb::maintenance_server::MaintenanceServer;
use althing_etcd_api::etcdserverpb::watch_server::WatchServer;
use althing_etcd_api::v3electionpb::election_server::ElectionServer;
use althing_etcd_api::v3lockpb::lock_server::LockServer;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use crate::handle::Handle;
use crate::metrics::Metrics;
use api::Api;
use budget::{Budget, Metered};

pub use audit::AUDIT_TARGET;
pub(crate) use auth::hash_password;
pub use auth::{JwtError, JwtKey, TokenSettings};
pub use credentials::CertificateName;
pub use limits::Limits;
pub(crate) use listener::serve;
#[cfg(feature = "traces")]
pub use traces::TRACES_TARGET;

/// The most bytes a request may have that goes into the log; etcd's `--max-request-bytes`.
pub const REQUEST_BYTES_MAX: usize = 3 << 19;

/// The most bytes of a message that are read at all: etcd's allowance over the request limit.
pub const MESSAGE_BYTES_MAX: usize = REQUEST_BYTES_MAX + (512 << 10);

/// The most bytes of a message on a stream of watches: a few names of keys.
const WATCH_BYTES_MAX: usize = 128 << 10;

/// The most bytes of a message about a lease, which is some numbers.
const LEASE_BYTES_MAX: usize = 4 << 10;

/// The version of etcd whose API this is. Clients choose what they send by it: Patroni takes it
/// apart into three numbers, so it can hold nothing else.
pub const VERSION_OF_ETCD: &str = "3.5.0";

/// Everything that answers clients. A clone answers the same.
#[derive(Clone)]
pub struct Services {
    kv: KvServer<Api>,
    cluster: ClusterServer<Api>,
    maintenance: MaintenanceServer<Api>,
    watch: WatchServer<Api>,
    lease: LeaseServer<Api>,
    lock: LockServer<Api>,
    election: ElectionServer<Api>,
    auth: AuthServer<Api>,
    http: Router,
    handle: Handle,
    budget: Arc<Budget>,
}

impl Services {
    /// The services of the node behind `handle`.
    pub fn new(handle: Handle, limits: &Limits, tokens: &TokenSettings) -> Self {
        let api = Api::new(handle.clone(), limits, tokens);
        Self {
            kv: KvServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            cluster: ClusterServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            maintenance: MaintenanceServer::new(api.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
            watch: WatchServer::new(api.clone()).max_decoding_message_size(WATCH_BYTES_MAX),
            lease: LeaseServer::new(api.clone()).max_decoding_message_size(LEASE_BYTES_MAX),
            lock: LockServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            election: ElectionServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            auth: AuthServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            http: http(&api, &handle),
            handle,
            budget: Budget::new(limits.request_bytes),
        }
    }

    fn metered(&self, request: Request<Incoming>) -> Request<Metered> {
        let path = request.uri().path();
        let charged_max = if path.starts_with("/etcdserverpb.Watch/") {
            WATCH_BYTES_MAX
        } else if path.starts_with("/etcdserverpb.Lease/") {
            LEASE_BYTES_MAX
        } else if path.ends_with("/watch") || path.ends_with("/lease/keepalive") {
            json_stream::MESSAGE_BYTES_MAX
        } else {
            usize::MAX
        };
        request.map(|body| Metered::new(body, Arc::clone(&self.budget), charged_max))
    }

    fn metrics(&self) -> &Metrics {
        self.handle.metrics()
    }
}

/// Each gRPC service is found by its prefix and called directly: a router before it would take
/// longer than the call.
impl hyper::service::Service<Request<Incoming>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let request = self.metered(request);
        let path = request.uri().path();
        Answer(if path.starts_with("/etcdserverpb.KV/") {
            self.kv.clone().call(request)
        } else if path.starts_with("/etcdserverpb.Watch/") {
            self.watch.clone().call(request)
        } else if path.starts_with("/etcdserverpb.Lease/") {
            self.lease.clone().call(request)
        } else if path.starts_with("/v3lockpb.Lock/") {
            self.lock.clone().call(request)
        } else if path.starts_with("/v3electionpb.Election/") {
            self.election.clone().call(request)
        } else if path.starts_with("/etcdserverpb.Maintenance/") {
            self.maintenance.clone().call(request)
        } else if path.starts_with("/etcdserverpb.Cluster/") {
            self.cluster.clone().call(request)
        } else if path.starts_with("/etcdserverpb.Auth/") {
            self.auth.clone().call(request)
        } else {
            let answer = self.http.clone().call(request.map(axum::body::Body::new));
            Box::pin(async move { answer.await.map(|answer| answer.map(Body::new)) })
        })
    }
}

/// An answer on its way.
pub struct Answer(Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>);

#[cfg(feature = "traces")]
impl Answer {
    fn new(
        answer: impl Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
    ) -> Self {
        Self(Box::pin(answer))
    }
}

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.0.as_mut().poll(context));
        Poll::Ready(answer.map(in_the_words_of_etcd))
    }
}

/// tonic calls a message that exceeds the limit out of range; etcd and every other gRPC server say
/// that a resource is exhausted.
fn in_the_words_of_etcd(answer: Response<Body>) -> Response<Body> {
    let headers = answer.headers();
    let is_out_of_range = headers.get(Status::GRPC_STATUS).is_some_and(|code| code == "11");
    let message = headers.get(Status::GRPC_MESSAGE).and_then(|message| message.to_str().ok());
    let limit = message
        .filter(|message| is_out_of_range && message.starts_with("Error,"))
        .and_then(|message| message.rsplit("limit%20is:%20").next()?.split("%20").next());
    let Some(limit) = limit else { return answer };
    let message = format!("grpc: received message larger than max ({limit})");
    Status::new(Code::ResourceExhausted, message).into_http()
}

/// The pages: health, version, metrics, and the gateway.
fn http(api: &Api, handle: &Handle) -> Router {
    let scraped = handle.clone();
    let pages =
        Router::new()
            .route("/version", get(version))
            .route(
                "/metrics",
                get(move || async move {
                    ([(CONTENT_TYPE, scrape::CONTENT_TYPE)], scrape::text(&scraped))
                }),
            )
            .merge(health::router(api.clone()))
            .merge(gateway::router(api));
    wellness::add_to(pages, handle).fallback(nothing_here)
}

async fn version() -> impl IntoResponse {
    Json(json!({
        "etcdserver": VERSION_OF_ETCD,
        "etcdcluster": VERSION_OF_ETCD,
        "althing": env!("CARGO_PKG_VERSION"),
    }))
}

async fn nothing_here(request: axum::extract::Request) -> axum::response::Response {
    let content_type = request.headers().get(CONTENT_TYPE);
    let is_grpc = content_type.is_some_and(|it| it.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        let path = request.uri().path();
        return Status::unimplemented(format!("althing does not serve {path} yet")).into_http();
    }
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}
