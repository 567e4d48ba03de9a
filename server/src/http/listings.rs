//! Listings: tags (end-8), referrers (end-12), repositories.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{self, HeaderName};
use http::request::Parts;
use hythe_oci::{Digest, RepositoryName, media_type};
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{answer, next_link};
use super::blobs::digest_in;
use super::error::{ApiError, ErrorCode};
use super::query::Query;
use crate::auth::Caller;
use crate::registry::Referrer;

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
const JSON: &str = "application/json";

pub(super) async fn tags(
    api: &Api,
    name: &RepositoryName,
    request: &Parts,
) -> Result<Response, ApiError> {
    let query = Query::of(&request.uri);
    let n = entries(&query)?;
    let last = query.get("last").unwrap_or_default();
    let page = api.registry.list_tags(name, n, last).await?;
    let tags: Vec<&str> = page.entries.iter().map(hythe_oci::Tag::as_str).collect();
    let next = page.more.then(|| tags.last().copied()).flatten();
    let body = json!({ "name": name.as_str(), "tags": tags });
    Ok(listing(request, &body, next, n))
}

pub(super) async fn repositories(
    api: &Api,
    caller: &Caller,
    request: &Parts,
) -> Result<Response, ApiError> {
    let query = Query::of(&request.uri);
    let n = entries(&query)?;
    let last = query.get("last").unwrap_or_default();
    let page = if caller.may_see_everything() {
        api.registry.list_repositories(n, last).await?
    } else {
        let visible = |name: &RepositoryName| caller.may_see(name);
        api.registry
            .list_visible_repositories(n, last, visible)
            .await?
    };
    let names: Vec<&str> = page.entries.iter().map(RepositoryName::as_str).collect();
    let next = page.more.then(|| names.last().copied()).flatten();
    let body = json!({ "repositories": names });
    Ok(listing(request, &body, next, n))
}

pub(super) async fn referrers(
    api: &Api,
    name: &RepositoryName,
    subject: &Digest,
    request: &Parts,
) -> Result<Response, ApiError> {
    let query = Query::of(&request.uri);
    let artifact_type = query.get("artifactType").filter(|text| !text.is_empty());
    let last = query.get("last").map(digest_in).transpose()?;
    let page = api
        .registry
        .list_referrers(name, subject, artifact_type, last.as_ref())
        .await?;
    let manifests: Vec<Value> = page.referrers.iter().map(descriptor).collect();
    let body = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": manifests,
    });
    let mut response = answer(
        StatusCode::OK,
        [(header::CONTENT_TYPE, media_type::OCI_INDEX.to_owned())],
        Body::from(body.to_string()),
    );
    let headers = response.headers_mut();
    if artifact_type.is_some() {
        headers.insert(
            FILTERS_APPLIED,
            http::HeaderValue::from_static("artifactType"),
        );
    }
    if let Some(next) = page.next {
        let next = next.to_string();
        let mut pairs = vec![("last", next.as_str())];
        pairs.extend(artifact_type.map(|value| ("artifactType", value)));
        if let Ok(link) = next_link(request.uri.path(), &pairs).try_into() {
            headers.insert(header::LINK, link);
        }
    }
    Ok(response)
}

/// How many entries are wanted; more than we ever give is as good as all.
pub(super) fn entries(query: &Query<'_>) -> Result<Option<u32>, ApiError> {
    let Some(text) = query.get("n") else {
        return Ok(None);
    };
    match text.parse::<i64>() {
        Ok(n) if n >= 0 => Ok(Some(u32::try_from(n).unwrap_or(u32::MAX))),
        _ => Err(ApiError::bad_request(
            ErrorCode::Unsupported,
            format!("n must be a whole number, not {text:?}"),
        )),
    }
}

fn listing(request: &Parts, body: &Value, next: Option<&str>, n: Option<u32>) -> Response {
    let mut response = answer(
        StatusCode::OK,
        [(header::CONTENT_TYPE, JSON.to_owned())],
        Body::from(body.to_string()),
    );
    if let Some(last) = next {
        let n = n.map(|n| n.to_string());
        let mut pairs = vec![("last", last)];
        pairs.extend(n.as_deref().map(|n| ("n", n)));
        if let Ok(link) = next_link(request.uri.path(), &pairs).try_into() {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    response
}

fn descriptor(referrer: &Referrer) -> Value {
    let mut fields = Map::new();
    fields.insert("mediaType".to_owned(), json!(referrer.media_type));
    fields.insert("digest".to_owned(), json!(referrer.digest));
    fields.insert("size".to_owned(), json!(referrer.size_bytes));
    if let Some(artifact_type) = &referrer.artifact_type {
        fields.insert("artifactType".to_owned(), json!(artifact_type));
    }
    if !referrer.annotations.is_empty() {
        fields.insert("annotations".to_owned(), json!(referrer.annotations));
    }
    Value::Object(fields)
}
