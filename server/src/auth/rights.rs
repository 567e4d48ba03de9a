//! Who may do what: grants, and what they come to for one caller. Pure.
//!
//! A grant allows or denies actions on the repositories that a pattern means.
//! What no grant allows is not allowed; one that denies wins over any number
//! that allow.

use hythe_oci::RepositoryName;

use super::action::{Action, Actions};
use super::pattern::RepositoryPattern;

/// What a grant does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The actions may be done.
    Allow,
    /// They may not, whatever else is granted.
    Deny,
}

impl Effect {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// Actions on some repositories, allowed or denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) effect: Effect,
    pub(crate) actions: Actions,
    pub(crate) pattern: RepositoryPattern,
}

impl Rule {
    fn means(&self, action: Action, repository: &RepositoryName) -> bool {
        let actions = match self.effect {
            // To allow the administration is to allow all; to deny it is not.
            Effect::Allow => self.actions.widened(),
            Effect::Deny => self.actions,
        };
        actions.contains(action) && self.pattern.matches(repository)
    }
}

/// Every rule that is for one caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights(Vec<Rule>);

impl Rights {
    /// The rules of a caller.
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// Whether `action` may be done to `repository`.
    pub(crate) fn allow(&self, action: Action, repository: &RepositoryName) -> bool {
        let mut allowed = false;
        for rule in &self.0 {
            if rule.means(action, repository) {
                match rule.effect {
                    Effect::Deny => return false,
                    Effect::Allow => allowed = true,
                }
            }
        }
        allowed
    }

    /// Whether `action` may be done to every repository, so that nobody need
    /// ask of each.
    pub(crate) fn allow_everywhere(&self, action: Action) -> bool {
        let every = RepositoryPattern::every();
        let denies = |rule: &Rule| rule.effect == Effect::Deny && rule.actions.contains(action);
        let allows = |rule: &Rule| {
            rule.effect == Effect::Allow
                && rule.actions.widened().contains(action)
                && rule.pattern == every
        };
        self.0.iter().any(allows) && !self.0.iter().any(denies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(rules: &[&str]) -> Rights {
        let rules = rules.iter().map(|text| {
            let words: Vec<&str> = text.split(' ').collect();
            Rule {
                effect: if words[0] == "deny" {
                    Effect::Deny
                } else {
                    Effect::Allow
                },
                actions: words[1].parse().unwrap(),
                pattern: words[2].parse().unwrap(),
            }
        });
        Rights::new(rules.collect())
    }

    fn allowed(rights: &Rights, name: &str) -> String {
        let name = name.parse().unwrap();
        let may = |action: &Action| rights.allow(*action, &name);
        let actions: Actions = Action::ALL.into_iter().filter(may).collect();
        actions.to_string()
    }

    #[test]
    fn grants_come_to_what_they_say() {
        for (rules, name, expected) in [
            (&[][..], "a", ""),
            (&["allow pull team/*"], "team/a", "pull"),
            (&["allow pull team/*"], "team/a/b", ""),
            (&["allow pull team/*"], "other/a", ""),
            (&["allow push team/*"], "team/a", "push"),
            (
                &["allow pull,push team/**", "allow delete **"],
                "team/a/b",
                "pull,push,delete",
            ),
            (&["allow admin team/**"], "team/a", "pull,push,delete,admin"),
            (
                &["allow admin **", "deny delete team/**"],
                "team/a",
                "pull,push,admin",
            ),
            (
                &["deny delete team/**", "allow admin **"],
                "team/a",
                "pull,push,admin",
            ),
            (
                &["allow admin **", "deny admin team/a"],
                "team/a",
                "pull,push,delete",
            ),
            (&["allow pull **", "deny pull secret/**"], "secret/a", ""),
            (&["allow pull **", "deny pull secret/**"], "open/a", "pull"),
            (&["deny pull **"], "a", ""),
        ] {
            assert_eq!(allowed(&rights(rules), name), expected, "{rules:?} {name}");
        }
    }

    #[test]
    fn everywhere_is_without_exception() {
        for (rules, action, expected) in [
            (&["allow pull **"][..], Action::Pull, true),
            (&["allow admin **"], Action::Pull, true),
            (&["allow pull **"], Action::Push, false),
            (&["allow pull *", "allow pull */**"], Action::Pull, false),
            (
                &["allow admin **", "deny pull secret/*"],
                Action::Pull,
                false,
            ),
            (
                &["allow admin **", "deny push secret/*"],
                Action::Pull,
                true,
            ),
            (&[], Action::Pull, false),
        ] {
            let rights = rights(rules);
            assert_eq!(rights.allow_everywhere(action), expected, "{rules:?}");
        }
    }
}
