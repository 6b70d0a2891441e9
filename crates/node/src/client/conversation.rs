use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::places::Place;

/// A connection whose first bytes were read already, and are there to be read again; every other
/// byte is noticed at its place.
pub(super) struct Conversation<S> {
    first: Vec<u8>,
    taken: usize,
    stream: S,
    place: Arc<Place>,
}

impl<S> Conversation<S> {
    pub(super) const fn new(first: Vec<u8>, stream: S, place: Arc<Place>) -> Self {
        Self { first, taken: 0, stream, place }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Conversation<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.first[self.taken..];
        if rest.is_empty() {
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
            self.place.heard();
            return Poll::Ready(read);
        }
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        self.taken += count;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Conversation<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::super::places::Places;
    use super::*;

    #[tokio::test]
    async fn the_first_bytes_come_before_the_rest_in_pieces_of_any_size() {
        for piece in 1..8 {
            let place = Places::new(1).take().expect("a free place");
            let mut stream = Conversation::new(b"abcd".to_vec(), &b"efg"[..], Arc::new(place));
            let mut whole = Vec::new();
            let mut buffer = vec![0; piece];
            loop {
                let count = stream.read(&mut buffer).await.expect("memory can be read");
                if count == 0 {
                    break;
                }
                whole.extend_from_slice(&buffer[..count]);
            }
            assert_eq!(whole, b"abcdefg", "in pieces of {piece}");
        }
    }
}
