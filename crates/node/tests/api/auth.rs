//! How users are known, for how long, and what becomes of what they began.

use std::io::Write as _;
use std::time::Duration;

use althing_etcd_api::authpb::Permission;
use althing_etcd_api::etcdserverpb as pb;
use althing_node::client::{JwtKey, TokenSettings};
use pb::auth_client::AuthClient;
use pb::watch_client::WatchClient;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::{Server, soon};

fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("token", token.parse().expect("ASCII"));
    request
}

fn password(name: &str, password: &str) -> pb::AuthUserChangePasswordRequest {
    let (name, password) = (name.to_owned(), password.to_owned());
    pb::AuthUserChangePasswordRequest { name, password, ..Default::default() }
}

impl Server {
    async fn auth(&self) -> AuthClient<Channel> {
        AuthClient::new(self.channel().await)
    }

    /// Lets users count: root, and ann, who may read `a`; each has their name as the password.
    async fn with_users(&self) {
        let mut auth = self.auth().await;
        for name in ["root", "ann"] {
            let (name, password) = (name.to_owned(), name.to_owned());
            let user = pb::AuthUserAddRequest { name, password, ..Default::default() };
            auth.user_add(user).await.expect("it is new");
        }
        auth.role_add(pb::AuthRoleAddRequest { name: "r".into() }).await.expect("it is new");
        let perm = Some(Permission { key: "a".into(), ..Default::default() });
        let right = pb::AuthRoleGrantPermissionRequest { name: "r".into(), perm };
        auth.role_grant_permission(right).await.expect("the role is there");
        for (user, role) in [("root", "root"), ("ann", "r")] {
            let (user, role) = (user.to_owned(), role.to_owned());
            let grant = pb::AuthUserGrantRoleRequest { user, role };
            auth.user_grant_role(grant).await.expect("both are there");
        }
        auth.auth_enable(pb::AuthEnableRequest {}).await.expect("there is a root");
    }

    async fn sign_in(&self, name: &str, password: &str) -> Result<String, Status> {
        let (name, password) = (name.to_owned(), password.to_owned());
        let request = pb::AuthenticateRequest { name, password };
        Ok(self.auth().await.authenticate(request).await?.into_inner().token)
    }

    async fn reads_as(&self, token: &str) -> Result<i64, Code> {
        let request = pb::RangeRequest { key: "a".into(), ..Default::default() };
        let answer = self.kv().await.range(by(token, request)).await;
        answer.map(|answer| answer.into_inner().count).map_err(|status| status.code())
    }
}

#[tokio::test]
async fn a_token_outlives_a_restart_and_ends_with_its_password() {
    let server = Server::start().await;
    server.put("a", "1").await;
    server.with_users().await;
    let (root, ann) = (server.sign_in("root", "root").await, server.sign_in("ann", "ann").await);
    let (root, ann) = (root.expect("it is the password"), ann.expect("it is the password"));
    let server = server.restart().await;
    assert_eq!(server.reads_as(&ann).await, Ok(1), "the log tells of it again");
    let mut auth = server.auth().await;
    auth.user_change_password(by(&root, password("ann", "new"))).await.expect("root may");
    assert_eq!(server.reads_as(&ann).await, Err(Code::Unauthenticated));
    assert!(server.sign_in("ann", "ann").await.is_err());
    let ann = server.sign_in("ann", "new").await.expect("it is the password");
    assert_eq!(server.reads_as(&ann).await, Ok(1));
    auth.auth_disable(by(&root, pb::AuthDisableRequest {})).await.expect("root may");
    auth.auth_enable(pb::AuthEnableRequest {}).await.expect("everybody may");
    assert_eq!(server.reads_as(&ann).await, Err(Code::Unauthenticated), "it was forgotten");
}

#[tokio::test]
async fn a_token_that_is_not_used_ends() {
    let time = Duration::from_millis(1500);
    let server = Server::start_with(|settings| {
        settings.tokens = TokenSettings::Simple { time };
    })
    .await;
    server.with_users().await;
    let ann = server.sign_in("ann", "ann").await.expect("it is the password");
    crate::until("it has had its time", async || {
        // To ask is to use it.
        tokio::time::sleep(2 * time).await;
        server.reads_as(&ann).await == Err(Code::Unauthenticated)
    })
    .await;
}

#[tokio::test]
async fn a_signed_token_is_known_to_whoever_has_the_key() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&[b'k'; 40]).expect("it can be written");
    let key = JwtKey::read("HS256", file.path()).expect("it is long enough");
    let time = Duration::from_secs(3600);
    let signed = |settings: &mut althing_node::Settings| {
        settings.tokens = TokenSettings::Jwt { key: key.clone(), time };
    };
    let server = Server::start_with(signed).await;
    server.put("a", "1").await;
    server.with_users().await;
    let ann = server.sign_in("ann", "ann").await.expect("it is the password");
    assert_eq!(ann.split('.').count(), 3, "{ann}");
    assert_eq!(server.reads_as(&ann).await, Ok(1));
    let server = server.restart().await;
    assert_eq!(server.reads_as(&ann).await, Ok(1));
    assert_eq!(server.reads_as(&format!("{ann}x")).await, Err(Code::Unauthenticated));
    let root = server.sign_in("root", "root").await.expect("it is the password");
    let mut auth = server.auth().await;
    auth.user_change_password(by(&root, password("ann", "new"))).await.expect("root may");
    assert_eq!(server.reads_as(&ann).await, Err(Code::Unauthenticated));
}

#[tokio::test]
async fn a_watch_ends_when_its_user_loses_the_right() {
    let server = Server::start().await;
    server.with_users().await;
    let root = server.sign_in("root", "root").await.expect("it is the password");
    let ann = server.sign_in("ann", "ann").await.expect("it is the password");
    let mut client = WatchClient::new(server.channel().await);
    let (requests, stream) = tokio::sync::mpsc::channel(1);
    let create = pb::WatchCreateRequest { key: "a".into(), ..Default::default() };
    let union = Some(pb::watch_request::RequestUnion::CreateRequest(create));
    requests.send(pb::WatchRequest { request_union: union }).await.expect("there is room");
    let answers = client.watch(by(&ann, ReceiverStream::new(stream))).await;
    let mut answers = answers.expect("it is served").into_inner();
    let first = answers.message().await.expect("it goes on").expect("an answer");
    assert!(first.created && !first.canceled, "{first:?}");

    let put = pb::PutRequest { key: "a".into(), ..Default::default() };
    server.kv().await.put(by(&root, put.clone())).await.expect("root may");
    let told = answers.message().await.expect("it goes on").expect("an answer");
    assert_eq!(told.events.len(), 1);

    let (role, key) = ("r".to_owned(), "a".into());
    let revoke = pb::AuthRoleRevokePermissionRequest { role, key, range_end: "".into() };
    let mut auth = server.auth().await;
    auth.role_revoke_permission(by(&root, revoke)).await.expect("it is there");
    // Before anything is written: it is told at once, and nothing more.
    let ended = soon("the end", answers.message()).await.expect("it goes on").expect("an answer");
    assert!(ended.canceled && ended.events.is_empty(), "{ended:?}");
    assert!(ended.cancel_reason.contains("permission denied"), "{ended:?}");
}

#[tokio::test]
async fn a_flood_of_wrong_passwords_is_bounded_and_others_are_served() {
    let server = Server::start().await;
    server.put("a", "1").await;
    server.with_users().await;
    let ann = server.sign_in("ann", "ann").await.expect("it is the password");
    let mut flood = JoinSet::new();
    let channel = server.channel().await;
    for number in 0..300 {
        let mut auth = AuthClient::new(channel.clone());
        flood.spawn(async move {
            let (name, password) = (format!("user{}", number % 7), "wrong".to_owned());
            let asked = auth.authenticate(pb::AuthenticateRequest { name, password }).await;
            asked.expect_err("it is not the password").code()
        });
    }
    for _ in 0..20 {
        assert_eq!(server.reads_as(&ann).await, Ok(1));
    }
    let codes = flood.join_all().await;
    let count = |code: Code| codes.iter().filter(|other| **other == code).count();
    let (wrong, refused) = (count(Code::InvalidArgument), count(Code::ResourceExhausted));
    assert_eq!(wrong + refused, 300, "{codes:?}");
    assert!(wrong > 0 && refused > 0, "{wrong} were checked, {refused} were sent away");
}
