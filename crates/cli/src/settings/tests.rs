use super::*;
use crate::failure::Kind;

fn resolve(
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<(Settings, Layers), Failure> {
    #[derive(clap::Parser)]
    #[command(no_binary_name = true)]
    struct Line {
        #[command(flatten)]
        serve: ServeArguments,
    }
    let line = <Line as clap::Parser>::try_parse_from(arguments).expect("known flags");
    let layers = Layers::read(&line.serve, |variable| {
        let found = environment.iter().find(|(name, _)| *name == variable);
        found.map(|(_, value)| (*value).to_owned())
    })?;
    Ok((Settings::new(&layers)?, layers))
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("writable");
    file
}

fn refusal(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let failure = resolve(arguments, environment).expect_err("the settings are wrong");
    assert_eq!(failure.kind, Kind::Usage);
    let parts = [Some(failure.message), failure.cause, failure.hint];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" | ")
}

#[test]
fn nothing_said_is_one_node_on_loopback() {
    let (settings, layers) = resolve(&[], &[]).expect("the defaults are right");
    assert_eq!(
        settings.words().into_iter().map(|(_, value)| value).collect::<Vec<_>>(),
        [
            "default",
            "default.althing",
            "127.0.0.1:2379",
            "127.0.0.1:2380",
            "127.0.0.1:2379",
            "default=127.0.0.1:2380",
            "",
            "127.0.0.1:2380",
            "althing-cluster",
            "raft",
            "1s",
            "100ms",
            "2GiB",
            "3600s",
            "1000000",
            "600s",
            "simple,ttl=300s",
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            "false",
        ]
    );
    for (key, _) in settings.words() {
        assert_eq!(layers.origin(key).to_string(), "default");
    }
}

#[test]
fn a_flag_counts_before_the_environment_before_the_file_before_the_default() {
    let file = file("quota = 7\nsnapshot-entries = 7\nelection-timeout = '7s'\n");
    let path = file.path().to_str().expect("the path is text");
    let environment = [("ALTHING_QUOTA", "8"), ("ALTHING_SNAPSHOT_ENTRIES", "8")];
    let (settings, layers) =
        resolve(&["--config", path, "--quota", "9"], &environment).expect("all are right");
    let found = (settings.quota, settings.snapshot_entries, settings.election_timeout.as_secs());
    assert_eq!(found, (9, 8, 7));
    assert_eq!(settings.heartbeat_interval, Duration::from_millis(100));
    for (key, origin) in [
        ("quota", "flag --quota".to_owned()),
        ("snapshot-entries", "environment ALTHING_SNAPSHOT_ENTRIES".to_owned()),
        ("election-timeout", format!("file {path}")),
        ("heartbeat-interval", "default".to_owned()),
    ] {
        assert_eq!(layers.origin(key).to_string(), origin);
    }
}

#[test]
fn the_environment_can_name_the_file_and_an_empty_variable_says_nothing() {
    let file = file("name = 'a'\n");
    let path = file.path().to_str().expect("the path is text");
    let environment = [("ALTHING_CONFIG", path), ("ALTHING_NAME", "")];
    let (settings, _) = resolve(&[], &environment).expect("all are right");
    assert_eq!(settings.name, "a");
}

#[test]
fn the_cluster_is_a_list_or_a_table() {
    let list = file("name = 'a'\ninitial-cluster = 'a=h:1,b=h:2'\n");
    let table = file("name = 'a'\n[initial-cluster]\nb = 'h:2'\na = 'h:1'\n");
    let read = |file: &tempfile::NamedTempFile| {
        let path = file.path().to_str().expect("the path is text");
        resolve(&["--config", path], &[]).expect("well formed").0
    };
    assert_eq!(read(&list), read(&table));
    assert_eq!(read(&list).initial_cluster.len(), 2);
}

#[test]
fn a_wrong_file_is_refused_with_the_key_and_the_nearest_one() {
    for (text, expected) in [
        ("qouta = 7\n", "there is no setting `qouta` | did you mean `quota`?"),
        ("listen_client = 'a:1'\n", "no setting `listen_client` | did you mean `listen-client`?"),
        ("colour = 7\n", "there is no setting `colour` | the settings are name, data,"),
        ("quota = 1.5\n", "`quota` has a value of the wrong kind | expected a text or"),
        ("name = 'a'\nquota = \n", ":2 is no TOML"),
        ("quota = 'much'\n", "quota cannot be `much` (file "),
    ] {
        let file = file(text);
        let path = file.path().to_str().expect("the path is text");
        let refusal = refusal(&["--config", path], &[]);
        assert!(refusal.contains(expected), "{text:?}: {refusal}");
    }
    assert!(refusal(&["--config", "/no/such/file"], &[]).contains("/no/such/file"));
}

#[test]
fn wrong_words_are_refused_with_their_origin() {
    for (arguments, environment, expected) in [
        (&["--quota", "much"][..], &[][..], "quota cannot be `much` (flag --quota)"),
        (&[], &[("ALTHING_QUOTA", "much")], "(environment ALTHING_QUOTA)"),
        (&["--listen-client", "a"], &[], "`a` is no address"),
        (&["--snapshot-entries", "0"], &[], "above zero"),
        (&["--initial-cluster", "a"], &[], "not of the form NAME=HOST:PORT"),
        (&["--initial-cluster", "a=h:1,a=h:2"], &[], "a is named twice"),
        (&["--initial-cluster", "a=h:1,b=h:1"], &[], "the same address"),
        (&["--name", "c", "--initial-cluster", "a=h:1,b=h:2"], &[], "`c`, is not in the initial"),
        (&["--listen-client", "0.0.0.0:1"], &[], "name one with --advertise-client"),
        (&["--listen-client", "[::]:1"], &[], "name one with --advertise-client"),
        (&["--election-timeout", "400ms"], &[], "at least five times"),
        (&["--cluster-token", ""], &[], "expected a word"),
        (&["--consensus", "zab"], &[], "expected raft or paxos"),
    ] {
        let refusal = refusal(arguments, environment);
        assert!(refusal.contains(expected), "{arguments:?}: {refusal}");
    }
    let everywhere = ["--listen-client", "0.0.0.0:1", "--advertise-client", "h:1", "--insecure"];
    resolve(&everywhere, &[]).expect("clients know where to go");
}

#[test]
fn other_machines_are_listened_to_under_tls_and_if_it_is_known_who_is_there() {
    let away = ["--listen-client", "10.0.0.1:1", "--listen-peer", "10.0.0.1:2"];
    let tls = [&away[..], &["--tls-cert", "c", "--tls-key", "k"]].concat();
    let known = [&tls[..], &["--client-ca", "a"]].concat();
    let whole = [&known[..], &["--peer-ca", "a"]].concat();
    for (arguments, expected) in [
        (&away[..], "10.0.0.1:1 can be reached from other machines | without TLS"),
        (&tls, "nothing says who may be a client"),
        (&known, "10.0.0.1:2 can be reached from other machines | without TLS"),
        (&["--tls-cert", "c"], "--tls-key is missing | --tls-cert needs it"),
        (&["--tls-key", "k"], "--tls-cert is missing | --tls-key needs it"),
        (&["--client-ca", "a"], "--tls-cert is missing | --client-ca needs it"),
        (&["--peer-ca", "a"], "--tls-cert is missing | --peer-ca needs it"),
        (&["--peer-cert", "c", "--peer-key", "k"], "--peer-ca is missing"),
        (&["--peer-cert", "c"], "--peer-key is missing"),
        (&["--crl", "r"], "--client-ca or --peer-ca is missing"),
        (&["--insecure", "perhaps"], "expected true or false"),
    ] {
        let refusal = refusal(arguments, &[]);
        assert!(refusal.contains(expected), "{arguments:?}: {refusal}");
    }
    let (settings, _) = resolve(&whole, &[]).expect("all that it takes");
    let (client, peer) = (settings.security.client(), settings.security.peer());
    assert_eq!(client, peer, "one certificate serves both");
    let users = [&tls[..], &["--peer-ca", "a", "--root-password-file", "p"]].concat();
    resolve(&users, &[]).expect("users are known by their passwords");
    resolve(&[&away[..], &["--insecure"]].concat(), &[]).expect("they were told");
    let file = file("listen-client = '10.0.0.1:1'\ninsecure = true\n");
    let path = file.path().to_str().expect("the path is text");
    resolve(&["--config", path], &[]).expect("they were told in the file");
}

#[test]
fn a_node_founds_a_cluster_or_joins_one() {
    let join = ["--name", "n4", "--join", "a:1,b:2", "--listen-peer", "0.0.0.0:3", "--insecure"];
    let (settings, _) =
        resolve(&[&join[..], &["--advertise-peer", "c:3"]].concat(), &[]).expect("it can be found");
    assert_eq!(settings.initial_cluster.len(), 0, "it is told who the members are");
    assert_eq!(joined(&settings.join), "a:1,b:2");
    assert!(refusal(&join, &[]).contains("--advertise-peer"), "everywhere is nowhere");
    let both = refusal(&["--join", "a:1"], &[("ALTHING_INITIAL_CLUSTER", "default=b:1")]);
    assert!(both.contains("cannot do both"), "{both}");
}
