//! Users, robots and groups.

use serde::Serialize;

use super::{AccountError, Accounts, new_id, now_ms, time};
use crate::auth::password;
use crate::db::{AccountRecord, DirectoryTable, GroupRecord, Named};

const MAX_NAME_BYTES: usize = 64;
const MIN_PASSWORD_CHARS: usize = 8;

/// An account, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountView {
    /// What it is called.
    pub name: String,
    /// `user` or `robot`.
    pub kind: &'static str,
    /// Whether it has a password.
    pub has_password: bool,
    /// Whether it is locked out.
    pub disabled: bool,
    /// Its groups.
    pub groups: Vec<String>,
    /// When it was made.
    pub created_at: String,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupView {
    /// What it is called.
    pub name: String,
    /// The accounts in it.
    pub members: Vec<String>,
}

impl Accounts {
    /// Adds a person. Without a password they log in with a token, or through
    /// an identity.
    pub async fn add_user(&self, name: &str, password: Option<&str>) -> Result<(), AccountError> {
        let hash = match password {
            Some(password) => Some(hashed(password).await?),
            None => None,
        };
        self.add(name, false, hash).await?;
        self.note("add user", name).await;
        Ok(())
    }

    /// Adds an account for a program; it has tokens and no password.
    pub async fn add_robot(&self, name: &str) -> Result<(), AccountError> {
        self.add(name, true, None).await?;
        self.note("add robot", name).await;
        Ok(())
    }

    pub(super) async fn add(
        &self,
        name: &str,
        is_robot: bool,
        password_hash: Option<String>,
    ) -> Result<(), AccountError> {
        checked_name(name)?;
        let account = AccountRecord {
            id: new_id(),
            name: name.to_owned(),
            is_robot,
            password_hash,
            credentials_version: 0,
            disabled_at: None,
            created_at: now_ms(),
        };
        match self.db.add_account(&account).await? {
            Named::Done => Ok(()),
            Named::Taken => Err(AccountError::taken("user or robot", name)),
        }
    }

    /// Gives a person another password. Where they are logged in with the old
    /// one, they no longer are.
    pub async fn set_password(&self, name: &str, password: &str) -> Result<(), AccountError> {
        let account = self.account(name).await?;
        if account.is_robot {
            let reason = format!("{name:?} is a robot, which has tokens and no password");
            return Err(AccountError::Invalid(reason));
        }
        let hash = hashed(password).await?;
        self.db.set_password(&account.id, Some(&hash)).await?;
        self.note("set password", name).await;
        Ok(())
    }

    /// Locks an account out with all of its tokens, or lets it in again.
    pub async fn set_disabled(&self, name: &str, disabled: bool) -> Result<(), AccountError> {
        let account = self.account(name).await?;
        self.db.set_disabled(&account.id, disabled).await?;
        let action = if disabled { "disable" } else { "enable" };
        self.note(action, name).await;
        Ok(())
    }

    /// Removes an account with its tokens and grants.
    pub async fn remove_account(&self, name: &str) -> Result<(), AccountError> {
        let account = self.account(name).await?;
        let table = DirectoryTable::Accounts;
        self.db.remove_from_directory(table, &account.id).await?;
        self.note("remove account", name).await;
        Ok(())
    }

    /// Every account, by name.
    pub async fn accounts(&self) -> Result<Vec<AccountView>, AccountError> {
        let snapshot = self.snapshot().await?;
        let groups_of = |account: &AccountRecord| {
            let its = snapshot
                .members()
                .iter()
                .filter(|(_, id)| *id == account.id);
            let names = its.filter_map(|(id, _)| {
                let group = snapshot.groups().iter().find(|group| group.id == *id)?;
                Some(group.name.clone())
            });
            names.collect()
        };
        let views = snapshot.accounts().iter().map(|account| AccountView {
            name: account.name.clone(),
            kind: if account.is_robot { "robot" } else { "user" },
            has_password: account.password_hash.is_some(),
            disabled: account.disabled_at.is_some(),
            groups: groups_of(account),
            created_at: time(account.created_at),
        });
        Ok(views.collect())
    }

    /// Adds a group.
    pub async fn add_group(&self, name: &str) -> Result<(), AccountError> {
        checked_name(name)?;
        let group = GroupRecord {
            id: new_id(),
            name: name.to_owned(),
        };
        match self.db.add_group(&group).await? {
            Named::Done => {}
            Named::Taken => return Err(AccountError::taken("group", name)),
        }
        self.note("add group", name).await;
        Ok(())
    }

    /// Removes a group with its grants.
    pub async fn remove_group(&self, name: &str) -> Result<(), AccountError> {
        let group = self.group(name).await?;
        let table = DirectoryTable::Groups;
        self.db.remove_from_directory(table, &group.id).await?;
        self.note("remove group", name).await;
        Ok(())
    }

    /// Puts an account into a group, or takes it out.
    pub async fn set_member(
        &self,
        group: &str,
        account: &str,
        is_member: bool,
    ) -> Result<(), AccountError> {
        let found = self.group(group).await?;
        let member = self.account(account).await?;
        let pair = (found.id.as_str(), member.id.as_str());
        self.db.set_member(pair, is_member).await?;
        let action = if is_member {
            "add member"
        } else {
            "remove member"
        };
        self.note(action, &format!("{account} of {group}")).await;
        Ok(())
    }

    /// Every group, by name.
    pub async fn groups(&self) -> Result<Vec<GroupView>, AccountError> {
        let snapshot = self.snapshot().await?;
        let members_of = |group: &GroupRecord| {
            let its = snapshot.members().iter().filter(|(id, _)| *id == group.id);
            let mut names: Vec<String> = its
                .filter_map(|(_, account)| Some(snapshot.account(account)?.name.clone()))
                .collect();
            names.sort();
            names
        };
        let views = snapshot.groups().iter().map(|group| GroupView {
            name: group.name.clone(),
            members: members_of(group),
        });
        Ok(views.collect())
    }
}

/// What `docker login` and a token can carry, and no log misreads.
fn checked_name(name: &str) -> Result<(), AccountError> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"._-@+".contains(&b);
    let starts_well = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    // What those are called who have no account.
    if name == "anonymous" {
        let reason = "\"anonymous\" is everybody without an account".to_owned();
        return Err(AccountError::Invalid(reason));
    }
    if starts_well && name.len() <= MAX_NAME_BYTES && name.bytes().all(known) {
        return Ok(());
    }
    Err(AccountError::Invalid(format!(
        "{name:?} is no name: letters, digits, '.', '_', '-', '@' and '+', \
         {MAX_NAME_BYTES} at most, and a letter or digit first"
    )))
}

async fn hashed(password: &str) -> Result<String, AccountError> {
    if password.chars().count() < MIN_PASSWORD_CHARS {
        let reason = format!("a password has {MIN_PASSWORD_CHARS} characters at least");
        return Err(AccountError::Invalid(reason));
    }
    let password = password.to_owned();
    let hashed = tokio::task::spawn_blocking(move || password::hash(&password)).await;
    match hashed {
        Ok(Ok(hash)) => Ok(hash),
        _ => Err(AccountError::Invalid(
            "the password cannot be hashed".to_owned(),
        )),
    }
}
