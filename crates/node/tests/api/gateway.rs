//! The same over JSON, where a stream is a line for each answer.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::{Server, soon};

/// An answer to a POST, whose body is read line by line.
struct Lines(BufReader<TcpStream>);

impl Lines {
    async fn post(server: &Server, path: &str, body: &str) -> Self {
        let mut stream = TcpStream::connect(server.address()).await.expect("the node listens");
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("the node reads");
        Self(BufReader::new(stream))
    }

    /// The next line that is a JSON object; `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        soon("a line", async {
            loop {
                let mut line = String::new();
                if self.0.read_line(&mut line).await.expect("it can be read") == 0 {
                    return None;
                }
                if line.starts_with('{') {
                    return Some(serde_json::from_str(&line).expect("a line of JSON"));
                }
            }
        })
        .await
    }

    async fn only(server: &Server, path: &str, body: &str) -> Value {
        Self::post(server, path, body).await.next().await.expect("an answer")
    }
}

#[tokio::test]
async fn a_watch_goes_on_after_the_request_has_ended() {
    let server = Server::start().await;
    let body = r#"{"create_request":{"key":"YQ==","start_revision":"3"}}"#;
    let mut watch = Lines::post(&server, "/v3/watch", body).await;
    let created = watch.next().await.expect("an answer");
    assert_eq!(created["result"]["created"], json!(true), "{created}");
    for number in ["1", "2"] {
        server.put("a", number).await;
        let told = watch.next().await.expect("an event");
        let event = &told["result"]["events"][0];
        assert_eq!((&event["kv"]["key"], &event["type"]), (&json!("YQ=="), &Value::Null), "{told}");
    }
    server.delete("a", "").await;
    let told = watch.next().await.expect("an event");
    assert_eq!(told["result"]["events"][0]["type"], json!("DELETE"), "{told}");
}

#[tokio::test]
async fn two_requests_in_one_body_are_two_watches() {
    let server = Server::start().await;
    let body = r#"{"create_request":{"key":"YQ=="}} {"createRequest":{"key":"Yg=="}}"#;
    let mut watch = Lines::post(&server, "/v3/watch", body).await;
    for _ in 0..2 {
        assert_eq!(watch.next().await.expect("an answer")["result"]["created"], json!(true));
    }
    server.put("b", "").await;
    assert_eq!(watch.next().await.expect("an event")["result"]["watch_id"], json!("1"));
}

#[tokio::test]
async fn leases_are_granted_kept_and_ended() {
    let server = Server::start().await;
    let granted = Lines::only(&server, "/v3/lease/grant", r#"{"TTL":"30","ID":"7"}"#).await;
    assert_eq!((&granted["ID"], &granted["TTL"]), (&json!("7"), &json!("30")), "{granted}");
    let mut kept = Lines::post(&server, "/v3/lease/keepalive", r#"{"ID":7}{"ID":8}"#).await;
    let mut answers = vec![kept.next().await.expect("one"), kept.next().await.expect("two")];
    answers.sort_by_key(|answer| answer["result"]["ID"].to_string());
    assert_eq!(answers[0]["result"]["TTL"], json!("30"), "{answers:?}");
    assert_eq!(answers[1]["result"].get("TTL"), None, "there is no such lease: {answers:?}");
    assert_eq!(kept.next().await, None, "it ends with its requests");
    for path in ["/v3/lease/timetolive", "/v3/kv/lease/timetolive"] {
        let time = Lines::only(&server, path, r#"{"ID":7}"#).await;
        assert_eq!(time["grantedTTL"], json!("30"), "{time}");
    }
    let listed = Lines::only(&server, "/v3/lease/leases", "").await;
    assert_eq!(listed["leases"], json!([{ "ID": "7" }]));
    Lines::only(&server, "/v3/lease/revoke", r#"{"ID":7}"#).await;
    let again = Lines::only(&server, "/v3/kv/lease/revoke", r#"{"ID":7}"#).await;
    assert_eq!(again["code"], json!(5), "{again}");
}

#[tokio::test]
async fn locks_and_elections_are_served() {
    let server = Server::start().await;
    let locked = Lines::only(&server, "/v3/lock/lock", r#"{"name":"bA=="}"#).await;
    let key = locked["key"].as_str().expect("a key").to_owned();
    Lines::only(&server, "/v3/lock/unlock", &json!({ "key": key }).to_string()).await;
    let body = r#"{"name":"ZQ==","value":"bWU="}"#;
    let won = Lines::only(&server, "/v3/election/campaign", body).await;
    assert_eq!(won["leader"]["name"], json!("ZQ=="), "{won}");
    let mut observed = Lines::post(&server, "/v3/election/observe", r#"{"name":"ZQ=="}"#).await;
    let seen = observed.next().await.expect("a leader");
    assert_eq!(seen["result"]["kv"]["value"], json!("bWU="), "{seen}");
    let resign = json!({ "leader": won["leader"] }).to_string();
    Lines::only(&server, "/v3/election/resign", &resign).await;
    let nobody = Lines::only(&server, "/v3/election/leader", r#"{"name":"ZQ=="}"#).await;
    assert_eq!(nobody["error"], json!("election: no leader"), "{nobody}");
}

#[tokio::test]
async fn what_is_no_message_is_said_in_the_stream() {
    let server = Server::start().await;
    let mut watch = Lines::post(&server, "/v3/watch", "nonsense").await;
    let answer = watch.next().await.expect("an answer");
    assert_eq!(answer["error"]["grpc_code"], json!(3), "{answer}");
    assert_eq!(watch.next().await, None);
}
