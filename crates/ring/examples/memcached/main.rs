//! A client that shares keys out over several memcached servers, as libmemcached does: it starts
//! five of them, stores keys, kills one, and shows that only the keys of that one are gone.
//!
//! `cargo run -p althing-ring --example memcached`, with Debian's package memcached installed.

mod client;
mod server;
mod story;

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let told = story::tell(Path::new("memcached"), 5, 2_000)?;
    for (server, keys) in &told.stored {
        println!("{server} got {keys} keys");
    }
    println!("{} is killed", told.killed);
    println!("{} keys are still where they were, {} are lost", told.kept, told.lost);
    println!(
        "among the servers that are left {} keys have another owner: {} that were lost, {} others",
        told.moved + told.moved_in_vain,
        told.moved,
        told.moved_in_vain
    );
    println!("stored again, all {} keys are found", told.found_again);
    Ok(())
}
