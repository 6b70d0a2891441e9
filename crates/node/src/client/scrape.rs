//! The text of `/metrics`.
//!
//! The names are a promise to whoever wrote an alert: `althing_` with etcd's nouns, so that rules
//! for `etcd_server_has_leader` need only a new prefix.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;

use crate::handle::Handle;
use crate::metrics::{Durations, Method, Metrics, RoundTrips};

/// The media type of the text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything this server counts and knows about itself, in the OpenMetrics text format.
pub(super) fn text(handle: &Handle) -> String {
    let mut registry = Registry::with_prefix("althing");
    registry.register_collector(Box::new(Scrape(handle.clone())));
    let mut text = String::with_capacity(8 << 10);
    encode(&mut text, &registry).expect("writing to a string does not fail");
    text
}

struct Scrape(Handle);

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(&mut encoder);
        from_status(&self.0, &mut page)?;
        from_counters(self.0.metrics(), &mut page)
    }
}

fn from_status(handle: &Handle, page: &mut Page<'_, '_>) -> fmt::Result {
    let status = handle.status();
    let leads = status.leader == Some(status.node);
    let flags = [
        ("server_has_leader", "Whether a leader is known.", status.leader.is_some()),
        ("server_is_leader", "Whether this server leads.", leads),
        (
            "server_storage_failed",
            "Whether storage failed, which stops this server.",
            status.storage_failed.is_some(),
        ),
    ];
    for (name, help, flag) in flags {
        page.gauge(name, help, u64::from(flag))?;
    }
    page.gauge("server_term", "The term this server is in.", status.term)?;
    page.counter(
        "server_proposals_committed",
        "The newest log entry this server knows to be committed.",
        status.commit.0,
    )?;
    page.counter(
        "server_proposals_applied",
        "The newest log entry this server has applied.",
        status.applied.0,
    )?;
    page.gauge(
        "mvcc_db_total_size_in_bytes",
        "What the quota counts: the bytes of keys, values and their history.",
        status.database_bytes,
    )?;
    let (leases, tied) = {
        let keyspace = handle.keyspace();
        let tied: usize = keyspace.leases().map(|(_, lease)| lease.keys().len()).sum();
        (keyspace.leases().len(), tied)
    };
    page.gauge("lease_count", "Leases that have not ended.", leases as u64)?;
    page.gauge("lease_keys", "Keys that are tied to a lease.", tied as u64)?;
    page.gauge(
        "server_quota_backend_bytes",
        "The size from which on writes are refused.",
        status.quota_bytes,
    )
}

fn from_counters(metrics: &Metrics, page: &mut Page<'_, '_>) -> fmt::Result {
    page.counter(
        "server_leader_changes_seen",
        "How often the leadership changed, as this server saw it.",
        metrics.leader_changes_seen.get(),
    )?;
    page.gauge(
        "server_proposals_pending",
        "Proposals of this server's clients that wait for their outcome.",
        metrics.proposals_pending.get(),
    )?;
    page.counter(
        "server_proposals_failed",
        "Proposals of this server's clients that ended without a known outcome.",
        metrics.proposals_failed.get(),
    )?;
    page.durations(
        "disk_wal_fsync_duration",
        "How long the log took to make a batch durable.",
        &metrics.wal_fsync,
    )?;
    page.durations(
        "server_commit_duration",
        "How long a proposal took, from its arrival at this server to its outcome.",
        &metrics.commit,
    )?;
    page.durations(
        "server_apply_duration",
        "How long it took to apply a batch of committed entries.",
        &metrics.apply,
    )?;
    page.round_trips(&metrics.round_trips)?;
    page.gauge(
        "server_client_connections",
        "Connections that clients hold open.",
        metrics.client_connections.get(),
    )?;
    page.counter(
        "server_client_connections_refused",
        "Connections refused, or ended for others, because as many as allowed were open.",
        metrics.client_connections_refused.get(),
    )?;
    page.counter(
        "server_client_handshakes_failed",
        "Connections that ended in the handshake of TLS.",
        metrics.client_handshakes_failed.get(),
    )?;
    page.gauge(
        "server_client_certificate_not_after_seconds",
        "When the certificate for clients ends, in seconds since 1970; 0 without TLS.",
        metrics.client_certificate_end.get(),
    )?;
    page.gauge(
        "server_peer_certificate_not_after_seconds",
        "When the certificate for the other members ends, in seconds since 1970; 0 without TLS.",
        metrics.peer_certificate_end.get(),
    )?;
    page.gauge(
        "mvcc_watch_stream_total",
        "Streams over which clients watch.",
        metrics.watch_streams.get(),
    )?;
    page.gauge("mvcc_watcher_total", "Watches of clients.", metrics.watchers.get())?;
    page.counter("mvcc_events", "Events that watches were told.", metrics.watch_events.get())?;
    page.requests(metrics)
}

/// The page being written, a metric at a time.
struct Page<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Page<'_, '_> {
    fn gauge<N>(&mut self, name: &str, help: &str, value: N) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric,
    {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    /// The text format appends `_total` to the name.
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)
    }

    /// The text format appends `_seconds` to the name.
    fn durations(&mut self, name: &str, help: &str, durations: &Durations) -> fmt::Result {
        let unit = Unit::Seconds;
        let mut metric =
            self.0.encode_descriptor(name, help, Some(&unit), MetricType::Histogram)?;
        let buckets = durations.buckets();
        let count = buckets.iter().map(|(_, count)| count).sum();
        metric.encode_histogram::<NoLabelSet>(durations.sum(), count, &buckets, None)
    }

    fn round_trips(&mut self, round_trips: &RoundTrips) -> fmt::Result {
        let mut family = self.0.encode_descriptor(
            "network_peer_round_trip_time",
            "How long a word took to another member and back, its driver's turn included.",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        round_trips.look(|peer, durations| {
            let labels = [("To", format!("{:x}", peer.number()))];
            let buckets = durations.buckets();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let mut metric = family.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(durations.sum(), count, &buckets, None)
        })
    }

    fn requests(&mut self, metrics: &Metrics) -> fmt::Result {
        let mut family = self.0.encode_descriptor(
            "grpc_server_handled",
            "Answered requests of the client API, those of the JSON gateway among them.",
            None,
            MetricType::Counter,
        )?;
        for method in Method::ALL {
            for code in (0..=16).map(Code::from_i32) {
                let count = metrics.requests.get(method, code);
                // What never happened would be a hundred lines of zeros; success is always told.
                if count == 0 && code != Code::Ok {
                    continue;
                }
                let labels = [
                    ("grpc_service", method.service().to_owned()),
                    ("grpc_method", method.name().to_owned()),
                    ("grpc_code", name(code)),
                ];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// The code's name as gRPC's other servers write it.
fn name(code: Code) -> String {
    if code == Code::Ok { "OK".to_owned() } else { format!("{code:?}") }
}
