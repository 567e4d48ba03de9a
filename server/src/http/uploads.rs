//! Upload sessions (end-4 to end-6, end-11, end-13, end-14).
//!
//! Whatever takes a body runs in a task of its own: should the client go away,
//! what it sent is still kept, and no step is left half-done.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{self, HeaderName};
use http::request::Parts;
use hythe_oci::{Algorithm, Digest, RepositoryName};
use tracing::Instrument as _;

use super::answer::{CONTENT_DIGEST, answer, text};
use super::blobs::digest_in;
use super::error::{ApiError, ErrorCode};
use super::query::Query;
use super::{Api, body as bodies, metrics, range};
use crate::auth::{Action, Caller};
use crate::registry::{Chunk, Mounted, RegistryError, UploadId, UploadSession};

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// A mount, a whole blob, or the start of a session, by what the query says.
pub(super) async fn start(
    api: &Api,
    name: RepositoryName,
    caller: &Caller,
    (request, body): (Parts, Body),
) -> Result<Response, ApiError> {
    let query = Query::of(&request.uri);
    if let Some(digest) = query.get("mount") {
        let digest = digest_in(digest)?;
        let from = query.get("from");
        if may_mount(caller, from) && mount(api, &name, &digest, from).await? {
            return Ok(created(&name, &digest));
        }
        return open(api, &name, Some(digest.algorithm())).await;
    }
    if let Some(digest) = query.get("digest") {
        let digest = digest_in(digest)?;
        let chunk = chunk(api, &request, body)?;
        let registry = api.registry.clone();
        return to_the_end(async move {
            registry.push_blob(&name, &digest, chunk).await?;
            Ok(created(&name, &digest))
        })
        .await;
    }
    let algorithm = query
        .get("digest-algorithm")
        .map(algorithm_in)
        .transpose()?;
    open(api, &name, algorithm).await
}

pub(super) async fn status(
    api: &Api,
    name: &RepositoryName,
    id: UploadId,
) -> Result<Response, ApiError> {
    let session = api.registry.upload_status(name, id).await?;
    Ok(under_way(StatusCode::NO_CONTENT, name, session))
}

pub(super) async fn append(
    api: &Api,
    name: RepositoryName,
    id: UploadId,
    (request, body): (Parts, Body),
) -> Result<Response, ApiError> {
    let chunk = chunk(api, &request, body)?;
    let registry = api.registry.clone();
    to_the_end(async move {
        let session = registry.append_chunk(&name, id, chunk).await?;
        Ok(under_way(StatusCode::ACCEPTED, &name, session))
    })
    .await
}

pub(super) async fn complete(
    api: &Api,
    name: RepositoryName,
    id: UploadId,
    (request, body): (Parts, Body),
) -> Result<Response, ApiError> {
    let query = Query::of(&request.uri);
    let digest = query.get("digest").ok_or_else(|| {
        ApiError::bad_request(ErrorCode::DigestInvalid, "the query has no digest")
    })?;
    let digest = digest_in(digest)?;
    let chunk = chunk(api, &request, body)?;
    let registry = api.registry.clone();
    to_the_end(async move {
        registry.complete_upload(&name, id, &digest, chunk).await?;
        Ok(created(&name, &digest))
    })
    .await
}

pub(super) async fn cancel(
    api: &Api,
    name: &RepositoryName,
    id: UploadId,
) -> Result<Response, ApiError> {
    api.registry.cancel_upload(name, id).await?;
    Ok(answer(StatusCode::NO_CONTENT, [], Body::empty()))
}

/// Whether a caller may take blobs from there; to those who may not, it is as if
/// nothing were there. Without a source, it is every repository.
fn may_mount(caller: &Caller, from: Option<&str>) -> bool {
    match from.map(str::parse::<RepositoryName>) {
        None => caller.may_see_everything(),
        Some(Ok(from)) => caller.may(Action::Pull, &from),
        Some(Err(_)) => false,
    }
}

/// Whether the blob could be mounted. A source that is no repository's name is
/// like one that does not exist: the client uploads instead.
async fn mount(
    api: &Api,
    name: &RepositoryName,
    digest: &Digest,
    from: Option<&str>,
) -> Result<bool, ApiError> {
    let from: Option<RepositoryName> = match from.map(str::parse) {
        None => None,
        Some(Ok(from)) => Some(from),
        Some(Err(_)) => return Ok(false),
    };
    let mounted = api.registry.mount_blob(name, digest, from.as_ref()).await?;
    Ok(mounted == Mounted::Yes)
}

async fn open(
    api: &Api,
    name: &RepositoryName,
    algorithm: Option<Algorithm>,
) -> Result<Response, ApiError> {
    let session = api.registry.start_upload(name, algorithm).await?;
    let mut response = under_way(StatusCode::ACCEPTED, name, session);
    if let Some(bytes) = api.registry.rules().chunk_min_bytes {
        response
            .headers_mut()
            .insert(CHUNK_MIN_LENGTH, bytes.into());
    }
    Ok(response)
}

/// The piece of a blob that a request carries, checked against its own words.
fn chunk(api: &Api, request: &Parts, body: Body) -> Result<Chunk, ApiError> {
    let headers = &request.headers;
    let length: Option<u64> = text(headers, header::CONTENT_LENGTH)
        .map(str::parse)
        .transpose()
        .map_err(|_| {
            ApiError::bad_request(ErrorCode::SizeInvalid, "Content-Length is no number")
        })?;
    let announced = text(headers, header::CONTENT_RANGE)
        .map(|value| {
            range::chunk(value).ok_or_else(|| {
                ApiError::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    ErrorCode::BlobUploadInvalid,
                    format!("Content-Range {value:?} is not of the form <first>-<last>"),
                )
            })
        })
        .transpose()?;
    let size_bytes = announced.as_ref().map(|range| range.end - range.start);
    if let (Some(announced), Some(length)) = (size_bytes, length)
        && announced != length
    {
        return Err(ApiError::bad_request(
            ErrorCode::SizeInvalid,
            format!("Content-Range is of {announced} bytes, Content-Length of {length}"),
        ));
    }
    let idle = api.config.body_idle_timeout;
    Ok(Chunk {
        first: announced.map(|range| range.start),
        size_bytes: size_bytes.or(length),
        body: metrics::counted(bodies::of_blob(request, body, idle)),
    })
}

fn algorithm_in(value: &str) -> Result<Algorithm, ApiError> {
    value.parse().map_err(|_| {
        ApiError::bad_request(
            ErrorCode::DigestInvalid,
            format!("{value:?} is not a digest algorithm that this registry knows"),
        )
    })
}

/// Runs to its end, also when the client does not wait for it.
async fn to_the_end(
    operation: impl Future<Output = Result<Response, RegistryError>> + Send + 'static,
) -> Result<Response, ApiError> {
    let operation = operation.in_current_span();
    let outcome = tokio::spawn(operation).await.map_err(RegistryError::Task)?;
    Ok(outcome?)
}

/// A session's state, in the words of end-4a, end-5 and end-13.
fn under_way(status: StatusCode, name: &RepositoryName, session: UploadSession) -> Response {
    answer(
        status,
        [
            (
                header::LOCATION,
                format!("/v2/{name}/blobs/uploads/{}", session.id),
            ),
            (header::RANGE, range::received(session.offset_bytes)),
            (UPLOAD_ID, session.id.to_string()),
        ],
        Body::empty(),
    )
}

fn created(name: &RepositoryName, digest: &Digest) -> Response {
    answer(
        StatusCode::CREATED,
        [
            (header::LOCATION, format!("/v2/{name}/blobs/{digest}")),
            (CONTENT_DIGEST, digest.to_string()),
        ],
        Body::empty(),
    )
}
