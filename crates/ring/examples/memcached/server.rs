//! A memcached process on this machine.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// How often a server is asked whether it answers, and how long until the next time: together far
/// more than any needs.
const ASKED_MAX: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(20);

/// One server; killed when dropped.
pub(crate) struct Memcached {
    process: Child,
    address: String,
}

impl Memcached {
    /// Starts the program on a port that is free and waits until it answers.
    pub(crate) fn start(program: &Path) -> io::Result<Self> {
        // Between the search for a port and the start another process may take it.
        for _ in 0..10 {
            if let Some(server) = Self::try_start(program)? {
                return Ok(server);
            }
        }
        Err(io::Error::other("memcached does not start"))
    }

    /// `None` if the process ended before it answered.
    fn try_start(program: &Path) -> io::Result<Option<Self>> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        // For root, memcached wants to be told whom to run as; anybody else runs as himself.
        let process = Command::new(program)
            .args(["-l", "127.0.0.1", "-U", "0", "-t", "1", "-m", "16", "-u", "root"])
            .args(["-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut server = Self { process, address: format!("127.0.0.1:{port}") };
        for _ in 0..ASKED_MAX {
            if server.process.try_wait()?.is_some() {
                return Ok(None);
            }
            if server.is_it().unwrap_or(false) {
                return Ok(Some(server));
            }
            pause();
        }
        Ok(None)
    }

    /// Whether who answers at the address is this process.
    fn is_it(&self) -> io::Result<bool> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(b"stats\r\nquit\r\n")?;
        let pid = format!("STAT pid {}", self.process.id());
        let mut lines = BufReader::new(stream).lines().take(200);
        Ok(lines.any(|line| line.is_ok_and(|line| line == pid)))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Kills it, as a crash would, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(|_| ())
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        // It may be gone already; that is as good.
        let _ = self.kill();
    }
}

#[expect(clippy::disallowed_methods, reason = "another process needs its time to start")]
fn pause() {
    thread::sleep(PAUSE);
}
