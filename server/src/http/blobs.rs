//! Blobs: reading and deleting (end-2, end-10).

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{StatusCode, Version, header};
use hythe_oci::{Digest, RepositoryName};

use super::Api;
use super::answer::{CONTENT_DIGEST, answer, etag, has_already, not_modified, text};
use super::error::{ApiError, ErrorCode};
use super::file_stream::SendsFiles;
use super::range::{self, Wanted};
use crate::blob_store::Reader;

const OCTETS: &str = "application/octet-stream";

pub(super) async fn head(
    api: &Api,
    name: &RepositoryName,
    digest: &Digest,
    request: &Parts,
) -> Result<Response, ApiError> {
    let size_bytes = api.registry.head_blob(name, digest).await?;
    if has_already(request, digest) {
        return Ok(not_modified(digest));
    }
    Ok(whole(digest, size_bytes, Body::empty()))
}

pub(super) async fn get(
    api: &Api,
    name: &RepositoryName,
    digest: &Digest,
    request: &Parts,
) -> Result<Response, ApiError> {
    let blob = api.registry.get_blob(name, digest).await?;
    if has_already(request, digest) {
        return Ok(not_modified(digest));
    }
    let size_bytes = blob.size_bytes;
    if let Some(expire) = api.config.redirect_expire
        && let Some(url) = blob.presigned(expire).await?
    {
        return Ok(answer(
            StatusCode::TEMPORARY_REDIRECT,
            [
                (header::LOCATION, url.to_string()),
                (CONTENT_DIGEST, digest.to_string()),
            ],
            Body::empty(),
        ));
    }
    match range::wanted(text(&request.headers, header::RANGE), size_bytes) {
        Wanted::Whole => {
            let body = Body::from_stream(blob.read_for(reader(request), 0..size_bytes).await?);
            Ok(whole(digest, size_bytes, body))
        }
        Wanted::Part(part) => {
            let body = Body::from_stream(blob.read_for(reader(request), part.clone()).await?);
            Ok(answer(
                StatusCode::PARTIAL_CONTENT,
                [
                    (header::CONTENT_TYPE, OCTETS.to_owned()),
                    (header::CONTENT_LENGTH, (part.end - part.start).to_string()),
                    (
                        header::CONTENT_RANGE,
                        range::content_range(&part, size_bytes),
                    ),
                    (header::ACCEPT_RANGES, "bytes".to_owned()),
                    (header::ETAG, etag(digest)),
                    (CONTENT_DIGEST, digest.to_string()),
                ],
                body,
            ))
        }
        Wanted::Unsatisfiable => Ok(answer(
            StatusCode::RANGE_NOT_SATISFIABLE,
            [(header::CONTENT_RANGE, format!("bytes */{size_bytes}"))],
            Body::empty(),
        )),
    }
}

/// HTTP/2 cuts what it sends into frames, for which it has to be looked at.
fn reader(request: &Parts) -> Reader {
    let sends_files = request.extensions.get::<SendsFiles>().is_some();
    if sends_files && request.version <= Version::HTTP_11 {
        Reader::Socket
    } else {
        Reader::Program
    }
}

pub(super) async fn delete(
    api: &Api,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response, ApiError> {
    api.registry.delete_blob(name, digest).await?;
    Ok(answer(StatusCode::ACCEPTED, [], Body::empty()))
}

fn whole(digest: &Digest, size_bytes: u64, body: Body) -> Response {
    answer(
        StatusCode::OK,
        [
            (header::CONTENT_TYPE, OCTETS.to_owned()),
            (header::CONTENT_LENGTH, size_bytes.to_string()),
            (header::ACCEPT_RANGES, "bytes".to_owned()),
            (
                header::CACHE_CONTROL,
                "max-age=31536000, immutable".to_owned(),
            ),
            (header::ETAG, etag(digest)),
            (CONTENT_DIGEST, digest.to_string()),
        ],
        body,
    )
}

/// A digest in a query; there it is the client's mistake if it is none.
pub(super) fn digest_in(value: &str) -> Result<Digest, ApiError> {
    value.parse().map_err(|error| {
        ApiError::bad_request(ErrorCode::DigestInvalid, format!("{value:?}: {error}"))
    })
}
