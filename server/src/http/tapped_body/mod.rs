//! A long body, read from its connection to where it is hashed and written.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody as _};
use bytes::{Buf as _, Bytes};
use futures_util::stream::{self, StreamExt as _};
use tokio::time::timeout;

use super::tap::{Hold, Tap};
use crate::blob_store::Aligned;
use crate::registry::{BodyError, Incoming};

/// From where on a body is worth it.
const MIN_BYTES: usize = 1024 * 1024;

/// How much is to be there before it is read: each time costs two changes of
/// threads, and an empty socket two more.
const AT_ONCE: usize = 768 * 1024;

/// For how long a client may take for that much. One that needs longer has what
/// it sends read as it comes.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct TappedBody {
    source: Source,
    /// As hyper sees it.
    body: BodyDataStream,
    /// What hyper had read and no buffer has taken.
    early: Bytes,
    /// Bytes that have not come.
    left: u64,
    /// Why no more come; told after what came.
    broken: Option<BodyError>,
    pace: Pace,
}

#[derive(Debug)]
struct Pace {
    /// How many bytes the socket waits for.
    at_once: usize,
    /// For how long a client may send nothing.
    idle: Duration,
}

#[derive(Debug)]
enum Source {
    /// What hyper had read together with the head.
    Hyper(Hold),
    Socket(Hold),
    /// Nothing more is to come, but hyper does not know.
    Nothing,
}

/// The body of a request of this connection, in full buffers and a rest, if it is
/// long enough for that and its length is known; otherwise as it is. It ends when
/// nothing came for `idle`.
pub(super) fn tapped(tap: &Tap, body: Body, idle: Duration) -> Result<Incoming, Body> {
    let length = body.size_hint().exact();
    let Some(left) = length.filter(|bytes| *bytes >= MIN_BYTES as u64) else {
        return Err(body);
    };
    let Some(hold) = tap.hold() else {
        return Err(body);
    };
    let body = TappedBody {
        source: Source::Hyper(hold),
        body: body.into_data_stream(),
        early: Bytes::new(),
        left,
        broken: None,
        pace: Pace { at_once: 1, idle },
    };
    let pieces = stream::unfold(Some(body), |body| async {
        let mut body = body?;
        let piece = body.next().await?;
        let body = piece.is_ok().then_some(body);
        Some((piece, body))
    });
    Ok(pieces.boxed())
}

impl TappedBody {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        if let Some(error) = self.broken.take() {
            return Some(Err(error));
        }
        let mut buffer = Aligned::new();
        self.broken = self.fill(&mut buffer).await.err();
        if buffer.is_empty() {
            return self.broken.take().map(Err);
        }
        Some(Ok(buffer.freeze()))
    }

    /// Fills a buffer, or at the end as much of it as there is.
    async fn fill(&mut self, buffer: &mut Aligned) -> Result<(), BodyError> {
        loop {
            self.early.advance(buffer.fill(&self.early));
            if buffer.is_full() {
                return Ok(());
            }
            match &self.source {
                Source::Hyper(_) => self.ask_hyper().await?,
                Source::Socket(_) if self.left > 0 => self.read(buffer).await?,
                Source::Socket(_) => self.source = Source::Nothing,
                Source::Nothing if buffer.is_empty() => return self.tell_hyper().await,
                Source::Nothing => return Ok(()),
            }
        }
    }

    /// Takes what hyper has; when that is nothing, the socket is next.
    async fn ask_hyper(&mut self) -> Result<(), BodyError> {
        let Source::Hyper(hold) = &self.source else {
            return Ok(());
        };
        let body = &mut self.body;
        let piece = poll_fn(|context| {
            // In this order: what hyper hands on, it hands on before it asks for more.
            let asked = hold.poll_hyper_asked(context);
            match body.poll_next_unpin(context) {
                Poll::Ready(piece) => Poll::Ready(Some(piece)),
                Poll::Pending => asked.map(|()| None),
            }
        });
        match timeout(self.pace.idle, piece).await {
            Err(_) => return Err(BodyError::Silent(self.pace.idle)),
            Ok(Some(Some(Ok(piece)))) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                self.early = piece;
            }
            Ok(Some(Some(Err(error)))) => return Err(BodyError::Broken(error.into())),
            Ok(Some(None)) => self.source = Source::Nothing,
            Ok(None) => {
                if let Source::Hyper(hold) = std::mem::replace(&mut self.source, Source::Nothing) {
                    self.pace.set(&hold, AT_ONCE);
                    self.source = Source::Socket(hold);
                }
            }
        }
        Ok(())
    }

    async fn read(&mut self, buffer: &mut Aligned) -> Result<(), BodyError> {
        let Source::Socket(hold) = &self.source else {
            return Ok(());
        };
        let room = buffer.room();
        let most = usize::try_from(self.left).map_or(room.len(), |left| left.min(room.len()));
        match self.pace.read(hold, &mut room[..most]).await {
            Ok(0) => self.source = Source::Nothing,
            Ok(n_bytes) => {
                buffer.filled(n_bytes);
                self.left -= n_bytes as u64;
                if self.left < self.pace.at_once as u64 {
                    self.pace.set(hold, 1);
                }
            }
            Err(error) => {
                self.source = Source::Nothing;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Lets hyper see the end of what it did not see, or of the connection.
    async fn tell_hyper(&mut self) -> Result<(), BodyError> {
        loop {
            match timeout(self.pace.idle, self.body.next()).await {
                Err(_) => return Err(BodyError::Silent(self.pace.idle)),
                Ok(Some(Ok(_zeros))) => {}
                Ok(Some(Err(error))) => return Err(BodyError::Broken(error.into())),
                Ok(None) => return Ok(()),
            }
        }
    }
}

impl Pace {
    fn set(&mut self, hold: &Hold, bytes: usize) {
        hold.wake_at(bytes);
        self.at_once = bytes;
    }

    async fn read(&mut self, hold: &Hold, room: &mut [u8]) -> Result<usize, BodyError> {
        let broken = |error: io::Error| BodyError::Broken(error.into());
        let mut idle = self.idle;
        if self.at_once > 1 {
            let patience = PATIENCE.min(idle / 2);
            if let Ok(read) = timeout(patience, hold.read(room)).await {
                return read.map_err(broken);
            }
            self.set(hold, 1);
            idle -= patience;
        }
        match timeout(idle, hold.read(room)).await {
            Ok(read) => read.map_err(broken),
            Err(_) => Err(BodyError::Silent(self.idle)),
        }
    }
}

#[cfg(test)]
mod tests;
