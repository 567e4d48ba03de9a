//! Bodies of requests: JSON that is read whole, archives that are passed through.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::go_json::from_value;
use crate::engine::ByteStream;
use crate::http::error::ApiError;

/// The largest JSON body that is read; a create request with a seccomp profile is near 100 KiB.
pub(crate) const MAX_JSON_BYTES: usize = 8 * 1024 * 1024;

/// A JSON body, read by Go's rules. An empty body is the zero value, as in Docker.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let value = read_json(request).await?;
        let parsed = from_value(value)
            .map_err(|error| ApiError::bad_parameter(format!("invalid JSON: {error}")))?;
        Ok(Self(parsed))
    }
}

async fn read_json(request: Request) -> Result<Value, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, MAX_JSON_BYTES)
        .await
        .map_err(|error| body_error(&error))?;
    if bytes.is_empty() && !parts.headers.contains_key(CONTENT_TYPE) {
        return Ok(Value::Null);
    }
    check_content_type(&parts.headers)?;
    if bytes.is_empty() {
        // A chunked body that turns out to be empty is a mistake, a declared empty one is not.
        return if parts.headers.contains_key(CONTENT_LENGTH) {
            Ok(Value::Null)
        } else {
            Err(ApiError::bad_parameter(
                "invalid JSON: got EOF while reading request body",
            ))
        };
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::bad_parameter(format!("invalid JSON: {error}")))
}

/// Why a body could not be read: too long, or the client went away.
fn body_error(error: &axum::Error) -> ApiError {
    let cause = std::error::Error::source(error);
    if cause.is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>) {
        ApiError::too_large(MAX_JSON_BYTES)
    } else {
        ApiError::bad_parameter(format!("cannot read the request body: {error}"))
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers
        .get(CONTENT_TYPE)
        .map_or("", |value| value.to_str().unwrap_or("?"));
    let media_type = given.split(';').next().unwrap_or("").trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let why = if media_type.is_empty() {
        format!("malformed Content-Type header ({given}): mime: no media type")
    } else {
        format!("unsupported Content-Type header ({given}): must be 'application/json'")
    };
    Err(ApiError::bad_parameter(why))
}

/// A body of any length and type, such as an archive, in the pieces it arrives in.
pub(crate) struct StreamBody(pub(crate) ByteStream);

impl<S: Send + Sync> FromRequest<S> for StreamBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let body: Body = request.into_body();
        let pieces = body.into_data_stream().map_err(std::io::Error::other);
        Ok(Self(pieces.boxed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(content_type: Option<&str>, body: &'static str) -> Result<Value, String> {
        let mut request = Request::builder().header(CONTENT_LENGTH, body.len());
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let request = request.body(Body::from(body)).unwrap();
        read_json(request).await.map_err(|error| error.message)
    }

    #[tokio::test]
    async fn json_needs_its_content_type() {
        let json = Some("application/json; charset=utf-8");
        assert_eq!(read(json, "{}").await, Ok(serde_json::json!({})));
        assert_eq!(read(json, "").await, Ok(Value::Null));
        assert_eq!(read(None, "").await, Ok(Value::Null));
        let bad = [
            (
                None,
                "{}",
                "malformed Content-Type header (): mime: no media type",
            ),
            (
                Some("text/plain"),
                "{}",
                "unsupported Content-Type header (text/plain): must be 'application/json'",
            ),
            (
                json,
                "{} x",
                "invalid JSON: trailing characters at line 1 column 4",
            ),
            (
                json,
                "{",
                "invalid JSON: EOF while parsing an object at line 1 column 1",
            ),
        ];
        for (content_type, body, text) in bad {
            assert_eq!(read(content_type, body).await, Err(text.to_owned()));
        }
    }

    #[tokio::test]
    async fn a_body_without_end_is_refused() {
        let endless = futures_util::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[b' '; 8192]))
        });
        let request = Request::builder()
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from_stream(endless))
            .unwrap();
        let error = read_json(request).await.unwrap_err();
        assert_eq!(error.status, http::StatusCode::PAYLOAD_TOO_LARGE);
    }
}
