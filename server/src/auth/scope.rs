//! Scopes, as clients ask for them and tokens carry them
//! (distribution `docs/spec/auth/scope.md`): `repository:team/app:pull,push`.

use std::fmt;

use hythe_oci::RepositoryName;

use super::action::{Action, Actions};
use super::pattern::RepositoryPattern;

/// More than any client asks for at once.
const MAX_SCOPES: usize = 128;

/// Actions on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// `repository` or `registry`; a class such as `repository(plugin)` says
    /// nothing that changes a right.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) actions: Vec<String>,
}

impl Scope {
    /// Reads one; `None` when it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // A name may have a colon in it, of a port.
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let kind = kind.split('(').next().unwrap_or(kind);
        if kind.is_empty() || name.is_empty() {
            return None;
        }
        Some(Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            actions: actions.split(',').map(str::to_owned).collect(),
        })
    }

    /// Every scope of several texts, each with spaces between; what is none is
    /// left out, as it gives no right.
    pub(crate) fn parse_all<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Self> {
        texts
            .flat_map(str::split_ascii_whitespace)
            .filter_map(Self::parse)
            .take(MAX_SCOPES)
            .collect()
    }

    /// What is needed for an action on a repository, in the words of clients.
    pub(crate) fn needed(name: &str, actions: impl IntoIterator<Item = Action>) -> Self {
        Self {
            kind: "repository".to_owned(),
            name: name.to_owned(),
            actions: actions.into_iter().map(|one| one.to_string()).collect(),
        }
    }

    /// The rights that its words are.
    pub(crate) fn rights(&self) -> Actions {
        Actions::among(self.actions.iter().map(String::as_str))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.kind, self.name, self.actions.join(","))
    }
}

/// What a long-lived token is limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Which repositories.
    pub pattern: RepositoryPattern,
    /// What there.
    pub actions: Actions,
}

impl Limit {
    /// Whether an action on a repository is within it.
    pub(super) fn allows(&self, action: Action, repository: &RepositoryName) -> bool {
        self.actions.widened().contains(action) && self.pattern.matches(repository)
    }
}

/// A text that limits nothing that is there.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no scope: repository:PATTERN:ACTIONS, such as repository:ci/*:pull,push")]
pub struct LimitError(String);

impl std::str::FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let wrong = || LimitError(text.to_owned());
        let scope = Scope::parse(text).ok_or_else(wrong)?;
        if scope.kind != "repository" {
            return Err(wrong());
        }
        let actions = scope.actions.join(",");
        Ok(Self {
            pattern: scope.name.parse().map_err(|_| wrong())?,
            actions: actions.parse().map_err(|_| wrong())?,
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "repository:{}:{}", self.pattern, self.actions)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scopes_are_read_as_clients_write_them() {
        for (text, kind, name, rights) in [
            ("repository:a/b:pull,push", "repository", "a/b", "pull,push"),
            ("repository:h:5000/a:pull", "repository", "h:5000/a", "pull"),
            ("repository(plugin):a:pull", "repository", "a", "pull"),
            (
                "registry:catalog:*",
                "registry",
                "catalog",
                "pull,push,delete,admin",
            ),
            ("repository:a:pull,fly", "repository", "a", "pull"),
            ("repository:a:", "repository", "a", ""),
        ] {
            let scope = Scope::parse(text).unwrap();
            assert_eq!((scope.kind.as_str(), scope.name.as_str()), (kind, name));
            assert_eq!(scope.rights().to_string(), rights, "{text}");
        }
        for text in [
            "",
            "repository",
            "repository:a",
            ":a:pull",
            "repository::pull",
        ] {
            assert_eq!(Scope::parse(text), None, "{text}");
        }
        let several = [
            "repository:a:pull repository:b:push",
            "rubbish",
            "registry:catalog:*",
        ];
        assert_eq!(Scope::parse_all(several.into_iter()).len(), 3);
    }

    #[test]
    fn limits_are_of_repositories_and_of_rights_that_there_are() {
        let limit: Limit = "repository:ci/*:pull,push".parse().unwrap();
        assert_eq!(limit.to_string(), "repository:ci/*:pull,push");
        for wrong in [
            "registry:catalog:*",
            "repository:ci/*:fly",
            "repository:A:pull",
            "x",
        ] {
            assert!(wrong.parse::<Limit>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_scope_panics(text in "\\PC{0,80}") {
            if let Some(scope) = Scope::parse(&text) {
                scope.rights();
            }
        }
    }
}
