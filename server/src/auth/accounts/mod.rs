//! What an administrator does: accounts, groups, tokens, grants, identities.
//!
//! `hythe registry user|group|robot|token|grant|identity` and `/api/v1` both
//! come here. Every change is one transaction and one audit record, and every
//! process learns of it within two seconds.

mod credentials;
mod error;
mod grants;
mod htpasswd;
mod people;
#[cfg(test)]
mod tests;

pub use credentials::{IdentityView, NewToken, TokenView};
pub use error::AccountError;
pub use grants::{GrantView, Principal};
pub use htpasswd::Imported;
pub use people::{AccountView, GroupView};

use super::audit::Entry;
use super::directory::Snapshot;
use crate::db::{AccountRecord, AuditRecord, Database, DbError, DirectoryRecord, GroupRecord};

/// The accounts of a registry, for one who administers them.
#[derive(Clone, Debug)]
pub struct Accounts {
    db: Database,
    actor: String,
    address: Option<String>,
}

impl Accounts {
    /// For somebody who works on the registry's own stores.
    pub(crate) fn of_operator(db: Database) -> Self {
        Self {
            db,
            actor: "(operator)".to_owned(),
            address: None,
        }
    }

    /// For a caller who was let in to do this.
    pub(crate) fn of_caller(db: Database, actor: &str, address: Option<String>) -> Self {
        Self {
            db,
            actor: actor.to_owned(),
            address,
        }
    }

    /// What was done, newest first; before the record of that id.
    pub async fn audit(
        &self,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Entry>, AccountError> {
        let records = self.db.audit_records(before, limit.clamp(1, 1000)).await?;
        Ok(records.into_iter().map(Entry::from).collect())
    }

    async fn snapshot(&self) -> Result<Snapshot, AccountError> {
        Ok(Snapshot::of(self.read().await?)?)
    }

    async fn read(&self) -> Result<DirectoryRecord, DbError> {
        self.db.directory().await
    }

    async fn account(&self, name: &str) -> Result<AccountRecord, AccountError> {
        let snapshot = self.snapshot().await?;
        let found = snapshot.account_named(name).cloned();
        found.ok_or_else(|| AccountError::unknown("account", name))
    }

    async fn group(&self, name: &str) -> Result<GroupRecord, AccountError> {
        let snapshot = self.snapshot().await?;
        let found = snapshot.groups().iter().find(|group| group.name == name);
        found
            .cloned()
            .ok_or_else(|| AccountError::unknown("group", name))
    }

    /// Notes what was done; the doing itself is not undone if that fails.
    async fn note(&self, action: &str, subject: &str) {
        let entry = Entry::new(&self.actor, action, subject, self.address.clone());
        entry.log();
        if let Err(error) = self.db.add_audit_records(&[AuditRecord::from(entry)]).await {
            tracing::error!(%error, action, subject, "what was done could not be recorded");
        }
    }
}

/// A new id; of two, the later one is greater.
fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A time as JSON and people write it.
fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}
