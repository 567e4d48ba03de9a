//! Table `tags`: names for manifests, the only thing here that moves.

use hythe_oci::{Digest, RepositoryName, Tag};
use sqlx::AnyConnection;

use super::{Database, DbError, now_ms, parsed, repositories, retrying, search};

impl Database {
    /// Up to `limit` tags after `last`, in byte order (end-8).
    pub(crate) async fn list_tags(
        &self,
        repository: &RepositoryName,
        last: &str,
        limit: u32,
    ) -> Result<Vec<Tag>, DbError> {
        let rows = sqlx::query(
            "SELECT t.name FROM repositories r JOIN tags t ON t.repository_id = r.id
             WHERE r.name = $1 AND t.name > $2 ORDER BY t.name LIMIT $3",
        )
        .bind(repository.as_str())
        .bind(last)
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| parsed(row, "name")).collect()
    }

    /// Deletes a tag and leaves its manifest (end-9); false when there is none.
    pub(crate) async fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<bool, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let Some(repository_id) = repositories::find(connection, repository).await? else {
                return Ok(false);
            };
            let deleted = sqlx::query("DELETE FROM tags WHERE repository_id = $1 AND name = $2")
                .bind(repository_id)
                .bind(tag.as_str())
                .execute(&mut *connection)
                .await?;
            search::refresh(self.kind, connection, repository_id).await?;
            write.commit().await?;
            Ok(deleted.rows_affected() > 0)
        })
        .await
    }
}

/// Points a tag at a manifest that the transaction knows to exist.
pub(super) async fn set(
    connection: &mut AnyConnection,
    repository_id: i64,
    tag: &Tag,
    digest: &Digest,
    by: &str,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO tags (repository_id, name, digest, updated_at, pushed_by)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (repository_id, name) DO UPDATE
         SET digest = excluded.digest, updated_at = excluded.updated_at,
             pushed_by = excluded.pushed_by",
    )
    .bind(repository_id)
    .bind(tag.as_str())
    .bind(digest.to_string())
    .bind(now_ms())
    .bind(by)
    .execute(connection)
    .await?;
    Ok(())
}
