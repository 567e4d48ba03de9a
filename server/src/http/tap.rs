//! A connection whose bytes a handler can read past hyper.
//!
//! hyper reads a body into memory of its own choice, from where a blob's would
//! have to be copied to where it can be hashed and written. So for a long body
//! of HTTP/1.1 hyper is made to wait, the handler reads the socket itself, and
//! hyper is then told that as many zeros came, which are what it counts and the
//! handler throws away:
//!
//! ```text
//!                hold                         hyper asks for more
//! hyper reads ─────────> hyper waits, but ───────────────────────> the handler
//!      ^                 hands on what it has                      reads n bytes
//!      └── hyper is given n zeros <──────────── the hold ends ─────────┘
//! ```
//!
//! However a hold ends, hyper is given exactly as many bytes as were taken: if
//! not, what comes next would be read as the rest of this body, or the rest of
//! this body as the next request.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What connections are made of.
pub(super) trait Transport: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin {
    /// Has whoever waits to read not woken before so many bytes are there, where
    /// that can be said.
    fn wake_at(&self, bytes: usize);
}

impl Transport for TlsStream<TcpStream> {
    /// What the socket has is not what there is to read.
    fn wake_at(&self, _bytes: usize) {}
}

#[derive(Debug)]
struct Shared {
    transport: Box<dyn Transport>,
    reading: Reading,
    /// Of hyper, when it waits for a hold to end.
    hyper: Option<Waker>,
}

/// Who reads.
#[derive(Debug)]
enum Reading {
    Hyper,
    Handler(Held),
    /// Hyper, which did not see this many bytes.
    Missed(u64),
}

#[derive(Debug, Default)]
struct Held {
    /// Whether hyper has handed on all that it had.
    hyper_asked: bool,
    /// Waits for that.
    handler: Option<Waker>,
    taken: u64,
}

/// hyper's side of a connection.
#[derive(Debug)]
pub(super) struct Tapped(Arc<Mutex<Shared>>);

/// The handlers' side of it.
#[derive(Clone, Debug)]
pub(super) struct Tap(Arc<Mutex<Shared>>);

/// As long as it lives, hyper waits. It is for the body of the request that is
/// being handled, and no other.
#[derive(Debug)]
pub(super) struct Hold(Arc<Mutex<Shared>>);

/// The two sides of a connection.
pub(super) fn split(transport: impl Transport + 'static) -> (Tapped, Tap) {
    let shared = Arc::new(Mutex::new(Shared {
        transport: Box::new(transport),
        reading: Reading::Hyper,
        hyper: None,
    }));
    (Tapped(Arc::clone(&shared)), Tap(shared))
}

impl Tap {
    /// `None` while there is another hold, or its end is not yet known to hyper.
    pub(super) fn hold(&self) -> Option<Hold> {
        let mut shared = lock(&self.0);
        if !matches!(shared.reading, Reading::Hyper) {
            return None;
        }
        shared.reading = Reading::Handler(Held::default());
        drop(shared);
        Some(Hold(Arc::clone(&self.0)))
    }
}

impl Hold {
    /// Ready when hyper has handed on all of the body that it had read. It has
    /// to be asked for the body for that.
    pub(super) fn poll_hyper_asked(&self, context: &Context<'_>) -> Poll<()> {
        match &mut lock(&self.0).reading {
            Reading::Handler(held) if !held.hyper_asked => {
                held.handler = Some(context.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Reads what there is, at least one byte; none is the end of the connection.
    pub(super) async fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| {
            let mut shared = lock(&self.0);
            let mut buffer = ReadBuf::new(room);
            ready!(Pin::new(&mut shared.transport).poll_read(context, &mut buffer))?;
            let n_bytes = buffer.filled().len();
            if let Reading::Handler(held) = &mut shared.reading {
                held.taken += n_bytes as u64;
            }
            Poll::Ready(Ok(n_bytes))
        })
        .await
    }

    /// Has [`Hold::read`] wait for so many bytes, as a rule.
    pub(super) fn wake_at(&self, bytes: usize) {
        lock(&self.0).transport.wake_at(bytes);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.transport.wake_at(1);
        shared.reading = match &shared.reading {
            Reading::Handler(held) if held.taken > 0 => Reading::Missed(held.taken),
            _ => Reading::Hyper,
        };
        let hyper = shared.hyper.take();
        drop(shared);
        if let Some(hyper) = hyper {
            hyper.wake();
        }
    }
}

impl AsyncRead for Tapped {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let shared = &mut *lock(&self.0);
        match &mut shared.reading {
            Reading::Hyper => Pin::new(&mut shared.transport).poll_read(context, buffer),
            Reading::Handler(held) => {
                held.hyper_asked = true;
                if let Some(handler) = held.handler.take() {
                    handler.wake();
                }
                shared.hyper = Some(context.waker().clone());
                Poll::Pending
            }
            Reading::Missed(missed) => {
                let room = buffer.remaining();
                let n_bytes = usize::try_from(*missed).map_or(room, |missed| missed.min(room));
                buffer.initialize_unfilled_to(n_bytes);
                buffer.advance(n_bytes);
                *missed -= n_bytes as u64;
                if *missed == 0 {
                    shared.reading = Reading::Hyper;
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut lock(&self.0).transport).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut lock(&self.0).transport).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        lock(&self.0).transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).transport).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).transport).poll_shutdown(context)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
