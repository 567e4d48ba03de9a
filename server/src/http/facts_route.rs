//! From a method and a path under `/api/v1/` to what is asked about
//! repositories and tags. Pure.
//!
//! As in [`super::route`], a path is read from its end. A name whose last
//! component reads like one of these words (`a/tags`) is written with `%2F` for
//! its slashes, which is right for every name.

use http::Method;
use hythe_oci::{RepositoryName, Tag};

use super::route::RouteError;
use crate::registry::PolicyKind;

/// One question or change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FactsRoute {
    ListRepositories,
    DescribeRepository(RepositoryName),
    ChangeRepository(RepositoryName),
    DeleteRepository(RepositoryName),
    GiveStar(RepositoryName),
    TakeStar(RepositoryName),
    ListTags(RepositoryName),
    DescribeTag(RepositoryName, Tag),
    TagHistory(RepositoryName, Tag),
    RestoreTag(RepositoryName, Tag),
    ListPolicies,
    SetPolicy(PolicyKind),
    /// All of `/api/v1`, as a document.
    OpenApi,
}

impl FactsRoute {
    /// The path that it is asked for by, right for every name.
    #[cfg(test)]
    pub(in crate::http) fn path(&self) -> String {
        let of = |name: &RepositoryName| {
            format!("/api/v1/repositories/{}", name.as_str().replace('/', "%2F"))
        };
        match self {
            Self::ListRepositories => "/api/v1/repositories".to_owned(),
            Self::DescribeRepository(name)
            | Self::ChangeRepository(name)
            | Self::DeleteRepository(name) => of(name),
            Self::GiveStar(name) | Self::TakeStar(name) => of(name) + "/star",
            Self::ListTags(name) => of(name) + "/tags",
            Self::DescribeTag(name, tag) => format!("{}/tags/{tag}", of(name)),
            Self::TagHistory(name, tag) => format!("{}/tags/{tag}/history", of(name)),
            Self::RestoreTag(name, tag) => format!("{}/tags/{tag}/restore", of(name)),
            Self::ListPolicies => "/api/v1/policies".to_owned(),
            Self::SetPolicy(kind) => format!("/api/v1/policies/{}", kind.as_str()),
            Self::OpenApi => "/api/v1/openapi.json".to_owned(),
        }
    }

    /// What a request asks for; `rest` is what follows `/api/v1/`.
    pub(super) fn parse(method: &Method, rest: &str) -> Result<Self, RouteError> {
        let parts: Vec<&str> = rest.split('/').collect();
        match parts.as_slice() {
            ["repositories"] | ["repositories", ""] => {
                only(method, &Method::GET, "GET").map(|()| Self::ListRepositories)
            }
            ["repositories", rest @ ..] => of_repositories(method, rest),
            ["openapi.json"] => only(method, &Method::GET, "GET").map(|()| Self::OpenApi),
            ["policies"] => only(method, &Method::GET, "GET").map(|()| Self::ListPolicies),
            ["policies", kind] => {
                only(method, &Method::PUT, "PUT")?;
                let mut kinds = PolicyKind::ALL.into_iter();
                let kind = kinds.find(|one| one.as_str() == *kind);
                kind.map(Self::SetPolicy).ok_or(RouteError::NotFound)
            }
            _ => Err(RouteError::NotFound),
        }
    }

    /// What it does to what, if that is put on record.
    pub(super) fn audited(&self) -> Option<(&'static str, String)> {
        match self {
            Self::ChangeRepository(name) => Some(("describe repository", name.to_string())),
            Self::DeleteRepository(name) => Some(("delete repository", name.to_string())),
            Self::RestoreTag(name, tag) => Some(("restore tag", format!("{name}:{tag}"))),
            Self::SetPolicy(kind) => Some(("set policy", format!("{kind:?}"))),
            Self::ListRepositories
            | Self::DescribeRepository(_)
            | Self::GiveStar(_)
            | Self::TakeStar(_)
            | Self::ListTags(_)
            | Self::DescribeTag(..)
            | Self::TagHistory(..)
            | Self::OpenApi
            | Self::ListPolicies => None,
        }
    }

    /// A short, fixed name, for metrics and logs.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::ListRepositories => "api_list_repositories",
            Self::DescribeRepository(..) => "api_describe_repository",
            Self::ChangeRepository(..) => "api_change_repository",
            Self::DeleteRepository(..) => "api_delete_repository",
            Self::GiveStar(..) => "api_give_star",
            Self::TakeStar(..) => "api_take_star",
            Self::ListTags(..) => "api_list_tags",
            Self::DescribeTag(..) => "api_describe_tag",
            Self::TagHistory(..) => "api_tag_history",
            Self::RestoreTag(..) => "api_restore_tag",
            Self::ListPolicies => "api_list_policies",
            Self::SetPolicy(..) => "api_set_policy",
            Self::OpenApi => "api_open_api",
        }
    }
}

fn of_repositories(method: &Method, parts: &[&str]) -> Result<FactsRoute, RouteError> {
    match parts {
        [name @ .., "star"] if !name.is_empty() => star(method, name),
        [name @ .., "tags"] if !name.is_empty() => {
            only(method, &Method::GET, "GET")?;
            Ok(FactsRoute::ListTags(repository(name)?))
        }
        [name @ .., "tags", tag, "history"] if !name.is_empty() => {
            only(method, &Method::GET, "GET")?;
            Ok(FactsRoute::TagHistory(repository(name)?, of_tag(tag)?))
        }
        [name @ .., "tags", tag, "restore"] if !name.is_empty() => {
            only(method, &Method::POST, "POST")?;
            Ok(FactsRoute::RestoreTag(repository(name)?, of_tag(tag)?))
        }
        [name @ .., "tags", tag] if !name.is_empty() => {
            only(method, &Method::GET, "GET")?;
            Ok(FactsRoute::DescribeTag(repository(name)?, of_tag(tag)?))
        }
        name => of_repository(method, name),
    }
}

fn only(method: &Method, one: &Method, allowed: &'static str) -> Result<(), RouteError> {
    if method == one {
        Ok(())
    } else {
        Err(RouteError::MethodNotAllowed { allowed })
    }
}

fn star(method: &Method, name: &[&str]) -> Result<FactsRoute, RouteError> {
    let name = repository(name)?;
    match *method {
        Method::PUT => Ok(FactsRoute::GiveStar(name)),
        Method::DELETE => Ok(FactsRoute::TakeStar(name)),
        _ => Err(RouteError::MethodNotAllowed {
            allowed: "PUT, DELETE",
        }),
    }
}

fn of_repository(method: &Method, name: &[&str]) -> Result<FactsRoute, RouteError> {
    let name = repository(name)?;
    match *method {
        Method::GET => Ok(FactsRoute::DescribeRepository(name)),
        Method::PATCH => Ok(FactsRoute::ChangeRepository(name)),
        Method::DELETE => Ok(FactsRoute::DeleteRepository(name)),
        _ => Err(RouteError::MethodNotAllowed {
            allowed: "GET, PATCH, DELETE",
        }),
    }
}

fn repository(parts: &[&str]) -> Result<RepositoryName, RouteError> {
    let name = parts.join("/").replace("%2F", "/").replace("%2f", "/");
    name.parse().map_err(|_| RouteError::InvalidName(name))
}

fn of_tag(text: &str) -> Result<Tag, RouteError> {
    text.parse()
        .map_err(|_| RouteError::InvalidReference(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(method: &str, rest: &str) -> String {
        let rest = format!("repositories/{rest}");
        match FactsRoute::parse(&method.parse().unwrap(), &rest) {
            Ok(route) => format!("{route:?}"),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn every_path_means_one_thing() {
        for (method, rest, expected) in [
            (
                "GET",
                "a/tags/1/history",
                "TagHistory(RepositoryName(\"a\"), Tag(\"1\"))",
            ),
            (
                "POST",
                "a/b/tags/1/restore",
                "RestoreTag(RepositoryName(\"a/b\"), Tag(\"1\"))",
            ),
            ("GET", "", "ListRepositories"),
            ("GET", "a", "DescribeRepository(RepositoryName(\"a\"))"),
            ("PATCH", "a/b", "ChangeRepository(RepositoryName(\"a/b\"))"),
            (
                "DELETE",
                "a%2Fb",
                "DeleteRepository(RepositoryName(\"a/b\"))",
            ),
            ("PUT", "a/b/star", "GiveStar(RepositoryName(\"a/b\"))"),
            ("DELETE", "a/star", "TakeStar(RepositoryName(\"a\"))"),
            (
                "DELETE",
                "a%2fstar",
                "DeleteRepository(RepositoryName(\"a/star\"))",
            ),
            (
                "GET",
                "star",
                "DescribeRepository(RepositoryName(\"star\"))",
            ),
            ("GET", "a/b/tags", "ListTags(RepositoryName(\"a/b\"))"),
            (
                "GET",
                "a%2Ftags/tags",
                "ListTags(RepositoryName(\"a/tags\"))",
            ),
            (
                "GET",
                "a/tags/1.0",
                "DescribeTag(RepositoryName(\"a\"), Tag(\"1.0\"))",
            ),
            ("GET", "A", "InvalidName(\"A\")"),
            ("GET", "a/../b", "InvalidName(\"a/../b\")"),
            ("GET", "a/tags/.x", "InvalidReference(\".x\")"),
            (
                "POST",
                "a",
                "MethodNotAllowed { allowed: \"GET, PATCH, DELETE\" }",
            ),
            (
                "GET",
                "a/star",
                "MethodNotAllowed { allowed: \"PUT, DELETE\" }",
            ),
        ] {
            assert_eq!(parse(method, rest), expected, "{method} {rest}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(method in "GET|PUT|POST|PATCH|DELETE", rest in "[a-z0-9/%._:-]{0,40}") {
            parse(&method, &rest);
        }
    }
}
