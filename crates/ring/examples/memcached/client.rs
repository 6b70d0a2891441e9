//! A client of several memcached servers: `set` and `get` in memcached's text protocol, to the
//! server that libmemcached would ask.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use althing_ring::formats::{Continuum, ContinuumError, Format, Server};

/// Bytes of a value, beyond which an answer is not believed.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Servers and the connections to them, which are made when they are needed.
pub(crate) struct Client {
    continuum: Continuum,
    connections: BTreeMap<usize, BufReader<TcpStream>>,
}

impl Client {
    /// A client of servers at these addresses.
    pub(crate) fn new(addresses: &[String]) -> Result<Self, ContinuumError> {
        let servers = addresses.iter().map(Server::new).collect();
        let continuum = Continuum::new(Format::LibmemcachedWeighted, servers)?;
        Ok(Self { continuum, connections: BTreeMap::new() })
    }

    /// The address of the server that has `key`.
    pub(crate) fn owner(&self, key: &str) -> &str {
        self.continuum.owner(key.as_bytes()).expect("libmemcached has an owner for all").address()
    }

    /// Stores a value.
    pub(crate) fn set(&mut self, key: &str, value: &[u8]) -> io::Result<()> {
        let mut request = format!("set {key} 0 0 {}\r\n", value.len()).into_bytes();
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n");
        self.ask(key, &request, |connection| match &*line(connection)? {
            "STORED" => Ok(()),
            other => Err(io::Error::other(format!("not stored: {other}"))),
        })
    }

    /// Reads a value; `None` if the server does not have it.
    pub(crate) fn get(&mut self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.ask(key, format!("get {key}\r\n").as_bytes(), |connection| {
            let head = line(connection)?;
            if head == "END" {
                return Ok(None);
            }
            let length = head.rsplit(' ').next().and_then(|length| length.parse().ok());
            let length = length.filter(|length| *length <= VALUE_BYTES_MAX);
            let Some(length) = length.filter(|_| head.starts_with("VALUE ")) else {
                return Err(io::Error::other(format!("no value: {head}")));
            };
            let mut value = vec![0; length + 2];
            connection.read_exact(&mut value)?;
            value.truncate(length);
            match &*line(connection)? {
                "END" => Ok(Some(value)),
                other => Err(io::Error::other(format!("more than a value: {other}"))),
            }
        })
    }

    /// Sends a request to the server of `key`. After an error nobody knows what the next bytes on
    /// the connection mean, so that it is closed.
    fn ask<T>(
        &mut self,
        key: &str,
        request: &[u8],
        answer: impl Fn(&mut BufReader<TcpStream>) -> io::Result<T>,
    ) -> io::Result<T> {
        let position = self.continuum.owner_position(key.as_bytes());
        let position = position.expect("libmemcached has an owner for all");
        let mut connection = match self.connections.remove(&position) {
            Some(connection) => connection,
            None => connect(self.continuum.servers()[position].address())?,
        };
        connection.get_mut().write_all(request)?;
        let answer = answer(&mut connection)?;
        self.connections.insert(position, connection);
        Ok(answer)
    }
}

fn connect(address: &str) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

/// A line of an answer without its end.
fn line(connection: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    connection.by_ref().take(1_024).read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
