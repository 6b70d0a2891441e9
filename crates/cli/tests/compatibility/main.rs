//! The same calls to Althing and to Debian's etcd, and the answers side by side. Every difference
//! is listed here with its reason, and `docs/etcd-compatibility.md` is what this test says; after a
//! wanted change run it with `UPDATE_DOCUMENTS=1`.

#[path = "../support/mod.rs"]
mod support;

mod keys;
mod leases;
mod lines;
mod page;
mod servers;
mod users;
mod watches;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use support::{PATIENCE, System};
use tonic::transport::Channel;
use tonic::{Response, Status};

/// Which calls are known to be answered otherwise, and why. Each says what Althing does.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "Watch.Watch",
        "what was compacted away",
        "the answer also says why in words, and at which revision the store is",
    ),
    ("Lock.Lock", "with a lease that is not there", "the code is NotFound, as for a put"),
    ("Election.Proclaim", "without saying as whom", "the code is InvalidArgument"),
    ("Election.Resign", "without saying as whom", "the code is InvalidArgument"),
    ("Cluster.MemberAdd", "a second learner", "added: there may be as many as there are members"),
    ("Cluster.MemberRemove", "the only one", "the code is FailedPrecondition, as by etcd 3.5"),
    ("Maintenance.Alarm", "none is raised", "the answer has a header"),
    ("KV.Compact", "by a user", ROOT),
    ("KV.Compact", "by nobody", ROOT),
    ("KV.Txn", "that writes what may not be read, with what was there", AS_OUTSIDE),
    ("KV.Txn", "within another, that reads what may not be read", AS_OUTSIDE),
    ("KV.Txn", "within another, that writes what may not be written", AS_OUTSIDE),
    ("KV.Txn", "a put to a lease with keys that may not be written", AS_OUTSIDE),
    ("Lease.LeaseGrant", "by nobody", USERS),
    ("Lease.LeaseTimeToLive", "with keys that may not be read", LATER),
    ("Lease.LeaseTimeToLive", "by nobody", USERS),
    ("Lease.LeaseLeases", "by nobody", USERS),
    (
        "Watch.Watch",
        "from a key on that alone may be read",
        "refused, as a read of the same range is",
    ),
    ("Cluster.MemberList", "by nobody", USERS),
    ("Maintenance.Status", "by nobody", USERS),
    ("Maintenance.Alarm", "by nobody", ROOT),
    ("Maintenance.Alarm", "by a user", ROOT),
    ("Maintenance.Defragment", "by nobody", WORDS),
    ("Maintenance.Defragment", "by a user", WORDS),
    ("Maintenance.Hash", "by nobody", WORDS),
    ("Maintenance.Hash", "by a user", WORDS),
    ("Maintenance.HashKV", "by nobody", WORDS),
    ("Maintenance.HashKV", "by a user", WORDS),
    ("Auth.Authenticate", "a user without a password", "the words are those for a wrong password"),
];

/// What etcd 3.4 lets people do though users count.
const USERS: &str = "refused: only users may";
const ROOT: &str = "refused: only root may";
const AS_OUTSIDE: &str = "refused, as outside of a transaction";
const LATER: &str = "refused, as by etcd 3.4.26 and later";
const WORDS: &str = "code and words are those of the other services";

/// What a system said to every call, in the order of the calls.
struct Notes {
    channel: Channel,
    /// Whether the revision in the header is left out.
    forgets_revisions: bool,
    notes: Vec<Note>,
}

/// The answer to one call.
#[derive(Debug, PartialEq, Eq)]
struct Note {
    /// The service and the call, as in `KV.Put`.
    call: &'static str,
    /// What is special about it.
    case: &'static str,
    answer: String,
}

impl Notes {
    fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Notes the answer to a call that has one.
    fn answer<T: Serialize>(
        &mut self,
        call: &'static str,
        case: &'static str,
        answer: Result<Response<T>, Status>,
    ) {
        let answer = match answer {
            Ok(answer) => self.as_text(answer.get_ref()),
            Err(status) => error(&status),
        };

        self.notes.push(Note { call, case, answer });
    }

    /// Notes one of several answers, or that there are no more.
    fn message<T: Serialize>(
        &mut self,
        call: &'static str,
        case: &'static str,
        message: Result<Option<T>, Status>,
    ) {
        let answer = match message {
            Ok(Some(answer)) => self.as_text(&answer),
            Ok(None) => "the end".to_owned(),
            Err(status) => error(&status),
        };

        self.notes.push(Note { call, case, answer });
    }

    /// As JSON, without what says who answered.
    fn as_text(&self, answer: &impl Serialize) -> String {
        let mut value = serde_json::to_value(answer).expect("every message has a JSON form");
        if let Some(Value::Object(header)) = value.get_mut("header") {
            let who = ["cluster_id", "member_id", "raft_term"];
            let revision = self.forgets_revisions.then_some("revision");
            for name in who.into_iter().chain(revision) {
                header.remove(name);
            }
        }
        value.to_string()
    }
}

fn error(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

/// Waits for an answer; that there is none is an answer too.
async fn in_time<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let silence = || Err(Status::cancelled("no answer"));
    tokio::time::timeout(Duration::from_secs(10), answer).await.unwrap_or_else(|_| silence())
}

async fn everything(system: &System) -> Vec<Note> {
    let mut notes =
        Notes { channel: system.channel(), forgets_revisions: false, notes: Vec::new() };
    let noting = async {
        keys::note(&mut notes).await;
        leases::note(&mut notes).await;
        watches::note(&mut notes).await;
        lines::note(&mut notes).await;
        servers::note(&mut notes).await;
        users::note(&mut notes).await;
    };
    let ended = tokio::time::timeout(PATIENCE, noting).await;
    assert!(ended.is_ok(), "{system:?} never answered what follows {:?}", notes.notes.last());
    notes.notes
}

#[tokio::test]
async fn answers_are_etcds_but_for_the_differences_that_are_listed() {
    let Some(etcd) = System::etcd("answers_are_etcds_but_for_the_differences_that_are_listed")
    else {
        return;
    };
    let etcds = everything(&etcd).await;
    drop(etcd);
    let ours = everything(&System::althing()).await;
    let places = |notes: &[Note]| -> Vec<_> { notes.iter().map(|it| (it.call, it.case)).collect() };
    assert_eq!(places(&ours), places(&etcds), "the same calls were made");

    let mut unknown = String::new();
    let mut met = BTreeSet::new();
    for (ours, etcds) in ours.iter().zip(&etcds) {
        let place = (ours.call, ours.case);
        let is_known = DIFFERENCES.iter().any(|(call, case, _)| (*call, *case) == place);
        if ours.answer == etcds.answer {
            continue;
        }
        if !is_known {
            let (call, case) = place;
            unknown +=
                &format!("{call}, {case}:\n  ours: {}\n  etcd: {}\n", ours.answer, etcds.answer);
        }
        met.insert(place);
    }
    assert!(unknown.is_empty(), "differences that are not listed:\n{unknown}");
    for (call, case, _) in DIFFERENCES {
        assert!(met.contains(&(*call, *case)), "{call}, {case} is listed and does not differ");
    }
    page::check(&ours);
}
