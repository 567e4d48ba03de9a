//! From a method and a path under `/api/v1/` to what is asked about
//! repositories and tags. Pure.
//!
//! As in [`super::route`], a path is read from its end. A name whose last
//! component reads like one of these words (`a/tags`) is written with `%2F` for
//! its slashes, which is right for every name.

use http::Method;
use hythe_oci::{RepositoryName, Tag};

use super::route::RouteError;

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
}

impl FactsRoute {
    /// Every name that [`FactsRoute::name`] gives.
    #[cfg(test)]
    pub(in crate::http) const NAMES: [&'static str; 8] = [
        "api_list_repositories",
        "api_describe_repository",
        "api_change_repository",
        "api_delete_repository",
        "api_give_star",
        "api_take_star",
        "api_list_tags",
        "api_describe_tag",
    ];

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
        }
    }

    /// What a request asks for; `rest` is what follows `/api/v1/repositories`,
    /// without its first slash.
    pub(super) fn parse(method: &Method, rest: &str) -> Result<Self, RouteError> {
        let parts: Vec<&str> = rest.split('/').collect();
        match parts.as_slice() {
            [""] => list(method),
            [name @ .., "star"] if !name.is_empty() => star(method, name),
            [name @ .., "tags"] if !name.is_empty() => {
                only_get(method)?;
                Ok(Self::ListTags(repository(name)?))
            }
            [name @ .., "tags", tag] if !name.is_empty() => {
                only_get(method)?;
                Ok(Self::DescribeTag(repository(name)?, of_tag(tag)?))
            }
            name => of_repository(method, name),
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
        }
    }
}

fn list(method: &Method) -> Result<FactsRoute, RouteError> {
    only_get(method).map(|()| FactsRoute::ListRepositories)
}

fn only_get(method: &Method) -> Result<(), RouteError> {
    match *method {
        Method::GET => Ok(()),
        _ => Err(RouteError::MethodNotAllowed { allowed: "GET" }),
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
        match FactsRoute::parse(&method.parse().unwrap(), rest) {
            Ok(route) => format!("{route:?}"),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn every_path_means_one_thing() {
        for (method, rest, expected) in [
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
