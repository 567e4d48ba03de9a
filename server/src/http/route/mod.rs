//! From a method and a path to what is asked for.
//!
//! Repository names have any number of slashes, so a path is read from its end:
//! the last two or three segments say which endpoint it is, and everything
//! between them and `/v2/` is the name. Pure; the table of its tests is the
//! map of the whole API.

use http::Method;
use hythe_oci::{Digest, Reference, RepositoryName};

use super::api_v1;
use super::facts_route::FactsRoute;
use crate::registry::UploadId;

/// One operation of the API; the endpoint's id of the specification beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// end-1
    Ping,
    /// end-2
    GetBlob(RepositoryName, Digest),
    /// end-2
    HeadBlob(RepositoryName, Digest),
    /// end-10
    DeleteBlob(RepositoryName, Digest),
    /// end-3
    GetManifest(RepositoryName, Reference),
    /// end-3
    HeadManifest(RepositoryName, Reference),
    /// end-7a, end-7b
    PutManifest(RepositoryName, Reference),
    /// end-9
    DeleteManifest(RepositoryName, Reference),
    /// end-4a, end-4b, end-4c, end-11
    StartUpload(RepositoryName),
    /// end-13
    UploadStatus(RepositoryName, UploadId),
    /// end-5
    AppendChunk(RepositoryName, UploadId),
    /// end-6
    CompleteUpload(RepositoryName, UploadId),
    /// end-14
    CancelUpload(RepositoryName, UploadId),
    /// end-8a, end-8b
    ListTags(RepositoryName),
    /// end-12a, end-12b
    ListReferrers(RepositoryName, Digest),
    /// Not in the specification; every registry has it.
    ListRepositories,
    /// Not in the specification: what docker and podman ask before a search.
    SearchPing,
    /// Not in the specification: search, as docker and podman call it.
    Search,
    /// Not in the specification: what is known of repositories and tags.
    Facts(FactsRoute),
    /// Not in the specification: a token for who shows credentials.
    GetToken,
    /// Not in the specification: a token for who sends a form.
    PostToken,
    /// The public keys of those tokens.
    Jwks,
    /// Administration.
    Api(api_v1::Endpoint),
    /// Whether the process lives.
    Health,
    /// Whether it can do its work.
    Ready,
    /// For Prometheus.
    Metrics,
}

/// Why a request is none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RouteError {
    /// There is no such path.
    NotFound,
    /// The path exists, and this method does not.
    MethodNotAllowed { allowed: &'static str },
    /// Where the repository's name should be is none.
    InvalidName(String),
    /// Where the digest should be is none.
    InvalidDigest(String),
    /// Neither a tag nor a digest.
    InvalidReference(String),
    /// Not a session that we opened.
    UnknownUpload(String),
}

impl Route {
    /// What a request asks for. The path is as it came, without the query.
    pub(crate) fn parse(method: &Method, path: &str) -> Result<Self, RouteError> {
        match path {
            "/v2" | "/v2/" => return read_only(method, Self::Ping, Self::Ping),
            "/v2/_catalog" => {
                return read_only(method, Self::ListRepositories, Self::ListRepositories);
            }
            "/v1/_ping" => return read_only(method, Self::SearchPing, Self::SearchPing),
            "/v1/search" => return read_only(method, Self::Search, Self::Search),
            "/token" => return token(method),
            "/.well-known/jwks.json" => return read_only(method, Self::Jwks, Self::Jwks),
            "/healthz" => return read_only(method, Self::Health, Self::Health),
            "/readyz" => return read_only(method, Self::Ready, Self::Ready),
            "/metrics" => return read_only(method, Self::Metrics, Self::Metrics),
            _ => {}
        }
        if let Some(rest) = path.strip_prefix("/api/v1/") {
            return match rest.split('/').next() {
                Some("repositories" | "policies" | "openapi.json") => {
                    FactsRoute::parse(method, rest).map(Self::Facts)
                }
                _ => api_v1::Endpoint::parse(method, rest).map(Self::Api),
            };
        }
        let rest = path.strip_prefix("/v2/").ok_or(RouteError::NotFound)?;
        let segments: Vec<&str> = rest.split('/').collect();
        match segments.as_slice() {
            // Some clients leave the last slash out.
            [name @ .., "blobs", "uploads", ""] | [name @ .., "blobs", "uploads"] => {
                start_upload(method, name)
            }
            [name @ .., "blobs", "uploads", id] if !name.is_empty() => upload(method, name, id),
            [name @ .., "blobs", digest] => blob(method, name, digest),
            [name @ .., "manifests", reference] => manifest(method, name, reference),
            [name @ .., "tags", "list"] => {
                let name = repository(name)?;
                read_only(method, Self::ListTags(name.clone()), Self::ListTags(name))
            }
            [name @ .., "referrers", digest] => referrers(method, name, digest),
            _ => Err(RouteError::NotFound),
        }
    }

    /// A short, fixed name, for metrics and logs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::GetBlob(..) => "get_blob",
            Self::HeadBlob(..) => "head_blob",
            Self::DeleteBlob(..) => "delete_blob",
            Self::GetManifest(..) => "get_manifest",
            Self::HeadManifest(..) => "head_manifest",
            Self::PutManifest(..) => "put_manifest",
            Self::DeleteManifest(..) => "delete_manifest",
            Self::StartUpload(..) => "start_upload",
            Self::UploadStatus(..) => "upload_status",
            Self::AppendChunk(..) => "append_chunk",
            Self::CompleteUpload(..) => "complete_upload",
            Self::CancelUpload(..) => "cancel_upload",
            Self::ListTags(..) => "list_tags",
            Self::ListReferrers(..) => "list_referrers",
            Self::ListRepositories => "list_repositories",
            Self::SearchPing => "search_ping",
            Self::Search => "search",
            Self::Facts(route) => route.name(),
            Self::GetToken => "get_token",
            Self::PostToken => "post_token",
            Self::Jwks => "jwks",
            Self::Api(endpoint) => endpoint.name(),
            Self::Health => "health",
            Self::Ready => "ready",
            Self::Metrics => "metrics",
        }
    }
}

fn read_only(method: &Method, get: Route, head: Route) -> Result<Route, RouteError> {
    match *method {
        Method::GET => Ok(get),
        Method::HEAD => Ok(head),
        _ => Err(RouteError::MethodNotAllowed {
            allowed: "GET, HEAD",
        }),
    }
}

fn token(method: &Method) -> Result<Route, RouteError> {
    match *method {
        Method::GET | Method::HEAD => Ok(Route::GetToken),
        Method::POST => Ok(Route::PostToken),
        _ => Err(RouteError::MethodNotAllowed {
            allowed: "GET, HEAD, POST",
        }),
    }
}

fn blob(method: &Method, name: &[&str], digest: &str) -> Result<Route, RouteError> {
    let name = repository(name)?;
    let digest = parse_digest(digest)?;
    match *method {
        Method::GET => Ok(Route::GetBlob(name, digest)),
        Method::HEAD => Ok(Route::HeadBlob(name, digest)),
        Method::DELETE => Ok(Route::DeleteBlob(name, digest)),
        _ => Err(RouteError::MethodNotAllowed {
            allowed: "GET, HEAD, DELETE",
        }),
    }
}

fn manifest(method: &Method, name: &[&str], reference: &str) -> Result<Route, RouteError> {
    let name = repository(name)?;
    let encoded = reference.contains("%3A") || reference.contains("%3a");
    let reference: Reference = if encoded || reference.contains(':') {
        Reference::Digest(parse_digest(reference)?)
    } else {
        reference
            .parse()
            .map_err(|_| RouteError::InvalidReference(reference.to_owned()))?
    };
    match *method {
        Method::GET => Ok(Route::GetManifest(name, reference)),
        Method::HEAD => Ok(Route::HeadManifest(name, reference)),
        Method::PUT => Ok(Route::PutManifest(name, reference)),
        Method::DELETE => Ok(Route::DeleteManifest(name, reference)),
        _ => Err(RouteError::MethodNotAllowed {
            allowed: "GET, HEAD, PUT, DELETE",
        }),
    }
}

fn start_upload(method: &Method, name: &[&str]) -> Result<Route, RouteError> {
    let name = repository(name)?;
    match *method {
        Method::POST => Ok(Route::StartUpload(name)),
        _ => Err(RouteError::MethodNotAllowed { allowed: "POST" }),
    }
}

fn upload(method: &Method, name: &[&str], id: &str) -> Result<Route, RouteError> {
    let name = repository(name)?;
    let id = UploadId::parse(id).ok_or_else(|| RouteError::UnknownUpload(id.to_owned()))?;
    match *method {
        Method::GET | Method::HEAD => Ok(Route::UploadStatus(name, id)),
        Method::PATCH => Ok(Route::AppendChunk(name, id)),
        Method::PUT => Ok(Route::CompleteUpload(name, id)),
        Method::DELETE => Ok(Route::CancelUpload(name, id)),
        _ => Err(RouteError::MethodNotAllowed {
            allowed: "GET, PATCH, PUT, DELETE",
        }),
    }
}

fn referrers(method: &Method, name: &[&str], digest: &str) -> Result<Route, RouteError> {
    let name = repository(name)?;
    let digest = parse_digest(digest)?;
    let route = Route::ListReferrers(name, digest);
    read_only(method, route.clone(), route)
}

fn repository(segments: &[&str]) -> Result<RepositoryName, RouteError> {
    let name = segments.join("/");
    name.parse().map_err(|_| RouteError::InvalidName(name))
}

/// Clients may write the colon of a digest as `%3A`; nothing else in these
/// paths has a reason to be encoded.
fn parse_digest(text: &str) -> Result<Digest, RouteError> {
    text.replace("%3A", ":")
        .replace("%3a", ":")
        .parse()
        .map_err(|_| RouteError::InvalidDigest(text.to_owned()))
}

#[cfg(test)]
pub(super) mod tests;
