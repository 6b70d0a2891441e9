//! The page that says who may do what.

use std::path::Path;

use crate::{Case, Who};

const PAGE: &str = "../../docs/authorization.md";

const INTRODUCTION: &str = "\
# Who may do what

Written by `cargo test -p althing-node --test rights`, which asks a node for each of these, over
gRPC and as JSON, by nobody, by a user, and by root, and fails where the answer is another one. The
user may read `read`, write `write`, and do both in `both/`; the leases are two, one that a key in
`both/` is tied to and one that a key of nobody's is. An operation that can stand in a transaction
is asked for alone, in either branch, and in either branch of transactions within transactions.

While users are not enabled everybody may do everything. What servers say to each other, when a
lease ends for instance, no client may say. `/health`, `/livez`, `/readyz`, `/version`, `/metrics`
and the services of gRPC for health and reflection are for everybody: they tell nothing of keys and
users.

A right counts at the moment at which a write is applied, or a read is done. A user whose password
was changed, or who was added anew, signs in again. A watch whose user loses the right ends.

| call | asked for | places | nobody | user | root |
|---|---|---:|---|---|---|
";

/// Holds the page against the cases, or writes it.
pub(crate) fn check(cases: &[Case]) {
    let mut page = INTRODUCTION.to_owned();
    let mut rest = cases;
    while let Some(case) = rest.first() {
        let is_same = |other: &&Case| (other.call, &other.asked) == (case.call, &case.asked);
        let places = rest.iter().take_while(is_same).count();
        rest = &rest[places..];
        let may = |who| if case.may(who) { "may" } else { "" };
        let (nobody, user, root) = (may(Who::Nobody), may(Who::Ann), may(Who::Root));
        let Case { call, asked, .. } = case;
        page += &format!("| {call} | {asked} | {places} | {nobody} | {user} | {root} |\n");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page, "docs/authorization.md is out of date; see the head of this test");
}
