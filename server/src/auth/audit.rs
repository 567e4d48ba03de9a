//! What was done, by whom, from where, and how it ended: a row, and a line of
//! the log with the target [`AUDIT_TARGET`].

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::config::AUDIT_TARGET;
use crate::db::{AuditRecord, Database};

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
            target: AUDIT_TARGET,
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

/// How many records may wait to be written.
const WAITING: usize = 4096;
/// How many are written in one transaction.
const TOGETHER: usize = 256;
/// How often those are removed that are too old.
const FORGET_EVERY: Duration = Duration::from_hours(6);

/// Writes records as they come, beside the requests that they are of: nobody
/// waits for a record. When the database does not keep up, lines are still
/// written, and how many rows are missing is said.
#[derive(Debug)]
pub(super) struct AuditLog {
    send: mpsc::Sender<Message>,
}

#[derive(Debug)]
enum Message {
    Record(Entry),
    Flush(oneshot::Sender<()>),
}

impl AuditLog {
    /// Records are kept for so long; `None` is for ever.
    pub(super) fn start(db: Database, keep: Option<Duration>) -> Self {
        let (send, receive) = mpsc::channel(WAITING);
        tokio::spawn(write(db, receive, keep));
        Self { send }
    }

    pub(super) fn record(&self, entry: Entry) {
        entry.log();
        if self.send.try_send(Message::Record(entry)).is_err() {
            metrics::counter!("hythe_audit_records_lost_total").increment(1);
            tracing::error!("an audit record is in the log alone: the database is too slow");
        }
    }

    /// Returns once everything is written that was recorded before.
    pub(super) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.send.send(Message::Flush(done)).await.is_ok() {
            // The writer is gone when the runtime ends; nothing is left to wait for.
            drop(written.await);
        }
    }
}

async fn write(db: Database, mut receive: mpsc::Receiver<Message>, keep: Option<Duration>) {
    let mut messages = Vec::with_capacity(TOGETHER);
    let mut forgotten: Option<Instant> = None;
    while receive.recv_many(&mut messages, TOGETHER).await > 0 {
        let mut records = Vec::new();
        let mut waiting = Vec::new();
        for message in messages.drain(..) {
            match message {
                Message::Record(entry) => records.push(AuditRecord::from(entry)),
                Message::Flush(done) => waiting.push(done),
            }
        }
        if !records.is_empty()
            && let Err(error) = db.add_audit_records(&records).await
        {
            let lost = records.len() as u64;
            metrics::counter!("hythe_audit_records_lost_total").increment(lost);
            tracing::error!(%error, lost, "audit records are in the log alone");
        }
        for done in waiting {
            if done.send(()).is_err() {
                tracing::debug!("nobody waits any more for the records that were written");
            }
        }
        if let Some(keep) = keep
            && forgotten.is_none_or(|last| last.elapsed() > FORGET_EVERY)
        {
            forgotten = Some(Instant::now());
            forget(&db, keep).await;
        }
    }
}

async fn forget(db: &Database, keep: Duration) {
    let age = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    let oldest = jiff::Timestamp::now().as_millisecond().saturating_sub(age);
    match db.forget_audit_records(oldest).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "old audit records were removed"),
        Err(error) => tracing::warn!(%error, "old audit records could not be removed"),
    }
}
