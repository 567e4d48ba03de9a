//! Scopes of tokens, distribution `docs/spec/auth/scope.md`: `repository:team/app:pull,push`.

use crate::reference::RepositoryName;

/// What a token has to allow. Texts of registries go in as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Scope(Vec<Grant>);

/// Actions on one resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Grant {
    /// `repository:team/app`.
    resource: String,
    actions: Vec<String>,
}

impl Scope {
    /// `actions` on one repository.
    pub(super) fn repository(name: &RepositoryName, actions: &[&str]) -> Self {
        Self(vec![Grant {
            resource: format!("repository:{name}"),
            actions: actions.iter().map(|&action| action.to_owned()).collect(),
        }])
    }

    /// Reads scopes with spaces between them; what is none is left out.
    pub(super) fn parse(text: &str) -> Self {
        let mut scope = Self::default();
        for one in text.split_ascii_whitespace() {
            // A name may have a colon in it, of a port: the actions are after the last.
            if let Some((resource, actions)) = one.rsplit_once(':') {
                scope.add(Grant {
                    resource: resource.to_owned(),
                    actions: actions.split(',').map(str::to_owned).collect(),
                });
            }
        }
        scope
    }

    /// All that either allows.
    #[must_use]
    pub(super) fn union(mut self, other: Self) -> Self {
        for grant in other.0 {
            self.add(grant);
        }
        self
    }

    fn add(&mut self, grant: Grant) {
        let known = self
            .0
            .iter_mut()
            .find(|known| known.resource == grant.resource);
        match known {
            Some(known) => {
                for action in grant.actions {
                    if !known.actions.contains(&action) {
                        known.actions.push(action);
                    }
                }
            }
            None => self.0.push(grant),
        }
    }

    /// One text for each resource.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        let text = |grant: &Grant| format!("{}:{}", grant.resource, grant.actions.join(","));
        self.0.iter().map(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scopes_are_joined_by_resource() {
        for (ours, theirs, joined) in [
            ("repository:a:pull", "", vec!["repository:a:pull"]),
            ("", "registry:catalog:*", vec!["registry:catalog:*"]),
            (
                "repository:a:pull,push",
                "repository:a:pull",
                vec!["repository:a:pull,push"],
            ),
            (
                "repository:a:pull",
                "repository:a:push repository:b:pull",
                vec!["repository:a:pull,push", "repository:b:pull"],
            ),
            (
                "repository:h:5000/a:pull",
                "rubbish",
                vec!["repository:h:5000/a:pull"],
            ),
        ] {
            let scope = Scope::parse(ours).union(Scope::parse(theirs));
            assert_eq!(scope.texts().collect::<Vec<_>>(), joined);
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_a_scope_joined_with_itself_is_itself(text in "\\PC{0,60}") {
            let scope = Scope::parse(&text);
            prop_assert_eq!(scope.clone().union(scope.clone()), scope);
        }
    }
}
