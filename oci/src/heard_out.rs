//! Bodies of requests that are answered before they were read.
//!
//! A client that is still sending when its connection is closed loses the
//! answer with it (RFC 9112, section 9.6), and all it says then is that the
//! connection broke: not that the disk is full, or who may not push. So what a
//! handler leaves of a body is read on for a while, beside the answer.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::poll_fn;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};

/// How long a client has to hear that it need not send the rest.
const PATIENCE: Duration = Duration::from_secs(10);

/// A body whose rest is read when it is dropped.
#[derive(Debug)]
pub struct HeardOut<B>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
{
    /// `None` once it has ended.
    body: Option<B>,
    /// The client sends nothing before it is asked to, and reading it is to ask.
    is_held_back: bool,
}

impl<B> HeardOut<B>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
{
    /// The body of a request with these headers.
    pub fn new(body: B, headers: &HeaderMap) -> Self {
        Self {
            body: Some(body).filter(|body| !body.is_end_stream()),
            is_held_back: headers.contains_key(header::EXPECT),
        }
    }
}

impl<B> Body for HeardOut<B>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.is_held_back = false;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> Drop for HeardOut<B>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
{
    fn drop(&mut self) {
        let left = self.body.take().filter(|body| !body.is_end_stream());
        let left = left.filter(|_| !self.is_held_back);
        let runtime = tokio::runtime::Handle::try_current();
        // Without one the whole process is ending.
        if let (Some(mut body), Ok(runtime)) = (left, runtime) {
            runtime.spawn(tokio::time::timeout(PATIENCE, async move {
                while let Some(Ok(_)) =
                    poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
                {
                }
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body as AnyBody;
    use futures_util::{StreamExt as _, stream};
    use http_body_util::BodyExt as _;
    use tokio::sync::oneshot;

    use super::*;

    /// A body of three pieces, and whether somebody has read it to its end.
    fn body(headers: &HeaderMap) -> (HeardOut<AnyBody>, oneshot::Receiver<()>) {
        let (read, was_read) = oneshot::channel();
        let end = stream::once(async move {
            read.send(()).ok();
            Ok::<_, std::io::Error>(Bytes::new())
        });
        let pieces = stream::iter(["a", "b"]).map(|piece| Ok(Bytes::from(piece)));
        let body = AnyBody::from_stream(pieces.chain(end));
        (HeardOut::new(body, headers), was_read)
    }

    #[tokio::test]
    async fn what_is_left_is_read_on() {
        let (unread, was_read) = body(&HeaderMap::new());
        drop(unread);
        was_read.await.unwrap();

        let (mut begun, was_read) = body(&HeaderMap::new());
        begun.frame().await.unwrap().unwrap();
        drop(begun);
        was_read.await.unwrap();
    }

    #[tokio::test]
    async fn who_waits_to_be_asked_is_not_asked() {
        let headers = HeaderMap::from_iter([(header::EXPECT, "100-continue".parse().unwrap())]);
        let (unread, was_read) = body(&headers);
        drop(unread);
        // Nobody holds it any more.
        was_read.await.unwrap_err();
        let (mut begun, was_read) = body(&headers);
        begun.frame().await.unwrap().unwrap();
        drop(begun);
        was_read.await.unwrap();
    }

    #[tokio::test]
    async fn it_is_the_body_that_came() {
        let (whole, _was_read) = body(&HeaderMap::new());
        assert_eq!(whole.collect().await.unwrap().to_bytes(), "ab");
        let empty = HeardOut::new(AnyBody::empty(), &HeaderMap::new());
        assert!(empty.is_end_stream());
        assert_eq!(empty.size_hint().exact(), Some(0));
    }
}
