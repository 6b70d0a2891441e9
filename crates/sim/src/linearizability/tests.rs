use althing_core::Random;

use super::*;

/// An operation in the making: who, when, on which key.
fn at(client: u32, called: u64, returned: u64) -> Operation {
    Operation {
        client,
        key: 0,
        called,
        returned: Some(returned),
        action: Action::Get,
        observed: None,
    }
}

impl Operation {
    fn on(self, key: u32) -> Self {
        Self { key, ..self }
    }

    fn did(self, action: Action, observed: Observed) -> Self {
        Self { action, observed: Some(observed), ..self }
    }

    fn put(self, value: u64, revision: u64) -> Self {
        self.did(Action::Put { value }, Observed::Put { revision })
    }

    fn saw(self, value: u64, written: u64, revision: u64) -> Self {
        let found = Some(Found { value, written });
        self.did(Action::Get, Observed::Get { revision, found })
    }

    fn saw_nothing(self, revision: u64) -> Self {
        self.did(Action::Get, Observed::Get { revision, found: None })
    }

    fn deleted(self, deleted: bool, revision: u64) -> Self {
        self.did(Action::Delete, Observed::Delete { revision, deleted })
    }

    fn swapped(self, expected: Option<u64>, value: u64, revision: u64) -> Self {
        self.did(Action::Swap { expected, value }, Observed::Swapped { revision })
    }

    fn kept(self, expected: Option<u64>, value: u64, found: (u64, u64), revision: u64) -> Self {
        let found = Some(Found { value: found.0, written: found.1 });
        self.did(Action::Swap { expected, value }, Observed::Kept { revision, found })
    }

    fn unanswered(self, action: Action) -> Self {
        Self { returned: None, action, observed: None, ..self }
    }
}

const fn put(value: u64) -> Action {
    Action::Put { value }
}

fn good() -> Vec<(&'static str, Vec<Operation>)> {
    let swap = |expected, value| Action::Swap { expected: Some(expected), value };
    vec![
        ("nothing happened", vec![]),
        ("one after the other", vec![at(1, 1, 2).put(7, 2), at(2, 3, 4).saw(7, 2, 2)]),
        (
            "a read during a write sees it or not",
            vec![at(1, 1, 9).put(7, 2), at(2, 2, 3).saw_nothing(1), at(3, 4, 5).saw(7, 2, 2)],
        ),
        (
            "overlapping writes go either way",
            vec![at(1, 1, 9).put(7, 3), at(2, 2, 8).put(8, 2), at(3, 10, 11).saw(7, 3, 3)],
        ),
        (
            "a write whose outcome is unknown takes effect late",
            vec![
                at(1, 1, 0).unanswered(put(7)),
                at(2, 2, 3).saw_nothing(1),
                at(2, 4, 5).saw(7, 2, 2),
            ],
        ),
        ("or never", vec![at(1, 1, 0).unanswered(put(7)), at(2, 2, 3).saw_nothing(1)]),
        (
            "a delete whose outcome is unknown, seen by what is missing",
            vec![
                at(1, 1, 2).put(7, 2),
                at(2, 3, 0).unanswered(Action::Delete),
                at(1, 4, 5).saw(7, 2, 2),
                at(1, 6, 7).saw_nothing(3),
                at(1, 8, 9).put(8, 4),
            ],
        ),
        (
            "swaps",
            vec![
                at(1, 1, 2).swapped(None, 7, 2),
                at(2, 3, 4).kept(Some(9), 8, (7, 2), 2),
                at(2, 5, 6).swapped(Some(7), 8, 3),
                at(3, 7, 8).deleted(true, 4),
                at(3, 9, 10).deleted(false, 4),
            ],
        ),
        (
            "a swap of a value that only a write of unknown outcome can have left",
            vec![at(1, 1, 0).unanswered(put(7)), at(2, 2, 3).swapped(Some(7), 8, 3)],
        ),
        (
            "a chain of writes of unknown outcome",
            vec![
                at(1, 1, 0).unanswered(put(7)),
                at(2, 2, 0).unanswered(swap(7, 8)),
                at(3, 3, 4).saw(8, 3, 3),
            ],
        ),
        (
            "other keys take revisions too",
            vec![at(1, 1, 2).put(7, 2), at(2, 3, 4).on(1).put(9, 3), at(1, 5, 6).saw(7, 2, 3)],
        ),
    ]
}

fn bad() -> Vec<(&'static str, Vec<Operation>)> {
    vec![
        (
            "a stale read",
            vec![at(1, 1, 2).put(7, 2), at(1, 3, 4).put(8, 3), at(2, 5, 6).saw(7, 2, 2)],
        ),
        ("a lost write", vec![at(1, 1, 2).put(7, 2), at(2, 3, 4).saw_nothing(2)]),
        ("a read of what was never written", vec![at(1, 1, 2).put(7, 2), at(2, 3, 4).saw(9, 3, 3)]),
        (
            "two reads, the second sees less",
            vec![at(1, 1, 9).put(7, 2), at(2, 2, 3).saw(7, 2, 2), at(3, 4, 5).saw_nothing(1)],
        ),
        (
            "a value that comes back",
            vec![
                at(1, 1, 2).put(7, 2),
                at(1, 3, 4).put(8, 3),
                at(2, 5, 6).saw(8, 3, 3),
                at(2, 7, 8).saw(7, 4, 4),
            ],
        ),
        (
            "a write of unknown outcome that took effect twice",
            vec![
                at(1, 1, 0).unanswered(put(7)),
                at(2, 2, 3).saw(7, 2, 2),
                at(2, 4, 5).put(8, 3),
                at(2, 6, 7).saw(7, 4, 4),
            ],
        ),
        (
            "a write that is seen before it was asked for",
            vec![at(2, 1, 2).saw(7, 2, 2), at(1, 3, 0).unanswered(put(7))],
        ),
        (
            "two swaps of one value",
            vec![
                at(1, 1, 2).put(7, 2),
                at(1, 3, 9).swapped(Some(7), 8, 3),
                at(2, 4, 8).swapped(Some(7), 9, 4),
            ],
        ),
        (
            "a swap that should have been done",
            vec![at(1, 1, 2).put(7, 2), at(2, 3, 4).kept(Some(7), 8, (7, 2), 2)],
        ),
        ("a delete of nothing", vec![at(1, 1, 2).deleted(true, 2)]),
        (
            "a delete that found nothing where something was",
            vec![at(1, 1, 2).put(7, 2), at(2, 3, 4).deleted(false, 2)],
        ),
    ]
}

fn by_search(history: &[Operation]) -> bool {
    let keys: std::collections::BTreeSet<u32> = history.iter().map(|o| o.key).collect();
    keys.into_iter().all(|key| {
        let of_key: Vec<&Operation> = history.iter().filter(|o| o.key == key).collect();
        search(&of_key) == Search::Found
    })
}

#[test]
fn good_histories_are_accepted_by_both_ways() {
    for (name, history) in good() {
        assert_eq!(check(&history), Verdict::Linearizable, "{name}");
        assert!(by_search(&history), "{name}");
    }
}

#[test]
fn bad_histories_are_rejected_by_both_ways() {
    for (name, history) in bad() {
        let verdict = check(&history);
        assert!(matches!(verdict, Verdict::Violated(_)), "{name}: {verdict:?}");
        assert!(!by_search(&history), "{name}");
    }
}

#[test]
fn revisions_that_cannot_be_are_rejected_though_the_values_might() {
    for (name, history) in [
        ("two writes at one revision", vec![at(1, 1, 5).put(7, 2), at(2, 2, 6).put(8, 2)]),
        ("revisions against time", vec![at(1, 1, 2).put(7, 3), at(2, 3, 4).on(1).put(8, 2)]),
        ("a write of the future", vec![at(1, 1, 9).put(7, 5), at(2, 2, 3).saw(7, 5, 4)]),
        (
            "one write at two revisions",
            vec![
                at(1, 1, 0).unanswered(put(7)),
                at(2, 2, 3).saw(7, 2, 2),
                at(2, 4, 5).saw(7, 3, 3),
            ],
        ),
    ] {
        let verdict = check(&history);
        assert!(matches!(verdict, Verdict::Violated(_)), "{name}: {verdict:?}");
    }
}

#[test]
fn the_search_finds_what_no_revision_tells() {
    // The delete of unknown outcome must stand between the two reads, but there is no revision
    // left for it: values alone allow it, revisions do not decide alone.
    let history = [
        at(1, 1, 2).put(7, 2),
        at(2, 3, 0).unanswered(Action::Delete),
        at(1, 4, 5).saw(7, 2, 2),
        at(1, 6, 7).saw_nothing(2),
    ];
    assert_eq!(check_revisions(&history), ByRevision::Open { keys: vec![0] });
    assert!(by_search(&history));
}

/// A real store under clients that overlap: each operation takes effect at a moment between its
/// call and its return.
fn generate(random: &mut Random, count: usize, keys: u64, unanswered: f64) -> Vec<Operation> {
    let mut store: BTreeMap<u32, Found> = BTreeMap::new();
    let mut revision = 1;
    let mut history = Vec::with_capacity(count);
    for number in 0..count as u64 {
        // Moments are ten apart and calls and returns up to twenty away, so neighbours overlap.
        let moment = 100 + number * 10;
        let key = u32::try_from(random.below(keys)).expect("few keys");
        let called = moment - random.below(20);
        let returned = moment + 1 + random.below(20);
        let client = u32::try_from(number % 8).expect("few clients");
        let before = store.get(&key).copied();
        let operation = at(client, called, returned).on(key);
        let value = number + 1;
        let operation = match random.below(6) {
            0 | 1 => {
                revision += 1;
                store.insert(key, Found { value, written: revision });
                operation.put(value, revision)
            }
            2 => {
                if store.remove(&key).is_some() {
                    revision += 1;
                }
                operation.deleted(before.is_some(), revision)
            }
            3 => {
                let expected = before.map(|found| found.value);
                revision += 1;
                store.insert(key, Found { value, written: revision });
                operation.swapped(expected, value, revision)
            }
            _ => operation.did(Action::Get, Observed::Get { revision, found: before }),
        };
        let is_write = operation.action != Action::Get;
        if is_write && random.chance(unanswered) {
            let action = operation.action;
            history.push(operation.unanswered(action));
        } else {
            history.push(operation);
        }
    }
    history
}

#[test]
fn both_ways_accept_what_a_real_store_did_and_reject_it_once_it_is_falsified() {
    let mut random = Random::new(3);
    let mut falsified = 0;
    for _ in 0..300 {
        let history = generate(&mut random, 60, 2, 0.15);
        assert_eq!(check(&history), Verdict::Linearizable);
        assert!(by_search(&history));
        // Let one read answer what was there long before.
        let reads: Vec<usize> = (30..60)
            .filter(|at| matches!(history[*at].observed, Some(Observed::Get { .. })))
            .collect();
        let Some(late) = reads.last().copied() else { continue };
        let early = (0..10).find(|at| {
            history[*at].key == history[late].key
                && matches!(history[*at].observed, Some(Observed::Get { found: Some(_), .. }))
        });
        let Some(early) = early else { continue };
        if history[early].observed.and_then(|o| o.saw())
            == history[late].observed.and_then(|o| o.saw())
        {
            continue;
        }
        let mut wrong = history.clone();
        wrong[late].observed = wrong[early].observed;
        falsified += 1;
        assert!(matches!(check(&wrong), Verdict::Violated(_)));
    }
    assert!(falsified > 50, "{falsified}");
}

#[test]
fn a_hundred_thousand_operations_are_judged_by_their_revisions() {
    let history = generate(&mut Random::new(5), 100_000, 20, 0.01);
    assert_eq!(check_revisions(&history), ByRevision::Explained);
    let mut wrong = history;
    let read = wrong
        .iter()
        .rposition(|operation| matches!(operation.observed, Some(Observed::Get { .. })))
        .expect("a third of them are reads");
    wrong[read].observed = Some(Observed::Get { revision: 2, found: None });
    assert!(matches!(check_revisions(&wrong), ByRevision::Violated(_)));
}
