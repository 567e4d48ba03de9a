//! Grants: who may do what where.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::{AccountError, Accounts, new_id, now_ms};
use crate::auth::rights::Effect;
use crate::auth::{Actions, RepositoryPattern};
use crate::db::{DirectoryTable, GrantRecord};

/// Whom a grant is for: `user:NAME`, `robot:NAME`, `group:NAME` or `anonymous`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Everybody, also without an account.
    Anonymous,
    /// A person.
    User(String),
    /// A program.
    Robot(String),
    /// All accounts of a group.
    Group(String),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Robot(name) => write!(f, "robot:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
        }
    }
}

impl FromStr for Principal {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        match text.split_once(':') {
            None if text == "anonymous" => Ok(Self::Anonymous),
            Some(("user", name)) => Ok(Self::User(name.to_owned())),
            Some(("robot", name)) => Ok(Self::Robot(name.to_owned())),
            Some(("group", name)) => Ok(Self::Group(name.to_owned())),
            _ => Err(AccountError::Invalid(format!(
                "{text:?} is none of user:NAME, robot:NAME, group:NAME and anonymous"
            ))),
        }
    }
}

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GrantView {
    /// What it is removed by.
    pub id: String,
    /// Whom it is for.
    pub principal: String,
    /// `allow` or `deny`.
    pub effect: String,
    /// With commas between them.
    pub actions: String,
    /// Which repositories.
    pub pattern: String,
}

impl Accounts {
    /// Allows or denies actions on the repositories of a pattern.
    pub async fn grant(
        &self,
        principal: &Principal,
        (effect, actions): (Effect, Actions),
        pattern: &RepositoryPattern,
    ) -> Result<String, AccountError> {
        let (account_id, group_id) = match principal {
            Principal::Anonymous => (None, None),
            Principal::User(name) => (Some(self.of_kind(name, false).await?), None),
            Principal::Robot(name) => (Some(self.of_kind(name, true).await?), None),
            Principal::Group(name) => (None, Some(self.group(name).await?.id)),
        };
        if actions.is_empty() {
            return Err(AccountError::Invalid("a grant of nothing".to_owned()));
        }
        let grant = GrantRecord {
            id: new_id(),
            account_id,
            group_id,
            effect: effect.as_str().to_owned(),
            actions: actions.to_string(),
            pattern: pattern.as_str().to_owned(),
            created_at: now_ms(),
        };
        self.db.add_grant(&grant).await?;
        let subject = format!("{} {actions} on {pattern} to {principal}", effect.as_str());
        self.note("grant", &subject).await;
        Ok(grant.id)
    }

    /// Takes a grant back.
    pub async fn remove_grant(&self, id: &str) -> Result<(), AccountError> {
        let table = DirectoryTable::Grants;
        if !self.db.remove_from_directory(table, id).await? {
            return Err(AccountError::unknown("grant", id));
        }
        self.note("remove grant", id).await;
        Ok(())
    }

    /// Every grant, oldest first.
    pub async fn grants(&self) -> Result<Vec<GrantView>, AccountError> {
        let snapshot = self.snapshot().await?;
        let principal = |grant: &GrantRecord| match (&grant.account_id, &grant.group_id) {
            (Some(id), _) => snapshot.account(id).map(|account| {
                let name = account.name.clone();
                if account.is_robot {
                    Principal::Robot(name)
                } else {
                    Principal::User(name)
                }
            }),
            (None, Some(id)) => {
                let group = snapshot.groups().iter().find(|group| group.id == *id);
                group.map(|group| Principal::Group(group.name.clone()))
            }
            (None, None) => Some(Principal::Anonymous),
        };
        let views = snapshot.grants().iter().filter_map(|grant| {
            Some(GrantView {
                id: grant.id.clone(),
                principal: principal(grant)?.to_string(),
                effect: grant.effect.clone(),
                actions: grant.actions.clone(),
                pattern: grant.pattern.clone(),
            })
        });
        Ok(views.collect())
    }

    async fn of_kind(&self, name: &str, is_robot: bool) -> Result<String, AccountError> {
        let account = self.account(name).await?;
        if account.is_robot == is_robot {
            return Ok(account.id);
        }
        let what = if is_robot { "robot" } else { "user" };
        Err(AccountError::unknown(what, name))
    }
}
