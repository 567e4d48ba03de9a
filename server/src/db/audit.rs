//! Table `audit_records`: what was done, and by whom.

use sqlx::Row as _;

use super::{Database, DbError};

/// A row of `audit_records`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditRecord {
    /// Grows with the time.
    pub(crate) id: String,
    pub(crate) at: i64,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    pub(crate) digest: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) outcome: String,
}

impl Database {
    /// Adds records, all in one transaction.
    pub(crate) async fn add_audit_records(&self, records: &[AuditRecord]) -> Result<(), DbError> {
        let mut write = self.begin().await?;
        let connection = write.connection()?;
        for record in records {
            sqlx::query(
                "INSERT INTO audit_records
                   (id, at, actor, action, subject, digest, address, outcome)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(&record.id)
            .bind(record.at)
            .bind(&record.actor)
            .bind(&record.action)
            .bind(&record.subject)
            .bind(&record.digest)
            .bind(&record.address)
            .bind(&record.outcome)
            .execute(&mut *connection)
            .await?;
        }
        write.commit().await
    }

    /// The newest records before the one of that id, newest first.
    pub(crate) async fn audit_records(
        &self,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, DbError> {
        let rows = sqlx::query(
            "SELECT id, at, actor, action, subject, digest, address, outcome FROM audit_records
             WHERE $1 = '' OR id < $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(before.unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(AuditRecord {
                    id: row.try_get("id")?,
                    at: row.try_get("at")?,
                    actor: row.try_get("actor")?,
                    action: row.try_get("action")?,
                    subject: row.try_get("subject")?,
                    digest: row.try_get("digest")?,
                    address: row.try_get("address")?,
                    outcome: row.try_get("outcome")?,
                })
            })
            .collect()
    }

    /// Removes records that are older than `oldest`.
    pub(crate) async fn forget_audit_records(&self, oldest: i64) -> Result<u64, DbError> {
        let mut write = self.begin().await?;
        let removed = sqlx::query("DELETE FROM audit_records WHERE at < $1")
            .bind(oldest)
            .execute(write.connection()?)
            .await?;
        write.commit().await?;
        Ok(removed.rows_affected())
    }
}
