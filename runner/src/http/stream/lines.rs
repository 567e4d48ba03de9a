//! Bodies that are JSON values one after the other, each sent as soon as it is there.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::Serialize;

/// What follows each value; Docker's progress streams and its event streams differ.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LineEnd {
    CrLf,
    Lf,
}

/// Headers go out at once, the values as they come.
pub(crate) fn json_lines<T: Serialize>(
    values: impl Stream<Item = T> + Send + 'static,
    end: LineEnd,
) -> Response {
    let body = Body::from_stream(values.map(move |value| line(&value, end)));
    let mut response = Response::new(body);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// One value that is not there yet.
pub(crate) fn json_once<T: Serialize>(value: impl Future<Output = T> + Send + 'static) -> Response {
    json_lines(stream::once(value), LineEnd::Lf)
}

fn line<T: Serialize>(value: &T, end: LineEnd) -> Result<Bytes, serde_json::Error> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.extend_from_slice(match end {
        LineEnd::CrLf => b"\r\n",
        LineEnd::Lf => b"\n",
    });
    Ok(bytes.into())
}
