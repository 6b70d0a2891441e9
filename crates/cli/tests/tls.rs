//! Clusters under TLS: who is let in, who is not, and certificates that change under a node.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{Cluster, PATIENCE, althing, code, tool, wait_until};
use tempfile::TempDir;

/// A folder of certificates.
struct Certificates(TempDir);

impl Certificates {
    /// An authority, with a certificate for every node and one for a client.
    fn new() -> Self {
        let certificates = Self(tempfile::tempdir().expect("a temporary folder"));
        certificates.make(&["authority"]);
        certificates.make(&["node", "node"]);
        certificates.make(&["client", "app"]);
        certificates
    }

    fn make(&self, arguments: &[&str]) {
        let made = althing()
            .args(["certificate"])
            .args(arguments)
            .arg("--folder")
            .arg(self.0.path())
            .output()
            .expect("the program was built");
        assert!(made.status.success(), "{made:?}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// What a node is told of them.
    fn of_node(&self) -> Vec<String> {
        let files = [
            ("--tls-cert", "node.crt"),
            ("--tls-key", "node.key"),
            ("--client-ca", "ca.crt"),
            ("--peer-ca", "ca.crt"),
        ];
        files.into_iter().flat_map(|(flag, name)| [flag.to_owned(), self.text(name)]).collect()
    }

    /// Runs a command as the client that they are for.
    fn run(&self, endpoints: &str, arguments: &[&str]) -> Output {
        let mut command = to(endpoints, arguments);
        command.arg("--cacert").arg(self.path("ca.crt"));
        command.arg("--cert").arg(self.path("app.crt")).arg("--key").arg(self.path("app.key"));
        command.output().expect("the program was built")
    }

    fn curl(&self, curl: &Path, url: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(curl);
        command.args(["--silent", "--cacert"]).arg(self.path("ca.crt"));
        command.arg("--cert").arg(self.path("app.crt")).arg("--key").arg(self.path("app.key"));
        let output = command.args(arguments).arg(url).output().expect("curl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn to(endpoints: &str, arguments: &[&str]) -> Command {
    let mut command = althing();
    command.args(["--endpoints", endpoints]).args(arguments);
    command
}

fn start(count: usize, arguments: &[String]) -> Cluster {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut cluster = Cluster::plan(count, &arguments);
    for server in &mut cluster.servers {
        server.start();
    }
    cluster
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_cluster_under_tls_serves_who_shows_a_certificate_and_nobody_else() {
    let certificates = Certificates::new();
    let cluster = start(3, &certificates.of_node());
    let endpoints = cluster.endpoints();
    wait_until("all nodes serve", || {
        cluster.servers.iter().all(|server| {
            code(&certificates.run(&server.endpoint(), &["kv", "get", "a", "--count-only"]))
                == Some(0)
        })
    });
    let put = certificates.run(&endpoints, &["kv", "put", "a", "b"]);
    assert_eq!(code(&put), Some(0), "{put:?}");
    let status = certificates.run(&endpoints, &["status", "-o", "raw"]);
    assert_eq!(String::from_utf8_lossy(&status.stdout).matches("follower").count(), 2);

    let none = to(&format!("https://{endpoints}").replace(',', ",https://"), &["kv", "get", "a"])
        .arg("--cacert")
        .arg(certificates.path("ca.crt"))
        .output()
        .expect("the program was built");
    assert_eq!(code(&none), Some(5), "{none:?}");
    assert!(errors(&none).contains("--cert FILE"), "{none:?}");

    let stranger = Certificates::new();
    let misled = stranger.run(&endpoints, &["kv", "get", "a"]);
    assert_eq!(code(&misled), Some(5), "{misled:?}");
    assert!(errors(&misled).contains("--cacert FILE"), "{misled:?}");
    fs::copy(certificates.path("ca.crt"), stranger.path("ca.crt")).expect("writable");
    let refused = stranger.run(&endpoints, &["kv", "put", "a", "c"]);
    assert_eq!(code(&refused), Some(5), "{refused:?}");
    assert!(errors(&refused).contains("show a certificate of an authority"), "{refused:?}");

    let plain = to(&endpoints, &["kv", "get", "a"]).output().expect("the program was built");
    assert_ne!(code(&plain), Some(0), "{plain:?}");
    assert!(errors(&plain).contains("https://"), "{plain:?}");
}

#[test]
fn a_certificate_says_who_its_client_is() {
    let certificates = Certificates::new();
    certificates.make(&["client", "root"]);
    let password = certificates.path("password");
    fs::write(&password, "open sesame\n").expect("writable");
    let mut arguments = certificates.of_node();
    arguments.extend(["--root-password-file".to_owned(), password.display().to_string()]);
    let cluster = start(3, &arguments);
    let endpoints = cluster.endpoints();
    let run_as = |name: &str, arguments: &[&str]| {
        let mut command = to(&endpoints, arguments);
        command.arg("--cacert").arg(certificates.path("ca.crt"));
        command.arg("--cert").arg(certificates.path(&format!("{name}.crt")));
        command.arg("--key").arg(certificates.path(&format!("{name}.key")));
        command.output().expect("the program was built")
    };
    wait_until("the root user is there", || {
        code(&run_as("root", &["kv", "put", "a", "b"])) == Some(0)
    });
    let stranger = run_as("app", &["kv", "get", "a"]);
    assert_eq!(code(&stranger), Some(8), "a certificate of no user: {stranger:?}");
    for arguments in [
        &["role", "add", "reader"][..],
        &["role", "grant-permission", "reader", "read", "a"],
        &["user", "add", "app", "--no-password"],
        &["user", "grant-role", "app", "reader"],
    ] {
        let output = run_as("root", arguments);
        assert_eq!(code(&output), Some(0), "{arguments:?}: {output:?}");
    }
    assert_eq!(run_as("app", &["kv", "get", "a", "-o", "raw"]).stdout, b"b");
    assert_eq!(code(&run_as("app", &["kv", "put", "a", "c"])), Some(8));

    // A password goes before a certificate.
    let mut command = to(&endpoints, &["kv", "put", "a", "c", "--user", "root"]);
    command.arg("--password-file").arg(&password).arg("--cacert").arg(certificates.path("ca.crt"));
    command.arg("--cert").arg(certificates.path("app.crt"));
    command.arg("--key").arg(certificates.path("app.key"));
    let output = command.output().expect("the program was built");
    assert_eq!(code(&output), Some(0), "{output:?}");
}

#[test]
fn nobody_gets_in_before_users_count() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let password = folder.path().join("password");
    fs::write(&password, "open sesame\n").expect("writable");
    let path = password.display().to_string();
    // Two of three: there is no leader until the second starts, and users can't be enabled.
    let mut cluster = Cluster::plan(3, &["--root-password-file", &path]);
    cluster.servers[0].start();
    let endpoint = cluster.servers[0].endpoint();
    wait_until("it listens", || TcpStream::connect(&endpoint).is_ok());
    let early = to(&endpoint, &["kv", "get", "a", "--serializable", "--timeout", "500ms"]);
    let mut early = early;
    assert_ne!(code(&early.output().expect("the program was built")), Some(0));
    cluster.servers[1].start();
    wait_until("users count", || {
        let mut command = to(&endpoint, &["kv", "put", "a", "b", "--user", "root"]);
        command.args(["--password-file", &path]);
        code(&command.output().expect("the program was built")) == Some(0)
    });
    let nobody = to(&endpoint, &["kv", "get", "a"]).output().expect("the program was built");
    assert_eq!(code(&nobody), Some(8), "{nobody:?}");
}

#[test]
fn other_clients_speak_tls_too() {
    let test = "other_clients_speak_tls_too";
    let (Some(etcdctl), Some(curl)) =
        (tool(test, "etcdctl", "etcd-client"), tool(test, "curl", "curl"))
    else {
        return;
    };
    let certificates = Certificates::new();
    let cluster = start(1, &certificates.of_node());
    let endpoint = cluster.servers[0].endpoint();
    let url = format!("https://{endpoint}/health");
    wait_until("it is healthy", || {
        certificates.curl(&curl, &url, &["--http1.1"]).contains("\"true\"")
    });
    let shown = certificates.curl(&curl, &url, &["--http2", "--write-out", "%{http_version}"]);
    assert!(shown.ends_with('2'), "{shown}");
    let plain = certificates.curl(&curl, &url.replace("https", "http"), &[]);
    assert!(plain.contains("HTTP request to an HTTPS server"), "{plain}");

    let output = Command::new(etcdctl)
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", &format!("https://{endpoint}")])
        .args(["--cacert", &certificates.text("ca.crt")])
        .args(["--cert", &certificates.text("app.crt"), "--key", &certificates.text("app.key")])
        .args(["put", "a", "b"])
        .output()
        .expect("etcdctl runs");
    assert_eq!(output.stdout, b"OK\n", "{output:?}");
}

#[test]
fn a_node_without_the_right_certificate_is_no_member() {
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    let arguments = ours.of_node();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut cluster = Cluster::plan(3, &arguments);
    cluster.servers[2].set("--peer-ca", theirs.text("ca.crt"));
    cluster.servers[2].set("--tls-cert", theirs.text("node.crt"));
    cluster.servers[2].set("--tls-key", theirs.text("node.key"));
    for server in &mut cluster.servers {
        server.start();
    }
    for server in &cluster.servers[..2] {
        wait_until("two of three serve", || {
            code(&ours.run(&server.endpoint(), &["kv", "put", "a", "b"])) == Some(0)
        });
    }
    wait_until("the third is told why nobody knows it", || {
        cluster.servers[2].log().contains("no TLS with it")
    });
    let alone = theirs.run(&cluster.servers[2].endpoint(), &["kv", "get", "a", "--serializable"]);
    assert_ne!(code(&alone), Some(0), "another authority vouches for its clients");
}

#[test]
fn a_certificate_is_followed_without_a_restart() {
    let certificates = Certificates::new();
    let cluster = start(1, &certificates.of_node());
    let endpoint = cluster.servers[0].endpoint();
    let served = |client: &Certificates| {
        code(&client.run(&endpoint, &["kv", "get", "a", "--count-only"])) == Some(0)
    };
    wait_until("it serves", || served(&certificates));

    let after = Certificates::new();
    assert!(!served(&after));
    for name in ["node.key", "node.crt", "ca.crt"] {
        let (from, to) = (after.path(name), certificates.path(name));
        let beside = to.with_extension("beside");
        fs::copy(from, &beside).expect("writable");
        fs::rename(beside, to).expect("writable");
    }
    wait_until("the new authority counts", || served(&after));
    assert!(!served(&certificates), "its clients have certificates of the former authority");
}

#[test]
fn half_open_handshakes_end_and_harm_nobody() {
    const STRANGERS: usize = 300;
    let certificates = Certificates::new();
    let cluster = start(1, &certificates.of_node());
    let endpoint = cluster.servers[0].endpoint();
    let served = || code(&certificates.run(&endpoint, &["kv", "put", "a", "b"])) == Some(0);
    wait_until("it serves", served);

    let mut strangers: Vec<TcpStream> = (0..STRANGERS)
        .map(|position| {
            let mut stream = TcpStream::connect(&endpoint).expect("it listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
            // The head of a record that promises more than ever comes, or nothing at all.
            if position.is_multiple_of(2) {
                stream.write_all(&[22, 3, 1, 2, 0, 1]).expect("it takes bytes");
            }
            stream
        })
        .collect();
    assert!(served(), "while they are there");
    for stranger in &mut strangers {
        let ended = stranger.read(&mut [0; 64]);
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
    assert!(served(), "when they are gone");
}

#[test]
fn files_that_are_no_use_are_named() {
    let certificates = Certificates::new();
    let arguments = certificates.of_node();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut cluster = Cluster::plan(1, &arguments);
    cluster.servers[0].set("--tls-key", certificates.text("app.key"));
    let output = cluster.servers[0].run_to_the_end();
    assert_eq!(code(&output), Some(1), "{output:?}");
    assert!(errors(&output).contains("app.key cannot be used together"), "{output:?}");

    for (arguments, expected) in [
        (&["--cacert", "/no/such/file"][..], "cannot read /no/such/file of --cacert"),
        (&["--cert", &certificates.text("app.crt")], "--key is missing"),
        (&["--cacert", &certificates.text("app.key")], "--cacert holds no certificate"),
    ] {
        let output = to("127.0.0.1:1", &["status"]).args(arguments).output().expect("it was built");
        assert_eq!(code(&output), Some(2), "{output:?}");
        assert!(errors(&output).contains(expected), "{output:?}");
    }
}

#[test]
fn an_authority_is_never_replaced_and_a_key_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let certificates = Certificates::new();
    let run = |arguments: &[&str]| {
        let mut command = althing();
        command.arg("certificate").args(arguments).arg("--folder").arg(certificates.0.path());
        command.output().expect("the program was built")
    };
    for arguments in [&["authority"][..], &["client", "app"]] {
        let output = run(arguments);
        assert_eq!(code(&output), Some(2), "{output:?}");
        assert!(errors(&output).contains("is there already"), "{output:?}");
    }
    let before = fs::read(certificates.path("app.crt")).expect("readable");
    assert_eq!(code(&run(&["client", "app", "--replace"])), Some(0));
    assert_ne!(fs::read(certificates.path("app.crt")).expect("readable"), before);
    for name in ["ca.key", "app.key", "node.key"] {
        let mode = fs::metadata(certificates.path(name)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(code(&run(&["client", "../app"])), Some(2));
    assert_eq!(code(&run(&["node", "n1", "--hosts", "not a host"])), Some(2));
}
