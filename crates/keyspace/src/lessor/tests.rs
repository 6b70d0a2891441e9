use super::*;

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

/// A lessor that leads since the start of the clock, with one lease.
fn lessor(ttl: i64) -> Lessor {
    let mut lessor = Lessor::default();
    lessor.begin(at(0), std::iter::empty());
    lessor.granted(at(0), 7, ttl);
    lessor
}

/// Proposes and applies whatever is due.
fn settle(lessor: &mut Lessor, now: Time) -> Vec<Command> {
    let mut commands = Vec::new();
    while let Some(command) = lessor.due(now) {
        lessor.proposed(&command);
        match &command {
            Command::LeaseNote { remaining } => {
                remaining.iter().for_each(|(id, seconds)| lessor.noted(*id, *seconds));
            }
            Command::LeaseExpire { ids } => ids.iter().for_each(|id| lessor.ended(*id)),
            other => panic!("{other:?} is not for a lessor"),
        }
        commands.push(command);
        assert!(commands.len() < 10, "it never settles: {commands:?}");
    }
    commands
}

fn expire(id: i64) -> Command {
    Command::LeaseExpire { ids: vec![id] }
}

fn note(id: i64, seconds: i64) -> Command {
    Command::LeaseNote { remaining: vec![(id, seconds)] }
}

#[test]
fn a_lease_ends_when_its_time_is_over_and_not_before() {
    let mut lessor = lessor(1);
    assert_eq!(lessor.wake_at(), at(1));
    assert_eq!(settle(&mut lessor, at(1) - Duration::from_nanos(1)), []);
    assert_eq!(settle(&mut lessor, at(1)), [expire(7)]);
    assert_eq!(lessor.wake_at(), Time::NEVER);
    assert_eq!(lessor.renew(at(4), 7), None);
}

#[test]
fn keeping_alive_gives_all_of_the_time_again() {
    let mut lessor = lessor(4);
    let renewed = lessor.renew(at(1), 7);
    assert_eq!(renewed, Some(Timed { ttl: 4, remaining: 4, must_note: false }));
    assert_eq!(settle(&mut lessor, at(4)), [note(7, 1)]);
    assert_eq!(lessor.time(at(4), 7).map(|timed| timed.remaining), Some(1));
    assert_eq!(settle(&mut lessor, at(5)), [expire(7)]);
}

#[test]
fn an_end_that_is_on_its_way_is_not_taken_back() {
    let mut lessor = lessor(4);
    let command = lessor.due(at(4)).expect("its time is over");
    lessor.proposed(&command);
    assert_eq!(lessor.renew(at(4), 7), None);
    assert_eq!(lessor.time(at(4), 7), None);
    assert_eq!(lessor.due(at(9)), None, "once is enough");
}

#[test]
fn what_was_refused_is_asked_for_again() {
    let lessor = lessor(4);
    assert_eq!(lessor.due(at(4)), Some(expire(7)));
    assert_eq!(lessor.due(at(5)), Some(expire(7)));
}

#[test]
fn time_used_up_is_noted_each_time_half_of_it_is_gone() {
    let mut lessor = lessor(100);
    assert_eq!(settle(&mut lessor, at(49)), []);
    assert_eq!(settle(&mut lessor, at(50)), [note(7, 50)]);
    assert_eq!(settle(&mut lessor, at(75)), [note(7, 25)]);
    assert_eq!(settle(&mut lessor, at(87)), []);
    assert_eq!(settle(&mut lessor, at(95)), [note(7, 5)], "late, and what is true by then");
    assert_eq!(settle(&mut lessor, at(98)), [note(7, 2)]);
    assert_eq!(settle(&mut lessor, at(99)), [note(7, 1)]);
    assert_eq!(settle(&mut lessor, at(100)), [expire(7)]);
}

#[test]
fn a_note_is_taken_back_in_the_log_before_the_holder_may_rely_on_more() {
    let mut lessor = lessor(100);
    settle(&mut lessor, at(50));
    let renewed = |lessor: &mut Lessor| lessor.renew(at(60), 7).expect("it lives").must_note;
    assert!(renewed(&mut lessor));
    assert!(renewed(&mut lessor), "the first try may have failed");
    lessor.noted(7, 100);
    assert!(!renewed(&mut lessor));
    assert_eq!(settle(&mut lessor, at(109)), []);
    assert_eq!(settle(&mut lessor, at(110)), [note(7, 50)]);
}

#[test]
fn a_note_on_its_way_counts_as_one_that_was_written() {
    let mut lessor = lessor(100);
    let mine = lessor.due(at(50)).expect("half of it is gone");
    lessor.proposed(&mine);
    lessor.noted(7, 100);
    assert!(lessor.renew(at(51), 7).expect("it lives").must_note, "what comes after says less");
    lessor.noted(7, 50);
    lessor.noted(7, 100);
    assert!(!lessor.renew(at(52), 7).expect("it lives").must_note);
}

#[test]
fn a_new_leader_gives_what_the_log_knows() {
    let leases = [(7, Lease::new(100, 25, Default::default()))];
    let mut lessor = Lessor::default();
    assert_eq!(lessor.renew(at(0), 7), None, "it does not lead");
    lessor.begin(at(1000), leases.iter().map(|(id, lease)| (*id, lease)));
    let timed = lessor.time(at(1000), 7);
    assert_eq!(timed, Some(Timed { ttl: 100, remaining: 25, must_note: false }));
    assert!(lessor.renew(at(1010), 7).expect("it lives").must_note);
    lessor.end();
    assert_eq!((lessor.is_leading(), lessor.due(Time::NEVER)), (false, None));
    assert_eq!(lessor.wake_at(), Time::NEVER);
}

#[test]
fn many_leases_end_in_commands_of_bounded_size() {
    let mut lessor = Lessor::default();
    lessor.begin(at(0), std::iter::empty());
    (1..=2500).for_each(|id| lessor.granted(at(0), id, 3));
    let counts: Vec<usize> = settle(&mut lessor, at(3))
        .iter()
        .map(|command| match command {
            Command::LeaseExpire { ids } => ids.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counts, [LEASES_MAX, LEASES_MAX, 2500 - 2 * LEASES_MAX]);
}

#[test]
fn the_longest_lease_fits_the_clock() {
    let mut lessor = lessor(crate::LEASE_SECONDS_MAX);
    assert_eq!(lessor.due(at(1_000_000)), None);
    let longest = crate::LEASE_SECONDS_MAX - 1_000_000;
    assert_eq!(lessor.time(at(1_000_000), 7).map(|timed| timed.remaining), Some(longest));
    assert!(lessor.renew(at(1_000_000), 7).is_some());
}

#[test]
fn a_note_takes_no_time_away() {
    let mut lessor = lessor(10);
    // A tick is never exactly on time.
    let late = at(5) + Duration::from_millis(1);
    let commands = settle(&mut lessor, late);
    assert_eq!(commands, [note(7, 5)]);
    // A restart, or an election that is quick.
    let begins = late + Duration::from_millis(500);
    let mut next = Lessor::default();
    let leases = [(7, Lease::new(10, 5, Default::default()))];
    next.begin(begins, leases.iter().map(|(id, lease)| (*id, lease)));
    let ends = next.leases[&7].deadline;
    assert!(ends >= at(10), "it ends at {ends:?}, and was promised ten seconds");
}

#[test]
fn of_two_notes_on_their_way_the_second_counts_too() {
    let mut lessor = lessor(100);
    let first = lessor.due(at(50)).expect("half of it is gone");
    lessor.proposed(&first);
    // Nothing is committed for a while.
    let second = lessor.due(at(75)).expect("half of that is gone");
    lessor.proposed(&second);
    // The log: note 50, [a note of 100 that an earlier keep-alive asked for], note 25.
    lessor.noted(7, 50);
    lessor.noted(7, 100);
    assert!(lessor.renew(at(76), 7).expect("it lives").must_note, "note 25 comes after");
}
