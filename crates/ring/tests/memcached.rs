//! The example on real memcached processes, run as a test.

use std::io::Write as _;
use std::path::PathBuf;

#[path = "../examples/memcached/client.rs"]
mod client;
#[path = "../examples/memcached/server.rs"]
mod server;
#[path = "../examples/memcached/story.rs"]
mod story;

/// The program, or a note that the test is skipped.
fn memcached(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join("memcached"))
        .find(|file| file.is_file());
    if found.is_none() {
        let why = "memcached is not installed (Debian: apt-get install memcached)";
        let line = format!("SKIPPED: {test}: {why}\n");
        eprint!("{line}");
        if let Some(path) = std::env::var_os("ALTHING_SKIPPED") {
            let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
            file.and_then(|mut file| file.write_all(line.as_bytes())).expect("writable");
        }
    }
    found
}

#[test]
fn a_server_that_dies_takes_its_own_keys_and_no_others() {
    let test = "a_server_that_dies_takes_its_own_keys_and_no_others";
    let Some(program) = memcached(test) else { return };
    let told = story::tell(&program, 5, 2_000).expect("five servers run");
    assert_eq!(told.stored.len(), 5, "{:?}", told.stored);
    assert!(told.stored.values().all(|keys| *keys > 200), "{:?}", told.stored);
    assert_eq!(told.lost, told.stored[&told.killed]);
    assert_eq!(told.kept, 2_000 - told.lost);
    assert_eq!(told.moved, told.lost);
    assert_eq!(told.moved_in_vain, 0);
    assert_eq!(told.found_again, 2_000);
}
