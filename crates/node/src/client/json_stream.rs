//! Messages that come one after the other as JSON in the body of a request, as in etcd's gateway.

use axum::body::Body;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Deserializer;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::gateway::parse;

/// The longest message, in bytes. Watches and leases need a few hundred; an unfinished message is
/// looked at again with every piece that arrives, so this also bounds that work.
pub(super) const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// Reads the messages of a body as they arrive. Ends at the end of the body, or with what is wrong
/// with it.
pub(super) fn read<Q>(body: Body) -> ReceiverStream<Result<Q, Status>>
where
    Q: DeserializeOwned + Default + Send + 'static,
{
    let (messages, stream) = mpsc::channel(1);
    tokio::spawn(async move {
        if let Err(status) = read_to(body, &messages).await {
            // A stream that has ended does not miss it.
            let _ = messages.send(Err(status)).await;
        }
    });
    ReceiverStream::new(stream)
}

async fn read_to<Q>(body: Body, messages: &mpsc::Sender<Result<Q, Status>>) -> Result<(), Status>
where
    Q: DeserializeOwned + Default,
{
    let mut pieces = body.into_data_stream();
    let mut pending = Vec::new();
    loop {
        let piece = tokio::select! {
            piece = pieces.next() => piece,
            () = messages.closed() => return Ok(()),
        };
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|error| Status::cancelled(error.to_string()))?;
        // A piece may hold many messages; only what is not finished counts against the limit.
        pending.extend_from_slice(&piece);
        let taken = take_messages(&pending, messages).await?;
        pending.drain(..taken);
        if pending.len() > MESSAGE_BYTES_MAX {
            let why = format!("a message of the stream exceeds {MESSAGE_BYTES_MAX} bytes");
            return Err(Status::resource_exhausted(why));
        }
    }
    match pending.trim_ascii() {
        [] => Ok(()),
        _ => Err(Status::invalid_argument("the body of the request ends within a message")),
    }
}

/// Hands on every whole message; returns how many bytes they were.
async fn take_messages<Q>(
    pending: &[u8],
    messages: &mpsc::Sender<Result<Q, Status>>,
) -> Result<usize, Status>
where
    Q: DeserializeOwned + Default,
{
    let mut taken = 0;
    loop {
        let mut values = Deserializer::from_slice(&pending[taken..]).into_iter::<IgnoredAny>();
        match values.next() {
            None => return Ok(taken),
            Some(Err(error)) if error.is_eof() => return Ok(taken),
            Some(Err(error)) => return Err(Status::invalid_argument(error.to_string())),
            Some(Ok(IgnoredAny)) => {}
        }
        let end = taken + values.byte_offset();
        let message = parse(pending[taken..end].trim_ascii())?;
        if messages.send(Ok(message)).await.is_err() {
            return Ok(pending.len());
        }
        taken = end;
    }
}

#[cfg(test)]
mod tests {
    use althing_etcd_api::etcdserverpb::LeaseKeepAliveRequest;
    use std::convert::Infallible;

    use super::*;

    async fn ids(pieces: &[&'static str]) -> (Vec<i64>, Option<String>) {
        let pieces: Vec<Result<&'static str, Infallible>> =
            pieces.iter().map(|piece| Ok(*piece)).collect();
        let body = Body::from_stream(tokio_stream::iter(pieces));
        let mut messages = read::<LeaseKeepAliveRequest>(body);
        let mut ids = Vec::new();
        while let Some(message) = messages.next().await {
            match message {
                Ok(message) => ids.push(message.id),
                Err(status) => return (ids, Some(status.message().to_owned())),
            }
        }
        (ids, None)
    }

    #[tokio::test]
    async fn messages_may_be_cut_and_joined_anywhere() {
        assert_eq!(ids(&[]).await, (vec![], None));
        assert_eq!(ids(&[r#"{"ID":1}"#]).await, (vec![1], None));
        let pieces = [r#"{"ID":1}{"I"#, r#"D":"2"}"#, "\n", r#" {"ID": 3} "#];
        assert_eq!(ids(&pieces).await, (vec![1, 2, 3], None));
    }

    #[tokio::test]
    async fn what_is_no_message_ends_the_stream_with_a_reason() {
        for pieces in [&[r#"{"ID":1}]"#][..], &[r#"{"ID":1}{"ID"#], &[r#"{"ID":1}{"ID":[]}"#]] {
            let (found, error) = ids(pieces).await;
            assert_eq!(found, [1], "{pieces:?}");
            assert!(error.is_some_and(|error| !error.is_empty()), "{pieces:?}");
        }
    }

    #[tokio::test]
    async fn an_endless_message_is_cut_off() {
        let endless: &'static str = Box::leak("[".repeat(100_000).into_boxed_str());
        let (found, error) = ids(&[endless]).await;
        assert!(found.is_empty() && error.is_some(), "{error:?}");
        let long: &'static str = Box::leak(format!("\"{}", "x".repeat(100_000)).into_boxed_str());
        let (_, error) = ids(&[long]).await;
        assert!(error.is_some_and(|error| error.contains("exceeds")));
    }
}
