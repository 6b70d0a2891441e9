//! The loop that accepts clients, and one task for each of them.
//!
//! One port speaks HTTP/1.1 (curl, the JSON gateway, Prometheus) and HTTP/2 (gRPC): the first bytes
//! of a connection tell which, under TLS too. Everything a client can hold has an end: the number
//! of connections, the streams and buffered bytes of each, and the time it may keep silent.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tonic::body::Body;

use super::conversation::Conversation;
use super::places::{Place, Places};
#[cfg(feature = "traces")]
use super::traces;
use super::{Answer, CertificateName, Limits, Services};
use crate::tls::{ClientTls, Current, Stream, name_in_certificate};

/// Serves clients until `shutdown` resolves, then lets requests in flight end and returns.
///
/// It needs a tokio runtime with I/O and time, of either flavour.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Current<ClientTls>>>,
    services: Services,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let (closing, _) = watch::channel(Closing::No);
    let server = Arc::new(Server::new(services, tls, limits));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, _)) => server.admit(stream, &closing),
            Err(error) => refuse_for_a_while(&error).await,
        }
    }
    drop(listener);
    closing.send_replace(Closing::AfterRequestsInFlight);
    if timeout(server.limits.shutdown_grace, closing.closed()).await.is_err() {
        closing.send_replace(Closing::Now);
        closing.closed().await;
    }
}

/// What the connections are told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    No,
    AfterRequestsInFlight,
    Now,
}

struct Server {
    services: Services,
    tls: Option<Arc<Current<ClientTls>>>,
    limits: Limits,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    places: Arc<Places>,
}

impl Server {
    fn new(services: Services, tls: Option<Arc<Current<ClientTls>>>, limits: Limits) -> Self {
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(limits.http1_idle_timeout);

        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            // No gRPC client reads it, and every answer would carry it.
            .auto_date_header(false)
            .max_concurrent_streams(limits.streams_per_connection)
            // A client whose requests all time out at once takes them back all at once; with
            // hyper's 20 it would lose its connection for that.
            .max_pending_accept_reset_streams(limits.streams_per_connection as usize)
            .initial_connection_window_size(limits.connection_window_bytes)
            // One stream may take half: a large request doesn't silence its neighbours.
            .initial_stream_window_size(limits.connection_window_bytes / 2)
            .keep_alive_interval(limits.http2_ping_interval)
            .keep_alive_timeout(limits.http2_ping_timeout);

        let places = Places::new(limits.connections);
        Self { services, tls, limits, http1, http2, places }
    }

    /// Starts the connection's task, or closes the connection if nobody leaves a place for it.
    fn admit(self: &Arc<Self>, stream: TcpStream, closing: &watch::Sender<Closing>) {
        let Some(place) = self.places.take() else {
            self.services.metrics().client_connections_refused.increment();
            return;
        };
        let server = Arc::clone(self);
        let closing = closing.subscribe();
        tokio::spawn(async move { server.converse(stream, Arc::new(place), closing).await });
    }

    async fn converse(
        &self,
        stream: TcpStream,
        place: Arc<Place>,
        mut closing: watch::Receiver<Closing>,
    ) {
        let _open = OpenConnection::new(&self.services);
        let opened = tokio::select! {
            opened = self.open(stream, &place) => opened,
            _ = closing.changed() => return,
            () = place.must_be_left() => return self.evicted(),
        };
        let Ok(Opened { protocol, stream, certificate }) = opened else {
            return;
        };
        let stream = TokioIo::new(stream);
        let services =
            Seated { services: self.services.clone(), place: Arc::clone(&place), certificate };
        let conversing = async {
            // How a connection ends is the client's affair: it is neither an error nor news.
            match protocol {
                Protocol::Http1 => {
                    let connection = self.http1.serve_connection(stream, services);
                    until_closed(pin!(connection), |it| it.graceful_shutdown(), closing).await;
                }
                Protocol::Http2 => {
                    let connection = self.http2.serve_connection(stream, services);
                    until_closed(pin!(connection), |it| it.graceful_shutdown(), closing).await;
                }
            }
        };
        tokio::select! {
            () = conversing => {}
            () = place.must_be_left() => self.evicted(),
        }
    }

    fn evicted(&self) {
        self.services.metrics().client_connections_refused.increment();
    }
}

/// The services, as one connection has them.
struct Seated {
    services: Services,
    place: Arc<Place>,
    certificate: Option<CertificateName>,
}

impl hyper::service::Service<Request<Incoming>> for Seated {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, mut request: Request<Incoming>) -> Answer {
        self.place.asked();
        if let Some(certificate) = &self.certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        #[cfg(feature = "traces")]
        let span = traces::span(&request);
        let answer = self.services.call(request);
        #[cfg(feature = "traces")]
        let answer = Answer::new(traces::follow(span, answer));
        answer
    }
}

/// A connection that is ready for its first request.
struct Opened {
    protocol: Protocol,
    stream: Conversation<Stream>,
    certificate: Option<CertificateName>,
}

impl Server {
    /// What a connection needs before its first request: TLS, and which protocol it speaks.
    async fn open(&self, stream: TcpStream, place: &Arc<Place>) -> io::Result<Opened> {
        // An answer is one write; waiting for more to send would only delay it.
        stream.set_nodelay(true)?;
        let mut stream = match &self.tls {
            None => Either::Left(stream),
            Some(tls) => self.shake_hands(&tls.get(), stream).await?,
        };
        let (protocol, first) =
            timeout(self.limits.first_bytes_timeout, protocol_of(&mut stream)).await??;
        let certificate = name_in_certificate(&stream).map(|name| CertificateName(name.into()));
        let stream = Conversation::new(first, stream, Arc::clone(place));
        Ok(Opened { protocol, stream, certificate })
    }

    async fn shake_hands(&self, tls: &ClientTls, stream: TcpStream) -> io::Result<Stream> {
        match timeout(self.limits.handshake_timeout, accept_under(tls, stream)).await {
            Ok(Ok(stream)) => return Ok(Either::Right(Box::new(stream.into()))),
            Ok(Err(error)) => tracing::debug!("a client's handshake failed: {error}"),
            Err(_) => tracing::debug!("a client did not finish its handshake in time"),
        }
        self.services.metrics().client_handshakes_failed.increment();
        Err(io::ErrorKind::ConnectionAborted.into())
    }
}

async fn accept_under(tls: &ClientTls, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    /// What a TLS record begins with that is part of a handshake (RFC 8446 section 5.1).
    const HANDSHAKE: u8 = 22;
    /// For whoever speaks without TLS here: what is wrong, in the words of Go's server.
    const EXPLANATION: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n\
        Client sent an HTTP request to an HTTPS server.\n";
    let mut first = [HANDSHAKE];
    stream.peek(&mut first).await?;
    if first != [HANDSHAKE] {
        stream.write_all(EXPLANATION).await?;
        part(stream).await;
        return Err(io::Error::other("it speaks without TLS"));
    }
    match tls.0.accept(stream).into_fallible().await {
        Ok(stream) => Ok(stream),
        Err((error, stream)) => {
            part(stream).await;
            Err(error)
        }
    }
}

/// Closes a connection such that what was said last arrives: closing it over bytes that nobody read
/// would make the client's system throw that away (RFC 9112 section 9.6).
async fn part(mut stream: TcpStream) {
    const LINGER_MAX: Duration = Duration::from_secs(1);
    const BYTES_MAX: u64 = 64 << 10;
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(BYTES_MAX);
        // Either way it is over.
        let _ = timeout(LINGER_MAX, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}

/// Drives a connection to its end, passing on the order to close.
async fn until_closed<C: Future>(
    mut connection: Pin<&mut C>,
    close: impl Fn(Pin<&mut C>),
    mut closing: watch::Receiver<Closing>,
) {
    loop {
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            // Without a sender nobody waits for this connection any more.
            changed = closing.changed() => if changed.is_err() { return },
        }
        match *closing.borrow_and_update() {
            Closing::No => {}
            Closing::AfterRequestsInFlight => close(connection.as_mut()),
            Closing::Now => return,
        }
    }
}

enum Protocol {
    Http1,
    Http2,
}

/// Which protocol the client speaks, told from its first bytes, which are given back with it.
///
/// An HTTP/2 client begins with a fixed preface (RFC 9113 section 3.4). Waiting for all of it means
/// that the HTTP/2 handshake, which has no time limit of its own, never waits.
async fn protocol_of(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Protocol, Vec<u8>)> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut first = Vec::with_capacity(PREFACE.len());
    let mut limited = stream.take(PREFACE.len() as u64);
    loop {
        if limited.read_buf(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first != PREFACE[..first.len()] {
            return Ok((Protocol::Http1, first));
        }
        if first.len() == PREFACE.len() {
            return Ok((Protocol::Http2, first));
        }
    }
}

/// Counts a connection for as long as it lives.
struct OpenConnection<'a>(&'a Services);

impl<'a> OpenConnection<'a> {
    fn new(services: &'a Services) -> Self {
        services.metrics().client_connections.increment();
        Self(services)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.metrics().client_connections.decrement();
    }
}

/// An accept that fails for lack of file descriptors fails again at once: without a pause the loop
/// would take a whole processor.
async fn refuse_for_a_while(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    tracing::warn!(%error, "a client's connection could not be accepted");
    sleep(Duration::from_millis(200)).await;
}
