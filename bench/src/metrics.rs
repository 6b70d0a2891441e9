//! What a server says of itself at `/metrics`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// How often the log was synced to disk since the server started; `None` where it does not say.
pub(crate) fn log_syncs(address: &str) -> Option<u64> {
    count(&fetch(address).ok()?)
}

/// A page as large as this is no list of metrics.
const PAGE_BYTES_MAX: u64 = 16 << 20;

fn fetch(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    // HTTP/1.0 asks for an answer in one piece that ends with the connection.
    stream.write_all(format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut page = String::new();
    stream.take(PAGE_BYTES_MAX).read_to_string(&mut page)?;
    Ok(page)
}

/// Both systems have a histogram of this name, after their own prefix.
fn count(page: &str) -> Option<u64> {
    let line = page.lines().find(|line| {
        let name = line.split([' ', '{']).next().unwrap_or_default();
        name.ends_with("wal_fsync_duration_seconds_count")
    })?;
    let value: f64 = line.rsplit(' ').next()?.parse().ok()?;
    Some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_whatever_the_prefix_and_labels() {
        let help = "# HELP a_wal_fsync_duration_seconds_count x\n";
        for (line, expected) in [
            ("etcd_disk_wal_fsync_duration_seconds_count 1234", Some(1234)),
            ("althing_wal_fsync_duration_seconds_count{node=\"n1\"} 7", Some(7)),
            ("etcd_disk_wal_fsync_duration_seconds_sum 1.5", None),
        ] {
            assert_eq!(count(&format!("{help}{line}\n")), expected, "{line}");
        }
    }
}
