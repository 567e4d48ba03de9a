//! Manifests and tags (end-3, end-7, end-9).

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{self, HeaderName};
use http::request::Parts;
use hythe_oci::{Reference, RepositoryName, Tag};

use super::answer::{CONTENT_DIGEST, answer, etag, has_already, not_modified, text};
use super::error::{ApiError, ErrorCode};
use super::query::Query;
use super::{Api, body as bodies, by};
use crate::auth::Caller;
use crate::registry::{Manifest, PushManifest, PushedManifest, RegistryError};

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const TAG: HeaderName = HeaderName::from_static("oci-tag");

pub(super) async fn get(
    api: &Api,
    name: &RepositoryName,
    reference: &Reference,
    request: &Parts,
) -> Result<Response, ApiError> {
    let manifest = api.registry.get_manifest(name, reference).await?;
    api.registry.note_pull(name, &manifest.digest);
    if has_already(request, &manifest.digest) {
        return Ok(not_modified(&manifest.digest));
    }
    let body = Body::from(manifest.content.clone());
    Ok(found(&manifest, body))
}

pub(super) async fn head(
    api: &Api,
    name: &RepositoryName,
    reference: &Reference,
    request: &Parts,
) -> Result<Response, ApiError> {
    let manifest = api.registry.get_manifest(name, reference).await?;
    if has_already(request, &manifest.digest) {
        return Ok(not_modified(&manifest.digest));
    }
    Ok(found(&manifest, Body::empty()))
}

pub(super) async fn put(
    api: &Api,
    (name, reference): (RepositoryName, Reference),
    caller: &Caller,
    (request, body): (Parts, Body),
) -> Result<Response, ApiError> {
    let tags = tags_in(&Query::of(&request.uri), &reference)?;
    let content_type = text(&request.headers, header::CONTENT_TYPE).map(str::to_owned);
    let limit = api.registry.rules().manifest_bytes;
    let incoming = bodies::incoming(body, api.config.body_idle_timeout);
    let content = bodies::read(incoming, limit)
        .await
        .map_err(|error| match error {
            bodies::TooMuch::Limit => ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                ErrorCode::SizeInvalid,
                format!("a manifest may have {limit} bytes at most"),
            ),
            bodies::TooMuch::Body(error) => RegistryError::Body(error).into(),
        })?;
    let push = PushManifest {
        reference,
        tags,
        content_type,
        content,
        pushed_by: by(caller).to_owned(),
    };
    let registry = api.registry.clone();
    // In a task of its own: a transaction that has begun is finished, whether
    // or not the client waits.
    let pushed = {
        let name = name.clone();
        tokio::spawn(async move { registry.put_manifest(&name, push).await })
            .await
            .map_err(RegistryError::Task)??
    };
    Ok(created(&name, &pushed))
}

pub(super) async fn delete(
    api: &Api,
    name: &RepositoryName,
    reference: &Reference,
    caller: &Caller,
) -> Result<Response, ApiError> {
    let deleted = api.registry.delete_manifest(name, reference, by(caller));
    deleted.await?;
    Ok(answer(StatusCode::ACCEPTED, [], Body::empty()))
}

/// The tags that a push by digest asks for (end-7b).
fn tags_in(query: &Query<'_>, reference: &Reference) -> Result<Vec<Tag>, ApiError> {
    let tags = query
        .all("tag")
        .map(|value| {
            value.parse().map_err(|_| {
                ApiError::bad_request(
                    ErrorCode::ManifestInvalid,
                    format!("{value:?} is not a tag"),
                )
            })
        })
        .collect::<Result<Vec<Tag>, _>>()?;
    match reference {
        Reference::Tag(_) if !tags.is_empty() => Err(ApiError::bad_request(
            ErrorCode::Unsupported,
            "tags in the query go with a push by digest",
        )),
        _ => Ok(tags),
    }
}

fn found(manifest: &Manifest, body: Body) -> Response {
    answer(
        StatusCode::OK,
        [
            (header::CONTENT_TYPE, manifest.media_type.clone()),
            (header::CONTENT_LENGTH, manifest.content.len().to_string()),
            (header::ETAG, etag(&manifest.digest)),
            (CONTENT_DIGEST, manifest.digest.to_string()),
        ],
        body,
    )
}

fn created(name: &RepositoryName, pushed: &PushedManifest) -> Response {
    let mut response = answer(
        StatusCode::CREATED,
        [
            (
                header::LOCATION,
                format!("/v2/{name}/manifests/{}", pushed.digest),
            ),
            (CONTENT_DIGEST, pushed.digest.to_string()),
        ],
        Body::empty(),
    );
    let headers = response.headers_mut();
    if let Some(subject) = &pushed.subject
        && let Ok(value) = subject.to_string().try_into()
    {
        headers.insert(SUBJECT, value);
    }
    for tag in &pushed.tags {
        if let Ok(value) = tag.as_str().try_into() {
            headers.append(TAG, value);
        }
    }
    response
}
