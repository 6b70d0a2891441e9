//! Traces for OpenTelemetry: a span for each request, within the one of the client that asks if it
//! says which, and in it one for each thing that is waited for. Without the feature `traces` there
//! is nothing of it in the program.

/// Where spans go; whoever collects traces takes those of this target.
#[cfg(feature = "traces")]
pub const TRACES_TARGET: &str = "althing::traces";

/// Waits for `part` of a request, in a span of this name.
#[cfg(not(feature = "traces"))]
pub(super) fn in_span<F: Future>(_name: &'static str, part: F) -> F {
    part
}

/// Waits for `part` of a request, in a span of this name.
#[cfg(feature = "traces")]
pub(super) fn in_span<F: Future>(name: &'static str, part: F) -> impl Future<Output = F::Output> {
    use tracing::Instrument as _;

    part.instrument(tracing::trace_span!(target: TRACES_TARGET, "part", otel.name = name))
}

#[cfg(feature = "traces")]
mod requests {
    use http::{HeaderMap, Request, Response};
    use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use tonic::Status;
    use tonic::body::Body;
    use tracing::field::Empty;
    use tracing::{Instrument as _, Span};
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    use super::TRACES_TARGET;

    /// The names are those of OpenTelemetry's semantic conventions.
    pub(crate) fn span<B>(request: &Request<B>) -> Span {
        let path = request.uri().path();
        let span = tracing::trace_span!(
            target: TRACES_TARGET,
            "request",
            otel.name = path.trim_start_matches('/'),
            otel.kind = "server",
            otel.status_code = Empty,
            rpc.grpc.status_code = Empty,
            http.response.status_code = Empty,
        );
        // A client that knows of no trace begins a new one here.
        let parent = TraceContextPropagator::new().extract(&Headers(request.headers()));
        if let Err(error) = span.set_parent(parent) {
            tracing::debug!("a request's trace is not followed: {error}");
        }
        span
    }

    /// Waits for the answer, and notes how it begins.
    pub(crate) async fn follow<E>(
        span: Span,
        answer: impl Future<Output = Result<Response<Body>, E>>,
    ) -> Result<Response<Body>, E> {
        let answer = answer.instrument(span.clone()).await;
        if let Ok(answer) = &answer {
            let status = answer.status();
            span.record("http.response.status_code", status.as_u16());
            let code = answer.headers().get(Status::GRPC_STATUS);
            let code = code.and_then(|code| code.to_str().ok()?.parse::<i64>().ok());
            if let Some(code) = code {
                span.record("rpc.grpc.status_code", code);
            }
            if status.is_server_error() || code.is_some_and(|code| code != 0) {
                span.record("otel.status_code", "ERROR");
            }
        }
        answer
    }

    struct Headers<'a>(&'a HeaderMap);

    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key).and_then(|value| value.to_str().ok())
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(http::HeaderName::as_str).collect()
        }
    }
}

#[cfg(feature = "traces")]
pub(super) use requests::{follow, span};
