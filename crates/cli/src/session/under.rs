//! A command that runs under something that is held, and must not outlive it.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use tokio::process::Child;

use super::leash;
use crate::clock;
use crate::failure::{Failure, Kind};
use crate::signals::ending_code;

/// The pause between two looks at the processes that a command has left behind.
const LOOK: Duration = Duration::from_millis(20);

/// The command.
#[derive(Debug)]
pub(crate) struct Under {
    child: Child,
    id: Pid,
    /// Whether it leads a process group of its own, so that its children can be reached too.
    ///
    /// It does not where its input is a terminal: a group in the background cannot read there. The
    /// terminal then sends Ctrl-C to both of us.
    has_group: bool,
}

impl Under {
    /// Starts it.
    pub(crate) fn start(
        command: &[OsString],
        variables: &[(&str, OsString)],
    ) -> Result<Self, Failure> {
        let [program, arguments @ ..] = command else { unreachable!("a command has a name") };
        let has_group = !std::io::stdin().is_terminal();
        let mut leashed = leash::command(program, arguments);
        leashed.envs(variables.iter().map(|(name, value)| (name, value))).kill_on_drop(true);
        if has_group {
            leashed.process_group(0);
        }
        let child = leashed.spawn().map_err(|error| {
            let message = format!("cannot run `{}`", program.display());
            Failure::new(Kind::Other, message).cause(error)
        })?;
        let id = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let id = id.expect("a process that was not waited for has a number");
        Ok(Self { child, id, has_group })
    }

    /// Waits for its end; the exit code of that.
    pub(crate) async fn ended(&mut self) -> u8 {
        let status = self.child.wait().await;
        ending_code(status.expect("a child of ours can be waited for"))
    }

    /// Passes a signal on, where the terminal has not done so.
    pub(crate) fn forward(&self, signal: Signal) {
        if self.has_group || signal != Signal::INT {
            self.send(signal);
        }
    }

    /// Tells it to end, and kills it, and what it started, at `deadline`, which may be now.
    pub(crate) async fn end_before(&mut self, deadline: Duration) {
        self.send(Signal::TERM);
        tokio::select! {
            _ = self.child.wait() => {}
            () = clock::wait_until(deadline) => {}
        }
        while self.has_group && clock::now() < deadline && test_kill_process_group(self.id).is_ok()
        {
            tokio::time::sleep(LOOK).await;
        }
        self.send(Signal::KILL);
        // After that signal nothing can keep it.
        let _ = self.child.wait().await;
    }

    fn send(&self, signal: Signal) {
        // Where nobody is left there is nobody to tell.
        let _ = if self.has_group {
            kill_process_group(self.id, signal)
        } else if self.child.id().is_some() {
            kill_process(self.id, signal)
        } else {
            Ok(())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::term::Term;

    /// A command that ignores the word to end, as does the process that it starts; for a minute, so
    /// that a test that fails leaves nothing behind.
    fn stubborn(marker: &std::path::Path) -> [OsString; 3] {
        let stay = "i=0; while [ $i -lt 6000 ]; do sleep 0.01; i=$((i + 1)); done";
        let script = format!(
            "trap '' TERM; sh -c '{stay}' & echo $! > {0}.new; mv {0}.new {0}; {stay}",
            marker.display()
        );
        ["sh".into(), "-c".into(), script.into()]
    }

    #[tokio::test]
    async fn what_does_not_want_to_end_is_killed_with_all_it_started() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let marker = folder.path().join("child");
        let [program, arguments @ ..] = stubborn(&marker);
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).process_group(0).kill_on_drop(true);
        let child = command.spawn().expect("a shell");
        let id = Pid::from_raw(child.id().expect("it runs").try_into().expect("small"));
        let id = id.expect("not zero");
        let mut under = Under { child, id, has_group: true };
        while !marker.exists() {
            tokio::time::sleep(LOOK).await;
        }
        let term = Term::new(clock::now(), Duration::from_secs(1));
        let ended = tokio::time::timeout(
            Duration::from_secs(30),
            under.end_before(term.kill_at_after(clock::now())),
        )
        .await;
        ended.expect("it is killed");
        let child = std::fs::read_to_string(&marker).expect("a number");
        let stat = format!("/proc/{}/stat", child.trim());
        let gone = async {
            // What was killed may wait for whoever has inherited it to take note.
            while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone).await.expect("its child is killed");
    }
}
