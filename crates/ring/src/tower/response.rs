//! The answer to a request, from whichever node gives it.

use std::boxed::Box;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll};
use std::vec::Vec;

use tower_service::Service;

use super::balance::BalanceError;
use super::flight::{Flight, Flying};

/// The future of a [`Balance`](super::Balance): the answer of a node or, if that failed, of
/// another.
///
/// Dropping it gives the request up, and the node has room again.
///
/// ```
/// use althing_ring::Ring;
/// use althing_ring::tower::{Balance, Response};
/// use tower::{Service, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stuck = service_fn(|_: ()| std::future::pending::<Result<(), std::io::Error>>());
/// let mut balance = Balance::new(Ring::new(["a"])?, [("a", stuck)], |_: &()| "key");
/// let answer: Response<_, ()> = balance.ready().await?.call(());
/// assert_eq!(balance.loads().next(), Some((&"a", 1)));
/// drop(answer);
/// assert_eq!(balance.loads().next(), Some((&"a", 0)));
/// # Ok(())
/// # }
/// ```
pub struct Response<S: Service<R>, R> {
    step: Step<S::Future, S::Error>,
    /// The request, as long as it may have to be sent again.
    again: Option<R>,
    retries: Vec<Retry<S>>,
    flight: Arc<Flight>,
}

/// A node that could repeat the request.
pub(super) struct Retry<S> {
    pub(super) service: S,
    pub(super) load: Arc<AtomicU64>,
}

enum Step<F, E> {
    /// A node has the request.
    Sent(Pin<Box<F>>, Flying),
    /// The last node failed, and the next is not ready yet.
    Failed(E),
    /// It was answered.
    Done,
}

impl<S: Service<R>, R> Response<S, R> {
    pub(super) fn new(
        answer: S::Future,
        flying: Flying,
        again: Option<R>,
        retries: Vec<Retry<S>>,
        flight: Arc<Flight>,
    ) -> Self {
        Self { step: Step::Sent(Box::pin(answer), flying), again, retries, flight }
    }
}

impl<S: Service<R>, R: Clone> Response<S, R> {
    /// Sends the request to the first of the nodes left that is ready. Whoever turns out not to
    /// work is left out, and what it said becomes the reason.
    fn send_again(
        &mut self,
        context: &mut Context<'_>,
        mut reason: S::Error,
    ) -> Step<S::Future, S::Error> {
        let mut next = 0;
        while next < self.retries.len() {
            match self.retries[next].service.poll_ready(context) {
                Poll::Pending => next += 1,
                Poll::Ready(Err(error)) => {
                    self.retries.remove(next);
                    reason = error;
                }
                Poll::Ready(Ok(())) => {
                    let mut retry = self.retries.remove(next);
                    let is_last = self.retries.is_empty();
                    let request = if is_last { self.again.take() } else { self.again.clone() };
                    let request = request.expect("it is kept while there are nodes left");
                    let flying = Flying::new(&self.flight, &retry.load);
                    return Step::Sent(Box::pin(retry.service.call(request)), flying);
                }
            }
        }
        Step::Failed(reason)
    }
}

// Nothing in it is pinned but what is in a box.
impl<S: Service<R>, R> Unpin for Response<S, R> {}

impl<S: Service<R>, R: Clone> Future for Response<S, R> {
    type Output = Result<S::Response, BalanceError<S::Error>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.step, Step::Done) {
                Step::Sent(mut answer, flying) => match answer.as_mut().poll(context) {
                    Poll::Pending => {
                        this.step = Step::Sent(answer, flying);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(answer)) => return Poll::Ready(Ok(answer)),
                    Poll::Ready(Err(error)) => this.step = Step::Failed(error),
                },
                Step::Failed(error) => {
                    this.step = this.send_again(context, error);
                    if let Step::Failed(_) = this.step {
                        if !this.retries.is_empty() {
                            return Poll::Pending;
                        }
                        let Step::Failed(error) = std::mem::replace(&mut this.step, Step::Done)
                        else {
                            unreachable!("it was just looked at");
                        };
                        return Poll::Ready(Err(BalanceError::Node(error)));
                    }
                }
                Step::Done => panic!("a future is not polled once it is ready"),
            }
        }
    }
}

impl<S: Service<R>, R> fmt::Debug for Response<S, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Sent(..) => "sent",
            Step::Failed(_) => "failed",
            Step::Done => "done",
        };
        let left = self.retries.len();
        formatter.debug_struct("Response").field("step", &step).field("retries", &left).finish()
    }
}
