//! Who is asking, what may they do; tokens are issued and checked here.
//!
//! ```text
//! presented: nothing, a name and a secret, a token, a certificate
//!   -> Auth::identify -> Caller -> may(action, repository)?
//!   -> Auth::issue    -> a token for what they asked for and may do
//! ```
//!
//! A registry without accounts is open: every caller may do everything. From
//! the first account or grant on it is closed, for good: what no grant allows
//! is not allowed. Knows neither HTTP nor SQL; a caller and a right are plain
//! values, tested as tables.

mod access_token;
mod accounts;
mod action;
mod audit;
mod caller;
mod directory;
mod identify;
mod issue;
mod keys;
mod oidc;
mod password;
mod rights;
mod scope;
mod throttle;

use std::sync::Arc;

pub use accounts::{
    AccountError, AccountView, Accounts, GrantView, GroupView, IdentityView, Imported, NewToken,
    Principal, TokenView,
};
pub use action::{Action, Actions, ActionsError};
pub use audit::Entry as AuditEntry;
pub(crate) use caller::{Caller, Missing};
use hythe_oci::pattern;
pub use hythe_oci::pattern::{PatternError, RepositoryPattern};
pub(crate) use identify::{Presented, Refused};
pub(crate) use issue::Issued;
pub use rights::Effect;
pub(crate) use scope::Scope;
pub use scope::{Limit, LimitError};
pub(crate) use throttle::{Network, Throttle};

use crate::config::AuthConfig;
use crate::db::{Database, DbError};

/// The accounts of a registry; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Auth(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: directory::Directory,
    passwords: password::Passwords,
    failures: throttle::Throttle,
    issuers: oidc::Issuers,
    audit: audit::AuditLog,
    config: AuthConfig,
}

impl Auth {
    /// The accounts that a database has.
    pub(crate) fn new(db: Database, config: AuthConfig) -> Self {
        let audit = audit::AuditLog::start(db.clone(), config.audit_keep);
        Self(Arc::new(Inner {
            issuers: oidc::Issuers::new(),
            audit,
            directory: directory::Directory::new(db),
            passwords: password::Passwords::new(config.password_checks),
            failures: throttle::Throttle::new(config.failed_logins_per_minute),
            config,
        }))
    }

    /// What an administrator does, for a caller who may.
    pub(crate) fn accounts(&self, caller: &Caller, address: Option<String>) -> Accounts {
        let db = self.0.directory.database().clone();
        Accounts::of_caller(db, caller.label(), address)
    }

    /// Puts something on record.
    pub(crate) fn record(&self, entry: AuditEntry) {
        self.0.audit.record(entry);
    }

    /// Returns once everything is written that was put on record.
    pub(crate) async fn flush(&self) {
        self.0.audit.flush().await;
    }

    /// Learns at once of a change that this process has just made.
    pub(crate) async fn refresh(&self) {
        if let Err(error) = self.0.directory.newest().await {
            tracing::warn!(%error, "accounts could not be read again");
        }
    }

    /// Whether nobody has an account or a right yet.
    pub(crate) async fn is_without_accounts(&self) -> Result<bool, DbError> {
        Ok(!self.0.directory.current().await?.is_closed())
    }

    /// What tokens are for, in their words.
    pub(crate) fn service(&self) -> &str {
        &self.0.config.service
    }
}
