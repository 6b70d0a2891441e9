//! Is this server well? `/health` answers as etcd does, `/livez` says whether restarting it would
//! help, `/readyz` whether to send it clients.

use althing_keyspace::AlarmKind;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderValue, StatusCode, header::X_CONTENT_TYPE_OPTIONS};
use serde_json::json;

use super::Api;

pub(super) fn router(api: Api) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/livez", get(livez))
        .route("/livez/{check}", get(one_of_livez))
        .route("/readyz", get(readyz))
        .route("/readyz/{check}", get(one_of_readyz))
        .with_state(api)
}

/// One question about this server's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// Its disk does what it is told.
    Storage,
    /// It can read its own keyspace.
    SerializableRead,
    /// Its state isn't older than what the cluster acknowledged, which needs a quorum.
    LinearizableRead,
    /// It still has room for writes.
    Space,
    /// Nobody has found that the members hold different things.
    Corruption,
}

/// A restart helps against none of the others.
const LIVEZ: &[Check] = &[Check::SerializableRead];
const READYZ: &[Check] = &[
    Check::Storage,
    Check::SerializableRead,
    Check::LinearizableRead,
    Check::Space,
    Check::Corruption,
];

impl Check {
    const fn name(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::SerializableRead => "serializable_read",
            Self::LinearizableRead => "linearizable_read",
            Self::Space => "space",
            Self::Corruption => "data_corruption",
        }
    }

    /// What is wrong, if anything.
    async fn run(self, api: &Api) -> Result<(), String> {
        match self {
            Self::Storage => match api.door.status().storage_failed {
                Some(reason) => Err(reason),
                None => Ok(()),
            },
            Self::SerializableRead => {
                api.door.revision();
                Ok(())
            }
            Self::LinearizableRead => {
                api.door.linearizable().await.map_err(|status| status.message().to_owned())
            }
            Self::Space if api.is_out_of_space() => {
                Err("the database is as large as its quota".to_owned())
            }
            Self::Space if api.is_alarmed(AlarmKind::NoSpace) => {
                Err("an alarm says that there is no space".to_owned())
            }
            Self::Space => Ok(()),
            Self::Corruption if api.is_alarmed(AlarmKind::Corrupt) => {
                Err("an alarm says that the members do not hold the same".to_owned())
            }
            Self::Corruption => Ok(()),
        }
    }
}

async fn livez(State(api): State<Api>, RawQuery(query): RawQuery) -> Response {
    report("livez", LIVEZ, &api, &Query(query)).await
}

async fn readyz(State(api): State<Api>, RawQuery(query): RawQuery) -> Response {
    report("readyz", READYZ, &api, &Query(query)).await
}

async fn one_of_livez(State(api): State<Api>, Path(name): Path<String>) -> Response {
    report_one("livez", LIVEZ, &api, &name).await
}

async fn one_of_readyz(State(api): State<Api>, Path(name): Path<String>) -> Response {
    report_one("readyz", READYZ, &api, &name).await
}

async fn report_one(page: &str, checks: &[Check], api: &Api, name: &str) -> Response {
    match checks.iter().find(|check| check.name() == name) {
        Some(check) => report(page, &[*check], api, &Query(None)).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Runs the checks. A line for each is written if that was asked or one failed.
async fn report(page: &str, checks: &[Check], api: &Api, query: &Query) -> Response {
    let mut lines = String::new();
    let mut is_well = true;
    for check in checks {
        let name = check.name();
        if query.has("exclude", name) {
            lines.push_str(&format!("[+]{name} excluded: ok\n"));
            continue;
        }
        match check.run(api).await {
            Ok(()) => lines.push_str(&format!("[+]{name} ok\n")),
            Err(reason) => {
                is_well = false;
                lines.push_str(&format!("[-]{name} failed: {reason}\n"));
            }
        }
    }
    let no_sniffing = [(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))];
    let (status, body) = match (is_well, query.names("verbose")) {
        (true, false) => (StatusCode::OK, "ok".to_owned()),
        (true, true) => (StatusCode::OK, format!("{lines}{page} check passed\n")),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, format!("{lines}{page} check failed\n")),
    };
    (status, no_sniffing, body).into_response()
}

/// etcd's older answer, which load balancers and `etcdctl` scripts read.
async fn health(State(api): State<Api>, RawQuery(query): RawQuery) -> Response {
    match ailment(&api, &Query(query)).await {
        None => Json(json!({ "health": "true", "reason": "" })).into_response(),
        Some(reason) => {
            let body = Json(json!({ "health": "false", "reason": reason }));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

async fn ailment(api: &Api, query: &Query) -> Option<String> {
    for (kind, name) in [(AlarmKind::NoSpace, "NOSPACE"), (AlarmKind::Corrupt, "CORRUPT")] {
        if api.is_alarmed(kind) && !query.has("exclude", name) {
            return Some(format!("ALARM {name}"));
        }
    }
    let serializable = query.has("serializable", "true");
    if !serializable && api.door.status().leader.is_none() {
        return Some("RAFT NO LEADER".to_owned());
    }
    let check = if serializable { Check::SerializableRead } else { Check::LinearizableRead };
    check.run(api).await.err().map(|reason| format!("QGET ERROR:{reason}"))
}

/// What follows the question mark in an address.
struct Query(Option<String>);

impl Query {
    /// Whether `name` is in it, with a value or without.
    fn names(&self, name: &str) -> bool {
        self.pairs().any(|(found, _)| found == name)
    }

    /// Whether `name=value` is in it.
    fn has(&self, name: &str, value: &str) -> bool {
        self.pairs().any(|pair| pair == (name, value))
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let query = self.0.as_deref().unwrap_or_default();
        query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_name_by_name() {
        let query = Query(Some("verbose&exclude=space&exclude=storage".to_owned()));
        assert!(query.names("verbose"));
        assert!(query.has("exclude", "space") && query.has("exclude", "storage"));
        assert!(!query.has("exclude", "linearizable_read"));
        assert!(!query.names("verb"));
        assert!(!Query(None).names("verbose"));
    }
}
