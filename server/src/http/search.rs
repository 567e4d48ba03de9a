//! Search, as docker and podman have called it since before there was a specification.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{self, HeaderName};
use http::request::Parts;
use hythe_oci::RepositoryName;
use serde_json::{Value, json};

use super::Api;
use super::answer::answer;
use super::error::{ApiError, ErrorCode};
use super::query::Query;
use crate::auth::Caller;
use crate::registry::FoundRepository;

/// Tells docker to send its credentials with every call.
const STANDALONE: HeaderName = HeaderName::from_static("x-docker-registry-standalone");
const JSON: &str = "application/json";

/// What docker asks for when it asks for nothing.
const DEFAULT_RESULTS: u32 = 25;

pub(super) fn ping() -> Response {
    answer(
        StatusCode::OK,
        [
            (header::CONTENT_TYPE, JSON.to_owned()),
            (STANDALONE, "true".to_owned()),
        ],
        Body::from(r#"{"standalone":true}"#),
    )
}

pub(super) async fn search(
    api: &Api,
    caller: &Caller,
    request: &Parts,
) -> Result<Response, ApiError> {
    let query = Query::of(&request.uri);
    let term = query.get("q").unwrap_or_default();
    let n = number(&query, "n")?.unwrap_or(DEFAULT_RESULTS);
    let page = number(&query, "page")?.unwrap_or(1);
    let visible = |name: &RepositoryName| caller.may_see(name);
    let found = api.registry.search(term, (n, page), &visible).await?;
    let results: Vec<Value> = found.iter().map(result).collect();
    let body = json!({
        "query": term,
        "num_results": results.len(),
        "page": page.max(1),
        "page_size": n,
        "results": results,
    });
    Ok(answer(
        StatusCode::OK,
        [(header::CONTENT_TYPE, JSON.to_owned())],
        Body::from(body.to_string()),
    ))
}

fn result(found: &FoundRepository) -> Value {
    json!({
        "name": found.name.as_str(),
        "description": found.description,
        "star_count": found.star_count,
        "is_official": found.is_official,
        "is_automated": found.is_automated,
    })
}

fn number(query: &Query<'_>, key: &str) -> Result<Option<u32>, ApiError> {
    let Some(text) = query.get(key).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        ApiError::bad_request(
            ErrorCode::Unsupported,
            format!("{key}={text:?} is no number"),
        )
    })
}
