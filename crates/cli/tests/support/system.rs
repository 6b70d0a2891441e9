//! Servers of the API: Althing, and Debian's etcd, between which the commands must see no
//! difference.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use super::{Cluster, PATIENCE, althing, free_port, tool};

/// One server of each kind, for tests that must see no difference between them; where etcd is not
/// installed the test is skipped for that half.
pub fn systems(test: &str) -> Vec<System> {
    std::iter::once(System::althing()).chain(System::etcd(test)).collect()
}

/// One running node; killed, and its data removed, at the end of the test.
#[derive(Debug)]
pub struct System {
    pub endpoint: String,
    process: Process,
}

#[derive(Debug)]
enum Process {
    Althing(Cluster),
    Etcd { command: Box<Command>, process: Option<Child>, _data: TempDir },
}

impl System {
    /// Althing.
    pub fn althing() -> Self {
        let cluster = Cluster::start(1, &[]);
        Self { endpoint: cluster.servers[0].endpoint(), process: Process::Althing(cluster) }
    }

    /// etcd; where it is not installed, a note that says so.
    pub fn etcd(test: &str) -> Option<Self> {
        let etcd = tool(test, "etcd", "etcd-server")?;
        let data = tempfile::tempdir().expect("a temporary folder");
        let endpoint = format!("127.0.0.1:{}", free_port());
        let (client, peer) =
            (format!("http://{endpoint}"), format!("http://127.0.0.1:{}", free_port()));
        let mut command = Command::new(etcd);
        command
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--name", "n1", "--initial-cluster", &format!("n1={peer}")])
            .arg("--data-dir")
            .arg(data.path())
            .env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Process::Etcd { command: command.into(), process: None, _data: data };
        let mut system = Self { endpoint, process };
        system.start_again();
        Some(system)
    }

    /// Kills the server, as the machine would.
    pub fn kill(&mut self) {
        match &mut self.process {
            Process::Althing(cluster) => cluster.servers[0].kill(),
            Process::Etcd { process, .. } => end(process),
        }
    }

    /// Starts the server on the data that it has left behind, and waits until it serves.
    pub fn start_again(&mut self) {
        match &mut self.process {
            Process::Althing(cluster) => {
                cluster.servers[0].start();
                cluster.servers[0].wait_until_ready();
            }
            Process::Etcd { command, process, .. } => {
                *process = Some(command.spawn().expect("etcd starts"));
            }
        }
        wait_until("it becomes ready", || code(&self.run(&["status"])) == Some(0));
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        run(&self.endpoint, arguments, b"")
    }

    /// What a command that works prints.
    pub fn prints(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(code(&output), Some(0), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The result of a command as JSON, with the exit code that is expected.
    pub fn json(&self, expected: i32, arguments: &[&str], input: &[u8]) -> Value {
        let output = run(&self.endpoint, &with_json(arguments), input);
        assert_eq!(code(&output), Some(expected), "{arguments:?}: {output:?}");
        let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        serde_json::from_slice(&text).expect("one document of JSON")
    }

    /// Starts a command that goes on by itself.
    pub fn start(&self, arguments: &[&str]) -> Background {
        Background::start(&self.endpoint, arguments)
    }

    /// Connects to it without the command.
    pub fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.endpoint))
            .expect("an address")
            .connect_lazy()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Self::Etcd { process, .. } = self {
            end(process);
        }
    }
}

fn end(process: &mut Option<Child>) {
    if let Some(mut process) = process.take() {
        // It may be gone already; that is as good.
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// How long the last words of a command that has ended are waited for.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A command that runs beside the test; killed when dropped.
#[derive(Debug)]
pub struct Background {
    process: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Background {
    /// Starts it with these endpoints.
    pub fn start(endpoints: &str, arguments: &[&str]) -> Self {
        let mut process = with_endpoints(endpoints, arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command was built");
        let lines = lines_of(process.stdout.take().expect("it was asked for"));
        let errors = lines_of(process.stderr.take().expect("it was asked for"));
        Self { process, lines, errors }
    }

    /// The next line that it prints.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("it prints another line")
    }

    /// The next line that it prints, as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.line()).expect("a line of JSON")
    }

    /// A line, if there is one already.
    pub fn line_within(&self, time: Duration) -> Option<String> {
        self.lines.recv_timeout(time).ok()
    }

    /// Waits for a line on the standard error that has this in it.
    pub fn wait_for_error(&self, part: &str) -> String {
        loop {
            let line = self.errors.recv_timeout(PATIENCE).expect("it says so");
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Sends it, and nobody else, a signal.
    pub fn signal(&self, signal: Signal) {
        let id = self.process.id().try_into().expect("a number of a process");
        kill_process(Pid::from_raw(id).expect("not zero"), signal).expect("it runs");
    }

    /// Waits for its end; the exit code, and what it said on the standard error since it was last
    /// asked.
    pub fn ended(&mut self) -> (Option<i32>, String) {
        wait_until("it ends", || self.process.try_wait().expect("a child").is_some());
        let code = self.process.wait().expect("a child").code();
        // Its last words may still be on their way here; whoever inherited its standard error and
        // lives on would keep us waiting for the end of it.
        let mut rest = Vec::new();
        while let Ok(line) = self.errors.recv_timeout(LAST_WORDS) {
            rest.push(line);
        }
        (code, rest.join("\n"))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may be gone already; that is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The lines of a stream, as they come.
fn lines_of(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Waits for something that will be so if the program is right.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a command to its end, with this for it to read.
pub fn run(endpoints: &str, arguments: &[&str], input: &[u8]) -> Output {
    feed(&mut with_endpoints(endpoints, arguments), input)
}

/// Runs any command to its end, with this for it to read.
pub fn feed(command: &mut Command, input: &[u8]) -> Output {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command was built");
    let mut stdin = process.stdin.take().expect("it was asked for");
    // A command that does not read its input closes it, which is its right.
    let _ = stdin.write_all(input);
    drop(stdin);
    process.wait_with_output().expect("it ends")
}

/// The exit code; `None` where a signal ended it.
pub fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// The endpoints go before the arguments: behind `--` they would be another command's.
fn with_endpoints(endpoints: &str, arguments: &[&str]) -> Command {
    let mut command = althing();
    command.args(["--endpoints", endpoints]).args(arguments);
    command
}

fn with_json<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["-o", "json"], arguments].concat()
}
