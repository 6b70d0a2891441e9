use std::convert::Infallible;

use althing_keyspace::Keyspace;

/// A snapshot, as it is written.
pub(crate) fn of_snapshot(keyspace: &Keyspace) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(()) = keyspace.snapshot().write(&mut |block| {
        bytes.extend_from_slice(block);
        Ok::<_, Infallible>(())
    });
    bytes
}
