//! The page that says what was found.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{DIFFERENCES, Note};

const PAGE: &str = "../../docs/etcd-compatibility.md";

const INTRODUCTION: &str = "\
# What etcd's clients find here

Written by `cargo test -p althing-cli --test compatibility`, which makes the same calls to Althing
and to Debian's etcd 3.4 and compares the answers, code and words of errors included; who answered
and in which term is left out. A difference that is not in this table fails the test, and so does
one that is in it and is none. After a wanted change, `UPDATE_DOCUMENTS=1` writes this page anew.

| call | compared | differences |
|---|---:|---|
";

/// Holds the page against what was found, or writes it.
pub(crate) fn check(notes: &[Note]) {
    let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
    for note in notes {
        *calls.entry(note.call).or_default() += 1;
    }
    let mut page = INTRODUCTION.to_owned();
    for (call, count) in calls {
        let differs = DIFFERENCES.iter().filter(|(other, ..)| *other == call);
        let reasons: Vec<String> =
            differs.map(|(_, case, reason)| format!("{case}: {reason}")).collect();
        page += &format!("| {call} | {count} | {} |\n", reasons.join("; "));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written, page,
        "docs/etcd-compatibility.md is out of date; see the head of this test"
    );
}
