//! What happens to keys on several servers when one of them dies.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use super::client::Client;
use super::server::Memcached;

/// How it went.
pub(crate) struct Told {
    /// How many keys each server got, by its address.
    pub(crate) stored: BTreeMap<String, usize>,
    /// The server that was killed.
    pub(crate) killed: String,
    /// Keys that were found where they had been stored.
    pub(crate) kept: usize,
    /// Keys that nobody could read any more.
    pub(crate) lost: usize,
    /// Lost keys, which have another owner among the servers that are left.
    pub(crate) moved: usize,
    /// Keys that were not lost and have another owner nevertheless.
    pub(crate) moved_in_vain: usize,
    /// Keys that were found once the lost ones were stored again.
    pub(crate) found_again: usize,
}

/// Stores keys on so many servers and kills one.
pub(crate) fn tell(program: &Path, servers: usize, keys: usize) -> Result<Told, Box<dyn Error>> {
    let mut servers =
        (0..servers).map(|_| Memcached::start(program)).collect::<Result<Vec<_>, _>>()?;
    let mut addresses: Vec<String> =
        servers.iter().map(|server| server.address().to_owned()).collect();
    let keys: Vec<String> = (0..keys).map(|number| format!("user:{number}")).collect();

    let mut client = Client::new(&addresses)?;
    let mut stored = BTreeMap::new();
    for key in &keys {
        client.set(key, value(key).as_bytes())?;
        *stored.entry(client.owner(key).to_owned()).or_insert(0) += 1;
    }

    servers[1].kill()?;
    let killed = addresses.remove(1);
    let mut left = Client::new(&addresses)?;
    let mut told =
        Told { stored, killed, kept: 0, lost: 0, moved: 0, moved_in_vain: 0, found_again: 0 };
    for key in &keys {
        let is_kept = client.get(key).is_ok_and(|read| is_value(read, key));
        let is_moved = client.owner(key) != left.owner(key);
        told.kept += usize::from(is_kept);
        told.lost += usize::from(!is_kept);
        told.moved += usize::from(is_moved && !is_kept);
        told.moved_in_vain += usize::from(is_moved && is_kept);
        if !is_kept {
            left.set(key, value(key).as_bytes())?;
        }
    }
    for key in &keys {
        told.found_again += usize::from(is_value(left.get(key)?, key));
    }
    Ok(told)
}

fn value(key: &str) -> String {
    format!("the value of {key}")
}

fn is_value(read: Option<Vec<u8>>, key: &str) -> bool {
    read.is_some_and(|read| read == value(key).as_bytes())
}
