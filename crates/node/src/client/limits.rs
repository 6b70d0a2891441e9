use std::time::Duration;

/// How much the clients of one server may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections; one more takes the place of the one that was silent longest.
    pub connections: usize,
    /// Requests in flight on one HTTP/2 connection.
    pub streams_per_connection: u32,
    /// Bytes of requests that one HTTP/2 connection may have sent and this server not yet read.
    pub connection_window_bytes: u32,
    /// Bytes of requests that have not arrived whole, on all connections together.
    pub request_bytes: usize,
    /// Requests that each user may make a second, and twice as many at once; zero for any number.
    pub requests_per_user: u32,
    /// How long the handshake of TLS may take.
    pub handshake_timeout: Duration,
    /// How long a new connection may take to say which protocol it speaks.
    pub first_bytes_timeout: Duration,
    /// How long an HTTP/1.1 connection may take to send the head of its next request.
    pub http1_idle_timeout: Duration,
    /// A ping is sent on an HTTP/2 connection that has been silent for so long.
    pub http2_ping_interval: Duration,
    /// The connection is closed if the ping goes unanswered for so long.
    pub http2_ping_timeout: Duration,
    /// Watches on all streams. Each costs a little with every write of a key that it watches.
    pub watches: i64,
    /// Watches on one stream.
    pub watches_per_stream: usize,
    /// How often a watch that asked for it is told how far it has come. etcd's ten minutes.
    pub watch_progress_interval: Duration,
    /// How often a stream that needs a leader looks whether there is one; it ends after three looks
    /// without.
    pub leader_check_interval: Duration,
    /// How long requests in flight may take to end when the server shuts down.
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            streams_per_connection: 1000,
            connection_window_bytes: 4 << 20,
            request_bytes: 256 << 20,
            requests_per_user: 20_000,
            handshake_timeout: Duration::from_secs(5),
            first_bytes_timeout: Duration::from_secs(10),
            // Above the loop time of clients that keep a connection (Patroni: 10 s), so that they
            // don't find it closed on every round.
            http1_idle_timeout: Duration::from_secs(75),
            http2_ping_interval: Duration::from_secs(30),
            http2_ping_timeout: Duration::from_secs(20),
            watches: 65_536,
            watches_per_stream: 16_384,
            watch_progress_interval: Duration::from_secs(600),
            leader_check_interval: Duration::from_secs(1),
            shutdown_grace: Duration::from_secs(5),
        }
    }
}
