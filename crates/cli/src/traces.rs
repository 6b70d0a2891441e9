//! Traces of requests, sent to a collector of OpenTelemetry: only where the program was built with
//! the feature `traces`, and `OTEL_EXPORTER_OTLP_ENDPOINT` says where the collector is. The other
//! variables of that standard count as well, such as `OTEL_SERVICE_NAME`.

/// Says where the collector is.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

fn is_wanted() -> bool {
    std::env::var_os(ENDPOINT).is_some_and(|endpoint| !endpoint.is_empty())
}

#[cfg(not(feature = "traces"))]
mod absent {
    use tracing_subscriber::layer::Identity;

    use crate::failure::Failure;

    /// What would collect traces, if this program could.
    pub(crate) struct Traces;

    impl Traces {
        pub(crate) fn begin() -> Result<Self, Failure> {
            Ok(Self)
        }

        pub(crate) fn layer(&self) -> Option<Identity> {
            None
        }

        /// Says what the logs should know, once there are some.
        pub(crate) fn tell(&self) {
            if super::is_wanted() {
                let endpoint = super::ENDPOINT;
                tracing::warn!(
                    "{endpoint} is set, but this program was built without traces (cargo feature \
                     `traces`); none are sent"
                );
            }
        }

        pub(crate) async fn end(self) {}
    }
}

#[cfg(feature = "traces")]
mod present {
    use althing_node::client::TRACES_TARGET;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_otlp::SpanExporter;
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::Subscriber;
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::registry::LookupSpan;

    use crate::failure::{Failure, Kind};

    /// Collects traces and sends them now and then, as many as there is room for: what the
    /// collector does not take in time is left out.
    pub(crate) struct Traces(Option<SdkTracerProvider>);

    impl Traces {
        /// Must be called where a tokio runtime is, which sends them.
        pub(crate) fn begin() -> Result<Self, Failure> {
            if !super::is_wanted() {
                return Ok(Self(None));
            }
            let exporter = SpanExporter::builder().with_tonic().build().map_err(|error| {
                Failure::new(Kind::Usage, format!("cannot send traces to {}", super::ENDPOINT))
                    .cause(error)
                    .hint("give it as http://HOST:4317, or leave the variable out")
            })?;
            let mut resource = Resource::builder();
            if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
                resource = resource.with_service_name("althing");
            }
            let provider = SdkTracerProvider::builder()
                .with_batch_exporter(exporter)
                .with_resource(resource.build())
                .build();
            Ok(Self(Some(provider)))
        }

        pub(crate) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
        where
            S: Subscriber + for<'span> LookupSpan<'span>,
        {
            let tracer = self.0.as_ref()?.tracer("althing");
            let ours = filter_fn(|about| about.target() == TRACES_TARGET);
            Some(tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours))
        }

        /// Says what the logs should know, once there are some.
        pub(crate) fn tell(&self) {}

        /// Sends what is left.
        pub(crate) async fn end(self) {
            let Some(provider) = self.0 else { return };
            let ended = tokio::task::spawn_blocking(move || provider.shutdown()).await;
            if let Ok(Err(error)) = ended {
                tracing::warn!("the last traces were not sent: {error}");
            }
        }
    }
}

#[cfg(not(feature = "traces"))]
pub(crate) use absent::Traces;
#[cfg(feature = "traces")]
pub(crate) use present::Traces;
