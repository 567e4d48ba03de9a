//! Bodies on their way in.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _};
use http::request::Parts;

use super::tap::Tap;
use super::tapped_body::tapped;
use crate::registry::{BodyError, Incoming};

/// A body as the registry takes it. It ends when nothing came for `idle`; how
/// long it takes in all does not matter.
pub(super) fn incoming(body: Body, idle: Duration) -> Incoming {
    stream::unfold(Some(body.into_data_stream()), move |pieces| async move {
        let mut pieces = pieces?;
        match tokio::time::timeout(idle, pieces.next()).await {
            Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(pieces))),
            Ok(Some(Err(error))) => Some((Err(BodyError::Broken(error.into())), None)),
            Ok(None) => None,
            Err(_) => Some((Err(BodyError::Silent(idle)), None)),
        }
    })
    .boxed()
}

/// A blob, or a piece of one, likewise.
pub(super) fn of_blob(request: &Parts, body: Body, idle: Duration) -> Incoming {
    let tapped = match request.extensions.get::<Tap>() {
        Some(tap) => tapped(tap, body, idle),
        None => Err(body),
    };
    tapped.unwrap_or_else(|body| incoming(body, idle))
}

/// Why a body could not be read into memory.
#[derive(Debug)]
pub(super) enum TooMuch {
    /// It is longer than allowed.
    Limit,
    Body(BodyError),
}

/// A whole body of at most `limit` bytes.
pub(super) async fn read(mut body: Incoming, limit: u64) -> Result<Bytes, TooMuch> {
    let mut read = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(TooMuch::Body)?;
        if (read.len() + piece.len()) as u64 > limit {
            return Err(TooMuch::Limit);
        }
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}
