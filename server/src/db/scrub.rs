//! Table `scrub_pass`, and what a scrub changes in `blobs`: quarantine, repair.

use hythe_oci::Digest;
use sqlx::AnyConnection;
use sqlx::Row as _;

use super::blobs::{Segment, insert_segments, segment};
use super::{Database, DbError, garbage, now_ms, parsed, retrying, size};

/// A blob that is to be read again.
#[derive(Clone, Debug)]
pub(crate) struct ScrubCandidate {
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
    pub(crate) segments: Vec<Segment>,
    /// Whether an earlier scrub found it wrong.
    pub(crate) quarantined: bool,
}

/// A blob whose stored bytes are known to be wrong.
#[derive(Clone, Debug)]
pub(crate) struct QuarantinedBlob {
    pub(crate) digest: Digest,
    pub(crate) reason: String,
}

/// Where the common pass stands, for the process that holds its lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScrubPosition {
    /// The last blob that was read; empty between two passes.
    pub(crate) last_digest: String,
    /// When the last pass ended, in ms since 1970.
    pub(crate) finished_ms: i64,
}

impl Database {
    /// The first blob after `last` in the database's own order.
    pub(crate) async fn blob_after(&self, last: &str) -> Result<Option<ScrubCandidate>, DbError> {
        let row = sqlx::query(
            "SELECT digest, size_bytes,
                    CASE WHEN quarantined_at IS NULL THEN 0 ELSE 1 END AS quarantined
             FROM blobs WHERE digest > $1 ORDER BY digest LIMIT 1",
        )
        .bind(last)
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let digest: Digest = parsed(&row, "digest")?;
        let segments = sqlx::query(
            "SELECT object_key, size_bytes FROM blob_segments WHERE digest = $1 ORDER BY position",
        )
        .bind(digest.to_string())
        .fetch_all(&self.readers)
        .await?;
        Ok(Some(ScrubCandidate {
            size_bytes: size(&row, "size_bytes")?,
            quarantined: row.try_get::<i64, _>("quarantined")? != 0,
            segments: segments.iter().map(segment).collect::<Result<_, _>>()?,
            digest,
        }))
    }

    /// Serves the blob no more, unless its objects are others by now than the
    /// ones that were read; false then.
    pub(crate) async fn quarantine_blob(
        &self,
        read: &ScrubCandidate,
        reason: &str,
    ) -> Result<bool, DbError> {
        self.set_quarantine(read, Some((now_ms(), reason))).await
    }

    /// Serves the blob again: its bytes were read and are right after all.
    pub(crate) async fn release_blob(&self, read: &ScrubCandidate) -> Result<bool, DbError> {
        self.set_quarantine(read, None).await
    }

    async fn set_quarantine(
        &self,
        read: &ScrubCandidate,
        quarantine: Option<(i64, &str)>,
    ) -> Result<bool, DbError> {
        let Some(first) = read.segments.first() else {
            return Ok(false);
        };
        retrying(|| async {
            let mut write = self.begin().await?;
            let changed = sqlx::query(
                "UPDATE blobs SET quarantined_at = $1, quarantine_reason = $2
                 WHERE digest = $3 AND EXISTS (
                     SELECT 1 FROM blob_segments WHERE digest = $3 AND object_key = $4)",
            )
            .bind(quarantine.map(|(at, _)| at))
            .bind(quarantine.map(|(_, reason)| reason))
            .bind(read.digest.to_string())
            .bind(first.object_key.as_str())
            .execute(write.connection()?)
            .await?;
            write.commit().await?;
            Ok(changed.rows_affected() > 0)
        })
        .await
    }

    /// Gives a quarantined blob verified objects and serves it again. When it
    /// is not in quarantine any more, the objects become garbage; false then.
    pub(crate) async fn repair_blob(
        &self,
        digest: &Digest,
        segments: &[Segment],
    ) -> Result<bool, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let repaired = is_quarantined(connection, digest).await?;
            if repaired {
                replace(connection, digest, segments).await?;
            } else {
                let keys = segments.iter().map(|segment| segment.object_key.clone());
                garbage::queue(connection, &keys.collect::<Vec<_>>()).await?;
            }
            write.commit().await?;
            Ok(repaired)
        })
        .await
    }

    /// Every blob that is served to nobody.
    pub(crate) async fn quarantined_blobs(&self) -> Result<Vec<QuarantinedBlob>, DbError> {
        let rows = sqlx::query(
            "SELECT digest, quarantine_reason FROM blobs WHERE quarantined_at IS NOT NULL
             ORDER BY digest",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(QuarantinedBlob {
                    digest: parsed(row, "digest")?,
                    reason: row.try_get("quarantine_reason")?,
                })
            })
            .collect()
    }

    /// Takes or renews the lease of the common pass until `until_ms`; `None`
    /// while another process holds it.
    pub(crate) async fn lease_scrub(
        &self,
        owner: &str,
        until_ms: i64,
    ) -> Result<Option<ScrubPosition>, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let taken = sqlx::query(
                "UPDATE scrub_pass SET owner = $1, lease_until = $2
                 WHERE id = 1 AND (owner = $1 OR lease_until < $3)",
            )
            .bind(owner)
            .bind(until_ms)
            .bind(now_ms())
            .execute(&mut *connection)
            .await?;
            if taken.rows_affected() == 0 {
                return Ok(None);
            }
            let row = sqlx::query("SELECT last_digest, finished_at FROM scrub_pass WHERE id = 1")
                .fetch_one(&mut *connection)
                .await?;
            write.commit().await?;
            Ok(Some(ScrubPosition {
                last_digest: row.try_get("last_digest")?,
                finished_ms: row.try_get("finished_at")?,
            }))
        })
        .await
    }

    /// Notes how far the pass is; false when another process has the lease.
    pub(crate) async fn advance_scrub(
        &self,
        owner: &str,
        last_digest: &str,
    ) -> Result<bool, DbError> {
        let moved = "UPDATE scrub_pass SET last_digest = $2 WHERE id = 1 AND owner = $1";
        self.move_scrub(sqlx::query(moved).bind(owner).bind(last_digest))
            .await
    }

    /// Notes that the pass is at its end, and gives the lease back.
    pub(crate) async fn finish_scrub(&self, owner: &str) -> Result<bool, DbError> {
        let ended = "UPDATE scrub_pass SET last_digest = '', lease_until = 0, finished_at = $2
                     WHERE id = 1 AND owner = $1";
        self.move_scrub(sqlx::query(ended).bind(owner).bind(now_ms()))
            .await
    }

    async fn move_scrub(
        &self,
        statement: sqlx::query::Query<'_, sqlx::Any, sqlx::any::AnyArguments>,
    ) -> Result<bool, DbError> {
        let mut write = self.begin().await?;
        let moved = statement.execute(write.connection()?).await?;
        write.commit().await?;
        Ok(moved.rows_affected() > 0)
    }
}

/// Whether the blob exists and is served to nobody.
pub(super) async fn is_quarantined(
    connection: &mut AnyConnection,
    digest: &Digest,
) -> Result<bool, DbError> {
    let row =
        sqlx::query("SELECT 1 AS one FROM blobs WHERE digest = $1 AND quarantined_at IS NOT NULL")
            .bind(digest.to_string())
            .fetch_optional(connection)
            .await?;
    Ok(row.is_some())
}

/// Gives a blob other objects, queues the ones it had, and ends its quarantine.
pub(super) async fn replace(
    connection: &mut AnyConnection,
    digest: &Digest,
    segments: &[Segment],
) -> Result<(), DbError> {
    let old = sqlx::query("SELECT object_key, size_bytes FROM blob_segments WHERE digest = $1")
        .bind(digest.to_string())
        .fetch_all(&mut *connection)
        .await?;
    let old: Vec<String> = old
        .iter()
        .map(|row| segment(row).map(|segment| segment.object_key))
        .collect::<Result<_, _>>()?;
    sqlx::query("DELETE FROM blob_segments WHERE digest = $1")
        .bind(digest.to_string())
        .execute(&mut *connection)
        .await?;
    garbage::queue(connection, &old).await?;
    insert_segments(connection, digest, segments).await?;
    sqlx::query(
        "UPDATE blobs SET quarantined_at = NULL, quarantine_reason = NULL WHERE digest = $1",
    )
    .bind(digest.to_string())
    .execute(connection)
    .await?;
    Ok(())
}
