//! What was done, by whom, from where, and how it ended: a row, and a line of
//! the log with the target [`TARGET`].

use serde::Serialize;

use crate::db::AuditRecord;

/// The target of audit lines, to be sent where they are kept.
pub(super) const TARGET: &str = "hythe_audit";

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Grows with the time.
    pub id: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The account; something in parentheses where there is none.
    pub actor: String,
    /// What they did or tried.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Of which content.
    pub digest: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// `done`, or why not.
    pub outcome: String,
}

impl Entry {
    /// Something that was done.
    pub(crate) fn new(actor: &str, action: &str, subject: &str, address: Option<String>) -> Self {
        Self {
            id: uuid::Uuid::now_v7().to_string(),
            at: jiff::Timestamp::now().as_millisecond(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            digest: None,
            address,
            outcome: "done".to_owned(),
        }
    }

    /// Writes its line.
    pub(super) fn log(&self) {
        tracing::info!(
            target: TARGET,
            id = self.id,
            actor = self.actor,
            action = self.action,
            subject = self.subject,
            digest = self.digest,
            address = self.address,
            outcome = self.outcome,
            "audit"
        );
    }
}

impl From<AuditRecord> for Entry {
    fn from(record: AuditRecord) -> Self {
        Self {
            id: record.id,
            at: record.at,
            actor: record.actor,
            action: record.action,
            subject: record.subject,
            digest: record.digest,
            address: record.address,
            outcome: record.outcome,
        }
    }
}

impl From<Entry> for AuditRecord {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            digest: entry.digest,
            address: entry.address,
            outcome: entry.outcome,
        }
    }
}
