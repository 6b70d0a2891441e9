//! Processes: the CPU they used, and their end.

use std::process::Child;

use anyhow::{Context as _, Result};

/// Linux shows CPU time in hundredths of a second to programs, whatever its own clock is.
const TICKS_PER_SECOND: f64 = 100.0;

/// A child process that ends when this is dropped, also when the run fails or is interrupted.
#[derive(Debug)]
pub(crate) struct Server(Child);

impl Server {
    pub(crate) fn new(child: Child) -> Self {
        Self(child)
    }

    /// Whether it has not ended on its own.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Seconds of CPU since it started, in all its threads, in itself and in the kernel for it.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(&self.0.id().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; its data is thrown away, so that it need not end well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seconds of CPU that this program has used.
pub(crate) fn own_cpu_seconds() -> Result<f64> {
    cpu_seconds("self")
}

fn cpu_seconds(process: &str) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse(&stat).with_context(|| format!("cannot understand {path}"))
}

/// Adds fields 14 and 15, utime and stime (proc_pid_stat(5)). The second field is a name in
/// parentheses that may hold anything, so that counting starts behind the last of them.
fn parse(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_time_is_found_behind_any_name() {
        let stat = "42 (a ) (b) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15";
        assert_eq!(parse(stat), Some(2.0));
        assert_eq!(parse("42 (a) S 1 2"), None);
    }
}
