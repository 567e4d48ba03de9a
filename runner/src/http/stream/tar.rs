//! Bodies that are archives.

use axum::body::Body;
use futures_util::TryStreamExt as _;

use crate::engine::ByteStream;

/// The head is sent by then: a source that breaks can only cut the body short, and the log is
/// the one place that says why.
pub(crate) fn tar_body(tar: ByteStream) -> Body {
    Body::from_stream(tar.inspect_err(|error| tracing::warn!(%error, "archive cut short")))
}
