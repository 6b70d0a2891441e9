//! Who may do what: every call, and every operation at every place where it can stand, asked for by
//! nobody, by a user with a few rights, and by root, over gRPC and as JSON.
//!
//! `docs/authorization.md` is what this test says; after a wanted change run it with
//! `UPDATE_DOCUMENTS=1`.

mod call;
mod cases;
mod page;
mod server;

use std::time::Duration;

use tonic::{Code, Status};

use call::Way;
use cases::{Case, cases};
use server::Server;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Without a token.
    Nobody,
    /// The user ann: reads `read`, writes `write`, both in `both/`.
    Ann,
    /// The user with the role root.
    Root,
}

impl Case {
    /// Whether this one may.
    fn may(&self, who: Who) -> bool {
        match who {
            Who::Nobody => self.call == "Auth.Authenticate",
            Who::Ann => self.ann,
            Who::Root => true,
        }
    }
}

/// Whether that is an answer, or an error of another kind than a want of rights.
fn was_admitted(answer: &Result<String, Status>) -> bool {
    match answer {
        Ok(text) => !text.contains("permission denied") && !text.contains("user name is empty"),
        Err(status) => {
            let is_denied =
                [Code::PermissionDenied, Code::Unauthenticated].contains(&status.code());
            !is_denied && !status.message().contains("user name is empty")
        }
    }
}

#[tokio::test]
async fn everybody_may_do_what_the_page_says_and_nothing_else() {
    let mut server = Server::start().await;
    let cases = cases();
    let mut wrong = String::new();
    for case in &cases {
        for way in [Way::Grpc, Way::Json] {
            if way == Way::Json && case.path.is_none() {
                continue;
            }
            for who in [Who::Nobody, Who::Ann, Who::Root] {
                let leaves_traces = !case.call.starts_with("KV.");
                if leaves_traces {
                    server.prepare().await;
                }
                let asking = tokio::time::timeout(PATIENCE, server.ask(case, way, who));
                let Ok(answer) = asking.await else {
                    panic!("{way:?} {who:?} never had an answer to {}, {}", case.call, case.asked);
                };
                if leaves_traces {
                    server.tidy().await;
                }
                let is_right = was_admitted(&answer) == case.may(who);
                if !is_right {
                    let Case { call, asked, place, .. } = case;
                    wrong += &format!("{call}, {asked}, {place}, {way:?}, {who:?}: {answer:?}\n");
                }
                if case.call == "Auth.AuthDisable" && who == Who::Root {
                    server.enable_again().await;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    page::check(&cases);
}
