//! What every gRPC server is expected to answer, whatever it serves: whether it is well
//! (`grpc.health.v1`), and what it serves (`grpc.reflection.v1`).

use std::time::Duration;

use althing_etcd_api::DESCRIPTORS;
use axum::Router;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

use crate::handle::Handle;

/// Stands for the server as a whole.
const ALL: &str = "";

/// How often it is looked whether the server is well.
const INTERVAL: Duration = Duration::from_millis(500);

/// The other routes, and these.
pub(super) fn add_to(routes: Router, handle: &Handle) -> Router {
    let (reporter, health) = health_reporter();
    tokio::spawn(report(reporter, handle.clone()));
    let describe = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let readable = "the descriptors were compiled with this program";
    Routes::from(routes)
        .add_service(health)
        .add_service(describe().build_v1().expect(readable))
        // What older clients ask for.
        .add_service(describe().build_v1alpha().expect(readable))
        .into_axum_router()
}

/// Says that the server is well while it knows a leader and its storage works, until it stops.
async fn report(reporter: HealthReporter, handle: Handle) {
    let watching = async {
        loop {
            let status = handle.status();
            let is_well = status.leader.is_some() && status.storage_failed.is_none();
            let status = if is_well { ServingStatus::Serving } else { ServingStatus::NotServing };
            reporter.set_service_status(ALL, status).await;
            tokio::time::sleep(INTERVAL).await;
        }
    };
    tokio::select! {
        () = watching => {}
        () = handle.stopping() => reporter.set_service_status(ALL, ServingStatus::NotServing).await,
    }
}
