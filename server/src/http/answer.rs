//! Parts that many answers share.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use hythe_oci::Digest;

/// The digest of what is served or was stored.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Clients take a registry without it for one of the first version.
pub(super) const API_VERSION: HeaderName =
    HeaderName::from_static("docker-distribution-api-version");

/// A status and headers. A value that cannot be one (it never comes from
/// outside unchecked) leaves its header out.
pub(super) fn answer<const N: usize>(
    status: StatusCode,
    headers: [(HeaderName, String); N],
    body: Body,
) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// A header's text; one that is not text is as good as absent.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A digest as a strong entity tag: the content of a digest never changes.
pub(super) fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Whether the client has this content already (`If-None-Match`).
pub(super) fn has_already(request: &Parts, digest: &Digest) -> bool {
    let Some(known) = text(&request.headers, header::IF_NONE_MATCH) else {
        return false;
    };
    let ours = digest.to_string();
    known.split(',').map(str::trim).any(|candidate| {
        candidate == "*" || candidate.trim_start_matches("W/").trim_matches('"') == ours
    })
}

/// 304, with what a 200 would have said of the content.
pub(super) fn not_modified(digest: &Digest) -> Response {
    answer(
        StatusCode::NOT_MODIFIED,
        [
            (header::ETAG, etag(digest)),
            (CONTENT_DIGEST, digest.to_string()),
        ],
        Body::empty(),
    )
}

/// The address of the next page (RFC 8288).
pub(super) fn next_link(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        query.append_pair(name, value);
    }
    format!("<{path}?{}>; rel=\"next\"", query.finish())
}
