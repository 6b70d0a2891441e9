use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tonic::Status;

/// How many bytes of requests that have not arrived whole are held, over all connections. Without
/// it a thousand streams of each of a thousand connections could each hold most of a message.
pub(super) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    /// So many bytes.
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(bytes) })
    }

    fn take(&self, bytes: usize) -> bool {
        let take = |left: usize| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The body of a request, charged to a budget for as long as it lives.
///
/// A body of one message is gone once that has arrived. A stream of them lives on, and what it sent
/// has mostly been taken from it: it is charged no more than the largest message that it may send.
pub(super) struct Metered<B = Incoming> {
    body: B,
    budget: Arc<Budget>,
    charged: usize,
    charged_max: usize,
}

impl<B> Metered<B> {
    /// The body, which may be charged up to `charged_max` bytes.
    pub(super) const fn new(body: B, budget: Arc<Budget>, charged_max: usize) -> Self {
        Self { body, budget, charged: 0, charged_max }
    }
}

impl<B> Drop for Metered<B> {
    fn drop(&mut self) {
        self.budget.give_back(self.charged);
    }
}

impl<B> Body for Metered<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            Some(Ok(frame)) => frame,
        };
        let length = frame.data_ref().map_or(0, Bytes::len);
        let charge = length.min(self.charged_max - self.charged);
        if !self.budget.take(charge) {
            let why = "the requests that are under way hold too many bytes; come back later";
            return Poll::Ready(Some(Err(Status::resource_exhausted(why).into())));
        }
        self.charged += charge;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    async fn read(body: &mut Metered<Full<Bytes>>) -> Result<usize, String> {
        let frame = body.frame().await.expect("there is one");
        frame.map(|frame| frame.data_ref().map_or(0, Bytes::len)).map_err(|it| it.to_string())
    }

    fn body(bytes: usize, budget: &Arc<Budget>, charged_max: usize) -> Metered<Full<Bytes>> {
        Metered::new(Full::new(vec![0; bytes].into()), Arc::clone(budget), charged_max)
    }

    #[tokio::test]
    async fn bodies_are_charged_while_they_live_and_refused_beyond_the_budget() {
        let budget = Budget::new(100);
        let mut first = body(60, &budget, usize::MAX);
        assert_eq!(read(&mut first).await, Ok(60));
        let refused = read(&mut body(41, &budget, usize::MAX)).await.expect_err("only 40 are left");
        assert!(refused.contains("come back later"), "{refused}");
        assert_eq!(read(&mut body(40, &budget, usize::MAX)).await, Ok(40));
        drop(first);
        assert_eq!(read(&mut body(100, &budget, usize::MAX)).await, Ok(100));
        assert_eq!(budget.left.load(Ordering::Relaxed), 100, "all was given back");
    }

    #[tokio::test]
    async fn a_stream_is_charged_no_more_than_one_message() {
        let budget = Budget::new(100);
        let mut stream = body(1000, &budget, 60);
        assert_eq!(read(&mut stream).await, Ok(1000));
        assert_eq!(budget.left.load(Ordering::Relaxed), 40);
    }
}
