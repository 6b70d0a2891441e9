//! Every key of every vector, as the real programs answered it on Debian 12.

use althing_ring::formats::{Continuum, Format, Server};

fn servers(texts: &[&str]) -> Vec<Server> {
    texts.iter().map(|text| text.parse().expect("a server")).collect()
}

/// Rows are `key,hash,server,position` under a line of headings.
fn agrees(format: Format, texts: &[&str], vectors: &str) {
    let continuum = Continuum::new(format, servers(texts)).expect("a real configuration");
    let mut rows = 0;
    for row in vectors.lines().skip(1) {
        let fields: Vec<&str> = row.split(',').collect();
        let [key, _, server, position] = fields[..] else { panic!("no row: {row}") };
        let owner = continuum.owner(key.as_bytes()).expect("the key is not empty");
        assert_eq!(owner.label(), server, "{format}: {key}");
        let expected = position.parse().expect("a number");
        assert_eq!(continuum.owner_position(key.as_bytes()), Some(expected), "{format}: {key}");
        rows += 1;
    }
    assert_eq!(rows, 200, "{format}");
}

/// Rows are `key,server` under a line of headings, the key in hexadecimal digits: bytes that are no
/// ASCII, which are negative numbers to these programs.
fn agrees_in_bytes(format: Format, texts: &[&str], vectors: &str) {
    let continuum = Continuum::new(format, servers(texts)).expect("a real configuration");
    let mut rows = 0;
    for (digits, server) in vectors.lines().skip(1).filter_map(|row| row.split_once(',')) {
        let bytes = (0..digits.len()).step_by(2);
        let bytes = bytes.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("digits"));
        let key: Vec<u8> = bytes.collect();
        assert!(!key.is_ascii(), "{digits}");
        assert_eq!(continuum.owner(&key).map(Server::label), Some(server), "{format}: {digits}");
        rows += 1;
    }
    assert_eq!(rows, 60, "{format}");
}

const NGINX: [&str; 5] =
    ["127.0.0.1:19001", "127.0.0.1:19002", "127.0.0.1:19003", "127.0.0.1:19004", "127.0.0.1:19005"];

#[test]
fn nginx_of_equal_weights() {
    agrees(Format::Nginx, &NGINX, include_str!("vectors/nginx-equal.csv"));
}

#[test]
fn nginx_of_unequal_weights() {
    let weighted: Vec<String> = NGINX
        .iter()
        .zip([1, 2, 3, 5, 10])
        .map(|(address, weight)| format!("{address}={weight}"))
        .collect();
    let weighted: Vec<&str> = weighted.iter().map(String::as_str).collect();
    agrees(Format::Nginx, &weighted, include_str!("vectors/nginx-weighted.csv"));
}

#[test]
fn libmemcached_weighted() {
    let servers = [
        "10.0.1.1:11211=600",
        "10.0.1.2:11211=300",
        "10.0.1.3:11211=200",
        "10.0.1.4:11211=350",
        "10.0.1.5:11211=1000",
        "10.0.1.6:11211=800",
        "10.0.1.7:11211=950",
        "10.0.1.8:11211=100",
    ];
    let vectors = include_str!("vectors/libmemcached-weighted-w8.csv");
    agrees(Format::LibmemcachedWeighted, &servers, vectors);
}

#[test]
fn libmemcached_unweighted() {
    let servers = [
        "127.0.0.1:19101",
        "127.0.0.1:19102",
        "127.0.0.1:19103",
        "127.0.0.1:19104",
        "127.0.0.1:19105",
    ];
    let vectors = include_str!("vectors/libmemcached-ketama-unweighted5.csv");
    agrees(Format::Libmemcached, &servers, vectors);
    let vectors = include_str!("vectors/libmemcached-bytes.csv");
    agrees_in_bytes(Format::Libmemcached, &servers, vectors);
}

#[test]
fn twemproxy_with_names_and_fnv1a() {
    let servers = [
        "srv0@127.0.0.1:19101",
        "srv1@127.0.0.1:19102",
        "srv2@127.0.0.1:19103",
        "srv3@127.0.0.1:19104",
        "srv4@127.0.0.1:19105",
    ];
    let vectors = include_str!("vectors/twemproxy-fnv1a_64_equal_named.csv");
    agrees(Format::TwemproxyFnv1a64, &servers, vectors);
    let vectors = include_str!("vectors/twemproxy-fnv1a_64-bytes.csv");
    agrees_in_bytes(Format::TwemproxyFnv1a64, &servers, vectors);
}

#[test]
fn twemproxy_weighted_with_md5() {
    let servers = [
        "127.0.0.1:19101=1",
        "127.0.0.1:19102=2",
        "127.0.0.1:19103=3",
        "127.0.0.1:19104=5",
        "127.0.0.1:19105=10",
    ];
    let vectors = include_str!("vectors/twemproxy-md5_weighted_plain.csv");
    agrees(Format::TwemproxyMd5, &servers, vectors);
}
