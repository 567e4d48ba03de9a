//! Questions about the registry itself.

use axum::body::Body;
use axum::response::Response;
use http::{StatusCode, header};

use super::Api;
use super::answer::answer;
use super::error::ApiError;

/// end-1: this is a registry of the second version.
pub(super) fn ping() -> Response {
    answer(
        StatusCode::OK,
        [(header::CONTENT_TYPE, "application/json".to_owned())],
        Body::from("{}"),
    )
}

/// The process lives and answers.
pub(super) fn health() -> Response {
    plain("ok\n")
}

/// It can do its work: the database and the store answer.
pub(super) async fn ready(api: &Api) -> Result<Response, ApiError> {
    api.registry.ping().await?;
    Ok(plain("ready\n"))
}

/// What happened since the start, for Prometheus.
pub(super) fn metrics() -> Response {
    answer(
        StatusCode::OK,
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8".to_owned(),
        )],
        Body::from(super::metrics::render()),
    )
}

fn plain(text: &'static str) -> Response {
    answer(
        StatusCode::OK,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned())],
        Body::from(text),
    )
}
