//! A collector of OpenTelemetry gets a span for each request, within the client's own.

mod support;

use std::collections::HashMap;
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use rustix::process::{Pid, Signal, kill_process};
use support::{Cluster, althing, code, run, wait_until};
use tonic::{Request, Response, Status};

/// Keeps what comes.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let spans = resources.flat_map(|it| it.scope_spans).flat_map(|it| it.spans);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Serves in the background, and returns its address.
    fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("it can be");
        let service = TraceServiceServer::new(self.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("it listens");
                let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
                let server = tonic::transport::Server::builder().add_service(service);
                server.serve_with_incoming(incoming).await.expect("it serves to the end");
            });
        });
        format!("http://{address}")
    }

    fn named(&self, name: &str) -> Vec<Span> {
        let spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spans.iter().filter(|span| span.name == name).cloned().collect()
    }
}

/// A process that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn each_request_is_a_span_within_the_clients_and_what_it_waits_for_is_one_within_it() {
    let collector = Collector::default();
    let cluster = Cluster::plan(1, &[]);
    let mut command = althing();
    command.args(cluster.servers[0].arguments());
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.serve());
    command.env("OTEL_BSP_SCHEDULE_DELAY", "50");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = Killed(command.spawn().expect("the program was built"));
    cluster.servers[0].wait_until_ready();
    let endpoint = cluster.servers[0].endpoint();
    assert_eq!(code(&run(&endpoint, &["kv", "put", "a", "1"], b"")), Some(0));

    // A client that has a trace of its own says so.
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = runtime.expect("a runtime").block_on(async {
        let channel = cluster.servers[0].channel();
        let mut kv = althing_etcd_api::etcdserverpb::kv_client::KvClient::new(channel);
        let mut request = Request::new(althing_etcd_api::etcdserverpb::RangeRequest::default());
        let header = format!("00-{trace}-{parent}-01");
        request.metadata_mut().insert("traceparent", header.parse().expect("it is text"));
        kv.range(request).await
    });
    assert_eq!(answer.map_err(|status| status.code()).err(), Some(tonic::Code::InvalidArgument));

    wait_until("both requests are told of", || {
        !collector.named("etcdserverpb.KV/Put").is_empty()
            && !collector.named("etcdserverpb.KV/Range").is_empty()
    });
    let put = collector.named("etcdserverpb.KV/Put").remove(0);
    let parts = collector.named("commit and apply");
    assert!(parts.iter().any(|part| part.parent_span_id == put.span_id), "{parts:?}");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let range = collector.named("etcdserverpb.KV/Range").remove(0);
    assert_eq!(
        (hex(&range.trace_id).as_str(), hex(&range.parent_span_id).as_str()),
        (trace, parent)
    );
    let attributes: HashMap<String, String> =
        range.attributes.iter().map(|it| (it.key.clone(), format!("{:?}", it.value))).collect();
    assert!(attributes["rpc.grpc.status_code"].contains('3'), "{attributes:?}");

    kill_process(Pid::from_child(&server.0), Signal::TERM).expect("it runs");
    assert_eq!(server.0.wait().expect("it is ours").code(), Some(0));
}
