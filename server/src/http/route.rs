//! From a method and a path to what is asked for.
//!
//! Repository names have any number of slashes, so a path is read from its end:
//! the last two or three segments say which endpoint it is, and everything
//! between them and `/v2/` is the name. Pure; the table of tests below is the
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
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    const SHA: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ID: &str = "f6e5c35b-82b5-419f-833c-d8884060402d";

    /// Every route's name, as the sources give it: a route that is added has one
    /// at once, and the tests fail until it has its rows.
    pub(in crate::http) fn names() -> BTreeSet<&'static str> {
        let sources = [
            include_str!("route.rs"),
            include_str!("facts_route.rs"),
            include_str!("api_v1/endpoint.rs"),
        ];
        let names = sources.into_iter().flat_map(|source| {
            let from = source
                .split("fn name(&self) -> &'static str {")
                .nth(1)
                .unwrap();
            let body = from.split("\n    }\n").next().unwrap();
            body.lines().filter_map(|line| line.split('"').nth(1))
        });
        names.collect()
    }

    fn parse(method: &str, path: &str) -> Result<Route, RouteError> {
        let path = path.replace("{sha}", SHA).replace("{id}", ID);
        Route::parse(&method.parse().unwrap(), &path)
    }

    /// Method, path, the route's name, the repository's name in it.
    pub(in crate::http) const ROUTES: [(&str, &str, &str, &str); 74] = [
        ("GET", "/v2/", "ping", ""),
        ("GET", "/v2", "ping", ""),
        ("HEAD", "/v2/", "ping", ""),
        ("GET", "/v2/_catalog", "list_repositories", ""),
        ("GET", "/v1/_ping", "search_ping", ""),
        ("GET", "/v1/search", "search", ""),
        ("GET", "/api/v1/repositories", "api_list_repositories", ""),
        (
            "GET",
            "/api/v1/repositories/a/b",
            "api_describe_repository",
            "a/b",
        ),
        (
            "PATCH",
            "/api/v1/repositories/a",
            "api_change_repository",
            "a",
        ),
        (
            "DELETE",
            "/api/v1/repositories/a",
            "api_delete_repository",
            "a",
        ),
        ("PUT", "/api/v1/repositories/a/star", "api_give_star", "a"),
        (
            "DELETE",
            "/api/v1/repositories/a/star",
            "api_take_star",
            "a",
        ),
        ("GET", "/api/v1/repositories/a/tags", "api_list_tags", "a"),
        (
            "GET",
            "/api/v1/repositories/a/tags/1",
            "api_describe_tag",
            "a",
        ),
        ("GET", "/token", "get_token", ""),
        ("POST", "/token", "post_token", ""),
        ("GET", "/.well-known/jwks.json", "jwks", ""),
        ("GET", "/api/v1/whoami", "api_who_am_i", ""),
        (
            "GET",
            "/api/v1/repositories/a/tags/1/history",
            "api_tag_history",
            "a",
        ),
        (
            "POST",
            "/api/v1/repositories/a/tags/1/restore",
            "api_restore_tag",
            "a",
        ),
        ("GET", "/api/v1/policies", "api_list_policies", ""),
        ("GET", "/api/v1/openapi.json", "api_open_api", ""),
        ("PUT", "/api/v1/policies/quotas", "api_set_policy", ""),
        ("GET", "/api/v1/audit", "api_audit", ""),
        ("GET", "/api/v1/accounts", "api_list_accounts", ""),
        ("POST", "/api/v1/accounts", "api_add_account", ""),
        ("PATCH", "/api/v1/accounts/x", "api_change_account", ""),
        ("DELETE", "/api/v1/accounts/x", "api_remove_account", ""),
        ("GET", "/api/v1/groups", "api_list_groups", ""),
        ("POST", "/api/v1/groups", "api_add_group", ""),
        ("DELETE", "/api/v1/groups/x", "api_remove_group", ""),
        ("PUT", "/api/v1/groups/x/members/y", "api_add_member", ""),
        (
            "DELETE",
            "/api/v1/groups/x/members/y",
            "api_remove_member",
            "",
        ),
        ("GET", "/api/v1/tokens", "api_list_own_tokens", ""),
        ("POST", "/api/v1/tokens", "api_make_token", ""),
        ("DELETE", "/api/v1/tokens/x", "api_revoke_token", ""),
        ("GET", "/api/v1/grants", "api_list_grants", ""),
        ("POST", "/api/v1/grants", "api_add_grant", ""),
        ("DELETE", "/api/v1/grants/x", "api_remove_grant", ""),
        ("GET", "/api/v1/identities", "api_list_identities", ""),
        ("POST", "/api/v1/identities", "api_add_identity", ""),
        ("DELETE", "/api/v1/identities/x", "api_remove_identity", ""),
        ("GET", "/healthz", "health", ""),
        ("GET", "/readyz", "ready", ""),
        ("GET", "/metrics", "metrics", ""),
        ("GET", "/v2/a/blobs/{sha}", "get_blob", "a"),
        ("HEAD", "/v2/a/blobs/{sha}", "head_blob", "a"),
        ("DELETE", "/v2/a/blobs/{sha}", "delete_blob", "a"),
        (
            "GET",
            "/v2/a/b/c/d/e/f/g/h/blobs/{sha}",
            "get_blob",
            "a/b/c/d/e/f/g/h",
        ),
        ("GET", "/v2/a/manifests/latest", "get_manifest", "a"),
        ("GET", "/v2/a/manifests/{sha}", "get_manifest", "a"),
        ("HEAD", "/v2/a/manifests/latest", "head_manifest", "a"),
        ("PUT", "/v2/a/b/manifests/1.0", "put_manifest", "a/b"),
        ("DELETE", "/v2/a/manifests/1.0", "delete_manifest", "a"),
        ("POST", "/v2/a/blobs/uploads/", "start_upload", "a"),
        ("POST", "/v2/a/blobs/uploads", "start_upload", "a"),
        ("GET", "/v2/a/b/blobs/uploads/{id}", "upload_status", "a/b"),
        ("PATCH", "/v2/a/blobs/uploads/{id}", "append_chunk", "a"),
        ("PUT", "/v2/a/blobs/uploads/{id}", "complete_upload", "a"),
        ("DELETE", "/v2/a/blobs/uploads/{id}", "cancel_upload", "a"),
        ("GET", "/v2/a/tags/list", "list_tags", "a"),
        ("GET", "/v2/a/referrers/{sha}", "list_referrers", "a"),
        // Names made of the words that end a path.
        ("GET", "/v2/tags/list/tags/list", "list_tags", "tags/list"),
        ("GET", "/v2/blobs/blobs/{sha}", "get_blob", "blobs"),
        (
            "GET",
            "/v2/blobs/uploads/blobs/{sha}",
            "get_blob",
            "blobs/uploads",
        ),
        (
            "POST",
            "/v2/blobs/uploads/blobs/uploads/",
            "start_upload",
            "blobs/uploads",
        ),
        (
            "GET",
            "/v2/uploads/blobs/uploads/{id}",
            "upload_status",
            "uploads",
        ),
        (
            "GET",
            "/v2/manifests/manifests/tags",
            "get_manifest",
            "manifests",
        ),
        (
            "GET",
            "/v2/a/manifests/manifests/list",
            "get_manifest",
            "a/manifests",
        ),
        (
            "GET",
            "/v2/referrers/referrers/{sha}",
            "list_referrers",
            "referrers",
        ),
        ("GET", "/v2/v2/tags/list", "list_tags", "v2"),
        ("GET", "/v2/a/manifests/list", "get_manifest", "a"),
        (
            "GET",
            "/v2/a/manifests/sha256%3Ae3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "get_manifest",
            "a",
        ),
        (
            "GET",
            "/v2/a/blobs/sha256%3Ae3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "get_blob",
            "a",
        ),
    ];

    #[test]
    fn every_route_is_found_with_its_repository() {
        let mut seen = BTreeSet::new();
        for (method, path, name, repository) in ROUTES {
            let route = parse(method, path);
            assert_eq!(
                route.as_ref().map_or("none", Route::name),
                name,
                "{method} {path}"
            );
            if !repository.is_empty() {
                let text = format!("{:?}", route.unwrap());
                assert!(
                    text.contains(&format!("RepositoryName({repository:?})")),
                    "{path}: {text}"
                );
            }
            seen.insert(name);
        }
        assert_eq!(seen, names());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (method, path, expected) in [
            ("GET", "/", "NotFound"),
            ("GET", "/v1/images", "NotFound"),
            ("GET", "/v2/a", "NotFound"),
            ("GET", "/v2/a/tags", "NotFound"),
            ("GET", "/v2//tags/list", "InvalidName"),
            ("GET", "/v2/tags/list", "InvalidName"),
            ("GET", "/v2/A/tags/list", "InvalidName"),
            ("GET", "/v2/a/../b/tags/list", "InvalidName"),
            ("GET", "/v2/a//b/tags/list", "InvalidName"),
            ("GET", "/v2/a%2Fb/tags/list", "InvalidName"),
            ("GET", "/v2/a/blobs/sha256:beef", "InvalidDigest"),
            ("GET", "/v2/a/manifests/sha256:beef", "InvalidDigest"),
            ("GET", "/v2/a/manifests/.hidden", "InvalidReference"),
            ("GET", "/v2/a/manifests/", "InvalidReference"),
            ("PATCH", "/v2/a/blobs/uploads/1", "UnknownUpload"),
            ("PUT", "/v2/", "MethodNotAllowed"),
            ("POST", "/v2/a/manifests/1", "MethodNotAllowed"),
            ("GET", "/v2/a/blobs/uploads/", "MethodNotAllowed"),
            ("PUT", "/v2/a/blobs/{sha}", "MethodNotAllowed"),
        ] {
            let error = format!("{:?}", parse(method, path).unwrap_err());
            assert!(error.starts_with(expected), "{method} {path}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(method in "GET|PUT|POST|PATCH|DELETE|HEAD|X", path in "(/v2)?(/[a-z0-9:._%-]{0,9}){0,8}") {
            drop(parse(&method, &path));
        }

        #[test]
        fn a_valid_name_comes_back_whole(name in "[a-z0-9]{1,5}(/[a-z0-9]{1,5}){0,8}") {
            for (method, rest) in [("GET", "tags/list"), ("GET", "blobs/{sha}"), ("POST", "blobs/uploads/")] {
                let route = parse(method, &format!("/v2/{name}/{rest}")).unwrap();
                let text = format!("{route:?}");
                let expected = format!("RepositoryName({name:?})");
                prop_assert!(text.contains(&expected), "{}", text);
            }
        }
    }
}
