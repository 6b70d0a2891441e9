//! Patroni keeps a pair of PostgreSQL servers with Althing as its memory: through the loss of
//! Althing's leader nothing happens to the pair, and through the loss of the primary the other one
//! takes over.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{Cluster, free_port, http_get, tool, wait_until};
use tempfile::TempDir;

/// One PostgreSQL server and the Patroni that looks after it; both killed when dropped.
struct Postgres {
    name: &'static str,
    api: u16,
    port: u16,
    folder: PathBuf,
    patroni: Option<Child>,
}

impl Postgres {
    fn new(name: &'static str, folder: &Path, althing: &str, programs: &Path) -> Self {
        let (api, port) = (free_port(), free_port());
        let at = folder.display();
        let settings = format!(
            r#"
scope: pair
name: {name}
etcd3: {{hosts: "{althing}"}}
restapi: {{listen: "127.0.0.1:{api}", connect_address: "127.0.0.1:{api}"}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 5
    postgresql: {{parameters: {{wal_level: replica, hot_standby: "on"}}}}
  initdb: [{{encoding: UTF8}}, {{locale: C}}]
postgresql:
  listen: "127.0.0.1:{port}"
  connect_address: "127.0.0.1:{port}"
  data_dir: {at}/{name}
  bin_dir: {programs}
  pgpass: {at}/{name}.pgpass
  pg_hba: ["local all all trust", "host all all 127.0.0.1/32 trust",
           "host replication all 127.0.0.1/32 trust"]
  authentication:
    superuser: {{username: postgres, password: a}}
    replication: {{username: replicator, password: b}}
  parameters: {{unix_socket_directories: {at}, fsync: "off"}}
"#,
            programs = programs.display()
        );
        fs::write(folder.join(format!("{name}.yml")), settings).expect("writable");
        Self { name, api, port, folder: folder.to_owned(), patroni: None }
    }

    fn start(&mut self) {
        let log = fs::File::create(self.log_file()).expect("writable");
        let mut command = as_postgres("patroni");
        command.arg(self.folder.join(format!("{}.yml", self.name)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.patroni = Some(command.spawn().expect("it starts"));
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    /// Kills the server and its Patroni, as the loss of their machine would.
    fn kill(&mut self) {
        if let Some(mut patroni) = self.patroni.take() {
            // It may be gone already; that is as good.
            let _ = patroni.kill();
            let _ = patroni.wait();
        }
        let file = self.folder.join(self.name).join("postmaster.pid");
        let pid = fs::read_to_string(file).unwrap_or_default();
        if let Some(pid) = pid.lines().next() {
            let _ = Command::new("kill").args(["-KILL", pid]).stderr(Stdio::null()).status();
        }
    }

    /// The role, the state and the timeline of each server, as this one's Patroni knows them.
    fn members(&self) -> Option<Vec<(String, String, String, Value)>> {
        let (_, body) = http_get(self.api, "/cluster")?;
        let cluster: Value = serde_json::from_str(&body).ok()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let members = cluster["members"].as_array()?.iter().map(|member| {
            let (name, role) = (text(&member["name"]), text(&member["role"]));
            (name, role, text(&member["state"]), member["timeline"].clone())
        });
        Some(members.collect())
    }

    /// Who leads, if the whole pair runs.
    fn leader_of_a_whole_pair(&self) -> Option<(String, Value)> {
        let members = self.members()?;
        let runs = |state: &str| matches!(state, "running" | "streaming");
        let all_run = members.len() == 2 && members.iter().all(|(_, _, state, _)| runs(state));
        let leader = members.into_iter().find(|(_, role, ..)| role == "leader")?;
        all_run.then_some((leader.0, leader.3))
    }

    fn ask(&self, statement: &str) -> Option<String> {
        let output = Command::new("psql")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres"])
            .args(["-At", "-c", statement])
            .output()
            .expect("psql runs");
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.log_file()).unwrap_or_default();
            eprintln!("--- log of {}\n{log}", self.name);
        }
    }
}

/// PostgreSQL refuses to run as root.
fn as_postgres(program: &str) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", program]);
    command
}

/// Where the server's own programs are: Debian keeps a folder for each version.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .find(|folder| folder.join("initdb").is_file())
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let everybody = fs::Permissions::from_mode(0o777);
    fs::set_permissions(folder.path(), everybody).expect("it is ours");
    folder
}

#[test]
fn patroni_fails_over_when_it_must_and_not_when_althing_does() {
    let test = "patroni_fails_over_when_it_must_and_not_when_althing_does";
    let (Some(_), Some(_)) = (tool(test, "patroni", "patroni"), tool(test, "psql", "postgresql"))
    else {
        return;
    };
    let Some(programs) = programs() else {
        return support::skip(test, "no PostgreSQL server (Debian: apt-get install postgresql)");
    };
    let mut cluster = Cluster::start(3, &[]);
    let folder = folder();
    let endpoints = cluster.endpoints();
    let mut pair =
        ["p1", "p2"].map(|name| Postgres::new(name, folder.path(), &endpoints, &programs));
    pair.iter_mut().for_each(Postgres::start);
    wait_until("the pair runs", || pair[0].leader_of_a_whole_pair().is_some());
    let (leader, timeline) = pair[0].leader_of_a_whole_pair().expect("it was seen");
    let position = usize::from(leader == "p2");
    pair[position].ask("CREATE TABLE kept AS SELECT 42 AS answer").expect("the primary writes");
    wait_until("the other one has it", || pair[1 - position].ask("TABLE kept").is_some());

    // Althing loses its leader, and the pair goes on as before for many of Patroni's rounds.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let althing = runtime.block_on(cluster.wait_for_leader());
    cluster.servers[althing].kill();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(500));
        let is_primary = pair[position].ask("SELECT pg_is_in_recovery()");
        assert_eq!(is_primary.as_deref(), Some("f"), "the primary stays one");
    }
    wait_until("Patroni sees the pair whole", || pair[0].leader_of_a_whole_pair().is_some());
    let now = pair[0].leader_of_a_whole_pair().expect("it was seen");
    assert_eq!(now, (leader, timeline), "the loss of Althing's leader moves no primary");

    // The primary dies, with two of three of Althing's nodes there.
    pair[position].kill();
    let other = &pair[1 - position];
    wait_until("the other one takes over", || {
        other.ask("SELECT pg_is_in_recovery()").as_deref() == Some("f")
    });
    assert_eq!(other.ask("TABLE kept").as_deref(), Some("42"));
    other.ask("INSERT INTO kept VALUES (43)").expect("it is the primary");

    // Who comes back follows.
    cluster.servers[althing].start();
    pair[position].start();
    wait_until("the former primary follows", || {
        pair[position].ask("SELECT count(*) FROM kept").as_deref() == Some("2")
            && pair[position].ask("SELECT pg_is_in_recovery()").as_deref() == Some("t")
    });
}
