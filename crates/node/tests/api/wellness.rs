//! Whether the server is well, and what it serves, for clients that know nothing else of it.

use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::{Server, soon};

#[tokio::test]
async fn the_server_says_that_it_is_well_until_it_stops() {
    let server = Server::start().await;
    let mut client = HealthClient::new(server.channel().await);
    let all = HealthCheckRequest { service: String::new() };
    let is = |answer: HealthCheckResponse| answer.status();
    let mut seen = client.watch(all.clone()).await.expect("it is served").into_inner();
    while is(soon("its word", seen.next()).await.expect("a word").expect("a word"))
        != ServingStatus::Serving
    {}
    let checked = client.check(all).await.expect("it is served").into_inner();
    assert_eq!(checked.status(), ServingStatus::Serving);
    let stranger = HealthCheckRequest { service: "stranger".to_owned() };
    assert_eq!(client.check(stranger).await.expect_err("not here").code(), Code::NotFound);

    let stopping = tokio::task::spawn_blocking(move || drop(server));
    let word = soon("its last word", seen.next()).await;
    let is_well = |answer: HealthCheckResponse| answer.status() == ServingStatus::Serving;
    assert!(!word.is_some_and(|word| word.is_ok_and(is_well)), "it stops");
    stopping.await.expect("it stops");
}

#[tokio::test]
async fn the_server_says_what_it_serves() {
    let server = Server::start().await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = client.server_reflection_info(tokio_stream::iter([request])).await;
    let answer = soon("its services", answers.expect("it is served").into_inner().next()).await;
    let answer = answer.expect("an answer").expect("an answer").message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else {
        panic!("it was asked for its services: {answer:?}");
    };
    let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    for name in ["etcdserverpb.KV", "etcdserverpb.Watch", "v3lockpb.Lock", "v3electionpb.Election"]
    {
        assert!(names.iter().any(|known| known == name), "{name} is not among {names:?}");
    }
}

#[tokio::test]
async fn who_stops_it_finds_its_folder_free() {
    let mut server = Server::start().await;
    for _ in 0..20 {
        // Whatever the first writes set in motion, stopping waits for it.
        server = server.restart().await;
        server.put("written", "").await;
    }
}
