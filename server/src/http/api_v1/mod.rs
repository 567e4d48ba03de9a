//! `/api/v1`: what an administrator, or a page, asks beside the distribution
//! API. JSON in and out.
//!
//! One file per noun, each with its endpoints, what they need and their
//! handlers; this one knows which noun a path begins with.

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::Api;
use super::access::Need;
use super::answer::answer;
use super::error::ApiError;
use super::route::RouteError;
use crate::auth::Caller;

/// One operation of `/api/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Who am I, as far as this registry knows.
    WhoAmI,
}

impl Endpoint {
    /// What a request asks for; `path` is what follows `/api/v1/`.
    pub(super) fn parse(method: &Method, path: &str) -> Result<Self, RouteError> {
        let segments: Vec<&str> = path.split('/').collect();
        match segments.as_slice() {
            ["whoami"] => only(method, &Method::GET, "GET", Self::WhoAmI),
            _ => Err(RouteError::NotFound),
        }
    }

    /// What it is asked for by, after `/api/v1/`.
    #[cfg(test)]
    pub(super) fn path(&self) -> String {
        match self {
            Self::WhoAmI => "whoami".to_owned(),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::WhoAmI => "api_who_am_i",
        }
    }

    pub(super) fn need(&self) -> Need<'_> {
        match self {
            Self::WhoAmI => Need::Proof,
        }
    }
}

#[expect(
    clippy::unused_async,
    reason = "the endpoints that come next ask the database"
)]
pub(super) async fn dispatch(
    _api: &Api,
    endpoint: Endpoint,
    caller: &Caller,
    (_request, _body): (Parts, Body),
) -> Result<Response, ApiError> {
    match endpoint {
        Endpoint::WhoAmI => Ok(document(&json!({
            "name": caller.name(),
            "administrator": caller.administers(),
        }))),
    }
}

fn only(
    method: &Method,
    allowed: &Method,
    word: &'static str,
    endpoint: Endpoint,
) -> Result<Endpoint, RouteError> {
    if method == allowed {
        Ok(endpoint)
    } else {
        Err(RouteError::MethodNotAllowed { allowed: word })
    }
}

/// A JSON answer.
pub(super) fn document(body: &Value) -> Response {
    answer(
        StatusCode::OK,
        [(header::CONTENT_TYPE, "application/json".to_owned())],
        Body::from(body.to_string()),
    )
}
