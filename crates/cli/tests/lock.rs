//! `althing lock` against real servers: exclusion, the ways to lose a lock, and the command that
//! runs under it.

mod support;

use std::path::Path;
use std::time::Duration;

use althing_etcd_api::etcdserverpb::LeaseGrantRequest;
use althing_etcd_api::etcdserverpb::lease_client::LeaseClient;
use althing_etcd_api::v3lockpb::lock_client::LockClient;
use althing_etcd_api::v3lockpb::{LockRequest, UnlockRequest};
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::json;
use support::{Background, System, code, systems, wait_until};

/// A command that says what its number, its token and its lease are and then stays, for longer than
/// any test waits, but not for ever: a test that fails leaves nothing behind.
const STAY: &str = "echo $$; echo $ALTHING_LOCK_TOKEN; echo $ALTHING_LOCK_LEASE; \
                    i=0; while [ $i -lt 6000 ]; do sleep 0.02; i=$((i + 1)); done";

/// The holder of a lock with a command that stays.
struct Holder {
    lock: Background,
    command: Pid,
    token: i64,
    lease: String,
}

impl Holder {
    fn start(system: &System, ttl: &str, script: &str) -> Self {
        let lock = system.start(&["lock", "job", "--ttl", ttl, "--", "sh", "-c", script]);
        let command = lock.line().parse().ok().and_then(Pid::from_raw).expect("a number");
        let token = lock.line().parse().expect("a number");
        let lease = lock.line();
        Self { lock, command, token, lease }
    }

    fn command_is_gone(&self) -> bool {
        is_gone(self.command)
    }
}

fn is_gone(process: Pid) -> bool {
    test_kill_process(process).is_err()
        // It may wait for somebody to take note of its end.
        || std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()))
            .is_ok_and(|stat| stat.contains(") Z "))
}

/// Who stands in the queue.
fn queue(system: &System) -> usize {
    let keys = system.prints(&["kv", "get", "--prefix", "job/", "--keys-only"]);
    keys.lines().count()
}

/// The lock is taken by another and given back; its token.
fn take_and_give_back(system: &System) -> i64 {
    let token = system.prints(&["lock", "job", "--", "sh", "-c", "echo $ALTHING_LOCK_TOKEN"]);
    token.trim().parse().expect("a number")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn no_update_is_lost_and_the_token_grows() {
    const PROCESSES: usize = 4;
    const ROUNDS: usize = 6;
    for system in systems("no_update_is_lost_and_the_token_grows") {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let counter = folder.path().join("counter");
        let tokens = folder.path().join("tokens");
        std::fs::write(&counter, "0").expect("writable");
        // The pause between reading and writing is what another would slip into.
        let script = format!(
            "n=$(cat {0}); sleep 0.02; echo $((n + 1)) > {0}; echo $ALTHING_LOCK_TOKEN >> {1}",
            counter.display(),
            tokens.display()
        );
        std::thread::scope(|scope| {
            for _ in 0..PROCESSES {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        system.prints(&["lock", "job", "--", "sh", "-c", &script]);
                    }
                });
            }
        });
        assert_eq!(read(&counter).trim(), (PROCESSES * ROUNDS).to_string());
        let tokens: Vec<i64> = read(&tokens).lines().filter_map(|line| line.parse().ok()).collect();
        assert_eq!(tokens.len(), PROCESSES * ROUNDS);
        assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
        assert_eq!(queue(&system), 0);
        assert_eq!(system.prints(&["lease", "list"]), "");
    }
}

#[test]
fn the_exit_code_is_the_commands() {
    for system in systems("the_exit_code_is_the_commands") {
        for (script, expected) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
            let output = system.run(&["lock", "job", "--", "sh", "-c", script]);
            assert_eq!(code(&output), Some(expected), "{script}: {output:?}");
        }
        let output = system.run(&["lock", "job", "--", "/nowhere/nothing"]);
        assert_eq!(code(&output), Some(127), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("cannot run `/nowhere/nothing`"), "{told}");
        assert_eq!(queue(&system), 0);
    }
}

#[test]
fn who_does_not_want_to_wait_leaves_nothing_behind() {
    for system in systems("who_does_not_want_to_wait_leaves_nothing_behind") {
        let free = ["lock", "job", "--no-wait", "--", "true"];
        system.prints(&free);
        let holder = Holder::start(&system, "10s", STAY);
        let told = system.json(10, &free, b"");
        assert_eq!(told["message"], json!("the lock `job` is held by another"));
        let told = system.json(10, &["lock", "job", "--wait", "300ms", "--", "true"], b"");
        assert_eq!(told["message"], json!("the lock `job` was not obtained in 300ms"));

        // One that is interrupted while it waits.
        let mut waiter = system.start(&["lock", "job", "--", "true"]);
        wait_until("it waits", || queue(&system) == 2);
        waiter.signal(Signal::INT);
        assert_eq!(waiter.ended().0, Some(130));
        assert_eq!(queue(&system), 1);
        let leases = system.prints(&["lease", "list"]);
        assert_eq!(leases, format!("{}\n", holder.lease));
        assert!(!holder.command_is_gone());
    }
}

#[test]
fn a_holder_that_is_killed_takes_its_command_along_and_frees_the_lock() {
    for system in systems("a_holder_that_is_killed_takes_its_command_along_and_frees_the_lock") {
        let holder = Holder::start(&system, "3s", STAY);
        holder.lock.signal(Signal::KILL);
        let token = take_and_give_back(&system);
        assert!(token > holder.token, "{token}");
        // It was gone long before, and not only when the lock was free.
        assert!(holder.command_is_gone());
    }
}

#[test]
fn a_holder_that_was_paused_too_long_kills_its_command() {
    for system in systems("a_holder_that_was_paused_too_long_kills_its_command") {
        let mut holder = Holder::start(&system, "3s", STAY);
        holder.lock.signal(Signal::STOP);
        // Another holds the lock in between, which shows that it was lost.
        let token = take_and_give_back(&system);
        assert!(token > holder.token, "{token}");
        assert!(!holder.command_is_gone(), "nothing could tell it");
        holder.lock.signal(Signal::CONT);
        let (code, told) = holder.lock.ended();
        assert_eq!(code, Some(9), "{told}");
        assert!(told.contains("the lock `job` was lost"), "{told}");
        assert!(holder.command_is_gone());
    }
}

#[test]
fn a_lock_that_was_lost_ends_a_command_that_does_not_want_to() {
    let stubborn = format!("trap '' TERM; {STAY}");
    for system in systems("a_lock_that_was_lost_ends_a_command_that_does_not_want_to") {
        for (script, is_by_key) in [(STAY, true), (&*stubborn, true), (&*stubborn, false)] {
            let mut holder = Holder::start(&system, "10s", script);
            if is_by_key {
                assert_eq!(system.prints(&["kv", "del", "--prefix", "job/"]), "1\n");
            } else {
                system.prints(&["lease", "revoke", &holder.lease]);
            }
            let (code, told) = holder.lock.ended();
            assert_eq!(code, Some(9), "{told}");
            assert!(holder.command_is_gone());
            wait_until("its lease is gone", || system.prints(&["lease", "list"]).is_empty());
        }
    }
}

#[test]
fn a_holder_without_servers_gives_up_by_its_own_clock() {
    for mut system in systems("a_holder_without_servers_gives_up_by_its_own_clock") {
        let stubborn = format!("trap '' TERM; {STAY}");
        let mut holder = Holder::start(&system, "3s", &stubborn);
        system.kill();
        let (code, told) = holder.lock.ended();
        assert_eq!(code, Some(9), "{told}");
        assert!(told.contains("no server confirmed its lease"), "{told}");
        assert!(holder.command_is_gone());
    }
}

#[test]
fn a_lock_outlives_a_server_that_comes_back() {
    for mut system in systems("a_lock_outlives_a_server_that_comes_back") {
        let holder = Holder::start(&system, "60s", STAY);
        let mut waiter = system.start(&["lock", "job", "--", "echo", "mine"]);
        wait_until("it waits", || queue(&system) == 2);
        system.kill();
        system.start_again();
        assert_eq!(waiter.line_within(Duration::from_millis(300)), None);
        assert!(!holder.command_is_gone());
        holder.lock.signal(Signal::TERM);
        assert_eq!(waiter.line(), "mine");
        assert_eq!(waiter.ended().0, Some(0));
    }
}

#[test]
fn a_loss_is_noticed_also_after_the_server_came_back() {
    for mut system in systems("a_loss_is_noticed_also_after_the_server_came_back") {
        let mut holder = Holder::start(&system, "60s", STAY);
        system.kill();
        system.start_again();
        assert!(!holder.command_is_gone());
        assert_eq!(system.prints(&["kv", "del", "--prefix", "job/"]), "1\n");
        let (code, told) = holder.lock.ended();
        assert_eq!(code, Some(9), "{told}");
        assert!(told.contains("its key was deleted"), "{told}");
    }
}

#[test]
fn signals_are_passed_on_and_the_lock_is_free_at_once() {
    for system in systems("signals_are_passed_on_and_the_lock_is_free_at_once") {
        let polite = format!("trap 'exit 5' TERM; trap 'exit 6' INT; {STAY}");
        for (signal, expected) in [(Signal::TERM, 5), (Signal::INT, 6)] {
            let mut holder = Holder::start(&system, "10m", &polite);
            holder.lock.signal(signal);
            assert_eq!(holder.lock.ended().0, Some(expected));
            system.prints(&["lock", "job", "--no-wait", "--", "true"]);
        }
    }
}

#[test]
fn without_a_command_the_lock_is_held_until_ctrl_c() {
    for system in systems("without_a_command_the_lock_is_held_until_ctrl_c") {
        let mut lock = system.start(&["lock", "job", "--ttl", "10m", "-o", "json"]);
        let held = lock.json();
        assert_eq!(held["name"], json!("job"));
        let key = held["key"].as_str().expect("text");
        let pair = &system.json(0, &["kv", "get", key], b"")["kvs"][0];
        assert_eq!((&pair["create_revision"], &pair["lease"]), (&held["token"], &held["lease"]));
        lock.signal(Signal::INT);
        assert_eq!(lock.ended().0, Some(0));
        assert_eq!(queue(&system), 0);

        let mut lock = system.start(&["lock", "job", "--ttl", "10m"]);
        let line = lock.line();
        let (key, token) = line.split_once('\t').expect("a tab");
        assert!(key.starts_with("job/") && token.parse::<i64>().is_ok(), "{line}");
        system.prints(&["kv", "del", key]);
        assert_eq!(lock.ended().0, Some(9));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_the_lock_service_stand_in_the_same_queue() {
    let test = "users_of_the_lock_service_stand_in_the_same_queue";
    for system in tokio::task::spawn_blocking(|| systems(test)).await.expect("it works") {
        let holder = Holder::start(&system, "10m", STAY);
        let mut leases = LeaseClient::new(system.channel());
        let lease = leases.lease_grant(LeaseGrantRequest { ttl: 600, id: 0 }).await;
        let lease = lease.expect("it grants").into_inner().id;
        let mut service = LockClient::new(system.channel());
        let request = LockRequest { name: b"job".as_slice().into(), lease };
        let waiting = tokio::spawn(async move {
            let answer = service.lock(request).await.expect("it locks");
            (service, answer.into_inner().key)
        });
        wait_until("it waits", || queue(&system) == 2);
        assert!(!waiting.is_finished(), "two holders");
        holder.lock.signal(Signal::TERM);
        let (mut service, key) = waiting.await.expect("it locks");
        assert_eq!(code(&system.run(&["lock", "job", "--no-wait", "--", "true"])), Some(10));
        let waiter = system.start(&["lock", "job", "--", "echo", "mine"]);
        wait_until("it waits", || queue(&system) == 2);
        service.unlock(UnlockRequest { key }).await.expect("it unlocks");
        assert_eq!(waiter.line(), "mine");
    }
}
