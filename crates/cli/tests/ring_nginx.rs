//! `althing ring owner --format nginx` beside an nginx that runs: the same key, the same server.

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use althing_ring::formats::{Continuum, Format, Server};
use support::{PATIENCE, althing, free_port, skip, tool};

/// A server of an upstream: where it listens, its weight, and whether it is marked as down.
type Member = (String, u32, bool);

/// An nginx that answers for all servers of its upstreams itself; killed when dropped.
struct Nginx {
    process: Child,
    port: u16,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may be gone already; that is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Nginx {
    /// Starts it with one upstream of each list, which is reached under the path of its number.
    fn start(program: &Path, folder: &Path, upstreams: &[Vec<Member>]) -> Self {
        let port = free_port();
        let configuration = configuration(folder, port, upstreams);
        let file = folder.join("nginx.conf");
        std::fs::write(&file, configuration).expect("a temporary file");
        let process = Command::new(program)
            .arg("-p")
            .arg(folder)
            .arg("-e")
            .arg(folder.join("error.log"))
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let mut nginx = Self { process, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = nginx.process.try_wait().expect("a child");
            let log = || std::fs::read_to_string(folder.join("error.log")).unwrap_or_default();
            assert!(ended.is_none(), "nginx ended: {}", log());
            assert!(start.elapsed() < PATIENCE, "nginx does not listen: {}", log());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        nginx
    }

    /// The server that each key is sent to, in the words of the configuration.
    fn owners(&self, upstream: usize, keys: &[Vec<u8>]) -> Vec<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        let mut answers = BufReader::new(stream.try_clone().expect("a socket"));
        let mut owners = Vec::new();
        for key in keys {
            let mut request =
                format!("HEAD /{upstream} HTTP/1.1\r\nhost: x\r\nx-key: ").into_bytes();
            request.extend_from_slice(key);
            request.extend_from_slice(b"\r\n\r\n");
            stream.write_all(&request).expect("it reads");
            let mut owner = None;
            loop {
                let mut line = String::new();
                assert_ne!(answers.read_line(&mut line).expect("it answers"), 0, "it hung up");
                let Some((name, value)) = line.trim_end().split_once(": ") else {
                    if line == "\r\n" {
                        break;
                    }
                    assert!(line.starts_with("HTTP/1.1 204 "), "{line}");
                    continue;
                };
                if name.eq_ignore_ascii_case("x-owner") {
                    owner = Some(value.to_owned());
                }
            }
            owners.push(owner.expect("it names the server"));
        }
        owners
    }
}

fn configuration(folder: &Path, port: u16, upstreams: &[Vec<Member>]) -> String {
    let mut listens: Vec<&str> = upstreams.iter().flatten().map(|member| &*member.0).collect();
    listens.sort_unstable();
    listens.dedup();
    let listens: String = listens.iter().map(|listen| format!("listen {listen};\n")).collect();
    let (mut blocks, mut locations) = (String::new(), String::new());
    for (number, members) in upstreams.iter().enumerate() {
        blocks += &format!("upstream u{number} {{\nhash $http_x_key consistent;\n");
        for (address, weight, is_down) in members {
            let down = if *is_down { " down" } else { "" };
            blocks += &format!("server {address} weight={weight}{down};\n");
        }
        blocks += "}\n";
        locations += &format!("location = /{number} {{ proxy_pass http://u{number}; }}\n");
    }
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.display()))
        .collect();
    // One process without a master: it keeps the rights of whoever runs the test, so that it may
    // open the sockets in this folder, and one signal ends all of it.
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\naccess_log off;\nkeepalive_requests 1000000;\n{temporary}{blocks}\
         server {{\nlisten 127.0.0.1:{port};\n\
         add_header x-owner $upstream_addr always;\n{locations}}}\n\
         server {{\n{listens}return 204;\n}}\n}}\n",
        folder = folder.display(),
    )
}

/// Keys of all sorts: numbers, text that is not ASCII, and bytes that are no text.
fn keys() -> Vec<Vec<u8>> {
    let numbered = (0..2_000).map(|number| format!("user:{number}").into_bytes());
    let foreign = (0..250).map(|number| format!("schlüssel/键/{number}").into_bytes());
    let bytes = (0..250_u32).map(|number| {
        let noise = number.wrapping_mul(0x9e37_79b9).to_le_bytes();
        noise.map(|byte| byte | 0x80).to_vec()
    });
    numbered.chain(foreign).chain(bytes).collect()
}

fn ask_althing(members: &[Member], keys: &[Vec<u8>]) -> Vec<String> {
    let nodes: Vec<String> =
        members.iter().map(|(address, weight, _)| format!("{address}={weight}")).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("keys");
    std::fs::write(&input, keys.join(&b'\n')).expect("a temporary file");
    let output = althing()
        .args(["ring", "owner", "--format", "nginx", "--nodes", &nodes.join(",")])
        .stdin(std::fs::File::open(input).expect("it was just written"))
        .output()
        .expect("the program was built");
    assert!(output.status.success(), "{output:?}");
    let lines = output.stdout.strip_suffix(b"\n").expect("lines").split(|byte| *byte == b'\n');
    lines
        .map(|line| {
            let owner = line.rsplit(|byte| *byte == b' ').next().expect("a line has an owner");
            String::from_utf8(owner.to_vec()).expect("text")
        })
        .collect()
}

fn members(addresses: &[String], weights: &[u32]) -> Vec<Member> {
    addresses
        .iter()
        .cloned()
        .zip(weights)
        .map(|(address, weight)| (address, *weight, false))
        .collect()
}

#[test]
fn a_running_nginx_sends_every_key_to_the_same_server() {
    const NAME: &str = "a_running_nginx_sends_every_key_to_the_same_server";
    let Some(program) = tool(NAME, "nginx", "nginx-light") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plain: Vec<String> = (0..5).map(|_| format!("127.0.0.1:{}", free_port())).collect();
    let mut mixed: Vec<String> = plain[..2].to_vec();
    mixed.extend(
        ["a.sock", "b.sock"].map(|name| format!("unix:{}", folder.path().join(name).display())),
    );
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        mixed.extend((0..2).map(|_| format!("[::1]:{}", free_port())));
    } else {
        skip(NAME, "there is no IPv6 on this machine, so it ran without");
    }
    let upstreams = [
        members(&plain, &[1; 5]),
        members(&plain, &[1, 2, 3, 5, 10]),
        members(&mixed, &[2, 1, 3, 1, 2, 1]),
    ];
    let nginx = Nginx::start(&program, folder.path(), &upstreams);
    let keys = keys();
    for (number, members) in upstreams.iter().enumerate() {
        let (theirs, ours) = (nginx.owners(number, &keys), ask_althing(members, &keys));
        assert_eq!((theirs.len(), ours.len()), (keys.len(), keys.len()));
        let differing = theirs.iter().zip(&ours).filter(|(theirs, ours)| theirs != ours).count();
        assert_eq!(differing, 0, "of {} keys in upstream {number}", keys.len());
        for (address, ..) in members {
            assert!(ours.contains(address), "{address} got none of {} keys", keys.len());
        }
    }
}

#[test]
fn past_a_server_that_is_down_both_go_the_same_way() {
    const NAME: &str = "past_a_server_that_is_down_both_go_the_same_way";
    let Some(program) = tool(NAME, "nginx", "nginx-light") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let addresses: Vec<String> = (0..4).map(|_| format!("127.0.0.1:{}", free_port())).collect();
    let mut members = members(&addresses, &[1, 3, 1, 2]);
    members[1].2 = true;
    let nginx = Nginx::start(&program, folder.path(), std::slice::from_ref(&members));

    let servers =
        members.iter().map(|(address, weight, _)| Server::new(address.clone()).weighted(*weight));
    let continuum = Continuum::new(Format::Nginx, servers.collect()).expect("four servers");
    let keys = keys();
    let mut went_on = 0;
    for (key, theirs) in keys.iter().zip(nginx.owners(0, &keys)) {
        let is_up = |server: &&Server| server.address() != members[1].0;
        // One in thousands of keys meets more than 20 points of the server in a row; where that
        // key goes is up to the rotation.
        let Some(ours) = continuum.walk(key).take(21).find(is_up) else { continue };
        assert_eq!(theirs, ours.address(), "{}", String::from_utf8_lossy(key));
        went_on += usize::from(continuum.owner(key) != Some(ours));
    }
    // The server would own three of seven keys.
    assert!(went_on > keys.len() / 4, "{went_on}");
}
