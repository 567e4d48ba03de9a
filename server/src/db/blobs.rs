//! Tables `blobs`, `blob_segments` and `repository_blobs`: verified content,
//! the objects that hold it, and who may see it.

use hythe_oci::{Digest, RepositoryName};
use sqlx::AnyConnection;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::repositories::{self, Lock};
use super::write::Write;
use super::{
    Database, DbError, garbage, now_ms, parsed, quotas, retrying, scrub, size, stored, uploads,
};
use crate::config::Quota;

/// One object of a blob or of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its key in the object store.
    pub(crate) object_key: String,
    /// Its size in bytes.
    pub(crate) size_bytes: u64,
}

/// A blob as one repository shows it.
#[derive(Clone, Debug)]
pub(crate) struct BlobRecord {
    pub(crate) size_bytes: u64,
    pub(crate) segments: Vec<Segment>,
    /// When it was last pushed, mounted or asked for, in ms since 1970.
    pub(crate) linked_at: i64,
    /// Whether a manifest of the repository leads to it.
    pub(crate) referenced: bool,
    /// Whether its stored bytes were found to be wrong.
    pub(crate) quarantined: bool,
}

/// A blob whose bytes are stored and verified, ready to become visible.
#[derive(Clone, Debug)]
pub(crate) struct NewBlob<'a> {
    pub(crate) repository: &'a RepositoryName,
    pub(crate) digest: &'a Digest,
    pub(crate) size_bytes: u64,
    /// The objects that this request wrote, which follow the upload's.
    pub(crate) segments: &'a [Segment],
    /// The session that it completes, and the offset at which this request
    /// found it.
    pub(crate) upload: Option<(&'a str, u64)>,
}

/// What became of a [`NewBlob`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CommittedBlob {
    /// It is visible. The keys are of objects that were not needed because the
    /// blob existed; they are queued as garbage.
    Visible { spare_keys: Vec<String> },
    /// The session is gone, or moved on under another request.
    UploadMoved,
}

/// What became of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MountBlob {
    Mounted,
    /// No such blob where it was looked for.
    Unknown,
}

/// What became of a delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeleteBlob {
    Deleted,
    Unknown,
    /// A manifest of the repository still leads to it.
    Referenced {
        manifest: Digest,
    },
}

impl Database {
    /// The blob, if this repository shows it.
    #[tracing::instrument(target = "hythe_trace", name = "db.find_blob", skip_all)]
    pub(crate) async fn find_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<BlobRecord>, DbError> {
        let rows = sqlx::query(
            "SELECT b.size_bytes AS blob_size, l.linked_at, s.object_key, s.size_bytes,
                    CASE WHEN b.quarantined_at IS NULL THEN 0 ELSE 1 END AS quarantined,
                    CASE WHEN EXISTS (
                        SELECT 1 FROM manifest_references f
                        WHERE f.repository_id = l.repository_id
                          AND f.target_digest = l.digest AND f.target_kind = 'blob'
                    ) THEN 1 ELSE 0 END AS referenced
             FROM repositories r
             JOIN repository_blobs l ON l.repository_id = r.id
             JOIN blobs b ON b.digest = l.digest
             LEFT JOIN blob_segments s ON s.digest = b.digest
             WHERE r.name = $1 AND l.digest = $2
             ORDER BY s.position",
        )
        .bind(repository.as_str())
        .bind(digest.to_string())
        .fetch_all(&self.readers)
        .await?;
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let mut segments = Vec::with_capacity(rows.len());
        for row in &rows {
            if row.try_get::<Option<String>, _>("object_key")?.is_some() {
                segments.push(segment(row)?);
            }
        }
        Ok(Some(BlobRecord {
            size_bytes: size(first, "blob_size")?,
            linked_at: first.try_get("linked_at")?,
            referenced: first.try_get::<i64, _>("referenced")? != 0,
            quarantined: first.try_get::<i64, _>("quarantined")? != 0,
            segments,
        }))
    }

    /// Makes a verified blob visible in its repository, in one transaction with
    /// the end of its upload session. A blob that exists already keeps its
    /// objects, and the new ones become garbage; one in quarantine is repaired
    /// with them.
    #[tracing::instrument(target = "hythe_trace", name = "db.commit_blob", skip_all)]
    pub(crate) async fn commit_blob(
        &self,
        blob: &NewBlob<'_>,
        quotas: &[Quota],
    ) -> Result<CommittedBlob, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            quotas::lock(self.kind, write.connection()?, quotas).await?;
            // Ended here, by the holder of the writer: no other request can
            // complete the same session.
            let fresh = match blob.upload {
                Some((id, 0)) => self.fresh_uploads.end(blob.repository, id),
                _ => None,
            };
            let session = blob.upload.filter(|_| fresh.is_none());
            let committed = commit(write, blob, (session, quotas)).await;
            if committed.is_err()
                && let (Some((id, _)), Some(fresh)) = (blob.upload, fresh)
            {
                // The client may try again, also if this makes one too many.
                self.fresh_uploads.open(id, fresh);
            }
            committed
        })
        .await
    }

    /// Shows a blob of `from`, or of any repository, in another one (end-11).
    #[tracing::instrument(target = "hythe_trace", name = "db.mount_blob", skip_all)]
    pub(crate) async fn mount_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: Option<&RepositoryName>,
        quotas: &[Quota],
    ) -> Result<MountBlob, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            quotas::lock(self.kind, connection, quotas).await?;
            let holder = sqlx::query(
                "SELECT b.size_bytes FROM repository_blobs l
                 JOIN repositories r ON r.id = l.repository_id
                 JOIN blobs b ON b.digest = l.digest AND b.quarantined_at IS NULL
                 WHERE l.digest = $1 AND (r.name = $2 OR $2 = '') LIMIT 1",
            )
            .bind(digest.to_string())
            .bind(from.map_or("", RepositoryName::as_str))
            .fetch_optional(&mut *connection)
            .await?;
            let Some(holder) = holder else {
                return Ok(MountBlob::Unknown);
            };
            if !quotas.is_empty() && !is_linked(connection, repository, digest).await? {
                quotas::charge(connection, quotas, size(&holder, "size_bytes")?).await?;
            }
            link(connection, repository, digest).await?;
            write.commit().await?;
            Ok(MountBlob::Mounted)
        })
        .await
    }

    /// Hides a blob from a repository, unless a manifest there leads to it
    /// (end-10). Its bytes go when no repository shows it any more.
    #[tracing::instrument(target = "hythe_trace", name = "db.delete_blob", skip_all)]
    pub(crate) async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<DeleteBlob, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let Some(repository_id) = repositories::find(connection, repository).await? else {
                return Ok(DeleteBlob::Unknown);
            };
            repositories::lock(self.kind, connection, repository_id, Lock::Removing).await?;
            let holder = sqlx::query(
                "SELECT manifest_digest FROM manifest_references
                 WHERE repository_id = $1 AND target_digest = $2 AND target_kind = 'blob' LIMIT 1",
            )
            .bind(repository_id)
            .bind(digest.to_string())
            .fetch_optional(&mut *connection)
            .await?;
            let linked = is_linked(connection, repository, digest).await?;
            match (linked, holder) {
                (false, _) => return Ok(DeleteBlob::Unknown),
                (true, Some(row)) => {
                    let manifest = parsed(&row, "manifest_digest")?;
                    return Ok(DeleteBlob::Referenced { manifest });
                }
                (true, None) => unlink(connection, repository_id, digest).await?,
            }
            write.commit().await?;
            Ok(DeleteBlob::Deleted)
        })
        .await
    }

    /// Notes that somebody relies on a blob that nothing refers to yet, so that
    /// the collector gives them its whole grace period again.
    #[tracing::instrument(target = "hythe_trace", name = "db.touch_blob", skip_all)]
    pub(crate) async fn touch_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), DbError> {
        let mut write = self.begin().await?;
        sqlx::query(
            "UPDATE repository_blobs SET linked_at = $1 WHERE digest = $2
               AND repository_id = (SELECT id FROM repositories WHERE name = $3)",
        )
        .bind(now_ms())
        .bind(digest.to_string())
        .bind(repository.as_str())
        .execute(write.connection()?)
        .await?;
        write.commit().await
    }
}

/// Reads the two columns of either segment table.
pub(super) fn segment(row: &AnyRow) -> Result<Segment, DbError> {
    Ok(Segment {
        object_key: row.try_get("object_key")?,
        size_bytes: size(row, "size_bytes")?,
    })
}

async fn commit(
    mut write: Write,
    blob: &NewBlob<'_>,
    (session, quotas): (Option<(&str, u64)>, &[Quota]),
) -> Result<CommittedBlob, DbError> {
    let connection = write.connection()?;
    let mut segments = Vec::new();
    if let Some((upload, offset)) = session {
        let repository_id = repositories::ensure(connection, blob.repository).await?;
        match uploads::take(connection, repository_id, upload, offset).await? {
            Some(earlier) => segments = earlier,
            None => return Ok(CommittedBlob::UploadMoved),
        }
    }
    if !quotas.is_empty() && !is_linked(connection, blob.repository, blob.digest).await? {
        // What the session held is not counted any more.
        quotas::charge(connection, quotas, blob.size_bytes).await?;
    }
    segments.extend_from_slice(blob.segments);
    let mut spare_keys = Vec::new();
    if insert(connection, blob).await? {
        insert_segments(connection, blob.digest, &segments).await?;
    } else if scrub::is_quarantined(connection, blob.digest).await? {
        // These bytes were verified; what is stored was found wrong.
        scrub::replace(connection, blob.digest, &segments).await?;
    } else {
        spare_keys = segments
            .into_iter()
            .map(|segment| segment.object_key)
            .collect();
        garbage::queue(connection, &spare_keys).await?;
    }
    link(connection, blob.repository, blob.digest).await?;
    write.commit().await?;
    Ok(CommittedBlob::Visible { spare_keys })
}

async fn is_linked(
    connection: &mut AnyConnection,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<bool, DbError> {
    let row = sqlx::query(
        "SELECT 1 AS one FROM repository_blobs l JOIN repositories r ON r.id = l.repository_id
         WHERE r.name = $1 AND l.digest = $2",
    )
    .bind(repository.as_str())
    .bind(digest.to_string())
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
}

/// Writes a blob's row; false when there is one.
async fn insert(connection: &mut AnyConnection, blob: &NewBlob<'_>) -> Result<bool, DbError> {
    let inserted = sqlx::query(
        "INSERT INTO blobs (digest, size_bytes, created_at) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
    )
    .bind(blob.digest.to_string())
    .bind(stored(blob.size_bytes))
    .bind(now_ms())
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

pub(super) async fn insert_segments(
    connection: &mut AnyConnection,
    digest: &Digest,
    segments: &[Segment],
) -> Result<(), DbError> {
    let mut position = 0;
    for segment in segments {
        sqlx::query(
            "INSERT INTO blob_segments (digest, position, object_key, size_bytes)
             VALUES ($1, $2, $3, $4)",
        )
        .bind(digest.to_string())
        .bind(stored(position))
        .bind(segment.object_key.as_str())
        .bind(stored(segment.size_bytes))
        .execute(&mut *connection)
        .await?;
        position += segment.size_bytes;
    }
    Ok(())
}

/// Shows a blob in a repository, whose row is made when this is the first push
/// to it.
async fn link(
    connection: &mut AnyConnection,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<(), DbError> {
    if !link_where_it_exists(connection, repository, digest).await? {
        repositories::ensure(connection, repository).await?;
        link_where_it_exists(connection, repository, digest).await?;
    }
    Ok(())
}

/// False when the repository has no row.
async fn link_where_it_exists(
    connection: &mut AnyConnection,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<bool, DbError> {
    let linked = sqlx::query(
        "INSERT INTO repository_blobs (repository_id, digest, linked_at)
         SELECT id, $2, $3 FROM repositories WHERE name = $1
         ON CONFLICT (repository_id, digest) DO UPDATE SET linked_at = excluded.linked_at",
    )
    .bind(repository.as_str())
    .bind(digest.to_string())
    .bind(now_ms())
    .execute(connection)
    .await?;
    Ok(linked.rows_affected() > 0)
}

pub(super) async fn unlink(
    connection: &mut AnyConnection,
    repository_id: i64,
    digest: &Digest,
) -> Result<(), DbError> {
    sqlx::query("DELETE FROM repository_blobs WHERE repository_id = $1 AND digest = $2")
        .bind(repository_id)
        .bind(digest.to_string())
        .execute(connection)
        .await?;
    Ok(())
}
