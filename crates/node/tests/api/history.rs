//! History that is too old goes by itself.

use std::time::Duration;

use althing_etcd_api::etcdserverpb as pb;
use althing_node::Retention;
use tonic::Code;

use crate::{Server, until};

/// Whether the first revision can still be read.
async fn remembers(server: &Server) -> bool {
    let request = pb::RangeRequest { key: "a".into(), revision: 2, ..Default::default() };
    match server.kv().await.range(request).await {
        Ok(_) => true,
        Err(status) => {
            assert_eq!(status.code(), Code::OutOfRange, "{status}");
            false
        }
    }
}

#[tokio::test]
async fn what_is_older_than_the_retention_is_compacted() {
    let retention = Retention::Time(Duration::from_secs(1));
    let server = Server::start_with(|settings| settings.retention = retention).await;
    server.put("a", "1").await;
    server.put("a", "2").await;
    until("the end of its history", async || !remembers(&server).await).await;
    assert!(server.exists("a").await, "what is, stays");
}

#[tokio::test]
async fn all_of_it_is_kept_for_who_wants_that() {
    let server = Server::start_with(|settings| settings.retention = Retention::All).await;
    let brief = Retention::Time(Duration::from_millis(300));
    let other = Server::start_with(|settings| settings.retention = brief).await;
    for server in [&server, &other] {
        server.put("a", "1").await;
        server.put("a", "2").await;
    }
    // The other one's forgetting shows that there was time to forget.
    until("the other one's forgetting", async || !remembers(&other).await).await;
    assert!(remembers(&server).await);
}
