//! What the collector asks: candidates, their removal in one transaction each,
//! and table `garbage_objects`, the list of objects that may be deleted.
//!
//! Every removal looks again inside its own transaction. What keeps it right
//! against pushes under way is, in SQLite, the single writer; in PostgreSQL the
//! repository lock for links and manifests, and the foreign key from
//! `repository_blobs` for blobs.

use hythe_oci::{Digest, RepositoryName};
use sqlx::AnyConnection;
use sqlx::Row as _;

use super::blobs::{Segment, segment};
use super::repositories::{self, Lock};
use super::{Database, DbError, now_ms, parsed, retrying, size};

/// A blob that a repository shows and no manifest of it leads to.
#[derive(Clone, Debug)]
pub(crate) struct LinkCandidate {
    pub(crate) repository: RepositoryName,
    pub(crate) digest: Digest,
}

/// A blob that no repository shows.
#[derive(Clone, Debug)]
pub(crate) struct BlobCandidate {
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
}

/// Manifests that are kept: tagged, tagged not long ago, or young, what those
/// lead to, and what refers to any of them as its subject. Parameters:
/// repository, time, the time until which the history of tags counts.
macro_rules! unreachable_manifests {
    ($select:literal) => {
        concat!(
            "WITH RECURSIVE kept (digest) AS (
                 SELECT digest FROM tags WHERE repository_id = $1
                 UNION
                 SELECT previous FROM tag_history
                 WHERE repository_id + 0 = $1 AND moved_at >= $3 AND previous IS NOT NULL
                 UNION
                 SELECT digest FROM manifests WHERE repository_id = $1 AND pushed_at >= $2
                 UNION
                 SELECT e.target FROM kept k JOIN (
                     SELECT manifest_digest AS source, target_digest AS target
                     FROM manifest_references
                     WHERE repository_id = $1 AND target_kind = 'manifest'
                     UNION ALL
                     SELECT subject, digest FROM manifests
                     WHERE repository_id = $1 AND subject IS NOT NULL
                 ) e ON e.source = k.digest
             ) ",
            $select,
            " FROM manifests WHERE repository_id = $1 AND pushed_at < $2
                AND digest NOT IN (SELECT digest FROM kept)"
        )
    };
}

impl Database {
    /// Up to `limit` links that are older than `before_ms` and unused.
    pub(crate) async fn unused_links(
        &self,
        before_ms: i64,
        limit: u32,
    ) -> Result<Vec<LinkCandidate>, DbError> {
        let rows = sqlx::query(
            "SELECT r.name, l.digest FROM repository_blobs l
             JOIN repositories r ON r.id = l.repository_id
             WHERE l.linked_at < $1 AND NOT EXISTS (
                 SELECT 1 FROM manifest_references f
                 WHERE f.repository_id = l.repository_id
                   AND f.target_digest = l.digest AND f.target_kind = 'blob')
             ORDER BY l.linked_at LIMIT $2",
        )
        .bind(before_ms)
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(LinkCandidate {
                    repository: parsed(row, "name")?,
                    digest: parsed(row, "digest")?,
                })
            })
            .collect()
    }

    /// Removes one such link if it still is one.
    pub(crate) async fn collect_link(
        &self,
        candidate: &LinkCandidate,
        before_ms: i64,
    ) -> Result<bool, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let Some(id) = repositories::find(connection, &candidate.repository).await? else {
                return Ok(false);
            };
            repositories::lock(self.kind, connection, id, Lock::Removing).await?;
            let removed = sqlx::query(
                "DELETE FROM repository_blobs
                 WHERE repository_id = $1 AND digest = $2 AND linked_at < $3 AND NOT EXISTS (
                     SELECT 1 FROM manifest_references f
                     WHERE f.repository_id = $1 AND f.target_digest = $2
                       AND f.target_kind = 'blob')",
            )
            .bind(id)
            .bind(candidate.digest.to_string())
            .bind(before_ms)
            .execute(connection)
            .await?;
            write.commit().await?;
            Ok(removed.rows_affected() > 0)
        })
        .await
    }

    /// Up to `limit` blobs that no repository shows.
    pub(crate) async fn unlinked_blobs(&self, limit: u32) -> Result<Vec<BlobCandidate>, DbError> {
        let rows = sqlx::query(
            "SELECT b.digest, b.size_bytes FROM blobs b WHERE NOT EXISTS (
                 SELECT 1 FROM repository_blobs l WHERE l.digest = b.digest) LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(BlobCandidate {
                    digest: parsed(row, "digest")?,
                    size_bytes: size(row, "size_bytes")?,
                })
            })
            .collect()
    }

    /// Removes one such blob if it still is one, and queues its objects.
    pub(crate) async fn collect_blob(&self, digest: &Digest) -> Result<bool, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let linked =
                sqlx::query("SELECT 1 AS one FROM repository_blobs WHERE digest = $1 LIMIT 1")
                    .bind(digest.to_string())
                    .fetch_optional(&mut *connection)
                    .await?;
            if linked.is_some() {
                return Ok(false);
            }
            let segments: Vec<Segment> =
                sqlx::query("SELECT object_key, size_bytes FROM blob_segments WHERE digest = $1")
                    .bind(digest.to_string())
                    .fetch_all(&mut *connection)
                    .await?
                    .iter()
                    .map(segment)
                    .collect::<Result<_, _>>()?;
            // A link made in between fails this by its foreign key, and the
            // next attempt sees it.
            let removed = sqlx::query("DELETE FROM blobs WHERE digest = $1")
                .bind(digest.to_string())
                .execute(&mut *connection)
                .await?;
            if removed.rows_affected() == 0 {
                return Ok(false);
            }
            let keys: Vec<String> = segments
                .into_iter()
                .map(|segment| segment.object_key)
                .collect();
            queue(connection, &keys).await?;
            write.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Manifests of a repository, older than `before_ms`, that nothing leads to.
    pub(crate) async fn unreachable_manifests(
        &self,
        repository: &RepositoryName,
        (before_ms, history_ms): (i64, i64),
    ) -> Result<Vec<Digest>, DbError> {
        let mut connection = self.readers.acquire().await?;
        let Some(id) = repositories::find(&mut connection, repository).await? else {
            return Ok(Vec::new());
        };
        let rows = sqlx::query(unreachable_manifests!("SELECT digest"))
            .bind(id)
            .bind(before_ms)
            .bind(history_ms)
            .fetch_all(&mut *connection)
            .await?;
        rows.iter().map(|row| parsed(row, "digest")).collect()
    }

    /// Removes them; looks again under the repository's lock.
    pub(crate) async fn collect_manifests(
        &self,
        repository: &RepositoryName,
        (before_ms, history_ms): (i64, i64),
    ) -> Result<u64, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let Some(id) = repositories::find(connection, repository).await? else {
                return Ok(0);
            };
            repositories::lock(self.kind, connection, id, Lock::Removing).await?;
            let removed = sqlx::query(unreachable_manifests!("DELETE"))
                .bind(id)
                .bind(before_ms)
                .bind(history_ms)
                .execute(&mut *connection)
                .await?;
            write.commit().await?;
            Ok(removed.rows_affected())
        })
        .await
    }

    /// Up to `limit` keys that were queued before `before_ms`.
    pub(crate) async fn garbage_objects(
        &self,
        before_ms: i64,
        limit: u32,
    ) -> Result<Vec<String>, DbError> {
        let rows = sqlx::query(
            "SELECT object_key FROM garbage_objects WHERE queued_at < $1 ORDER BY queued_at LIMIT $2",
        )
        .bind(before_ms)
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| Ok(row.try_get("object_key")?))
            .collect()
    }

    /// Queues objects that were written and will not be used.
    pub(crate) async fn queue_garbage(&self, keys: &[String]) -> Result<(), DbError> {
        let mut write = self.begin().await?;
        queue(write.connection()?, keys).await?;
        write.commit().await
    }

    /// Takes deleted objects off the list.
    pub(crate) async fn forget_garbage(&self, keys: &[String]) -> Result<(), DbError> {
        let mut write = self.begin().await?;
        let connection = write.connection()?;
        for key in keys {
            sqlx::query("DELETE FROM garbage_objects WHERE object_key = $1")
                .bind(key.as_str())
                .execute(&mut *connection)
                .await?;
        }
        write.commit().await
    }

    /// Whether any row names this object.
    pub(crate) async fn names_object(&self, key: &str) -> Result<bool, DbError> {
        let row = sqlx::query(
            "SELECT 1 AS one FROM blob_segments WHERE object_key = $1
             UNION ALL SELECT 1 FROM upload_segments WHERE object_key = $1
             UNION ALL SELECT 1 FROM garbage_objects WHERE object_key = $1 LIMIT 1",
        )
        .bind(key)
        .fetch_optional(&self.readers)
        .await?;
        Ok(row.is_some())
    }
}

/// Puts objects on the list within a transaction that unnames them.
pub(super) async fn queue(connection: &mut AnyConnection, keys: &[String]) -> Result<(), DbError> {
    let now = now_ms();
    for key in keys {
        sqlx::query(
            "INSERT INTO garbage_objects (object_key, queued_at) VALUES ($1, $2)
             ON CONFLICT DO NOTHING",
        )
        .bind(key.as_str())
        .bind(now)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
