//! Who is asking, and what they may do.

use std::sync::Arc;

use hythe_oci::RepositoryName;

use super::action::Action;
use super::pattern::RepositoryPattern;
use super::rights::Rights;
use super::scope::Limit;

/// Whoever sent a request, as far as it was proven.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    who: Who,
    rights: Arc<Rights>,
    /// What the API token that they proved themselves with is limited to.
    limits: Option<Vec<Limit>>,
    /// What the token that they showed was issued for.
    scope: Option<IssuedFor>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct IssuedFor {
    repositories: Vec<Limit>,
    lists: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    /// There are no accounts here: everybody may do everything.
    Everybody,
    /// Nobody said who they are.
    Anonymous,
    Account(Identity),
}

/// An account, and how the caller proved to be it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Never used for another account.
    pub(crate) account: String,
    pub(crate) name: String,
    pub(crate) credential: Credential,
}

/// How a caller proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// The password; the number counts its changes.
    Password(i64),
    /// An API token, by its id.
    ApiToken(String),
    /// A token of an OpenID Connect issuer, by the id of what we know of it.
    Identity(String),
    /// A TLS certificate.
    Certificate,
}

/// Why somebody may not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// We do not know who they are; as somebody they might.
    Identity,
    /// They might, but the token that they showed is not for it.
    Scope,
    /// They might, but the API token that they have is not for it.
    Limit,
    /// They may not.
    Right,
}

impl Caller {
    /// A caller of a registry that has no accounts.
    pub(crate) fn everybody() -> Self {
        Self {
            who: Who::Everybody,
            rights: Arc::default(),
            limits: None,
            scope: None,
        }
    }

    /// A caller of whom nothing was asked, and who may do nothing else.
    pub(crate) fn nobody() -> Self {
        Self::anonymous(Arc::default())
    }

    /// A caller that did not say who they are.
    pub(crate) fn anonymous(rights: Arc<Rights>) -> Self {
        Self {
            who: Who::Anonymous,
            rights,
            limits: None,
            scope: None,
        }
    }

    /// A caller that has an account.
    pub(crate) fn account(identity: Identity, rights: Arc<Rights>) -> Self {
        Self {
            who: Who::Account(identity),
            rights,
            limits: None,
            scope: None,
        }
    }

    /// The same caller with a token that is not for everything.
    #[must_use]
    pub(crate) fn limited_to(mut self, limits: Vec<Limit>) -> Self {
        self.limits = Some(limits);
        self
    }

    /// The same caller with a token that was issued for some repositories, and
    /// maybe for lists of them.
    #[must_use]
    pub(crate) fn in_scope(mut self, repositories: Vec<Limit>, lists: bool) -> Self {
        self.scope = Some(IssuedFor {
            repositories,
            lists,
        });
        self
    }

    /// The same caller, before tokens.
    #[must_use]
    pub(crate) fn in_every_scope(mut self) -> Self {
        self.scope = None;
        self
    }

    /// Whether they may do this to that repository, which need not exist.
    pub(crate) fn may(&self, action: Action, repository: &RepositoryName) -> bool {
        self.missing(action, repository).is_none()
    }

    /// What they lack for it; `None` when they may.
    pub(crate) fn missing(&self, action: Action, repository: &RepositoryName) -> Option<Missing> {
        if self.who == Who::Everybody {
            return None;
        }
        if !self.rights.allow(action, repository) {
            return Some(match self.who {
                Who::Anonymous => Missing::Identity,
                Who::Everybody | Who::Account(_) => Missing::Right,
            });
        }
        let within = |limits: &[Limit]| limits.iter().any(|one| one.allows(action, repository));
        if self.limits.as_ref().is_some_and(|limits| !within(limits)) {
            return Some(Missing::Limit);
        }
        match &self.scope {
            Some(scope) if !within(&scope.repositories) => Some(Missing::Scope),
            _ => None,
        }
    }

    /// What they lack to be told which repositories there are.
    pub(crate) fn missing_for_lists(&self) -> Option<Missing> {
        match &self.scope {
            Some(scope) if !scope.lists => Some(Missing::Scope),
            _ => None,
        }
    }

    /// Whether a list that they asked for shows them this repository: they may
    /// pull from it, with a token that was issued for that.
    pub(crate) fn may_see(&self, repository: &RepositoryName) -> bool {
        self.who == Who::Everybody
            || (self.rights.allow(Action::Pull, repository)
                && self.limits.as_ref().is_none_or(|limits| {
                    limits
                        .iter()
                        .any(|one| one.allows(Action::Pull, repository))
                }))
    }

    /// Whether lists show them everything, so that nobody need ask of each.
    pub(crate) fn may_see_everything(&self) -> bool {
        self.clone().in_every_scope().may_everywhere(Action::Pull)
    }

    /// Whether they may do this to every repository there is.
    pub(crate) fn may_everywhere(&self, action: Action) -> bool {
        let every = RepositoryPattern::every();
        let within =
            |limit: &Limit| limit.actions.widened().contains(action) && limit.pattern == every;
        self.who == Who::Everybody
            || (self.rights.allow_everywhere(action)
                && self.scope.is_none()
                && self
                    .limits
                    .as_ref()
                    .is_none_or(|limits| limits.iter().any(within)))
    }

    /// Whether they may say who there is and who may do what: they administer
    /// every repository.
    pub(crate) fn administers(&self) -> bool {
        self.may_everywhere(Action::Admin)
    }

    /// Whether they may make tokens of their own: with a token, one that leaked
    /// could make others that outlive it.
    pub(crate) fn may_make_tokens(&self) -> bool {
        let by = self.identity().map(|identity| &identity.credential);
        let is_themselves = matches!(by, Some(Credential::Password(_) | Credential::Certificate));
        is_themselves && self.scope.is_none()
    }

    /// Whether nobody said who they are.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.who == Who::Anonymous
    }

    /// Who they are; `None` when that is not known or does not matter.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        match &self.who {
            Who::Account(identity) => Some(identity),
            Who::Everybody | Who::Anonymous => None,
        }
    }

    /// The account's name; `None` when there is none.
    pub(crate) fn name(&self) -> Option<&str> {
        self.identity().map(|identity| identity.name.as_str())
    }

    /// What to call them where a name is wanted: an account's name has no
    /// parentheses.
    pub(crate) fn label(&self) -> &str {
        match &self.who {
            Who::Everybody => "(everybody)",
            Who::Anonymous => "(anonymous)",
            Who::Account(identity) => &identity.name,
        }
    }
}
