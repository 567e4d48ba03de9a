//! The map of the whole API: every path with the route that it is, and what is none.

use std::collections::BTreeSet;

use super::*;
use proptest::prelude::*;

const SHA: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ID: &str = "f6e5c35b-82b5-419f-833c-d8884060402d";

/// Every route's name, as the sources give it: a route that is added has one
/// at once, and the tests fail until it has its rows.
pub(in crate::http) fn names() -> BTreeSet<&'static str> {
    let sources = [
        include_str!("mod.rs"),
        include_str!("../facts_route.rs"),
        include_str!("../api_v1/endpoint.rs"),
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
