//! Tables `uploads` and `upload_segments`: sessions under way.
//!
//! A session moves by compare-and-set on its offset, so two requests that race
//! for the same session cannot both append. One that holds nothing yet may have
//! no row: see [`fresh_uploads`](super::fresh_uploads).

use hythe_oci::{Algorithm, DigestHasher, RepositoryName};
use sqlx::AnyConnection;
use sqlx::Row as _;

use super::blobs::{Segment, segment};
use super::fresh_uploads::FreshUpload;
use super::{
    Database, DbError, Kind, garbage, now_ms, parsed, quotas, repositories, retrying, size, stored,
};
use crate::config::Quota;

/// A session as it stands.
#[derive(Clone, Debug)]
pub(crate) struct UploadRecord {
    pub(crate) algorithm: Algorithm,
    pub(crate) offset_bytes: u64,
    /// The digest's state over the bytes so far.
    pub(crate) hash_state: Vec<u8>,
    /// The objects that hold them, in order.
    pub(crate) segments: Vec<Segment>,
}

/// Bytes that were stored durably and are to be added to a session.
#[derive(Clone, Debug)]
pub(crate) struct Advance<'a> {
    pub(crate) upload: &'a str,
    /// The offset that the request found.
    pub(crate) from_bytes: u64,
    pub(crate) segments: &'a [Segment],
    pub(crate) hash_state: &'a [u8],
}

/// A session that nothing was heard of for long.
#[derive(Clone, Debug)]
pub(crate) struct StaleUpload {
    pub(crate) id: String,
    pub(crate) repository: RepositoryName,
    pub(crate) size_bytes: u64,
}

impl Database {
    /// Sessions that nothing was heard of since `before_ms`.
    pub(crate) async fn stale_uploads(&self, before_ms: i64) -> Result<Vec<StaleUpload>, DbError> {
        let rows = sqlx::query(
            "SELECT u.id, r.name, u.offset_bytes FROM uploads u
             JOIN repositories r ON r.id = u.repository_id
             WHERE u.updated_at < $1 ORDER BY u.updated_at",
        )
        .bind(before_ms)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(StaleUpload {
                    id: row.try_get("id")?,
                    repository: parsed(row, "name")?,
                    size_bytes: size(row, "offset_bytes")?,
                })
            })
            .collect()
    }

    /// Opens a session (end-4a, end-4c).
    #[tracing::instrument(target = "hythe_trace", name = "db.create_upload", skip_all)]
    pub(crate) async fn create_upload(
        &self,
        id: &str,
        repository: &RepositoryName,
        algorithm: Algorithm,
    ) -> Result<(), DbError> {
        let upload = FreshUpload {
            repository: repository.clone(),
            algorithm,
            started_at: now_ms(),
        };
        // Over PostgreSQL the next request may come to another replica.
        if self.kind == Kind::Sqlite && self.fresh_uploads.open(id, upload.clone()) {
            return Ok(());
        }
        retrying(|| async {
            let mut write = self.begin().await?;
            insert(write.connection()?, id, &upload).await?;
            write.commit().await
        })
        .await
    }

    /// The session, if this repository has it.
    #[tracing::instrument(target = "hythe_trace", name = "db.find_upload", skip_all)]
    pub(crate) async fn find_upload(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Option<UploadRecord>, DbError> {
        if let Some(fresh) = self.fresh_uploads.get(id) {
            return Ok((fresh.repository == *repository).then(|| UploadRecord {
                algorithm: fresh.algorithm,
                offset_bytes: 0,
                hash_state: DigestHasher::new(fresh.algorithm).to_state(),
                segments: Vec::new(),
            }));
        }
        let row = sqlx::query(
            "SELECT u.algorithm, u.offset_bytes, u.hash_state FROM uploads u
             JOIN repositories r ON r.id = u.repository_id
             WHERE u.id = $1 AND r.name = $2",
        )
        .bind(id)
        .bind(repository.as_str())
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let segments = sqlx::query(
            "SELECT object_key, size_bytes FROM upload_segments
             WHERE upload_id = $1 ORDER BY position",
        )
        .bind(id)
        .fetch_all(&self.readers)
        .await?;
        Ok(Some(UploadRecord {
            algorithm: parsed(&row, "algorithm")?,
            offset_bytes: size(&row, "offset_bytes")?,
            hash_state: row.try_get("hash_state")?,
            segments: segments.iter().map(segment).collect::<Result<_, _>>()?,
        }))
    }

    /// Adds stored bytes to a session; false when it is gone or moved on
    /// meanwhile.
    #[tracing::instrument(target = "hythe_trace", name = "db.advance_upload", skip_all)]
    pub(crate) async fn advance_upload(
        &self,
        advance: &Advance<'_>,
        quotas: &[Quota],
    ) -> Result<bool, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            if let Some(fresh) = self.fresh_uploads.get(advance.upload) {
                insert(connection, advance.upload, &fresh).await?;
            }
            let added: u64 = advance
                .segments
                .iter()
                .map(|segment| segment.size_bytes)
                .sum();
            quotas::lock(self.kind, connection, quotas).await?;
            quotas::charge(connection, quotas, added).await?;
            let moved = sqlx::query(
                "UPDATE uploads SET offset_bytes = $1, hash_state = $2, updated_at = $3
                 WHERE id = $4 AND offset_bytes = $5",
            )
            .bind(stored(advance.from_bytes + added))
            .bind(advance.hash_state)
            .bind(now_ms())
            .bind(advance.upload)
            .bind(stored(advance.from_bytes))
            .execute(&mut *connection)
            .await?;
            if moved.rows_affected() == 0 {
                return Ok(false);
            }
            let mut position = advance.from_bytes;
            for segment in advance.segments {
                sqlx::query(
                    "INSERT INTO upload_segments (upload_id, position, object_key, size_bytes)
                     VALUES ($1, $2, $3, $4)",
                )
                .bind(advance.upload)
                .bind(stored(position))
                .bind(segment.object_key.as_str())
                .bind(stored(segment.size_bytes))
                .execute(&mut *connection)
                .await?;
                position += segment.size_bytes;
            }
            write.commit().await?;
            // Only now: until the row can be read, the session is found here.
            self.fresh_uploads.forget(advance.upload);
            Ok(true)
        })
        .await
    }

    /// Ends a session without a blob (end-14); its objects become garbage.
    /// `None` when there is no such session.
    pub(crate) async fn cancel_upload(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Option<Vec<String>>, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            if self.fresh_uploads.end(repository, id).is_some() {
                return Ok(Some(Vec::new()));
            }
            let Some(repository_id) = repositories::find(connection, repository).await? else {
                return Ok(None);
            };
            let Some(keys) = drop_session(connection, repository_id, id).await? else {
                return Ok(None);
            };
            write.commit().await?;
            Ok(Some(keys))
        })
        .await
    }

    /// Ends up to `limit` sessions without news since `before_ms`; the number
    /// that were ended.
    pub(crate) async fn expire_uploads(&self, before_ms: i64, limit: u32) -> Result<u64, DbError> {
        let fresh = self.fresh_uploads.expire(before_ms);
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let stale =
                sqlx::query("SELECT id, repository_id FROM uploads WHERE updated_at < $1 LIMIT $2")
                    .bind(before_ms)
                    .bind(i64::from(limit))
                    .fetch_all(&mut *connection)
                    .await?;
            let mut ended = 0;
            for row in &stale {
                let id: String = row.try_get("id")?;
                if drop_session(connection, row.try_get("repository_id")?, &id)
                    .await?
                    .is_some()
                {
                    ended += 1;
                }
            }
            write.commit().await?;
            Ok(fresh + ended)
        })
        .await
    }
}

/// Writes the row of a session that holds nothing; no harm if it is there.
async fn insert(
    connection: &mut AnyConnection,
    id: &str,
    upload: &FreshUpload,
) -> Result<(), DbError> {
    let repository_id = repositories::ensure(connection, &upload.repository).await?;
    sqlx::query(
        "INSERT INTO uploads
           (id, repository_id, algorithm, offset_bytes, hash_state, started_at, updated_at)
         VALUES ($1, $2, $3, 0, $4, $5, $5) ON CONFLICT DO NOTHING",
    )
    .bind(id)
    .bind(repository_id)
    .bind(upload.algorithm.to_string())
    .bind(DigestHasher::new(upload.algorithm).to_state())
    .bind(upload.started_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends a session that stands at `offset_bytes` and hands its objects over;
/// `None` when it is gone or elsewhere.
pub(super) async fn take(
    connection: &mut AnyConnection,
    repository_id: i64,
    id: &str,
    offset_bytes: u64,
) -> Result<Option<Vec<Segment>>, DbError> {
    let segments = session_segments(connection, id).await?;
    let taken = sqlx::query(
        "DELETE FROM uploads WHERE id = $1 AND repository_id = $2 AND offset_bytes = $3",
    )
    .bind(id)
    .bind(repository_id)
    .bind(stored(offset_bytes))
    .execute(connection)
    .await?;
    Ok((taken.rows_affected() == 1).then_some(segments))
}

/// Ends every session of a repository; their objects become garbage.
pub(super) async fn drop_all(
    connection: &mut AnyConnection,
    repository_id: i64,
) -> Result<(), DbError> {
    let rows = sqlx::query("SELECT id FROM uploads WHERE repository_id = $1")
        .bind(repository_id)
        .fetch_all(&mut *connection)
        .await?;
    for row in &rows {
        let id: String = row.try_get("id")?;
        drop_session(connection, repository_id, &id).await?;
    }
    Ok(())
}

async fn drop_session(
    connection: &mut AnyConnection,
    repository_id: i64,
    id: &str,
) -> Result<Option<Vec<String>>, DbError> {
    // Takes the row's lock, so that no segment joins after they are listed.
    let locked = sqlx::query(
        "UPDATE uploads SET updated_at = updated_at WHERE id = $1 AND repository_id = $2",
    )
    .bind(id)
    .bind(repository_id)
    .execute(&mut *connection)
    .await?;
    if locked.rows_affected() == 0 {
        return Ok(None);
    }
    let keys: Vec<String> = session_segments(connection, id)
        .await?
        .into_iter()
        .map(|segment| segment.object_key)
        .collect();
    sqlx::query("DELETE FROM uploads WHERE id = $1")
        .bind(id)
        .execute(&mut *connection)
        .await?;
    garbage::queue(connection, &keys).await?;
    Ok(Some(keys))
}

async fn session_segments(
    connection: &mut AnyConnection,
    id: &str,
) -> Result<Vec<Segment>, DbError> {
    let rows = sqlx::query(
        "SELECT object_key, size_bytes FROM upload_segments WHERE upload_id = $1 ORDER BY position",
    )
    .bind(id)
    .fetch_all(connection)
    .await?;
    rows.iter().map(segment).collect()
}
