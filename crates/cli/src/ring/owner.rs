//! `althing ring owner`: keys come in, owners go out.

use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read as _, Write};

use althing_ring::formats::{Continuum, Format as ServerFormat};
use althing_ring::{Node, Placement as _, Ring};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::nodes::NodeArguments;
use crate::Outcome;
use crate::failure::{Failure, Kind};
use crate::output::{Format, json_bytes, printable};

/// Bytes of a key. What is longer is no key, but a file without ends of lines.
const KEY_BYTES_MAX: usize = 1 << 20;

/// Arguments of `althing ring owner`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
A key is a line of the standard input, any bytes but the end of the line; what goes out is the key,
a blank and its owner, or with `-o json` an object for each key. Nodes stand in the order of the
configuration, which decides where two have the same point; an owner shows by its name if it has
one.

Examples:
  echo user:42 | althing ring owner --nodes 10.0.0.1:11211,10.0.0.2:11211=3
  althing ring owner --format nginx --nodes unix:/run/a.sock,[::1]:8080=5 < keys
  althing ring owner --format twemproxy-md5 --nodes a@10.0.0.1:11211,b@10.0.0.2:11211 < keys")]
pub(crate) struct OwnerArguments {
    /// Whose points to compute: Althing's own, or those of a program that runs already
    #[arg(long, value_enum, default_value = "althing")]
    format: Points,
    #[command(flatten)]
    nodes: NodeArguments,
}

/// The formats by the names that they have on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Points {
    /// Althing's own ring
    Althing,
    /// nginx: `hash KEY consistent`
    Nginx,
    /// libmemcached: ketama without weights
    Libmemcached,
    /// libmemcached: ketama with weights
    LibmemcachedWeighted,
    /// twemproxy: ketama, keys hashed with MD5
    TwemproxyMd5,
    /// twemproxy: ketama, keys hashed with FNV-1a, its default
    #[value(name = "twemproxy-fnv1a_64")]
    TwemproxyFnv1a64,
}

impl Points {
    /// The format of a program that is not Althing.
    fn foreign(self) -> Option<ServerFormat> {
        match self {
            Self::Althing => None,
            Self::Nginx => Some(ServerFormat::Nginx),
            Self::Libmemcached => Some(ServerFormat::Libmemcached),
            Self::LibmemcachedWeighted => Some(ServerFormat::LibmemcachedWeighted),
            Self::TwemproxyMd5 => Some(ServerFormat::TwemproxyMd5),
            Self::TwemproxyFnv1a64 => Some(ServerFormat::TwemproxyFnv1a64),
        }
    }
}

/// Who can be asked.
enum Owners {
    Ring(Box<Ring<String>>),
    Continuum(Continuum),
}

impl Owners {
    fn of(arguments: &OwnerArguments) -> Result<Self, Failure> {
        let servers = arguments.nodes.read()?;
        let refused =
            |cause: &dyn std::fmt::Display| Failure::usage("these nodes make no ring").cause(cause);
        match arguments.format.foreign() {
            Some(format) => {
                let continuum = Continuum::new(format, servers).map_err(|error| refused(&error))?;
                Ok(Self::Continuum(continuum))
            }
            None => {
                let nodes = servers
                    .iter()
                    .map(|server| Node::new(server.label().to_owned()).weight(server.weight()));
                let ring = Ring::new(nodes).map_err(|error| refused(&error))?;
                if ring.live_nodes() == 0 {
                    return Err(refused(&"no node has a weight above 0"));
                }
                Ok(Self::Ring(Box::new(ring)))
            }
        }
    }

    fn owner(&self, key: &[u8]) -> Option<&str> {
        match self {
            Self::Ring(ring) => ring.owner(key).map(String::as_str),
            Self::Continuum(continuum) => continuum.owner(key).map(|server| server.label()),
        }
    }
}

/// Tells the owners of all keys on the standard input.
pub(crate) fn run(arguments: &OwnerArguments, format: Format) -> Result<Outcome, Failure> {
    let owners = Owners::of(arguments)?;
    let mut keys = Keys::new(io::stdin().lock());
    let mut out = BufWriter::new(io::stdout().lock());
    let told = tell(&owners, &mut keys, &mut out, format);
    // What was found before an error is as true as without it.
    let flushed = out.flush().map_err(Stop::Output);
    match told.and(flushed) {
        Ok(()) => Ok(Outcome::Done),
        // A reader that left early, as `head` does, is no failure.
        Err(Stop::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(Outcome::Done),
        Err(Stop::Output(error)) => {
            Err(Failure::new(Kind::Other, "cannot write the result").cause(error))
        }
        Err(Stop::Input(failure)) => Err(failure),
    }
}

/// Why it ends before the keys do.
enum Stop {
    Input(Failure),
    Output(io::Error),
}

fn tell<R: io::Read>(
    owners: &Owners,
    keys: &mut Keys<R>,
    out: &mut impl Write,
    format: Format,
) -> Result<(), Stop> {
    loop {
        if keys.would_wait() {
            // Whoever writes a key and waits for its owner gets it now.
            out.flush().map_err(Stop::Output)?;
        }
        let Some((line, key)) = keys.next().map_err(Stop::Input)? else { return Ok(()) };
        let Some(owner) = owners.owner(key) else {
            let message = format!("line {line}: an empty key has no owner");
            let cause = "nginx deals requests without a key out in turn";
            return Err(Stop::Input(Failure::new(Kind::Other, message).cause(cause)));
        };
        write_owner(out, key, owner, format).map_err(Stop::Output)?;
    }
}

fn write_owner(out: &mut impl Write, key: &[u8], owner: &str, format: Format) -> io::Result<()> {
    match format {
        Format::Json => writeln!(out, "{}", json!({ "key": json_bytes(key), "owner": owner })),
        Format::Table => writeln!(out, "{} {owner}", printable(key)),
        Format::Raw => {
            out.write_all(key)?;
            writeln!(out, " {owner}")
        }
    }
}

/// The lines of an input, one at a time in one buffer.
struct Keys<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    number: u64,
}

impl<R: io::Read> Keys<R> {
    fn new(input: R) -> Self {
        Self { input: BufReader::with_capacity(1 << 16, input), line: Vec::new(), number: 0 }
    }

    /// Whether nothing is left of what was read ahead.
    fn would_wait(&self) -> bool {
        self.input.buffer().is_empty()
    }

    /// The number of the next line, from 1, and the key in it, which ends with LF, CR LF, or the
    /// input.
    fn next(&mut self) -> Result<Option<(u64, &[u8])>, Failure> {
        self.line.clear();
        self.number += 1;
        let mut limited = (&mut self.input).take(KEY_BYTES_MAX as u64 + 2);
        let read = limited.read_until(b'\n', &mut self.line);
        let read = read.map_err(|error| {
            Failure::new(Kind::Other, format!("cannot read line {}", self.number)).cause(error)
        })?;
        if read == 0 {
            return Ok(None);
        }
        let key = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let key = key.strip_suffix(b"\r").unwrap_or(key);
        if key.len() > KEY_BYTES_MAX {
            let message = format!("line {} is longer than {KEY_BYTES_MAX} bytes", self.number);
            return Err(Failure::new(Kind::Other, message).hint("write one key a line"));
        }
        Ok(Some((self.number, key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(input: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut keys = Keys::new(input);
        let mut found = Vec::new();
        while let Some((number, key)) = keys.next().expect("short lines") {
            found.push((number, key.to_vec()));
        }
        found
    }

    #[test]
    fn a_key_is_a_line_however_it_ends() {
        let expected = [(1, b"a".to_vec()), (2, b"".to_vec()), (3, b"b\rc".to_vec())];
        assert_eq!(keys(b"a\n\nb\rc"), expected);
        assert_eq!(keys(b"a\r\n\r\nb\rc\r\n"), expected);
        assert_eq!(keys(b""), []);
        assert_eq!(keys(b"\xff\n"), [(1, b"\xff".to_vec())]);
    }

    #[test]
    fn a_line_has_a_longest_length() {
        let mut long = vec![b'x'; KEY_BYTES_MAX];
        assert_eq!(keys(&long)[0].1.len(), KEY_BYTES_MAX);
        long.extend(b"\r\n");
        assert_eq!(keys(&long), [(1, long[..KEY_BYTES_MAX].to_vec())]);
        long.insert(0, b'x');
        let failure = Keys::new(&long[..]).next().map(|_| ()).expect_err("one byte too many");
        assert!(failure.message.contains("line 1"), "{failure:?}");
    }

    #[test]
    fn every_format_of_the_crate_has_a_name_here() {
        let mut foreign: Vec<ServerFormat> =
            Points::value_variants().iter().filter_map(|points| points.foreign()).collect();
        foreign.sort();
        assert_eq!(foreign, ServerFormat::ALL);
        for points in Points::value_variants() {
            let name = points.to_possible_value().expect("none is hidden").get_name().to_owned();
            let expected = points.foreign().map_or("althing", ServerFormat::name);
            assert_eq!(name, expected);
        }
    }
}
